"""Sounds beside recordings: real clips at the floor, noise at the ceiling, and copies found."""

import dataclasses
import math

import pytest
import torch

from helpers.config import RECIPES, DataConfig
from helpers.data.clips import prepare_clips
from helpers.judge.advice import find_gaps, trust_in_judge
from helpers.judge.classifier import UNLIKE_ANY, train_judge
from helpers.judge.evaluation import FIGURES, Evaluator, can_measure, find_mismatch, quality_line
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet

N_EACH = 40


@pytest.fixture(scope="module")
def clips_of(tmp_path_factory, tiny_run, write_sounds):
    """The clips of three easy classes, with the mels of each recipe."""
    folder = tmp_path_factory.mktemp("judged")
    write_sounds(folder / "sounds", N_EACH, seed=1)
    data = DataConfig(holdout="*[05].wav")
    return {
        recipe: prepare_clips(folder / "sounds", tiny_run(recipe).audio, data, folder, folder)
        for recipe in RECIPES
    }


@pytest.fixture(scope="module")
def evaluator(clips_of, tiny_audio):
    """A judge and both splits of three easy classes."""
    clips = clips_of["modern"]
    judge = train_judge(*clips.recordings("train"), 3, tiny_audio.sample_rate, steps=100)
    return Evaluator(judge, clips)


def test_held_out_clips_are_at_the_floor_and_noise_at_the_ceiling(evaluator):
    real, noise = evaluator.figures(evaluator.test), evaluator.figures(evaluator.limits["noise"])
    assert list(real) == list(FIGURES)
    assert real["accuracy"] > 0.9 > noise["accuracy"]
    assert real["accuracy"] >= real["accepted"] > 0.8 and noise["accepted"] == 0
    assert real["frechet"] < 0.2 * noise["frechet"]
    assert real["kernel"] < 0.2 * noise["kernel"]
    assert real["coverage"] > noise["coverage"]
    assert real["density"] > noise["density"]
    assert real["spread"] == real["nearest"] == 1  # shares of themselves
    assert real["copied"] < 1.5 / len(evaluator.test)
    assert noise["nearest"] > 1.5


def test_a_sound_unlike_every_recording_is_none_whatever_the_classifier_names(evaluator):
    noise = evaluator.limits["noise"]
    assert set(noise.named.tolist()) <= {0, 1, 2}
    assert (noise.predicted == UNLIKE_ANY).all()
    real = evaluator.test
    taken = real.predicted != UNLIKE_ANY
    assert taken.float().mean() > 0.8 and torch.equal(real.predicted[taken], real.named[taken])


def test_training_clips_are_found_to_be_copies(evaluator):
    waveforms, labels = evaluator.clips.recordings("train")
    copied = evaluator.judge_waveforms(waveforms[::3], labels[::3])
    figures = evaluator.figures(copied)
    assert figures["nearest"] == pytest.approx(0, abs=1e-2)
    assert figures["copied"] == 1
    rows, clips = evaluator.closest_pairs(copied, 3)
    assert torch.equal(copied.mels[rows], evaluator.train_mels[clips])


def test_one_sound_a_class_has_accuracy_without_coverage_spread_or_score(evaluator):
    chosen = torch.cat(
        [(evaluator.train_labels == label).nonzero()[:1, 0] for label in range(3)]
    ).repeat(20)
    waveforms, labels = evaluator.clips.recordings("train")
    figures = evaluator.figures(evaluator.judge_waveforms(waveforms[chosen], labels[chosen]))
    assert figures["accuracy"] == 1
    assert figures["spread"] == pytest.approx(0, abs=1e-3)
    assert figures["coverage"] < 0.6 * evaluator.figures(evaluator.test)["coverage"]


def test_a_student_of_real_clips_recognises_real_ones_and_a_student_of_noise_none(evaluator):
    def score(sounds):
        return float(evaluator.recognised_by_student(sounds).float().mean())

    sounds, rng = evaluator.judge_waveforms(*evaluator.clips.recordings("train")), torch.Generator()
    order = torch.randperm(len(sounds), generator=rng.manual_seed(0))
    assert score(sounds) > 0.9
    assert score(dataclasses.replace(sounds, labels=sounds.labels[order])) < 0.7


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
def test_copies_go_the_way_of_the_generated_sounds(evaluator, clips_of, recipe):
    own, network = clips_of[recipe], None
    if recipe == "modern":
        torch.manual_seed(0)
        network = MagnitudeNet(own.audio)
    inverter = MelInverter(own.audio, n_iterations=3, network=network)
    generated = evaluator.test[torch.arange(12)]
    row = evaluator.compare(generated, generated, inverter, own)[2]
    copies = evaluator.judge_waveforms(inverter(own.split("test")[0]), evaluator.test.labels)
    expected = evaluator.figures(copies)
    assert row["sounds"] == "real, through mel and back"
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_copies_need_the_mels_of_the_way_back(evaluator, clips_of):
    with pytest.raises(ValueError, match="need the clips' log-mels in the same geometry"):
        evaluator.judge_inversion(MelInverter(clips_of["baseline"].audio), clips_of["modern"])


def test_copies_through_the_mel_and_back_cost_little(evaluator, clips_of, tiny_audio):
    inverter = MelInverter(tiny_audio)
    judged = evaluator.judge_inversion(inverter, clips_of["modern"])
    copies = evaluator.figures(judged)
    assert (judged.named == judged.labels).float().mean() > 0.9
    assert copies["frechet"] < 0.5 * evaluator.figures(evaluator.limits["noise"])["frechet"]


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
def test_the_table_of_a_generator(evaluator, clips_of, sound_generator, recipe):
    generator = sound_generator(recipe)
    inverter, own = MelInverter(generator.audio, n_iterations=4), clips_of[recipe]
    judged = evaluator.judge_generator(generator, evaluator.test.labels, inverter)
    many = evaluator.judge_generator(generator, evaluator.train_labels, inverter, seed=1)
    rows = evaluator.compare(judged, many, inverter, own)
    assert [row["sounds"] for row in rows] == [
        "generated",
        "real, held out",
        "real, through mel and back",
        "noise",
    ]
    line = quality_line(rows, evaluator.judge)
    assert (line["judge"], line["judge_steps"]) == (evaluator.judge.digest, 100)
    assert {
        "accuracy",
        "score",
        "frechet",
        "accuracy_real",
        "score_real",
        "frechet_real",
        "frechet_noise",
    } <= set(line)
    assert line["frechet_real"] < line["frechet"]  # an untrained generator
    assert line["accuracy_real"] > line["accuracy"]
    classes = evaluator.compare_classes(judged)
    assert [row["class"] for row in classes[::3]] == ["high", "low", "noise"]
    assert [row["sounds"] for row in classes[:3]] == ["generated", "real, held out", "noise"]
    for first, kind in enumerate(("generated", "real, held out", "noise")):
        own = classes[first::3]
        of_all = next(row for row in rows if row["sounds"] == kind)
        assert sum(row["accuracy"] for row in own) / 3 == pytest.approx(
            of_all["accuracy"], abs=1e-3
        )
        assert all(row["frechet"] > 0 and math.isfinite(row["kernel"]) for row in own)
    assert all(
        row["spread"] == row["nearest"] == 1 for row in classes[1::3]
    )  # shares of their own class
    again = evaluator.judge_generator(generator, evaluator.test.labels, inverter)
    assert torch.equal(again.features, judged.features)


def test_a_class_without_held_out_clips_has_no_row(evaluator):
    only_two = evaluator.test[evaluator.test.labels < 2]
    assert list(evaluator.figures_per_class(only_two)) == ["high", "low"]


def test_what_is_enough_to_measure(clips):
    assert can_measure(clips)
    rows = tuple(row._replace(split="train") for row in clips.audit)
    assert not can_measure(dataclasses.replace(clips, audit=rows))


def test_a_generator_of_other_classes_or_another_geometry_is_told_apart(clips, sound_generator):
    generator = sound_generator()
    assert find_mismatch(generator, clips) == []
    (words,) = find_mismatch(
        dataclasses.replace(generator, classes=("low", "high", "noise")), clips
    )
    assert words == "classes ['low', 'high', 'noise'], not ['high', 'low', 'noise']"
    longer = dataclasses.replace(generator.audio, n_frames=32)
    assert find_mismatch(dataclasses.replace(generator, audio=longer), clips) == [
        f"audio.clip_samples {longer.clip_samples}, not {generator.audio.clip_samples}"
    ]


@pytest.fixture(scope="module")
def few(evaluator, clips_of):
    """An evaluator with one held-out clip a class, and one with a class wholly held out."""

    def hold_out(held_out) -> Evaluator:
        clips = clips_of["modern"]
        rows = [row._replace(split="test" if held_out(row) else "train") for row in clips.audit]
        return Evaluator(evaluator.judge, dataclasses.replace(clips, audit=tuple(rows)))

    return (
        hold_out(lambda row: row.path.endswith("/0.wav")),
        hold_out(lambda row: row.label == "low" or row.path.endswith("5.wav")),
    )


def test_a_figure_that_cannot_be_measured_has_no_cell(few, clips_of):
    one_each, clips = few[0], clips_of["modern"]
    clips = dataclasses.replace(clips, audit=tuple(one_each.clips.audit))
    rows = one_each.compare(one_each.test, one_each.test, MelInverter(clips.audio), clips)
    line = quality_line(rows, one_each.judge)
    for values in (*rows, line):
        assert "spread" not in values and "nearest" in (values if "sounds" in values else line)
        numbers = [value for value in values.values() if isinstance(value, float)]
        assert all(math.isfinite(value) and str(value) != "-0.0" for value in numbers)
    assert one_each.compare_classes(one_each.test) == []


def test_clips_that_are_all_alike_have_no_spread_to_compare_with(evaluator):
    same = evaluator.test[torch.zeros(6, dtype=torch.long)]
    like_training = Evaluator(evaluator.judge, evaluator.clips)
    like_training.test = same
    assert math.isnan(like_training.figures(same)["spread"])


def test_a_class_wholly_held_out_is_measured_with_the_others(few, clips_of):
    _, without_low = few
    assert set(without_low.train_labels.tolist()) == {0, 2}
    rows = without_low.compare_classes(without_low.test)
    assert [row["class"] for row in rows[::3]] == ["high", "noise"]
    assert find_gaps(without_low.clips) == [
        "'low' has no training clip: neither the generator nor the judge can know that sound, and "
        "the figures suffer. Hold fewer recordings out, or leave such a class out."
    ]


def test_classes_with_too_few_held_out_clips_are_named(evaluator, few):
    assert find_gaps(few[0].clips) == [
        "'high', 'low', 'noise' have fewer than two held-out clips, and so no row in the table of "
        "classes. Hold more recordings out to measure each class."
    ]
    assert find_gaps(evaluator.clips) == []
    many = dataclasses.replace(evaluator.clips, classes=tuple(f"c{n}" for n in range(12)))
    assert "'c3', 'c4', 'c5', 'c6', 'c7' and 4 more have no training clip" in find_gaps(many)[0]


def test_a_judge_that_errs_is_not_to_be_trusted(evaluator, few):
    assert trust_in_judge(evaluator) == ""
    deaf = dataclasses.replace(
        evaluator.test, named=(evaluator.test.labels + 1) % len(evaluator.classes)
    )
    few[0].test = deaf
    told = trust_in_judge(few[0])
    assert told.startswith("The judge names only 0.00 of the held-out clips rightly")
    assert "judge_steps above 100" in told
