"""What each preset keeps of the recordings: how much of their length and of their sound."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.config import AudioConfig, make_config
from helpers.data.clips import ClipCache
from helpers.judge.picture import FLOOR, PictureMaker
from helpers.labels import choose_evenly
from helpers.sound.audio_files import read_clip, resample
from helpers.sound.inversion import MelInverter
from helpers.sound.mel import MelExtractor

BY_SIZE = ("cpu", "short", "long")  # presets, from the smallest picture to the largest
COMPARED = 12  # recordings, spread evenly over the classes
PEAK = 0.5  # to which each is raised or lowered, so that quiet ones count as much
AUDIBLE_DB = 60.0  # below a recording's loudest band: what is quieter does not count
DB_PER_NEPER = 20 / math.log(10)
MANY_CUT = 0.1  # a preset that cuts more than this share of the recordings is too short for them
# Copies of spoken digits are 1.4 dB worse by `cpu` than by `short`, and listeners from outside
# hardly notice (docs/results.md). Those of the drum kit, whose highs `cpu` cuts, are 2.7 dB worse.
CLOSE_DB = 2.0


@dataclass(frozen=True)
class KeptByPreset:
    """How many recordings a preset cuts, and how far their copies by its mel are from them."""

    preset: str
    audio: AudioConfig
    cut: float  # the share of all recordings that last longer than a clip
    difference_db: float  # between recordings and their copies, in bands of hearing
    recording: np.ndarray  # (n_samples,) the beginning of the first one compared
    copy: np.ndarray  # (n_samples,) the same through the preset's mel and back
    sample_rate: int  # hertz, of both

    @property
    def size(self) -> int:
        """The values in a picture. The time of a training step grows nearly as fast."""
        return self.audio.n_mels * self.audio.n_frames


def compare_presets(
    folder: Path, clips: ClipCache, source_rate: int, recipe: str = "modern"
) -> list[KeptByPreset]:
    """Compare the presets on the recordings in `folder`; the smallest picture comes first.

    clips were made of these recordings by any preset; source_rate (hertz) is that of most, 0 if it
    is not known, and each preset is fitted to it. The copies are of the first second, by the way
    back `joint`, which needs no training. Their difference is that of the judge's tone views, in
    decibels, where the recording is less than AUDIBLE_DB below its loudest band.
    """
    audios = [make_config(name, recipe).audio for name in BY_SIZE]
    if source_rate:
        audios = [audio.fit_sample_rate(source_rate) for audio in audios]
    rate = max(audio.sample_rate for audio in audios)
    recordings = _read_some(folder, clips, rate, min(audio.duration_s for audio in audios))
    durations = np.array([row.duration_s for row in clips.audit if row.n_clips])
    hear = PictureMaker(rate)
    heard, found, by_geometry = hear(recordings).tone, [], {}
    for name, audio in zip(BY_SIZE, audios, strict=True):
        geometry = dataclasses.replace(audio, n_frames=_frames_for(audio, recordings, rate))
        if geometry not in by_geometry:  # presets that differ in length alone have the same copies
            copies = _through_mel(recordings, rate, geometry)
            difference_db = _difference_db(heard, hear(copies).tone)
            by_geometry[geometry] = difference_db, recordings[0].numpy(), copies[0].numpy(), rate
        cut = float((durations > audio.duration_s).mean())
        found.append(KeptByPreset(name, audio, cut, *by_geometry[geometry]))
    return found


def propose_preset(kept: list[KeptByPreset], preset: str) -> str:
    """A sentence: whether a preset suits the recordings, or which one suits them better.

    That is the smallest picture that cuts few recordings and keeps nearly as much of their sound
    as the best. Where every preset has a fault and none has fewer, nothing is proposed.
    """
    best_db = min(one.difference_db for one in kept)

    def faults(one: KeptByPreset) -> list[str]:
        worse_db = one.difference_db - best_db
        too_short = f"cuts {one.cut:.0%} of them at {one.audio.duration_s:.1f} s"
        too_dull = f"keeps less of their sound (its copies are {worse_db:.1f} dB worse)"
        return [too_short] * (one.cut > MANY_CUT) + [too_dull] * (worse_db > CLOSE_DB)

    best = min(kept, key=lambda one: (len(faults(one)), one.size))
    own = next(one for one in kept if one.preset == preset)
    if faults(own) and len(faults(own)) == len(faults(best)):
        return f'no preset suits all of these recordings; "{preset}" {" and ".join(faults(own))}'
    if best is own:
        return f'preset "{preset}" suits these recordings'
    if not faults(own):
        why = f"keeps as much of them in a picture of 1/{own.size // best.size} of the size"
        return f'preset "{preset}" suits these recordings; "{best.preset}" {why}, and trains faster'
    return (
        f'preset = "{best.preset}" suits these recordings better: "{preset}" '
        f"{' and '.join(faults(own))}. A training step then takes up to "
        f"{best.size / own.size:.2g} times as long"
    )


def _read_some(folder: Path, clips: ClipCache, rate: int, seconds: float) -> Tensor:
    """Recordings (COMPARED at most, n_samples), each from where its first clip begins, at PEAK."""
    _, first = np.unique(clips.file_index, return_index=True)  # a clip of each file
    by_class = first[np.argsort(clips.labels[first], kind="stable")]
    found = []
    for clip in by_class[choose_evenly(len(by_class), COMPARED).numpy()]:
        row = clips.audit[clips.file_index[clip]]
        start = round(clips.starts[clip] / clips.audio.sample_rate * rate)
        where = folder / row.path, rate, start, round(seconds * rate), row.duration_s, row.channel
        found.append(torch.from_numpy(read_clip(*where)))
    sounds = torch.stack(found)
    return PEAK * sounds / sounds.abs().amax(dim=1, keepdim=True).clamp_min(1e-6)


def _frames_for(audio: AudioConfig, recordings: Tensor, rate: int) -> int:
    """The fewest frames of a geometry that hold the recordings, a multiple of 16."""
    frames = recordings.shape[1] / rate * audio.sample_rate / audio.hop_length + 1
    return 16 * math.ceil(frames / 16)


def _through_mel(recordings: Tensor, rate: int, audio: AudioConfig) -> Tensor:
    """Recordings (N, n_samples) at a rate in hertz after their way to mel and back."""
    n_samples = recordings.shape[1]
    own = torch.from_numpy(resample(recordings.numpy(), rate, audio.sample_rate))
    own = F.pad(own, (0, audio.clip_samples - own.shape[1]))
    copies = MelInverter(audio, "joint")(MelExtractor(audio)(own)).numpy()
    return torch.from_numpy(resample(copies, audio.sample_rate, rate))[:, :n_samples]


def _difference_db(recordings: Tensor, copies: Tensor) -> float:
    """Mean difference of log-mels (N, bands, T) in nepers, as decibels, where it can be heard."""
    quietest = recordings.amax(dim=(1, 2), keepdim=True) - AUDIBLE_DB / DB_PER_NEPER
    quietest = quietest.clamp_min(math.log(FLOOR) + 1)
    difference = (recordings - copies.maximum(quietest)).abs()[recordings > quietest]
    return DB_PER_NEPER * float(difference.mean())
