"""A trained run and other recordings: gone on with, widened for new classes, or refused."""

import dataclasses
import json
import warnings

import pytest
import torch
from making import part_of

from helpers.config import DataConfig, ModelConfig, checkpoint_identity
from helpers.data.audit import AuditRow
from helpers.files import RunFiles, UnusableFileError
from helpers.gan import players as updates
from helpers.network_file import without_prefix
from helpers.train import loop as training
from helpers.train.changes import (
    TrainedOn,
    changes_since_training,
    check_can_go_on,
    describe_changes,
    pack_files,
)
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits

CPU = torch.device("cpu")
CLASSES = ("high", "low", "noise")
FEW = ("high/1.wav", "high/2.wav", "noise/1.wav")


@pytest.fixture
def train(tiny_run, tmp_path, monkeypatch):
    """A function: train the run in tmp_path on a data set to a step; its newest checkpoint."""
    monkeypatch.setattr(updates, "STATISTICS_BATCHES", 1)

    def run(dataset, steps: int, look=None, **settings) -> Checkpoint:
        recipe = "modern" if dataset.cache.audio.normalisation == "per_bin" else "baseline"
        data, classes = DataConfig(digest=dataset.cache.key), dataset.cache.classes
        config = dataclasses.replace(tiny_run(recipe, **settings), data=data, classes=classes)
        seldom = Intervals(1e6, 1e6)
        train_gan(dataset, config, tmp_path, CPU, Limits(steps=steps), seldom, look=look)
        return load_newest_checkpoint(tmp_path / "checkpoints")[0]

    return run


def statistics(checkpoint: Checkpoint) -> dict:
    return without_prefix("normaliser", checkpoint.tensors)


@pytest.mark.parametrize("recipe", ["modern", "baseline"])
def test_more_clips_are_trained_on_from_the_step_on(train, datasets, recipe, capsys):
    before = train(part_of(datasets[recipe], CLASSES, FEW), 2)
    more = part_of(datasets[recipe], CLASSES, ["low/0.wav"])
    fitted = more.normaliser.tensors()
    capsys.readouterr()
    after = train(more, 3)
    said = capsys.readouterr().out
    assert "continuing from step 2" in said
    assert (
        "the recordings have changed since then: 2 new files in 'high', 1 new file in 'noise'; "
        "1 file gone from 'low'\n"
    ) in said
    assert (
        after.step == 3 and json.loads(after.note["identity"])["data"]["digest"] == more.cache.key
    )
    assert after.tensors["optimiser_g.0.step"] == before.tensors["optimiser_g.0.step"] + 1
    kept = statistics(after)
    if recipe == "baseline":  # of each clip while training: those of the classes only give levels
        assert all(torch.equal(kept[name], fitted[name]) for name in ("low", "high"))
    else:
        assert all(torch.equal(kept[name], statistics(before)[name]) for name in ("mean", "std"))
        assert not torch.equal(kept["std"], fitted["std"])
        louder = torch.maximum(statistics(before)["loudest"], fitted["loudest"])
        assert torch.equal(kept["loudest"], louder)
    again = train(part_of(datasets[recipe], CLASSES, ["low/0.wav"]), 4)
    assert "have changed" not in capsys.readouterr().out
    assert all(torch.equal(kept[name], value) for name, value in statistics(again).items())


@pytest.mark.parametrize("recipe", ["modern", "baseline"])
def test_a_new_class_between_others_widens_a_run_and_is_heard_before_and_soon_after(
    train, datasets, recipe, capsys, monkeypatch
):
    monkeypatch.setattr(training, "STEPS_TO_SETTLE", 2)
    before = train(part_of(datasets[recipe], ("high", "noise")), 2)
    heard = {}
    after = train(datasets[recipe], 6, lambda step, _, network: heard.update({step: network}))
    said = capsys.readouterr().out
    assert "1 new class: 'low' (8 files). The networks are widened for the new classes" in said
    assert list(heard) == [2, 4, 6], "at once, when it has settled, at the end"
    listened = "average" if recipe == "modern" else "generator"
    weights = without_prefix(listened, before.tensors)
    name = "embedding.weight" if recipe == "modern" else "fc.weight"
    old, new = weights[name][:, -2:], heard[2].state_dict()[name][:, -3:]
    assert torch.equal(old, new[:, [0, 2]]) and not torch.equal(old, new[:, :2])
    assert after.step == 6 and json.loads(after.note["identity"])["classes"] == [*CLASSES]


def test_a_class_that_has_gone_is_refused_and_nothing_is_changed(train, dataset, tmp_path):
    train(part_of(dataset, CLASSES), 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(
        UnusableFileError, match=r"no recordings now \('low'; .*bring them back .*restart=True"
    ):
        train(part_of(dataset, ("high", "noise")), 4)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}


def test_other_settings_are_refused_with_other_recordings_too(train, dataset):
    train(part_of(dataset, CLASSES, FEW), 1)
    with pytest.raises(UnusableFileError, match=r"other settings \(train\.batch_size 4, not 6\)"):
        train(part_of(dataset, CLASSES), 2, batch_size=6)


def test_a_widened_run_goes_on_bit_for_bit_and_back_to_itself_after_nan(
    train, dataset, tmp_path, monkeypatch
):
    two = part_of(dataset, ("high", "noise"))
    train(two, 2)
    content = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    whole = train(part_of(dataset, CLASSES), 6)
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    for path, one in content.items():
        path.write_bytes(one)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = updates.discriminator_loss
        patch.setattr(updates, "discriminator_loss", lambda *x: loss(*x) * float("nan"))
        assert train(part_of(dataset, CLASSES), 9).step == 2
    train(part_of(dataset, CLASSES), 4)
    parts = train(part_of(dataset, CLASSES), 6)
    assert all(torch.equal(whole.tensors[name], value) for name, value in parts.tensors.items())


def test_a_run_of_an_earlier_version_goes_on_with_its_own_recordings_only(train, dataset, tmp_path):
    step, tensors, note = train(part_of(dataset, CLASSES), 1)
    of_later = ("files", "normaliser.")
    tensors = {name: x for name, x in tensors.items() if not name.startswith(of_later)}
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    save_checkpoint(tmp_path / "checkpoints", Checkpoint(step, tensors, note))
    with pytest.raises(UnusableFileError, match=r"by an earlier version.*go on with that version"):
        train(part_of(dataset, CLASSES, FEW), 2)
    assert statistics(train(part_of(dataset, CLASSES), 2))


def identity(config, dataset) -> str:
    data, classes = DataConfig(digest=dataset.cache.key), dataset.cache.classes
    return json.dumps(checkpoint_identity(dataclasses.replace(config, data=data, classes=classes)))


@pytest.fixture
def compare(tiny_run, tmp_path):
    """A function: what changed since tmp_path's run was trained on the first of two data sets."""

    def changes(trained, now, model=None):
        if trained is not None:
            tensors = {"files": pack_files(trained.cache.audit)}
            note = {"identity": identity(tiny_run(), trained)}
            save_checkpoint(tmp_path / "checkpoints", Checkpoint(4200, tensors, note))
        return changes_since_training(RunFiles(tmp_path), model or tiny_run().model, now.cache)

    return changes


def test_what_is_new_is_said_before_training(compare, dataset):
    before = part_of(dataset, ("high", "noise"), ["high/1.wav", "high/2.wav"])
    now = part_of(dataset, CLASSES, ["noise/3.wav"])
    assert compare(None, now) == ("nothing is trained in this run folder yet", [])
    words, new_files = compare(before, now)
    assert words == (
        "against the trained run (step 4200): 2 new files in 'high'; 1 file gone from 'noise'; "
        "1 new class: 'low' (8 files)\n03_train goes on from step 4200 with them"
    )
    lows = [f"low/{n}.wav" for n in range(8)]
    assert [row.path for row in new_files] == ["high/1.wav", "high/2.wav", *lows]
    words, new_files = compare(now, now)
    assert "(step 4200): the same recordings" in words and new_files == []


def test_what_will_be_refused_is_said_before_training(compare, dataset, tiny_run, tmp_path):
    now = part_of(dataset, ("high", "noise"))
    words, _ = compare(dataset, now)
    assert "1 class gone: 'low'\n03_train refuses them: " in words
    assert "no recordings now ('low'; a folder with another name is another class)" in words
    words, _ = compare(dataset, dataset, ModelConfig(z_dim=9))
    assert "03_train refuses them" in words and "model.z_dim 8, not 9" in words
    (path,) = (tmp_path / "checkpoints").iterdir()
    path.unlink()
    save_checkpoint(tmp_path / "checkpoints", Checkpoint(1, {}, {"identity": "[]"}))
    with pytest.raises(UnusableFileError, match="that this version does not build"):
        damaged = Checkpoint(1, {"files": torch.zeros(3)}, {"identity": identity(tiny_run(), now)})
        check_can_go_on(damaged, tiny_run(), tmp_path)
    words, new_files = compare(None, now)
    assert words.startswith("what was trained in this run folder cannot be compared: ")
    assert "restart=True" in words and new_files == []


def test_many_classes_are_counted_and_a_file_that_moved_is_new_and_gone(clips):
    rows = [AuditRow(f"{name}/a.wav", name, "kept", digest=name) for name in "abcdefgh"]
    rows.append(AuditRow("a/c.wav", "a", "kept", digest="moved"))
    now = dataclasses.replace(clips, classes=tuple("abcdefgh"), audit=tuple(rows))
    trained = TrainedOn(1, {}, ("a", "b"), "", {"a": {"a"}, "b": {"b", "moved"}})
    assert describe_changes(trained, now) == (
        "1 new file in 'a'; 1 file gone from 'b'; 6 new classes: 'c' (1 file), 'd' (1 file), "
        "'e' (1 file), 'f' (1 file), 'g' (1 file), and 1 more"
    )
    files = {row.label: set() for row in rows}
    for row in rows:
        files[row.label].add(row.digest)
    same = trained._replace(classes=now.classes, files=files)
    assert describe_changes(same, now) == "the same files, made into clips in another way"
