"""What measures mean, in words: whether to train on, how many clips to have."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from helpers.data.clips import VERY_FEW_CLIPS, ClipCache
from helpers.judge.evaluation import Evaluator
from helpers.judge.figures import accuracy

EARLY_LINES = 4  # with fewer lines of progress, a trend cannot be told from chance
WEAK_SHARE = 0.4  # of the sounds of a class that pass for recordings: below, it is weak
HARDLY_BETTER = 0.9  # a distance above this share of the earlier one is hardly better
TRUSTED_ACCURACY = 0.97  # of the names that the judge gives held-out clips
FEW_CLIPS = 50  # of a class; see MEASURED for what they cover
# Spoken digits, 4 000 steps (benchmarks/results/): training clips a class, Fréchet distance as a
# multiple of that of held-out recordings, coverage as a share of theirs. One seed each.
MEASURED = ((10, 4.9, 0.61), (30, 3.3, 0.60), (270, 2.4, 0.71))


def distance_per_accuracy(line: dict) -> float:
    """Fréchet distance over accuracy in a line of progress: the best generator has the lowest."""
    return line["frechet"] / max(line["accuracy"], 0.01)


def advise_on_training(lines: list[dict]) -> str:
    """Whether to train for longer, in a sentence, from the run's lines of progress in order.

    Lines of other judges than the newest line's do not count.
    """
    best, before = _best_now_and_before(lines)
    if best is None:
        return "Too early to say whether training still helps: let it run for a few more intervals."
    now, then = (_progress_in_words(line) for line in (best, before))
    if _is_better(best, before):
        return (
            f"Training still helps: a third of the time ago the best generator had {then}, now it "
            f"has {now} at step {best['step']}. Give it more minutes."
        )
    return (
        f"Training hardly helps any more: the best generator ({now}, at step {best['step']}) is "
        "little better than a third of the time ago. More recordings will help more than minutes."
    )


def trend_in_words(lines: list[dict]) -> str:
    """In two or three words, where training stands, from the lines of progress so far."""
    best, before = _best_now_and_before(lines)
    if best is None:
        return "too early to say"
    return "getting better" if _is_better(best, before) else "hardly better than before"


def weak_classes(predicted: Tensor, labels: Tensor, classes: Sequence[str]) -> list[str]:
    """The classes of which less than WEAK_SHARE of the sounds pass, the weakest first.

    predicted (B,): what the judge takes sounds of the classes labels (B,) for.
    """
    shares = {
        classes[label]: accuracy(predicted[labels == label], labels[labels == label])
        for label in labels.unique().tolist()
    }
    return sorted((name for name in shares if shares[name] < WEAK_SHARE), key=shares.get)


def weak_in_words(names: Sequence[str]) -> str:
    """Which classes are weak, in a few words; empty if none is."""
    return f"weak so far: {_name_some(names, most=3)}" if names else ""


def _best_now_and_before(lines: list[dict]) -> tuple[dict | None, dict | None]:
    """The best lines of the newest judge: of all, and of the first two thirds of the time.

    None, None while there are too few of them.
    """
    lines = [line for line in lines if line.get("judge") == lines[-1].get("judge")]
    if len(lines) < EARLY_LINES:
        return None, None
    two_thirds = lines[-1]["minutes"] * 2 / 3
    earlier = [line for line in lines if line["minutes"] <= two_thirds] or lines[:1]
    return tuple(min(some, key=distance_per_accuracy) for some in (lines, earlier))


def _is_better(line: dict, before: dict) -> bool:
    return distance_per_accuracy(line) < HARDLY_BETTER * distance_per_accuracy(before)


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
