"""What measures mean, in words: faults of sounds, whether to train on, how many clips to have."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from helpers.data.clips import VERY_FEW_CLIPS, ClipCache
from helpers.judge.evaluation import Evaluator
from helpers.judge.figures import accuracy

SILENT_SHARE = 0.02  # a sound that fills less of its mel, beside real clips' mean, is silence
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01  # of a sound's samples at full scale; a single peak is no fault
ALIKE_SHARE = 0.1  # sounds that vary less than this share of real clips' variation are alike
EARLY_LINES = 4  # with fewer lines of progress, a trend cannot be told from chance
HARDLY_BETTER = 0.9  # a distance above this share of the earlier one is hardly better
TRUSTED_ACCURACY = 0.97  # of the names that the judge gives held-out clips
FEW_CLIPS = 50  # of a class; see MEASURED for what they cover
# Spoken digits, 4 000 steps (benchmarks/results/): training clips a class, Fréchet distance as a
# multiple of that of held-out recordings, coverage as a share of theirs. One seed each.
MEASURED = ((10, 4.9, 0.61), (30, 3.3, 0.60), (270, 2.4, 0.71))
DIVERGED = (
    "the generator's output is not a number: training has diverged. Halve the learning rate, or "
    "use precision fp32, and start again with restart=True."
)
ALL_SILENT = (
    "every generated sound is silence. Train longer; if it stays so, lower the learning rate, and "
    "see in 01_data that the recordings are not mostly silent."
)
TOO_LOUD = (
    "louder than full scale and would be clipped. If the recordings are that loud themselves, "
    "lower their level; otherwise train longer."
)
ALL_ALIKE = (
    "all generated sounds are alike, whatever class is asked for. Lower the learning rate of both "
    "players and start again with restart=True; more recordings help too."
)
CLASSES_ALIKE = (
    "the sounds of a class are all alike: the noise is ignored. Go on from here only if that is "
    "enough for you; otherwise lower the learning rate, or give each class more recordings."
)


class TrainingWarning(UserWarning):
    """Training goes on, but its sounds are not worth hearing; the message says what to do."""


def find_faults(
    waveforms: Tensor, mels: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor
) -> list[str]:
    """One sentence with advice for each fault of generated sounds; empty if there is none.

    waveforms (B, n) of full scale 1, their log-mels (B, n_mels, n_frames) and labels (B,); real
    (M, n_mels, n_frames) are log-mels of real clips after the same inversion; real_labels (M,).
    """
    if not torch.isfinite(waveforms).all():
        return [DIVERGED]
    n, silence = len(mels), min(float(mels.min()), float(real.min()))
    filled, filled_real = ((x > silence + 0.5).float().mean(dim=(1, 2)) for x in (mels, real))
    n_silent = int((filled < SILENT_SHARE * filled_real.mean()).sum())
    if n_silent == n:
        return [ALL_SILENT]
    clipped_share = (waveforms.abs() > FULL_SCALE).float().mean(dim=1)  # (B,)
    n_clipped = int((clipped_share > CLIPPED_SHARE).sum())
    faults = []
    if n_silent * 10 > n:
        faults.append(f"{n_silent} of {n} generated sounds are silent. Train longer.")
    if n_clipped * 10 > n:
        faults.append(f"{n_clipped} of {n} generated sounds are {TOO_LOUD}")
    if _variation(mels) < ALIKE_SHARE * _variation(real):
        faults.append(ALL_ALIKE)
    elif _variation(mels, labels) < ALIKE_SHARE * _variation(real, real_labels):
        faults.append(CLASSES_ALIKE)
    return faults


def distance_per_accuracy(line: dict) -> float:
    """Fréchet distance over accuracy in a line of progress: the best generator has the lowest."""
    return line["frechet"] / max(line["accuracy"], 0.01)


def advise_on_training(lines: list[dict]) -> str:
    """Whether to train for longer, in a sentence, from the run's lines of progress in order.

    Lines of other judges than the newest line's do not count.
    """
    lines = [line for line in lines if line.get("judge") == lines[-1].get("judge")]
    if len(lines) < EARLY_LINES:
        return "Too early to say whether training still helps: let it run for a few more intervals."
    two_thirds = lines[-1]["minutes"] * 2 / 3
    earlier = [line for line in lines if line["minutes"] <= two_thirds] or lines[:1]
    best, before = (min(some, key=distance_per_accuracy) for some in (lines, earlier))
    now, then = (_progress_in_words(line) for line in (best, before))
    if distance_per_accuracy(best) < HARDLY_BETTER * distance_per_accuracy(before):
        return (
            f"Training still helps: a third of the time ago the best generator had {then}, now it "
            f"has {now} at step {best['step']}. Give it more minutes."
        )
    return (
        f"Training hardly helps any more: the best generator ({now}, at step {best['step']}) is "
        "little better than a third of the time ago. More recordings will help more than minutes."
    )


def _progress_in_words(line: dict) -> str:
    """The figures of a line of progress. Those of earlier versions have no accepted sounds."""
    words = f"Fréchet distance {line['frechet']:.1f}, accuracy {line['accuracy']:.2f}"
    return words + (f", accepted {line['accepted']:.2f}" if "accepted" in line else "")


def expect_from_clips(n_clips: int) -> str:
    """The quality to expect of so many training clips a class, and of twice as many, in words.

    Read from MEASURED: interpolated over the logarithm of the count, beyond its ends constant.
    """
    fewest, most = MEASURED[0][0], MEASURED[-1][0]
    if n_clips < fewest:
        return f"Fewer than {fewest} clips a class were not measured. {expect_from_clips(fewest)}"
    counts, *columns = np.array(MEASURED).T
    at = np.log([n_clips, 2 * n_clips])
    distance, coverage = (np.interp(at, np.log(counts), column) for column in columns)  # each (2,)
    expected = (
        f"Going by spoken digits, as version 0.2.0 heard them, {n_clips} clips a class give about "
        f"{distance[0]:.1f} times the Fréchet distance of held-out recordings, and "
        f"{coverage[0]:.0%} of their coverage."
    )
    if n_clips >= most:
        return f"{expected} More clips were not measured: more minutes are the first thing to try."
    return f"{expected} Twice as many: {distance[1]:.1f} times, {coverage[1]:.0%}."


def trust_in_judge(evaluator: Evaluator) -> str:
    """A sentence where the judge errs too often on real clips; empty where it does not."""
    share = accuracy(evaluator.test.named, evaluator.test.labels)
    if share >= TRUSTED_ACCURACY:
        return ""
    return (
        f"The judge names only {share:.2f} of the held-out clips rightly: do not trust its "
        f"figures. It needs more recordings, or judge_steps above {evaluator.judge.steps}."
    )


def find_gaps(clips: ClipCache) -> list[str]:
    """One sentence on the classes without a training clip, one on those with too few held out."""
    n_train, n_test = (
        np.bincount(clips.labels[clips.indices(split)], minlength=len(clips.classes))
        for split in ("train", "test")
    )
    gaps = []
    if unknown := _who_have(_chosen(clips.classes, n_train == 0)):
        gaps.append(
            f"{unknown} no training clip: neither the generator nor the judge can know that sound, "
            "and the figures suffer. Hold fewer recordings out, or leave such a class out."
        )
    if few := _who_have(_chosen(clips.classes, (n_test < 2) & (n_train > 0))):
        gaps.append(
            f"{few} fewer than two held-out clips, and so no row in the table of classes. Hold "
            "more recordings out to measure each class."
        )
    return gaps


def class_advice(cache: ClipCache) -> list[str]:
    """At most four sentences, what helps most first; empty if every class has enough clips.

    They count and name the classes without a usable recording, with very few and with few training
    clips, and with far fewer than the largest.
    """
    labels = cache.labels[cache.indices("train")]
    counts = np.bincount(labels, minlength=len(cache.classes))
    largest = counts.max(initial=0)
    very_few, few = counts < VERY_FEW_CLIPS, counts < FEW_CLIPS
    unequal = counts * 5 < largest
    lost = sorted({row.label for row in cache.audit} - set(cache.classes))
    found = (
        (lost, "no usable recording", "see in the audit why."),
        (
            _chosen(cache.classes, very_few),
            f"fewer than {VERY_FEW_CLIPS} training clips",
            "too few to learn from. Add recordings or leave such a class out.",
        ),
        (
            _chosen(cache.classes, few & ~very_few),
            f"fewer than {FEW_CLIPS} training clips",
            "expect less variety. 100 or more are better.",
        ),
        (
            _chosen(cache.classes, unequal & ~few),
            f"less than a fifth of the {largest} training clips of the largest",
            "batches are balanced, variety is not.",
        ),
    )
    return [
        f"{len(names)} {'class has' if len(names) == 1 else 'classes have'} {what} "
        f"({_name_some(names, most=3)}): {advice}"
        for names, what, advice in found
        if names
    ]


def _chosen(classes: Sequence[str], chosen: np.ndarray) -> list[str]:
    """The classes of which `chosen`, bool (len(classes),), is true."""
    return [name for name, is_chosen in zip(classes, chosen, strict=True) if is_chosen]


def _name_some(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(map(repr, names[:most]))}{more}"


def _who_have(names: Sequence[str]) -> str:
    """Some names with "has" or "have" behind them; empty if there are none."""
    return f"{_name_some(names)} {'has' if len(names) == 1 else 'have'}" if names else ""


def _variation(x: Tensor, labels: Tensor | None = None) -> float:
    """Standard deviation over sounds (N, ...), averaged over all else; with labels, within a class.

    NaN, which no number is below or above, where no class has two sounds.
    """
    if labels is None:
        return float(x.float().std(dim=0, unbiased=False).mean())
    groups = [x[labels == label] for label in labels.unique()]
    found = [_variation(group) for group in groups if len(group) > 1]
    return sum(found) / len(found) if found else float("nan")
