"""Whether training still helps, and what to expect of a folder, in words that follow figures."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.config import AudioConfig
from helpers.data.audit import AuditRow
from helpers.data.clips import ClipCache
from helpers.judge.advice import (
    MEASURED,
    advise_on_training,
    class_advice,
    distance_per_accuracy,
    expect_from_clips,
    trend_in_words,
    weak_classes,
    weak_in_words,
)


def progress(*frechet: float, accuracy: float = 0.8) -> list[dict]:
    return [
        {"step": 100 * k, "minutes": float(k), "frechet": value, "accuracy": accuracy}
        for k, value in enumerate(frechet, 1)
    ]


def test_a_falling_distance_still_helps():
    sentence = advise_on_training(progress(100, 60, 40, 30, 22, 17))
    assert sentence.startswith("Training still helps") and "17.0" in sentence and "30.0" in sentence
    lines = [line | {"accepted": 0.37} for line in progress(100, 60, 40, 30, 22, 17)]
    assert "accuracy 0.80, accepted 0.37 at step 600" in advise_on_training(lines)


def test_a_distance_that_has_settled_hardly_helps():
    assert advise_on_training(progress(100, 40, 20, 15, 15.2, 14.8)).startswith(
        "Training hardly helps any more"
    )


def test_a_distance_that_rises_again_hardly_helps_and_the_best_is_named():
    sentence = advise_on_training(progress(100, 40, 20, 25, 40, 80))
    assert (
        sentence.startswith("Training hardly helps any more")
        and "20.0" in sentence
        and "step 300" in sentence
    )


def test_accuracy_counts_too():
    lines = progress(50, 50, 50, 50, 50, 50)
    lines[-1]["accuracy"] = 1.0
    assert advise_on_training(lines).startswith("Training still helps")


def test_only_what_the_newest_judge_measured_counts():
    easy = [line | {"judge": "aaaaaaaa"} for line in progress(0.5, 0.4, 0.3, 0.2, 0.1)]
    strict = [line | {"judge": "bbbbbbbb"} for line in progress(100, 60, 40, 30, 22, 17)]
    assert advise_on_training(easy + strict) == advise_on_training(strict)
    assert advise_on_training(easy + strict[:2]).startswith("Too early")


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_few_lines_are_too_early(n):
    assert advise_on_training(progress(*[50.0] * n)).startswith("Too early")
    assert trend_in_words(progress(*[50.0] * n)) == "too early to say"


def test_the_trend_says_in_short_what_the_advice_says():
    assert trend_in_words(progress(100, 60, 40, 30, 22, 17)) == "getting better"
    assert trend_in_words(progress(100, 40, 20, 15, 15.2, 14.8)) == "hardly better than before"


def test_weak_classes_are_named_the_weakest_first():
    labels = torch.arange(4).repeat_interleave(4)
    predicted = labels.clone()
    predicted[4:8], predicted[9:12] = -1, -1  # none of the second class passes, one of the third
    weak = weak_classes(predicted, labels, ["cat", "cow", "dog", "hen"])
    assert weak == ["cow", "dog"]
    assert weak_in_words(weak) == "weak so far: 'cow', 'dog'"
    assert weak_in_words([]) == ""


def test_badness_of_a_deaf_generator_is_a_number():
    assert distance_per_accuracy({"frechet": 10.0, "accuracy": 0.0}) == 1000
    assert distance_per_accuracy({"frechet": 10.0, "accuracy": 0.5}) == 20


def expected_distance(n_clips: int) -> float:
    return float(re.search(r"about (\d+\.\d) times", expect_from_clips(n_clips))[1])


@pytest.mark.parametrize("measured", MEASURED)
def test_a_measured_number_of_clips_gives_what_was_measured(measured):
    n_clips, distance, coverage = measured
    sentence = expect_from_clips(n_clips)
    assert (
        f"{n_clips} clips a class give about {distance:.1f} times the Fréchet distance" in sentence
    )
    assert f"{coverage:.0%} of their coverage" in sentence


def test_between_two_measured_numbers_lies_what_to_expect():
    (few, far, _), (more, near, _) = MEASURED[:2]
    between = round((few * more) ** 0.5)
    assert expected_distance(between) == pytest.approx((far + near) / 2, abs=0.1)
    assert f"Twice as many: {near:.1f} times" in expect_from_clips(more // 2)


@pytest.mark.parametrize("n_clips", [0, 1, 5])
def test_fewer_than_were_measured_are_told_so_beside_the_fewest(n_clips):
    assert expect_from_clips(n_clips).startswith(
        "Fewer than 10 clips a class were not measured. Going by"
    )
    assert expected_distance(n_clips) == MEASURED[0][1]


def test_with_more_than_were_measured_minutes_come_first():
    assert "more minutes" in expect_from_clips(10_000)
    assert "Twice as many" not in expect_from_clips(10_000)


def advice_on(*counts: int, without_a_clip: int = 0) -> list[str]:
    """The advice on classes with so many training clips, and on some without a usable recording."""
    names = tuple(f"c{number:03d}" for number in range(len(counts)))
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = [AuditRow("x", name, "kept", split="train") for name in names]
    rows += [AuditRow("x", f"lost{n}", "silent") for n in range(without_a_clip)]
    nothing = np.zeros(len(labels), np.int64)
    parts = Path(), AudioConfig(), names, tuple(rows), *np.zeros((2, 0)), labels, nothing, nothing
    return class_advice(ClipCache(*parts, key=""))


def test_advice_on_classes_grows_milder_with_more_clips():
    assert advice_on(9, 100) == [
        "1 class has fewer than 10 training clips ('c000'): too few to learn from. Add recordings "
        "or leave such a class out."
    ]
    assert advice_on(10, 49, 100) == [
        "2 classes have fewer than 50 training clips ('c000', 'c001'): expect less variety. 100 or "
        "more are better."
    ]
    (unequal,) = advice_on(60, 301)
    assert unequal.startswith("1 class has less than a fifth of the 301 training clips")
    assert advice_on(60, 300) == []


def test_advice_on_any_number_of_classes_is_four_sentences_what_helps_most_first():
    told = advice_on(*[5] * 180, *[20] * 10, *[60] * 9, 301, without_a_clip=4)
    starts = "4 classes have no usable", "180 classes have fewer than 10", "10 classes have fewer"
    starts += ("9 classes have less than a fifth",)
    assert [line.startswith(start) for line, start in zip(told, starts, strict=True)] == [True] * 4
    assert "('c000', 'c001', 'c002' and 177 more)" in told[1]
