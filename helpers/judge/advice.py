"""What goes wrong in a conditional GAN, as heard; whether training still pays; what so many clips are good for."""

import math
from collections import Counter

import numpy as np
import torch
from torch import Tensor

from helpers.data.clips import VERY_FEW_CLIPS, ClipCache

SOUNDING_SHARE = 0.02  # of the real clips' share of bins above silence
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01  # of a sound's samples: a single peak is no fault
SPREAD_SHARE = 0.1  # of the real clips' spread
EARLY_LINES = 4  # too few to tell a trend from chance
STILL_FALLING = 0.9  # of what it was a third of the time ago
# Spoken digits, 4 000 steps on so many training clips a class (benchmarks/results/): Fréchet distance as a multiple
# of that of held-out recordings, and coverage as a share of theirs. One seed each; accuracy 0.99 or better.
MEASURED = ((10, 4.9, 0.61), (30, 3.3, 0.60), (270, 2.4, 0.71))
DIVERGED = (
    "the generator's output is not a number: training has diverged. Halve the learning rate, or use precision fp32, "
    "and start again with restart=True."
)


class TrainingWarning(UserWarning):
    """Training goes on, but what it makes will not be worth hearing; the message says what to do."""


def find_faults(
    waveforms: Tensor, mels: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor
) -> list[str]:
    """One sentence with advice for each fault of generated sounds, beside real ones that came the same way.

    waveforms (B, n) of full scale 1; mels (B, n_mels, n_frames) of them and real (M, n_mels, n_frames) are
    log-mels; labels (B,) and real_labels (M,).
    """
    if not torch.isfinite(waveforms).all():
        return [DIVERGED]
    silence = min(float(mels.min()), float(real.min()))
    silent = _sounding(mels, silence) < SOUNDING_SHARE * _sounding(real, silence).mean()
    if bool(silent.all()):
        return [
            "every generated sound is silence. Train longer; if it stays so, lower the learning rate, and see in "
            "01_data that the recordings are not mostly silent."
        ]
    faults = []
    if int(silent.sum()) * 10 > len(silent):
        faults.append(
            f"{int(silent.sum())} of {len(silent)} generated sounds are silence. Train longer."
        )
    clipped = (waveforms.abs() > FULL_SCALE).float().mean(dim=1) > CLIPPED_SHARE
    if int(clipped.sum()) * 10 > len(clipped):
        faults.append(
            f"{int(clipped.sum())} of {len(clipped)} generated sounds are louder than full scale and would be "
            "clipped. If the recordings themselves are that loud, lower their level; otherwise train longer."
        )
    if _spread(mels) < SPREAD_SHARE * _spread(real):
        faults.append(
            "all generated sounds are alike, whatever class is asked for. Lower the learning rate of both players "
            "and start again with restart=True; more recordings help too."
        )
    elif _spread_within(mels, labels) < SPREAD_SHARE * _spread_within(real, real_labels):
        faults.append(
            "the sounds of a class are all alike: the noise is ignored. Go on from here only if that is enough for "
            "you; otherwise lower the learning rate, or give each class more recordings."
        )
    return faults


def distance_per_accuracy(line: dict) -> float:
    """What the best generator has least of: its Fréchet distance over its accuracy, from a line of progress."""
    return line["frechet"] / max(line["accuracy"], 0.01)


def advise_on_training(lines: list[dict]) -> str:
    """A sentence on whether more training is worth its time, from the run's lines of progress, in order."""
    if len(lines) < EARLY_LINES:
        return "Too early to say whether training still pays: let it run for a few more intervals."
    now = lines[-1]["minutes"]
    best = min(lines, key=distance_per_accuracy)
    before = min(
        (line for line in lines if line["minutes"] <= now * 2 / 3),
        key=distance_per_accuracy,
        default=lines[0],
    )
    figures = f"Fréchet distance {best['frechet']:.1f} and accuracy {best['accuracy']:.2f} at step {best['step']}"
    if distance_per_accuracy(best) < STILL_FALLING * distance_per_accuracy(before):
        return (
            f"Training still pays: a third of the time ago the best had Fréchet distance {before['frechet']:.1f} "
            f"and accuracy {before['accuracy']:.2f}, now it has {figures}. Give it more minutes."
        )
    return (
        f"Training hardly pays any more: the best generator, {figures}, is little better than a third of the time "
        "ago. More recordings will help more than more minutes."
    )


def expect_from_clips(n_clips: int) -> str:
    """What so many training clips a class are good for, and twice as many: sentences from what was measured.

    Between two measured counts, by the logarithm of the count; beyond them, as the nearest.
    """
    fewest, most = MEASURED[0][0], MEASURED[-1][0]
    if n_clips < fewest:
        return f"Fewer than {fewest} clips a class were not measured. {expect_from_clips(fewest)}"
    distance, coverage = _measured(n_clips)
    expected = (
        f"Going by spoken digits, {n_clips} clips a class give about {distance:.1f} times the Fréchet distance of "
        f"recordings that were held out, and {coverage:.0%} of their coverage."
    )
    if n_clips >= most:
        return f"{expected} More clips were not measured: more minutes are the first thing to try."
    distance, coverage = _measured(2 * n_clips)
    return f"{expected} Twice as many: {distance:.1f} times, {coverage:.0%}."


def _measured(n_clips: int) -> tuple[float, float]:
    counts, *figures = np.array(MEASURED).T
    distance, coverage = (
        np.interp(math.log(n_clips), np.log(counts), figure) for figure in figures
    )
    return float(distance), float(coverage)


def _sounding(mels: Tensor, silence: float) -> Tensor:
    return (mels > silence + 0.5).float().mean(dim=(1, 2))  # (B,)


def _spread(x: Tensor) -> float:
    return float(x.float().std(dim=0, unbiased=False).mean())


def _spread_within(x: Tensor, labels: Tensor) -> float:
    spreads = [
        _spread(x[labels == label]) for label in labels.unique() if int((labels == label).sum()) > 1
    ]
    return sum(spreads) / len(spreads) if spreads else float("nan")  # nothing to compare


FEW_CLIPS = 50  # with 30, digits covered 0.60 of what recordings do, with 270 0.71 (one seed each)


def class_advice(cache: ClipCache) -> list[str]:
    """One sentence for each class that has few clips, or far fewer than the largest."""
    counts = Counter(cache.labels[cache.indices("train")].tolist())
    largest = max(counts.values(), default=0)
    advice = []
    for index, name in enumerate(cache.classes):
        n = counts[index]
        if n < VERY_FEW_CLIPS:
            advice.append(
                f"{name!r} has {n} training clips: too few to learn from. Add recordings or leave it out."
            )
        elif n < FEW_CLIPS:
            advice.append(
                f"{name!r} has {n} training clips: expect less variety. 100 or more are better."
            )
        elif n * 5 < largest:
            advice.append(
                f"{name!r} has {n} training clips against {largest}: batches are balanced, variety is not."
            )
    dropped = sorted({row.label for row in cache.audit} - set(cache.classes))
    return advice + [
        f"{name!r} has no usable recording and is left out; the audit says why." for name in dropped
    ]
