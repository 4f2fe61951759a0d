"""Watching: pictures and sounds written, figures recorded, the best generator kept, faults told."""

import errno
import os
import warnings

import pytest
import torch

from helpers.gan import generate
from helpers.gan.generate import fixed_batch
from helpers.gan.generator_file import load_generator, read_origin, save_generator
from helpers.gan.networks import make_generator
from helpers.judge import figures
from helpers.judge.advice import distance_per_accuracy
from helpers.judge.classifier import train_judge
from helpers.judge.evaluation import Evaluator
from helpers.judge.faults import TrainingWarning
from helpers.show.fixed_batch import FixedBatchView
from helpers.sound.magnitudes import MagnitudeNet
from helpers.train import watch as watching
from helpers.train.metrics_file import read_metrics
from helpers.train.watch import Watch


@pytest.fixture(scope="module")
def evaluator(clips):
    of_clips = *clips.recordings("train"), 3, clips.audio.sample_rate
    return Evaluator(train_judge(*of_clips, steps=30), clips)


@pytest.fixture(autouse=True)
def few_sounds(monkeypatch):
    for module in (watching, generate):
        monkeypatch.setattr(module, "FIXED_BATCH_SIZE", 12)


def network_of(run, seed: int = 0):
    torch.manual_seed(seed)
    return make_generator(run.model, run.audio, 3).eval()


def test_the_fixed_batch_is_the_same_for_every_watch():
    z, labels = fixed_batch(8, 3)
    assert z.shape == (12, 8)
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert torch.equal(fixed_batch(8, 3)[0], z)
    assert len(fixed_batch(8, 50)[1]) == 200, "four of each"
    some = fixed_batch(8, 1000)[1].unique()
    assert len(some) == 128 and (some[0], some[-1]) == (0, 999), "of many classes, some"


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
def test_pictures_sounds_and_figures_are_written(datasets, tiny_run, evaluator, tmp_path, recipe):
    config = tiny_run(recipe)
    view = FixedBatchView(config.classes, config.audio)
    Watch(config, datasets[recipe], tmp_path, evaluator, view)(7, 0.5, network_of(config))
    names = {path.name for path in (tmp_path / "samples" / "00000007").iterdir()}
    assert names == {"spectrograms.png", "high.wav", "low.wav", "noise.wav"}
    (line,) = read_metrics(tmp_path / "metrics.jsonl", "progress")
    assert (line["step"], line["minutes"]) == (7, 0.5)
    assert 0 <= line["accuracy"] <= 1 and line["frechet"] > 0
    assert load_generator(tmp_path / "generator.safetensors").classes == config.classes


def test_the_best_generator_is_kept_also_by_the_next_watch(dataset, tiny_run, evaluator, tmp_path):
    config, path = tiny_run(), tmp_path / "generator.safetensors"
    for step in (1, 2, 3):
        Watch(config, dataset, tmp_path, evaluator)(step, step, network_of(config, seed=step))
        lines = read_metrics(tmp_path / "metrics.jsonl", "progress")
        best = min(lines, key=distance_per_accuracy)
        note = read_origin(path)
        assert (note["step"], note["distance_per_accuracy"]) == (
            best["step"],
            distance_per_accuracy(best),
        )
        assert note["judge"] == best["judge"] == evaluator.judge.digest
        expected = network_of(config, seed=best["step"]).state_dict()
        kept = load_generator(path).network.state_dict()
        assert all(torch.equal(kept[name], value) for name, value in expected.items())
    assert len({distance_per_accuracy(line) for line in lines}) == 3
    assert not (tmp_path / "samples").exists()


def test_a_generator_that_had_no_room_is_not_taken_for_the_best(
    dataset, tiny_run, evaluator, tmp_path, monkeypatch
):
    config, kept = tiny_run(), tmp_path / "generator.safetensors"
    watch = Watch(config, dataset, tmp_path, evaluator)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    distances = iter((10.0, 2.0, 3.0))
    monkeypatch.setattr(watching.figures, "frechet_distance", lambda *_: next(distances))
    monkeypatch.setattr(watching.figures, "accuracy", lambda *_: 0.5)
    watch(1, 1.0, network_of(config))
    with monkeypatch.context() as patch:
        patch.setattr(watching, "save_generator", full)
        with pytest.raises(OSError, match="No space left"):
            watch(2, 1.0, network_of(config))
    assert read_origin(kept)["step"] == 1
    watch(3, 1.0, network_of(config))
    assert read_origin(kept)["step"] == 3


def test_a_damaged_generator_is_no_best_one_to_be_beaten(dataset, tiny_run, evaluator, tmp_path):
    config, kept = tiny_run(), tmp_path / "generator.safetensors"
    Watch(config, dataset, tmp_path, evaluator)(1, 1.0, network_of(config))
    none_is_better = {"distance_per_accuracy": 0.0, "judge": evaluator.judge.digest}
    save_generator(kept, load_generator(kept), {"step": 1} | none_is_better)
    content = bytearray(kept.read_bytes())
    content[-100] ^= 1
    kept.write_bytes(content)
    Watch(config, dataset, tmp_path, evaluator)(2, 1.0, network_of(config))
    assert read_origin(kept)["step"] == 2 and load_generator(kept)


@pytest.mark.parametrize("claimed", [0.0, 1e9])
def test_the_best_of_another_judge_is_measured_anew(
    dataset, tiny_run, evaluator, tmp_path, claimed
):
    """A score of another judge, or of one without a name, says nothing beside this judge's."""
    config, kept = tiny_run(), tmp_path / "generator.safetensors"
    watch = Watch(config, dataset, tmp_path, evaluator)
    watch(1, 1.0, network_of(config))
    own = read_origin(kept)["distance_per_accuracy"]
    for judge in ({"judge": "ffffffff"}, {}):
        origin = {"step": 1, "distance_per_accuracy": claimed} | judge
        save_generator(kept, load_generator(kept), origin)
        assert Watch(config, dataset, tmp_path, evaluator).best == pytest.approx(own)


def test_a_generator_that_this_run_cannot_have_made_is_no_best_one(
    dataset, tiny_run, evaluator, sound_generator, tmp_path
):
    foreign = sound_generator(classes=("a", "b", "c", "d"))
    save_generator(tmp_path / "generator.safetensors", foreign, {"distance_per_accuracy": 0.0})
    assert Watch(tiny_run(), dataset, tmp_path, evaluator).best is None


def test_a_generator_of_fewer_classes_gives_way_and_how_these_fare_is_said(
    dataset, tiny_run, evaluator, sound_generator, tmp_path, capsys
):
    config, kept = tiny_run(), tmp_path / "generator.safetensors"
    none_is_better = {"distance_per_accuracy": 0.0, "judge": "of before"}
    save_generator(kept, sound_generator(classes=("high", "noise")), none_is_better)
    watch, told = Watch(config, dataset, tmp_path, evaluator), []
    for step in (50, 70, 250, 290):
        watch(step, 1.0, network_of(config, seed=step))
        told.append(capsys.readouterr().out)
        assert load_generator(kept).classes == config.classes
    assert told[3] == "", "they have settled"
    for words, when in zip(
        told,
        ("before new ones are learned", "after 20 steps with new ones", "after 200 steps with"),
        strict=False,
    ):
        assert words.startswith(f"the classes known before (2), {when}")
    labels, train_labels = watch.labels, evaluator.train_labels
    recordings = evaluator.clips.recordings("train")[0]
    sounds = torch.cat([recordings[train_labels == label][:4] for label in range(3)])
    of_two = watch._measure(sounds, ("high", "noise"))
    rows, old = labels != 1, evaluator.judge.listen(sounds)
    for name, one in (("accuracy", old.named), ("accepted", old.predicted)):
        assert of_two[name] == round(figures.accuracy(one[rows], labels[rows]), 4)
    real = evaluator.train_features[train_labels != 1]
    assert of_two["frechet"] == round(figures.frechet_distance(old.features[rows], real), 4)
    assert of_two != watch._measure(sounds)


def test_without_a_judge_the_latest_is_kept(dataset, tiny_run, tmp_path):
    config = tiny_run()
    watch = Watch(config, dataset, tmp_path)
    for step in (1, 2):
        watch(step, 1.0, network_of(config, seed=step))
        made_by = {"seed": 0, "recordings": config.data.digest, "versions": config.versions}
        assert read_origin(tmp_path / "generator.safetensors") == {"step": step} | made_by
    assert read_metrics(tmp_path / "metrics.jsonl", "progress") == []


def test_the_inversion_is_heard_by_and_kept_with_the_generator(dataset, tiny_run, tmp_path):
    config = tiny_run()
    watch = Watch(config, dataset, tmp_path, inversion=MagnitudeNet(config.audio))
    assert watch.inverter.method == "learned"
    watch(1, 1.0, network_of(config))
    assert load_generator(tmp_path / "generator.safetensors").inversion is not None


def test_silence_is_warned_of_once_a_generator_should_be_better(dataset, tiny_run, tmp_path):
    config = tiny_run()
    watch, network = Watch(config, dataset, tmp_path), network_of(config)
    with torch.no_grad():
        network.to_spectrogram.weight.zero_()
        network.to_spectrogram.bias.fill_(-100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        watch(watching.FIRST_CHECK_STEP - 1, 1.0, network)
    with pytest.warns(TrainingWarning, match="step 300: every generated sound is silence"):
        watch(300, 1.0, network)


def test_one_sound_for_all_is_warned_of(dataset, tiny_run, tmp_path):
    config = tiny_run()
    network = network_of(config)

    class Collapsed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, z, y):
            return dataset.batch(torch.tensor([1]))[0].expand(len(z), -1, -1, -1)

    watch = Watch(config, dataset, tmp_path)
    with pytest.warns(TrainingWarning, match="whatever class is asked for"):
        watch(300, 1.0, Collapsed())


def test_a_generator_that_is_not_a_number_is_left_to_training(
    dataset, tiny_run, evaluator, tmp_path
):
    config = tiny_run()
    network = network_of(config)
    with torch.no_grad():
        network.to_spectrogram.bias.fill_(float("nan"))
    Watch(config, dataset, tmp_path, evaluator)(300, 1.0, network)
    assert not (tmp_path / "generator.safetensors").exists()
