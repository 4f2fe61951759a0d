"""The verdict says in words what the figures say, and changes when they do."""

import math

import pytest

from helpers.judge.verdict import closeness, judge_classes, verdict_in_words

REAL = {"accuracy": 1.0, "accepted": 0.96, "frechet": 2.0, "coverage": 0.5, "copied": 0.01}
NOISE = {"accuracy": 0.1, "accepted": 0.0, "frechet": 200.0, "coverage": 0.0, "copied": 0.0}
MADE = {"accuracy": 0.99, "accepted": 0.94, "frechet": 2.5, "coverage": 0.45, "copied": 0.01}


def rows_of(**changed) -> list[dict]:
    """The rows of generated sounds, of held-out recordings and of noise."""
    kinds = {"generated": MADE | changed, "real, held out": REAL, "noise": NOISE}
    return [{"sounds": kind} | row for kind, row in kinds.items()]


def rows_of_classes(**classes: dict) -> list[dict]:
    return [{"class": name} | row for name, own in classes.items() for row in rows_of(**own)]


def test_three_sentences_say_likeness_variety_and_that_there_are_no_copies():
    likeness, variety, rest = verdict_in_words(rows_of(), [])
    assert likeness.startswith("Most sounds pass for recordings") and "94 of 100" in likeness
    assert "96" in likeness and "99 of 100" in likeness
    assert variety.startswith("They are about as varied") and "45 of 100" in variety
    assert "no copies" in rest and "as good as it gets" in rest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"accepted": 0.5}, "Some sounds pass"),
        ({"accepted": 0.1}, "Few sounds pass"),
        ({"accepted": 0.1}, "Train for longer: that helps first"),
        ({"coverage": 0.2}, "less varied than the recordings"),
        ({"coverage": 0.2}, "Train for longer to get more variety"),
        ({"coverage": 0.05}, "much less varied"),
        ({"copied": 0.4}, "Some sounds are copies of recordings."),
    ],
)
def test_the_sentences_follow_the_figures(changed, words):
    assert words in " ".join(verdict_in_words(rows_of(**changed), []))


def test_a_weak_class_comes_first_and_is_named_in_the_advice():
    rows = rows_of_classes(dog={}, cow={"accepted": 0.06}, cat={"accepted": 0.6})
    classes = judge_classes(rows)
    assert [(one.name, one.grade) for one in classes] == [
        ("cow", "weak"),
        ("cat", "fair"),
        ("dog", "good"),
    ]
    assert "6 of 100" in classes[0].why
    assert "'cow'" in verdict_in_words(rows_of(accepted=0.5), classes)[2]


def test_copies_are_said_before_anything_else():
    classes = judge_classes(rows_of_classes(dog={"copied": 0.3}, cow={"accepted": 0.0}))
    assert (classes[0].name, classes[0].grade) == ("dog", "copies")
    assert classes[0].why == "30 of 100 are all but a recording"
    words = verdict_in_words(rows_of(copied=0.15), classes)[2]
    assert words.startswith("Some sounds are copies") and "'dog'" in words
    assert "more recordings" in words


def test_a_class_that_is_taken_for_another_says_so():
    (verdict,) = judge_classes(rows_of_classes(dog={"accuracy": 0.2, "accepted": 0.1}))
    assert verdict.grade == "weak" and "20 of 100 are named 'dog'" in verdict.why


def test_a_narrow_class_says_so():
    (verdict,) = judge_classes(rows_of_classes(dog={"coverage": 0.05}))
    assert verdict.grade == "good" and "vary little" in verdict.why
    assert verdict.variety == pytest.approx(0.1)


def test_figures_that_are_not_known_spoil_nothing():
    rows = rows_of_classes(dog={})
    for row in rows:
        for name in ("copied", "frechet"):
            row[name] = math.nan
    (verdict,) = judge_classes(rows)
    assert verdict.grade == "good" and math.isnan(verdict.closeness)


@pytest.mark.parametrize(("distance", "share"), [(2, 1), (1, 1), (20, 0.5), (200, 0), (900, 0)])
def test_closeness_is_a_scale_of_ratios(distance, share):
    assert closeness(distance, 2.0, 200.0) == pytest.approx(share)


def test_closeness_is_unknown_where_noise_is_no_farther_than_recordings():
    assert math.isnan(closeness(1.0, 3.0, 2.0)) and math.isnan(closeness(1.0, 0.0, 2.0))
