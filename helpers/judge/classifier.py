"""The judge: a classifier of sounds, trained on the real clips.

A run has one judge. Figures of different judges cannot be compared, so a digest names each.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import AUGMENTATIONS, AudioConfig
from helpers.data.clips import ClipCache
from helpers.data.dataset import fit_clip_normaliser
from helpers.device import copy_to
from helpers.files import UnusableFileError, write_atomically
from helpers.gan.augment import Augmenter
from helpers.network_file import digest_tensors, pack, unpack
from helpers.progress import say, tracked
from helpers.sound.mel import MelExtractor
from helpers.sound.normalisation import Normaliser

FEATURE_DIM = 64
CLIPS_AT_ONCE = 256
JUDGE_STEPS = 800
UNTIMED, TIMED = 2, 10  # steps at first, and those that tell how long all will take


class JudgeNetwork(nn.Module):
    """A small convolutional classifier; distances of sounds are taken in its last hidden layer."""

    def __init__(self, n_classes: int, n_mels: int):
        super().__init__()
        layers, n_in = [], 1
        for n_out in (24, 32, 64, FEATURE_DIM):
            first = n_in == 1  # at full size, which costs most: its stride halves the map at once
            conv = nn.Conv2d(n_in, n_out, *((5, 2, 2) if first else (3, 1, 1)))
            layers += [conv, nn.BatchNorm2d(n_out), nn.ReLU()]
            layers += [] if first else [nn.MaxPool2d(2)]
            n_in = n_out
        self.layers = nn.Sequential(*layers)
        n_pooled = 2 * FEATURE_DIM * (n_mels // 16)
        self.mix = nn.Sequential(nn.Linear(n_pooled, FEATURE_DIM), nn.ReLU())
        self.head = nn.Linear(FEATURE_DIM, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to features (B, FEATURE_DIM)."""
        h = self.layers(x)  # (B, C, n_mels/16, n_frames/16)
        pooled = torch.cat([h.mean(dim=3), h.amax(dim=3)], dim=1)  # (B, 2C, n_mels/16), over time
        return self.mix(pooled.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to class logits (B, n_classes)."""
        return self.head(F.dropout(self.features(x), 0.3, self.training))


@dataclass(frozen=True)
class Judge:
    """A trained classifier, and how waveforms become the log-mels that it was trained on.

    It works on the device of its network, whatever that of the sounds.

    >>> features, predicted = judge.classify(judge.mels(waveforms))  # (B, FEATURE_DIM) and (B,)
    """

    network: JudgeNetwork
    extractor: MelExtractor
    normaliser: Normaliser
    steps: int  # that it was trained for

    @cached_property
    def digest(self) -> str:
        """The judge's name: the first 8 hex digits of the SHA-256 of its weights."""
        return digest_tensors(self.network.state_dict())[:8]

    def mels(self, waveforms: np.ndarray | Tensor) -> Tensor:
        """Waveforms (B, clip_samples) to the judge's log-mels (B, n_mels, n_frames)."""
        parts = torch.as_tensor(waveforms).split(CLIPS_AT_ONCE)
        return torch.cat([self.extractor(part) for part in parts])

    @property
    def device(self) -> torch.device:
        """Where the network is, and so all that the judge finds."""
        return self.network.head.weight.device

    @torch.no_grad()
    def classify(self, log_mels: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mels (B, n_mels, n_frames) to features (B, FEATURE_DIM), predicted classes (B,)."""
        parts = map(self.normaliser.normalise, log_mels.to(self.device).split(CLIPS_AT_ONCE))
        features = torch.cat([self.network.features(part) for part in parts])
        return features, self.network.head(features).argmax(dim=1)


def train_judge(
    log_mels: Tensor,
    labels: Tensor,
    n_classes: int,
    audio: AudioConfig,
    normaliser: Normaliser,
    steps: int = JUDGE_STEPS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
) -> Judge:
    """Train a judge on log-mels (N, n_mels, n_frames) with labels (N,), classes equally often.

    It is trained on a device and stays there. The same seed gives the same judge on the same
    device; the global random numbers are not touched.
    """
    device = torch.device(device)
    like = {"device": device, "memory_format": torch.channels_last}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = JudgeNetwork(n_classes, audio.n_mels).to(**like)
        rng = torch.Generator().manual_seed(seed)
        weights = (1 / torch.bincount(labels).float())[labels]  # (N,)
        x, targets = normaliser.normalise(log_mels.to(device)), labels.to(device)
        augmented = Augmenter(AUGMENTATIONS, normaliser.silence(), rng, device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for step in tracked(progress, range(steps), steps, "judge"):
            if step == UNTIMED:
                begun = time.monotonic()
            elif progress and step == UNTIMED + TIMED:
                left_s = (time.monotonic() - begun) / TIMED * (steps - step)
                say(f"the judge learns for {steps} steps: {left_s:.0f} s more")
            chosen = torch.multinomial(weights, 32, replacement=True, generator=rng)
            augmented.draw(1, len(chosen))
            chosen = copy_to(chosen, device)
            logits = network(augmented(x[chosen]))
            loss = F.cross_entropy(logits, targets[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Judge(network.eval(), MelExtractor(audio).to(device), normaliser, steps)


def open_judge(
    path: Path,
    clips: ClipCache,
    steps: int = JUDGE_STEPS,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
) -> Judge:
    """The judge of a run's training clips, on a device: from its file, or trained and written.

    The file's judge is kept if it was trained on these clips, for at least so many steps. A file
    that is damaged, of other clips or of fewer steps is replaced. clips must hold the log-mels of
    `AudioConfig.for_judge`.
    """
    kept = _read_judge(path, clips, steps, device)
    if kept is not None:
        return kept
    mels, labels = clips.split("train")
    of_clips = len(clips.classes), clips.audio, fit_clip_normaliser(clips)
    judge = train_judge(mels, labels, *of_clips, steps, device=device, progress=progress)
    trained_on = {"clips": clips.key, "steps": str(steps)}
    write_atomically(path, pack(judge.network.state_dict(), trained_on))
    return judge


def _read_judge(path: Path, clips: ClipCache, fewest_steps: int, device) -> Judge | None:
    """The judge in a file; None if it is absent, damaged, of other clips or of fewer steps."""
    audio, like = clips.audio, {"device": device, "memory_format": torch.channels_last}
    network = JudgeNetwork(len(clips.classes), audio.n_mels).to(**like)
    try:
        weights, trained_on = unpack(path.read_bytes())
        steps = int(trained_on["steps"])
        if trained_on["clips"] != clips.key or steps < fewest_steps:
            return None
        network.load_state_dict(weights)
    except (OSError, UnusableFileError, KeyError, ValueError, RuntimeError):
        return None
    extractor = MelExtractor(audio).to(device)
    return Judge(network.eval(), extractor, fit_clip_normaliser(clips), steps)
