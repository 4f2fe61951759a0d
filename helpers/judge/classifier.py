"""The judge: a classifier of sounds, trained on the real clips, and what it hears in a sound.

A run has one judge. Figures of different judges cannot be compared, so a digest names each.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.data.clips import ClipCache
from helpers.device import copy_to
from helpers.files import UnusableFileError, write_atomically
from helpers.judge.features import Whitener, nearest_distance, reach_of
from helpers.judge.grain import measure_grain
from helpers.judge.network import JudgeNetwork
from helpers.judge.picture import FINE_PER_FRAME, FLOOR, TIME_BANDS, Picture, PictureMaker
from helpers.network_file import digest_tensors, pack, unpack, with_prefix, without_prefix
from helpers.progress import say, tracked

CLIPS_AT_ONCE = 128
JUDGE_STEPS = 800
BATCH_SIZE = 32
UNTIMED, TIMED = 2, 10  # steps at first, and those that tell how long all will take
FEATURES = {"kind": 24, "form": 32, "grain": 16}  # how many numbers tell of each
FEATURE_DIM = sum(FEATURES.values())
ACCEPTED = 0.97  # of the training clips, each beside those of other files, are like recordings
UNLIKE_ANY = -1  # in place of a class: a sound that is unlike every recording
SHIFT_SHARE = 0.125  # of a training clip's length, either way
GAIN_NEPERS = 0.3  # 2.6 dB, either way
CUTOUT_SHARE = 0.25  # of the bands, at most


class Heard(NamedTuple):
    """Features, classes and coarse log-mels of B sounds, on the device of the judge."""

    features: Tensor  # (B, FEATURE_DIM): those of sounds that are alike lie close together
    named: Tensor  # (B,) the classes that the classifier takes them for
    predicted: Tensor  # (B,) the same, but UNLIKE_ANY where no recording is like the sound
    mels: Tensor  # (B, 64, T) coarse log-mels in nepers: `Picture.summary`


@dataclass(frozen=True)
class Judge:
    """A trained classifier with the features of its training clips.

    A feature is *kind* (what tells classes apart), *form* or *grain* (see `JudgeNetwork` and
    `measure_grain`), whitened by the training clips. The judge works on the device of its network,
    whatever that of the sounds.

    >>> heard = judge.listen(waveforms)  # (B, n_samples)
    >>> heard.features.shape[1]
    72
    """

    network: JudgeNetwork
    picture: PictureMaker
    whiteners: dict[str, Whitener]  # for each of FEATURES
    recordings: Tensor  # (N, FEATURE_DIM) the features of the training clips
    reach: Tensor  # scalar: nearer than this to a recording, a sound is like it
    steps: int  # that it was trained for

    @cached_property
    def digest(self) -> str:
        """The judge's name: the first 8 hex digits of the SHA-256 of all that was learned."""
        return digest_tensors(self.tensors())[:8]

    @property
    def device(self) -> torch.device:
        """Where the network is, and so all that the judge finds."""
        return self.network.head.weight.device

    @torch.no_grad()
    def listen(self, waveforms: np.ndarray | Tensor) -> Heard:
        """Find the features and the classes of waveforms (B, n_samples) of full scale 1."""
        found = [self._listen(part.of(slice(None))) for part in _pictures(self.picture, waveforms)]
        features, named, mels = (torch.cat(part) for part in zip(*found, strict=True))
        is_like = nearest_distance(features, self.recordings) <= self.reach
        return Heard(features, named, named.where(is_like, UNLIKE_ANY), mels)

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned, by name, to write to a file."""
        found = with_prefix("network", self.network.state_dict())
        for name, whitener in self.whiteners.items():
            found |= with_prefix(name, {"mean": whitener.mean, "components": whitener.components})
        return found | {"recordings": self.recordings, "reach": self.reach}

    def _listen(self, picture: Picture) -> tuple[Tensor, Tensor, Tensor]:
        measured = _measure(self.network, picture)
        features = [self.whiteners[name](measured[name]) for name in FEATURES]
        named = self.network.head(measured["kind"]).argmax(dim=1)
        return torch.cat(features, dim=1), named, picture.summary()


def train_judge(
    waveforms: Tensor,
    labels: Tensor,
    n_classes: int,
    sample_rate: int,
    steps: int = JUDGE_STEPS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
    sources: Tensor | None = None,
) -> Judge:
    """Train a judge on waveforms (N, n_samples) with labels (N,), classes equally often.

    sources (N,) are the numbers of the files that the clips come from; without them, each has its
    own. The judge is trained on a device and stays there. The same seed gives the same judge on the
    same device; the global random numbers are not touched.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _empty_network(n_classes, device)
        picture = PictureMaker(sample_rate).to(device)
        seen = _see_all(picture, waveforms)
        network.fit_normaliser(seen)
        rng = torch.Generator().manual_seed(seed)
        weights = (1 / torch.bincount(labels).float())[labels]  # (N,)
        targets = labels.to(device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        network.train()
        for step in tracked(progress, range(steps), steps, "judge"):
            if step == UNTIMED:
                begun = time.monotonic()
            elif progress and step == UNTIMED + TIMED:
                left_s = (time.monotonic() - begun) / TIMED * (steps - step)
                say(f"the judge learns for {steps} steps: {left_s:.0f} s more")
            chosen = torch.multinomial(weights, BATCH_SIZE, replacement=True, generator=rng)
            chosen = copy_to(chosen, device)
            logits = network(_augmented(seen.of(chosen), rng))
            loss = F.cross_entropy(logits, targets[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    sources = torch.arange(len(labels)) if sources is None else sources
    return _hear_recordings(network.eval(), picture, seen, sources.to(device), steps)


def open_judge(
    path: Path,
    clips: ClipCache,
    steps: int = JUDGE_STEPS,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
) -> Judge:
    """The judge of a run's training clips, on a device: from its file, or trained and written.

    The file's judge is kept if it was trained on these clips, for at least so many steps. A file
    that is damaged, of other clips or of fewer steps is replaced.
    """
    kept = _read_judge(path, clips, steps, device)
    if kept is not None:
        return kept
    waveforms, labels = clips.recordings("train")
    sources = torch.from_numpy(clips.file_index[clips.measured("train")])
    of_clips = waveforms, labels, len(clips.classes), clips.audio.sample_rate
    judge = train_judge(*of_clips, steps, device=device, progress=progress, sources=sources)
    write_atomically(path, pack(judge.tensors(), {"clips": clips.key, "steps": str(steps)}))
    return judge


def _read_judge(path: Path, clips: ClipCache, fewest_steps: int, device) -> Judge | None:
    """The judge in a file; None if it is absent, damaged, of other clips or of fewer steps."""
    network = _empty_network(len(clips.classes), device)
    try:
        tensors, trained_on = unpack(path.read_bytes())
        steps = int(trained_on["steps"])
        if trained_on["clips"] != clips.key or steps < fewest_steps:
            return None
        network.load_state_dict(without_prefix("network", tensors))
        there = {name: tensor.to(device) for name, tensor in tensors.items()}
        whiteners = {name: Whitener(**without_prefix(name, there)) for name in FEATURES}
        heard = whiteners, there["recordings"], there["reach"]
    except (OSError, UnusableFileError, KeyError, ValueError, TypeError, RuntimeError):
        return None
    return Judge(network, PictureMaker(clips.audio.sample_rate).to(device), *heard, steps)


def _empty_network(n_classes: int, device: torch.device | str) -> JudgeNetwork:
    return JudgeNetwork(n_classes).eval().to(device, memory_format=torch.channels_last)


@torch.no_grad()
def _hear_recordings(
    network: JudgeNetwork, picture: PictureMaker, seen: Picture, sources: Tensor, steps: int
) -> Judge:
    """The judge of a trained network: its whiteners and reach are those of its training clips."""
    parts = torch.arange(len(seen.tone)).split(CLIPS_AT_ONCE)
    found = [_measure(network, seen.of(rows)) for rows in parts]
    measured = {name: torch.cat([one[name] for one in found]) for name in FEATURES}
    whiteners = {name: Whitener.fit(measured[name], n) for name, n in FEATURES.items()}
    recordings = torch.cat([whiteners[name](measured[name]) for name in FEATURES], dim=1)
    reach = reach_of(recordings, sources, ACCEPTED)
    return Judge(network, picture, whiteners, recordings, reach, steps)


def _measure(network: JudgeNetwork, picture: Picture) -> dict[str, Tensor]:
    """The numbers of each of FEATURES before they are whitened, (B, S), for B sounds."""
    kind, form = network.kind(picture), network.form(picture)
    return {"kind": kind, "form": form, "grain": measure_grain(picture)}


def _pictures(picture: PictureMaker, waveforms: np.ndarray | Tensor) -> Iterator[Picture]:
    """Pictures of waveforms (B, n_samples), some at a time, rounded to 16 bits.

    So those of the training clips can be kept; and all others are heard as these are.
    """
    for part in torch.as_tensor(waveforms).split(CLIPS_AT_ONCE):
        yield Picture(*(view.half() for view in picture(part)))


def _see_all(picture: PictureMaker, waveforms: Tensor) -> Picture:
    """The picture of all training clips, in 16 bits: made once, seen again and again."""
    return Picture(*map(torch.cat, zip(*_pictures(picture, waveforms), strict=True)))


def _augmented(picture: Picture, rng: torch.Generator) -> Picture:
    """Move each sound in time, change its level, and silence a span of its bands."""
    n, n_frames, device = len(picture.tone), picture.tone.shape[2], picture.tone.device
    where, level, height, top = copy_to(torch.rand((4, n, 1, 1), generator=rng), device)
    longest = int(SHIFT_SHARE * n_frames)
    offset = (where * (2 * longest + 1)).long() - longest  # in frames of the tone view
    gain = (2 * level - 1) * GAIN_NEPERS
    rows = torch.arange(TIME_BANDS, device=device)[:, None]
    size = height * CUTOUT_SHARE * TIME_BANDS
    cut = (rows >= top * (TIME_BANDS - size)) & (rows < top * (TIME_BANDS - size) + size)
    silence = torch.tensor(FLOOR).log().item()

    def change(x: Tensor, offset: Tensor, cut: Tensor) -> Tensor:
        source = torch.arange(x.shape[2], device=device) - offset  # (B, 1, frames)
        inside = (source >= 0) & (source < x.shape[2])
        moved = x.gather(2, source.clamp(0, x.shape[2] - 1).expand_as(x)) + gain
        return torch.where(inside & ~cut, moved, silence)

    tone_cut = cut.repeat_interleave(picture.tone.shape[1] // TIME_BANDS, dim=1)
    return Picture(
        change(picture.tone, offset, tone_cut), change(picture.time, FINE_PER_FRAME * offset, cut)
    )
