"""The training loop: resumed bit for bit, stopped by its limits, saved on Ctrl-C, never NaN."""

import _thread
import dataclasses
import errno
import itertools
import math
import os
import re
import shutil
import signal
import threading
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from drives import train_with
from failing import files_of_at_most, on_a_disk_of
from states import assert_same

from helpers.config import SMALLEST_BATCH, ConfigError, DataConfig, ModelConfig
from helpers.files import UnusableFileError
from helpers.gan import players as updates
from helpers.gan.players import Players
from helpers.judge.faults import TrainingWarning
from helpers.train import loop as training
from helpers.train import saver, schedule
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.drive_copy import DriveCopy
from helpers.train.loop import TrainingError, train_gan
from helpers.train.metrics_file import append_metrics, read_metrics
from helpers.train.schedule import Intervals, Limits

CPU = torch.device("cpu")
RECIPES = ("baseline", "modern")
SELDOM = Intervals(checkpoint=1e6, samples=1e6)


@pytest.fixture
def train(datasets, tmp_path):
    """A function: train a configuration on the made sounds in a folder under tmp_path."""

    def run(config, name="run", intervals=SELDOM, precision="fp32", look=None, **limits):
        data = datasets[config.model.recipe]
        folder = tmp_path / name
        return train_gan(data, config, folder, CPU, Limits(**limits), intervals, precision, look)

    return run


@pytest.fixture
def train_compiled(datasets, tiny_run, tmp_path):
    """A function: train compiled networks in tmp_path/run."""

    def run(**limits):
        folder = tmp_path / "run"
        data, limits = datasets["modern"], Limits(**limits)
        train_gan(data, tiny_run(), folder, CPU, limits, SELDOM, compiled=True)

    return run


def checkpoint(tmp_path, name="run") -> Checkpoint:
    state, problems = load_newest_checkpoint(tmp_path / name / "checkpoints")
    assert problems == []
    return state


def replace_checkpoint(tmp_path, saved: Checkpoint) -> None:
    """Put another checkpoint of the same step in the place of the run's own."""
    folder = tmp_path / "run" / "checkpoints"
    shutil.rmtree(folder)
    save_checkpoint(folder, saved)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_in_two_parts_is_the_run_in_one_bit_for_bit(train, tiny_run, tmp_path, recipe):
    config = tiny_run(recipe)
    train(config, "one", steps=6)
    train(config, "two", steps=3)
    torch.manual_seed(99)  # another process has other global numbers
    result = train(config, "two", steps=6)
    assert (result.step, result.stopped_by) == (6, "steps")
    one, two = checkpoint(tmp_path, "one"), checkpoint(tmp_path, "two")
    assert_same(one.tensors, two.tensors)
    assert one.step == two.step == 6
    lines = read_metrics(tmp_path / "two" / "metrics.jsonl", "training")
    assert [line["step"] for line in lines] == [3, 6]


def test_lines_of_steps_that_are_trained_again_are_not_kept_twice(train, tiny_run, tmp_path):
    train(tiny_run(), steps=3)
    for step in (4, 5):  # written by a run that was killed before its next checkpoint
        append_metrics(tmp_path / "run" / "metrics.jsonl", {"kind": "training", "step": step})
    train(tiny_run(), steps=6)
    assert [
        line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    ] == [3, 6]


def test_a_finished_run_is_left_as_it_is(train, tiny_run, tmp_path):
    train(tiny_run(), steps=3)
    (path,) = (tmp_path / "run" / "checkpoints").glob("step-00000003.*")
    before = path.read_bytes()
    result = train(tiny_run(), steps=3)
    assert (result.step, result.stopped_by) == (3, "steps")
    assert path.read_bytes() == before


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_trains_the_same_and_another_does_not(train, tiny_run, tmp_path, recipe):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_run(recipe, seed=seed), name, steps=2)
    assert_same(checkpoint(tmp_path, "a").tensors, checkpoint(tmp_path, "b").tensors)
    with pytest.raises(AssertionError):
        assert_same(checkpoint(tmp_path, "a").tensors, checkpoint(tmp_path, "c").tensors)


def test_another_configuration_is_refused_by_the_name_of_its_field(train, tiny_run):
    train(tiny_run(), steps=1)
    with pytest.raises(
        UnusableFileError, match=r"train\.learning_rate_g 0\.0005, not 0\.002.*restart=True"
    ):
        train(tiny_run(learning_rate_g=2e-3), steps=2)
    wider = dataclasses.replace(tiny_run(), model=ModelConfig(z_dim=9))
    with pytest.raises(UnusableFileError, match=r"model\.z_dim 8, not 9"):
        train(wider, steps=2)


def test_training_without_a_limit_is_refused(train, tiny_run):
    with pytest.raises(ConfigError, match="minutes, epochs or steps"):
        train(tiny_run())


@pytest.mark.parametrize(
    ("limits", "step", "stopped_by"),
    [
        ({"steps": 4}, 4, "steps"),
        ({"epochs": 1}, 6, "epochs"),  # 21 clips, 4 at a time
        ({"epochs": 1, "steps": 4}, 4, "steps"),
        ({"epochs": 1, "steps": 9}, 6, "epochs"),
        ({"steps": 3, "minutes": 2.0}, 3, "steps"),
    ],
)
def test_training_stops_at_the_first_limit(train, tiny_run, limits, step, stopped_by):
    result = train(tiny_run(), **limits)
    assert (result.step, result.stopped_by) == (step, stopped_by)
    assert result.epoch == pytest.approx(step / 6)


def test_training_stops_after_its_minutes_and_these_are_of_the_whole_run(train, tiny_run, tmp_path):
    result = train(tiny_run(), minutes=0.003)
    assert result.stopped_by == "minutes" and result.step >= 1
    assert result.seconds >= 0.18
    assert checkpoint(tmp_path).step == result.step
    again = train(tiny_run(), minutes=0.003)
    assert (again.step, again.stopped_by) == (result.step, "minutes")


def press_stop(monkeypatch, *calls: int) -> None:
    """As Ctrl-C or a notebook's stop button does, in the middle of these steps."""
    train_step, made = training.train_step, itertools.count(1)

    def pressed(*args):
        if next(made) in calls:
            signal.raise_signal(signal.SIGINT)
        return train_step(*args)

    monkeypatch.setattr(training, "train_step", pressed)


def test_a_stop_in_a_step_ends_the_step_and_saves_it_whole(train, tiny_run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        press_stop(patch, 3)
        result = train(tiny_run(), steps=6)
    assert (result.step, result.stopped_by) == (3, "you")
    train(tiny_run(), "whole", steps=3)
    assert_same(checkpoint(tmp_path).tensors, checkpoint(tmp_path, "whole").tensors)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train(tiny_run(), steps=6).step == 6


def test_a_second_stop_ends_at_once_and_leaves_the_last_checkpoint(
    train, tiny_run, tmp_path, monkeypatch
):
    train(tiny_run(), steps=2)
    train_step = training.train_step

    def hanging(*args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return train_step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_step", hanging)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_run(), steps=6)
    assert checkpoint(tmp_path).step == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(tiny_run(), "whole", steps=6)
    train(tiny_run(), steps=6)
    assert_same(checkpoint(tmp_path).tensors, checkpoint(tmp_path, "whole").tensors)


def test_a_stop_that_ends_a_compiler_is_a_stop_and_no_fault(train, tiny_run, tmp_path, monkeypatch):
    train(tiny_run(), steps=2)

    def failing(*args):
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("g++ was interrupted")

    monkeypatch.setattr(training, "train_step", failing)
    with pytest.raises(KeyboardInterrupt, match="the last checkpoint stays"):
        train(tiny_run(), steps=6)
    assert checkpoint(tmp_path).step == 2


def test_a_stop_while_samples_are_made_saves_a_checkpoint_and_hears_the_last_step(
    train, tiny_run, tmp_path
):
    shown = []

    def show(step, minutes, network):
        shown.append(step)
        if len(shown) == 1:
            _thread.interrupt_main()

    result = train(tiny_run(), intervals=Intervals(1e6, 0), look=show, steps=900)
    assert result.stopped_by == "you" and result.step < 900
    assert checkpoint(tmp_path).step == shown[-1] == result.step


def test_a_fault_while_samples_are_made_ends_training(train, tiny_run):
    def show(step, minutes, network):
        raise ZeroDivisionError("in the picture")

    with pytest.raises(ZeroDivisionError, match="in the picture"):
        train(tiny_run(), intervals=Intervals(1e6, 0), look=show, steps=900)


def test_samples_and_checkpoints_come_at_their_intervals_and_at_the_end(
    train, tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "LOOKING_SHARE", 1e9)
    shown = []
    train(tiny_run(), intervals=Intervals(0, 0), look=lambda step, *_: shown.append(step), steps=30)
    assert shown[0] == 1 and shown[-1] == 30 and len(shown) > 2
    assert shown == sorted(set(shown))  # one after another, while training goes on
    steps = [line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl", "training")]
    assert steps[0] == 1 and steps[-1] == 30 and len(steps) > 2 and steps == sorted(set(steps))
    seldom = []
    train(tiny_run(), "other", look=lambda step, *_: seldom.append(step), steps=3)
    assert seldom == [1, 3]  # soon after the beginning, and at the end
    (line,) = read_metrics(tmp_path / "other" / "metrics.jsonl", "training")
    assert {"step", "epoch", "loss_d", "loss_g", "loss_class", "r1", "minutes"} <= line.keys()


def test_training_goes_on_while_a_sample_is_made_of_the_network_as_it_was(
    train, tiny_run, monkeypatch
):
    train_step, calls, later, seen = training.train_step, [], threading.Event(), []

    def counted(*args):
        calls.append(1)
        if len(calls) == 10:
            later.set()
        return train_step(*args)

    def show(step, minutes, network):
        before = [value.clone() for value in network.parameters()]
        seen.append((step, later.wait(20)))
        assert all(
            torch.equal(one, value) for one, value in zip(before, network.parameters(), strict=True)
        )

    monkeypatch.setattr(training, "train_step", counted)
    train(tiny_run(), intervals=Intervals(1e6, 0), look=show, steps=12)
    assert seen[0] == (1, True)


def test_samples_that_take_long_come_less_often(train, tiny_run, monkeypatch):
    monkeypatch.setattr(schedule, "LOOKING_SHARE", 1e-9)
    shown = []
    train(
        tiny_run(), intervals=Intervals(1e6, 0), look=lambda step, *_: shown.append(step), steps=4
    )
    assert shown == [1, 4]


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_listened_to_is_the_average_if_one_is_kept(train, tiny_run, tmp_path, recipe):
    seen = []
    result = train(
        tiny_run(recipe),
        look=lambda step, minutes, network: seen.append((network, network.training)),
        steps=4,
    )
    saved = checkpoint(tmp_path).tensors
    name = "average" if recipe == "modern" else "generator"
    for key, value in result.generator.named_parameters():
        assert torch.equal(value, saved[f"{name}.{key}"])
    *_, (listened, in_training) = seen
    assert not in_training
    assert all(
        torch.equal(value, listened.state_dict()[key])
        for key, value in result.generator.state_dict().items()
    )
    assert any(
        not torch.equal(saved[f"average.{key}"], saved[f"generator.{key}"])
        for key in result.generator.state_dict()
    )


def nan_from(monkeypatch, first_step: int) -> None:
    loss, calls = updates.discriminator_loss, []

    def broken(*logits):
        calls.append(1)
        return loss(*logits) * (float("nan") if len(calls) >= first_step else 1)

    monkeypatch.setattr(updates, "discriminator_loss", broken)


def assert_no_nan_saved(tmp_path) -> None:
    for path in (tmp_path / "run" / "checkpoints").glob("step-*"):
        saved = safetensors.torch.load(path.read_bytes())
        broken = [name for name, value in saved.items() if not value.float().isfinite().all()]
        assert broken == [], path.name


def test_nan_at_once_ends_training_with_a_warning_and_nothing_saved(
    train, tiny_run, tmp_path, monkeypatch
):
    nan_from(monkeypatch, 1)
    with (
        pytest.warns(TrainingWarning, match="not a number"),
        pytest.raises(TrainingError, match="learning_rate"),
    ):
        train(tiny_run(), steps=50)
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_nan_later_ends_training_at_the_last_good_checkpoint(
    train, tiny_run, tmp_path, monkeypatch
):
    train(tiny_run(), steps=3)
    good = checkpoint(tmp_path)
    nan_from(monkeypatch, 1)
    with pytest.warns(TrainingWarning, match="not a number"):
        result = train(tiny_run(), steps=50)
    assert (result.step, result.stopped_by) == (3, "NaN")
    assert_same(checkpoint(tmp_path).tensors, good.tensors)
    assert all(
        bool(torch.isfinite(value).all()) for value in result.generator.state_dict().values()
    )


@pytest.mark.parametrize("checkpoint_minutes", [1e6, 0])
def test_nan_between_two_looks_is_not_saved_either(
    train, tiny_run, tmp_path, monkeypatch, checkpoint_minutes
):
    train(tiny_run(), steps=3)
    nan_from(monkeypatch, 3)  # at step 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(tiny_run(), intervals=Intervals(checkpoint_minutes, 1e6), steps=10)
    assert_no_nan_saved(tmp_path)


def test_a_stop_after_nan_saves_none(train, tiny_run, tmp_path, monkeypatch):
    train(tiny_run(), steps=3)
    nan_from(monkeypatch, 2)
    press_stop(monkeypatch, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(tiny_run(), steps=15)
    assert_no_nan_saved(tmp_path)


def test_what_was_trained_before_nan_is_sent_to_the_drive(dataset, tiny_run, tmp_path, monkeypatch):
    drive = tmp_path / "drive"
    drive.mkdir()
    (drive / "config.json").write_text("{}")
    drive_copy = DriveCopy(tmp_path / "local", drive)
    drive_copy.fetch()
    drive.rename(tmp_path / "away")
    train_step = training.train_step

    def nan_at_5(players, batch, augmented, step):
        losses = train_step(players, batch, augmented, step)
        if step == 5:
            (tmp_path / "away").rename(drive)  # too late for what was saved before
            losses["loss_d"] *= float("nan")
        return losses

    monkeypatch.setattr(training, "train_step", nan_at_5)
    with pytest.warns(TrainingWarning, match="is the drive mounted"):
        result = train_with(dataset, tiny_run(), drive_copy, steps=9)
    assert result.stopped_by == "NaN"
    here, there = (
        load_newest_checkpoint(folder / "checkpoints")[0] for folder in (tmp_path / "local", drive)
    )
    assert here.step == there.step == result.step > 0


@pytest.mark.parametrize(
    ("precision", "n_bad", "expected"),
    [("fp32", 1, False), ("bf16", 1, False), ("fp16", 1, True), ("fp16", 20, False)],
)
def test_in_fp16_a_step_may_overflow_and_elsewhere_none(tiny_run, precision, n_bad, expected):
    players = Players(tiny_run(), 3, CPU, precision)
    good, bad = {"loss_d": torch.tensor(1.0)}, {"loss_d": torch.tensor(math.inf)}
    assert training._is_finite(players, [good] * (20 - n_bad) + [bad] * n_bad) is expected
    assert training._is_finite(players, [good] * 20)


def test_losses_that_overflowed_are_left_out_of_the_metrics(train, tiny_run, tmp_path, monkeypatch):
    train_step = training.train_step

    def overflows(players, batch, augmented, step):
        losses = train_step(players, batch, augmented, step)
        losses["loss_g"] = losses["loss_g"] * 0 + (math.inf if step == 2 else 3.0)
        return losses

    monkeypatch.setattr(training, "train_step", overflows)
    train(tiny_run(), steps=4, precision="fp16")
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    assert line["step"] == 4 and line["loss_g"] == 3.0


@pytest.mark.parametrize("failing", ["read_bytes", "replace"])
def test_a_disk_that_fails_as_a_run_is_taken_up_is_named_and_nothing_is_changed(
    train, tiny_run, tmp_path, monkeypatch, failing
):
    train(tiny_run(), steps=3)
    append_metrics(
        tmp_path / "run" / "metrics.jsonl", {"kind": "training", "step": 4}
    )  # to be dropped
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")}

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path if failing == "read_bytes" else os, failing, fail)
        with pytest.raises(
            UnusableFileError, match="or its metrics not be written .*nothing in it was"
        ):
            train(tiny_run(), steps=6)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*.*")}
    assert train(tiny_run(), steps=6).step == 6


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_continued(
    train, tiny_run, tmp_path
):
    train(tiny_run(), steps=2)
    train(tiny_run(), steps=4)
    (newest,) = (tmp_path / "run" / "checkpoints").glob("step-00000004.*")
    newest.write_bytes(b"PK cut")
    with pytest.warns(TrainingWarning, match="step-00000004.* cannot be read"):
        result = train(tiny_run(), steps=5)
    assert result.step == 5
    assert [
        line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    ] == [2, 5]


def test_a_full_disk_loses_nothing_that_was_saved_and_is_named_once(train, tiny_run, tmp_path):
    train(tiny_run(), steps=3)
    with files_of_at_most(20_000), warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        result = train(tiny_run(), intervals=Intervals(0, 1e6), steps=8)
    assert (result.step, result.stopped_by) == (8, "steps")
    words = [str(warning.message) for warning in shown if warning.category is TrainingWarning]
    assert len(words) == 2, "once, and where it stands at the end"
    assert "could not be written" in words[0] and "Training goes on" in words[0]
    assert "the end of this training" in words[1]
    names = [path.name[:13] for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert names == ["step-00000003"]
    train(tiny_run(), "whole", steps=8)
    train(tiny_run(), steps=8)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2
    assert_same(checkpoint(tmp_path).tensors, checkpoint(tmp_path, "whole").tensors)
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    assert [line["step"] for line in lines] == [3, 8]


ON_A_SMALL_DISK = """
import shutil, sys, warnings
from pathlib import Path
import safetensors.torch
import torch
from helpers.train.checkpoints import load_newest_checkpoint
from helpers.config import RunConfig
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.clips import open_clips
from helpers.train.loop import Intervals, Limits, train_gan

here, disk = Path(sys.argv[1]), Path(sys.argv[2])
config = RunConfig.from_json((here / "config.json").read_text())
clips = open_clips(config, here, here, here)
dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))


def train(steps):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        limits = Limits(steps=steps)
        often = Intervals(0, 1e6)
        train_gan(dataset, config, disk / "run", torch.device("cpu"), limits, often, compiled=False)
    words = [str(warning.message) for warning in shown]
    return [text for text in words if "written" in text]


assert train(2) == []
free = shutil.disk_usage(disk).free
(disk / "other").write_bytes(bytes(max(0, free - 10_000)))  # full but for ten kilobytes
words = train(5)
assert len(words) == 2 and all("No space left on device" in text for text in words)
state, problems = load_newest_checkpoint(disk / "run" / "checkpoints")
assert (state.step, problems) == (2, [])
(disk / "other").unlink()
assert train(5) == []
state, problems = load_newest_checkpoint(disk / "run" / "checkpoints")
assert (state.step, problems) == (5, [])
print("nothing lost")
"""


def test_a_disk_that_is_really_full_loses_nothing_and_is_written_to_when_there_is_room(
    dataset, tiny_run, tmp_path
):
    config = dataclasses.replace(tiny_run(), data=DataConfig(digest=dataset.cache.key))
    shutil.copytree(Path(dataset.cache.mels.filename).parent, tmp_path / "here")
    (tmp_path / "here" / "config.json").write_text(config.to_json())
    done = on_a_disk_of(
        "32m", tmp_path / "disk", ON_A_SMALL_DISK, tmp_path / "here", tmp_path / "disk"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("nothing lost")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.EROFS])
def test_a_drive_that_goes_away_and_comes_back_is_written_to_again(
    train, tiny_run, tmp_path, monkeypatch, number
):
    save, tried = saver.save_checkpoint, []

    def failing(folder, state):
        tried.append(state.step)
        if 1 < len(tried) < 4:
            raise OSError(number, os.strerror(number))
        return save(folder, state)

    monkeypatch.setattr(saver, "save_checkpoint", failing)
    with pytest.warns(TrainingWarning, match="the run's checkpoint could not be written") as shown:
        train(tiny_run(), intervals=Intervals(0, 1e6), steps=60)
    words = [str(warning.message) for warning in shown]
    assert sum("could not be written" in text for text in words) == 1  # once, not 3
    assert len(tried) >= 4 and tried[-1] == 60 and checkpoint(tmp_path).step == 60


def test_samples_that_cannot_be_written_do_not_end_training(train, tiny_run, tmp_path):
    def full(step, minutes, network):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.warns(
        TrainingWarning, match="the run's samples could not be written .*No space left"
    ):
        result = train(tiny_run(), intervals=Intervals(1e6, 0), look=full, steps=5)
    assert result.step == 5 and checkpoint(tmp_path).step == 5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_train_and_resume_on_the_cpu(train, tiny_run, tmp_path, precision):
    train(tiny_run(), "one", precision=precision, steps=4)
    train(tiny_run(), "two", precision=precision, steps=2)
    train(tiny_run(), "two", precision=precision, steps=4)
    assert_same(checkpoint(tmp_path, "one").tensors, checkpoint(tmp_path, "two").tensors)


def test_networks_of_another_version_are_refused_with_the_way_out(train, tiny_run, tmp_path):
    train(tiny_run(), steps=1)
    saved = checkpoint(tmp_path)
    saved.tensors["discriminator.another.weight"] = torch.zeros(1)
    replace_checkpoint(tmp_path, saved)
    with pytest.raises(
        UnusableFileError, match=r"networks that this version does not build.*restart=True"
    ):
        train(tiny_run(), steps=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("identity", "[]"),
        ("identity", "{"),
        ("identity", None),
        ("tensors", {}),
        ("rng", torch.zeros(3)),
        ("seconds", 10**400),
        ("seconds", float("nan")),
        ("seconds", -1.0),
        ("seconds", [1]),
    ],
)
def test_a_checkpoint_that_holds_something_else_is_refused_in_words(
    train, tiny_run, tmp_path, key, value
):
    train(tiny_run(), steps=1)
    _, tensors, note = checkpoint(tmp_path)
    tensors = value if key == "tensors" else tensors | ({key: value} if key == "rng" else {})
    note |= {key: value} if key in note else {}
    replace_checkpoint(tmp_path, Checkpoint(1, tensors, note))
    with pytest.raises(UnusableFileError, match=r"restart=True"):
        train(tiny_run(), steps=2)


@pytest.mark.parametrize("damage", ["shape", "missing", "double", "unknown", "whole numbers"])
def test_averages_of_other_shapes_are_refused_before_a_step_reads_beyond_them(
    train, tiny_run, tmp_path, damage
):
    train(tiny_run(), steps=1)
    saved = checkpoint(tmp_path)
    name = "optimiser_g.0.exp_avg"
    if damage == "missing":
        del saved.tensors[name]
    elif damage == "unknown":
        saved.tensors["optimiser_g.10000.exp_avg"] = saved.tensors[name]
    else:
        average = saved.tensors[name]
        others = {"shape": torch.zeros(1), "double": average.double(), "whole": average.long()}
        saved.tensors[name] = others[damage.split()[0]]
    replace_checkpoint(tmp_path, saved)
    with pytest.raises(UnusableFileError, match=r"restart=True"):
        train(tiny_run(), steps=2)


def test_averages_of_another_layout_are_laid_out_as_the_parameters(train, tiny_run, tmp_path):
    train(tiny_run(), steps=1)
    tensors = checkpoint(tmp_path).tensors
    average = tensors["optimiser_g.0.exp_avg"]
    at_the_end = torch.zeros(average.numel())[-1:]
    tensors["optimiser_g.0.exp_avg"] = at_the_end.expand(average.shape)
    players = updates.Players(tiny_run(), 3, CPU, "fp32")
    players.load(tensors)
    for parameter, loaded in players.optimiser_g.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            assert loaded[name].stride() == parameter.stride()
            assert loaded[name].storage_offset() == 0
            assert loaded[name].untyped_storage().nbytes() == 4 * parameter.numel()


def test_a_run_goes_on_in_half_precision(train, tiny_run, tmp_path):
    train(tiny_run(), steps=1)
    assert train(tiny_run(), steps=2, precision="fp16").step == 2
    assert train(tiny_run(), steps=3).step == 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_smallest_batch_trains(train, tiny_run, recipe):
    assert train(tiny_run(recipe, batch_size=SMALLEST_BATCH), steps=3).stopped_by == "steps"


def test_a_run_that_is_refused_keeps_its_metrics(train, tiny_run, tmp_path):
    train(tiny_run(), steps=1)
    append_metrics(tmp_path / "run" / "metrics.jsonl", {"kind": "training", "step": 9})
    with pytest.raises(UnusableFileError, match="was trained with other settings"):
        train(tiny_run(batch_size=6), steps=2)
    assert [
        line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    ] == [1, 9]
    train(tiny_run(), steps=1)
    assert [
        line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    ] == [1]


def test_compiled_networks_train_as_the_others_do(datasets, tiny_run, tmp_path):
    results = {}
    for compiled in (False, True):
        folder = tmp_path / str(compiled)
        train_gan(
            datasets["modern"], tiny_run(), folder, CPU, Limits(steps=2), SELDOM, compiled=compiled
        )
        results[compiled] = load_newest_checkpoint(folder / "checkpoints")[0].tensors
    assert results[True].keys() == results[False].keys()
    for name, value in results[False].items():
        if name.startswith(("generator.", "discriminator.")):
            torch.testing.assert_close(results[True][name], value, rtol=0.05, atol=2e-3, msg=name)


def test_compiling_is_announced_with_the_time_that_it_took_last_time(
    train_compiled, capsys, tmp_path
):
    train_compiled(steps=1)
    first = capsys.readouterr().out
    assert "compiling the networks: this usually takes" in first
    (took,) = re.findall(r"the networks are compiled: it took (\d+) s", first)
    (line,) = read_metrics(tmp_path / "run" / "metrics.jsonl", "training")
    assert round(line["compiling_s"]) == int(took)
    train_compiled(steps=2)
    assert f"compiling the networks: last time it took {took} s" in capsys.readouterr().out
    train_compiled(steps=2)  # nothing is left to do, so nothing is compiled
    assert "the networks" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limits", "worth"),
    [
        ({"minutes": 10}, True),
        ({"steps": 1000}, True),
        ({"epochs": 100}, True),  # of ten steps
        ({"minutes": 10, "steps": 1000}, True),
        ({"minutes": 1}, False),
        ({"steps": 999}, False),
        ({"epochs": 99}, False),
        ({"minutes": 1, "steps": 5000}, False),
        ({"minutes": 10, "steps": 5}, False),
        ({"minutes": 10, "epochs": 1}, False),
    ],
)
def test_only_long_runs_are_compiled(limits, worth):
    assert Limits(**limits).worth_compiling(steps_per_epoch=10) is worth
