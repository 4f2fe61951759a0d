"""What the figures of a run mean, in plain words: three sentences, and a grade for each class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GENERATED, REAL, NOISE = "generated", "real, held out", "noise"  # the sounds in a row of figures
GOOD, FAIR = 0.8, 0.4  # of the recordings' share of accepted sounds: from here on good, or fair
COPIED = 0.1  # from this share on, sounds of a class are copies; by chance it is 0.01
VARIED, NARROW = 0.7, 0.3  # of the recordings' coverage: from here on varied; below, narrow
MOST_NAMED = 3


@dataclass(frozen=True)
class ClassVerdict:
    """How good the sounds of a class are.

    likeness and variety are shares of what recordings reach, from 0 to 1; closeness is 1 at the
    distance of recordings and 0 at that of noise. NaN: not known.
    """

    name: str
    grade: str  # good, fair, weak, or copies
    why: str
    likeness: float
    variety: float
    closeness: float


def judge_classes(rows: Sequence[dict]) -> list[ClassVerdict]:
    """The verdict on each class from the rows of `Evaluator.compare_classes`, the weakest first."""
    by_class: dict[str, dict[str, dict]] = {}
    for row in rows:
        by_class.setdefault(row["class"], {})[row["sounds"]] = row
    found = [_judge_class(name, **_by_kind(kinds)) for name, kinds in by_class.items()]
    order = ("copies", "weak", "fair", "good")
    return sorted(found, key=lambda one: (order.index(one.grade), one.likeness))


def verdict_in_words(rows: Sequence[dict], classes: Sequence[ClassVerdict]) -> list[str]:
    """Three sentences on all sounds: likeness, variety, and copies or what to do next.

    rows are those of `Evaluator.compare`, classes those of `judge_classes`.
    """
    own, real, _ = _by_kind({row["sounds"]: row for row in rows}).values()
    return [
        _likeness_in_words(own, real),
        _variety_in_words(own, real),
        f"{_copies_in_words(own, classes)} {_advice(own, real, classes)}",
    ]


def closeness(distance: float, real: float, noise: float) -> float:
    """Where a distance lies between noise's (0) and recordings' (1), on a scale of ratios."""
    if not 0 < real < noise or math.isnan(distance):
        return math.nan
    return min(1.0, max(0.0, math.log(noise / max(distance, real)) / math.log(noise / real)))


def _by_kind(kinds: dict[str, dict]) -> dict[str, dict]:
    return {"own": kinds[GENERATED], "real": kinds[REAL], "noise": kinds[NOISE]}


def _judge_class(name: str, own: dict, real: dict, noise: dict) -> ClassVerdict:
    likeness, variety = (_share(own, real, figure) for figure in ("accepted", "coverage"))
    grade = "good" if likeness >= GOOD else "fair" if likeness >= FAIR else "weak"
    why = f"{_of_100(own['accepted'])} pass for recordings"
    if own["accuracy"] < FAIR:
        why = f"{_of_100(own['accuracy'])} are named {name!r}"
    if own.get("copied", 0.0) >= COPIED:
        grade, why = "copies", f"{_of_100(own['copied'])} are all but a recording"
    elif variety < NARROW:
        why += ", and they vary little"
    near = closeness(own["frechet"], real["frechet"], noise["frechet"])
    return ClassVerdict(name, grade, why, likeness, variety, near)


def _likeness_in_words(own: dict, real: dict) -> str:
    share = _share(own, real, "accepted")
    how = "Most sounds" if share >= GOOD else "Some sounds" if share >= FAIR else "Few sounds"
    return (
        f"{how} pass for recordings of their class: {_of_100(own['accepted'])}, and of real "
        f"recordings {_of_100(real['accepted'])}. {_of_100(own['accuracy']).capitalize()} are "
        "named as the class that was asked for."
    )


def _variety_in_words(own: dict, real: dict) -> str:
    share = _share(own, real, "coverage")
    how = (
        "They are about as varied as the recordings"
        if share >= VARIED
        else "They are less varied than the recordings"
        if share >= NARROW
        else "They are much less varied than the recordings"
    )
    return (
        f"{how}: {_of_100(own['coverage'])} recordings have a generated sound close by; real ones "
        f"that were held out reach {_of_100(real['coverage'])}."
    )


def _copies_in_words(own: dict, classes: Sequence[ClassVerdict]) -> str:
    copied = [one.name for one in classes if one.grade == "copies"]
    if copied:
        return f"Some sounds are copies of recordings ({_name_some(copied)})."
    if own["copied"] >= COPIED:
        return "Some sounds are copies of recordings."
    return "The sounds are no copies of recordings."


def _advice(own: dict, real: dict, classes: Sequence[ClassVerdict]) -> str:
    weak = [one.name for one in classes if one.grade == "weak"]
    if any(one.grade == "copies" for one in classes):
        return "Those classes need more recordings."
    if weak and len(weak) < len(classes):
        return f"Train for longer; weak so far: {_name_some(weak)}."
    if weak or _share(own, real, "accepted") < GOOD:
        return "Train for longer: that helps first."
    if _share(own, real, "coverage") < VARIED:
        return "Train for longer to get more variety, or add recordings."
    return "This is about as good as it gets with these recordings."


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


def _share(own: dict, real: dict, figure: str) -> float:
    """A figure as a share of the recordings' own, at most 1; NaN where they have none."""
    mine, theirs = own.get(figure, math.nan), real.get(figure, math.nan)
    return min(1.0, mine / theirs) if theirs > 0 else math.nan


def _of_100(share: float) -> str:
    return f"{round(100 * share)} of 100"
