"""A run on a drive that fails, fills up, goes away or is left half written: nothing that was sent is ever lost."""

import builtins
import errno
import itertools
import os
import shutil
import signal
import time
import warnings

import pytest
import torch
from failing import in_a_child
from states import assert_same

from helpers import files
from helpers.checkpoints import load_newest_checkpoint, save_checkpoint
from helpers.diagnosis import TrainingWarning
from helpers.files import SAMPLES_KEPT
from helpers.generators import export_generator, load_generator, read_note
from helpers.mirror import Mirror
from helpers.records import append_metrics, read_metrics
from helpers.training import Intervals, Limits, train_gan


@pytest.fixture
def drive(tmp_path):
    (tmp_path / "drive").mkdir()
    return tmp_path / "drive"


@pytest.fixture
def work(sound_generator):
    """A function: what training writes at a step, into a local copy."""
    generator = sound_generator()

    def write(local, step: int) -> None:
        local.mkdir(exist_ok=True)
        append_metrics(local / "metrics.jsonl", {"kind": "training", "step": step})
        save_checkpoint({"step": step, "weights": torch.full((300,), float(step))}, local / "checkpoints", step)
        export_generator(local / "generator.safetensors", generator, {"step": step})
        (local / "samples" / f"{step:08d}").mkdir(parents=True)
        (local / "samples" / f"{step:08d}" / "a.wav").write_bytes(b"a sound")

    return write


def fetched(drive, tmp_path, name="another machine"):
    """What a machine that has nothing gets from the drive: the last step of checkpoint, generator and metrics."""
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    Mirror(tmp_path / name, drive).fetch()
    state, problems = load_newest_checkpoint(tmp_path / name / "checkpoints")
    assert problems == []
    if state is None:
        return 0, 0, []
    assert torch.equal(state["weights"], torch.full((300,), float(state["step"])))
    generator = tmp_path / name / "generator.safetensors"
    load_generator(generator)
    steps = [line["step"] for line in read_metrics(tmp_path / name / "metrics.jsonl", "training")]
    return state["step"], read_note(generator)["step"], steps


def test_what_is_sent_is_fetched_and_the_drive_keeps_two_checkpoints(drive, work, tmp_path):
    mirror = Mirror(tmp_path / "local", drive)
    assert mirror.fetch() == []
    for step in (1, 2, 3, 4):
        work(tmp_path / "local", step)
        mirror.send()
        assert fetched(drive, tmp_path) == (step, step, list(range(1, step + 1)))
    assert sorted(path.name for path in (drive / "checkpoints").iterdir()) == ["a.json", "a.pt", "b.json", "b.pt"]
    assert not list(drive.rglob("*.partial"))
    before = {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}
    mirror.send()  # nothing is new
    assert before == {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}


def test_the_drive_is_not_overtaken_by_an_older_copy_nor_a_newer_copy_by_the_drive(drive, work, tmp_path):
    one, other = (Mirror(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    work(tmp_path / "one", 5)
    one.send()
    work(tmp_path / "other", 3)
    other.fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0]["step"] == 5
    work(tmp_path / "other", 9)  # not sent: the drive was gone
    Mirror(tmp_path / "other", drive).fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0]["step"] == 9
    assert read_note(tmp_path / "other" / "generator.safetensors")["step"] == 9


def test_lines_that_were_written_to_the_drive_meanwhile_stay(drive, work, tmp_path):
    mirror = Mirror(tmp_path / "local", drive)
    work(tmp_path / "local", 1)
    mirror.send()
    append_metrics(drive / "metrics.jsonl", {"kind": "quality", "accuracy": 0.9, "step": 1})
    mirror.fetch()
    work(tmp_path / "local", 2)
    mirror.send()
    assert [line["step"] for line in read_metrics(drive / "metrics.jsonl", "training")] == [1, 2]
    assert len(read_metrics(drive / "metrics.jsonl", "quality")) == 1


class Faults:
    """Stands for a drive at the n-th thing that is done to a file on it: half of it is done, and an error comes.

    So it does with the next n_faults - 1 things, too.
    """

    def __init__(self, drive, number: int, at: int, n_faults: int = 1):
        self.drive, self.number, self.faults, self.n = str(drive), number, range(at, at + n_faults), 0

    def due(self, path) -> bool:
        self.n += str(path).startswith(self.drive)
        return self.n in self.faults and str(path).startswith(self.drive)

    def fail(self):
        raise OSError(self.number, os.strerror(self.number))

    def open(self, path, mode="r", *words, **options):
        if "r" in mode and "+" not in mode:
            return builtins.open(path, mode, *words, **options)
        if self.number != errno.ENOSPC and self.due(path):  # a full drive opens, empties, and then has no room
            self.fail()
        file = builtins.open(path, mode, *words, **options)  # noqa: SIM115 (closed by Half)
        write = file.write

        class Half:
            def __getattr__(own, name):
                return getattr(file, name)

            def __enter__(own):
                return own

            def __exit__(own, *_):
                file.close()

            def write(own, content):
                if self.due(path):
                    write(content[: len(content) // 2])
                    file.flush()
                    self.fail()
                return write(content)

        return Half()

    def truncate(self, path, size):
        if self.number != errno.ENOSPC and self.due(path):
            self.fail()
        with open(path, "rb+") as file:
            file.truncate(size)


@pytest.mark.parametrize(
    ("number", "n_faults"),
    [(errno.EIO, 1), (errno.ENOTCONN, 2), (errno.ENOSPC, 10**6), (errno.EROFS, 10**6)],
    ids=["EIO once", "ENOTCONN twice", "ENOSPC from then on", "EROFS from then on"],
)
def test_no_fault_of_the_drive_loses_what_was_sent(drive, work, tmp_path, monkeypatch, number, n_faults):
    """Every open, write and truncation on the drive fails; each time it is tried again, and the machine is lost."""
    monkeypatch.setattr(files.os, "fsync", lambda _: None)  # takes most of the time
    for at in itertools.count(1):
        shutil.rmtree(drive)
        drive.mkdir()
        shutil.rmtree(tmp_path / "local", ignore_errors=True)
        mirror = Mirror(tmp_path / "local", drive)
        for step in (1, 2):
            work(tmp_path / "local", step)
            mirror.send()
        faults, failed = Faults(drive, number, at, n_faults), 0
        with monkeypatch.context() as patch:
            patch.setattr(files, "open", faults.open, raising=False)
            patch.setattr(files.os, "truncate", faults.truncate)
            for step in (3, 4, 5):
                work(tmp_path / "local", step)
                try:
                    mirror.send()
                except OSError as error:
                    assert error.errno == number
                    failed += 1
        step, generator_step, steps = fetched(drive, tmp_path)
        assert step >= 5 - failed and generator_step >= 5 - failed, (at, failed)
        assert steps[:step] == list(range(1, step + 1)), (at, failed)
        mirror.send()
        assert fetched(drive, tmp_path) == (5, 5, [1, 2, 3, 4, 5])
        assert not [path for path in drive.rglob("*.partial") if path.stat().st_size]
        if not failed:
            break
    assert at > 20  # places where it failed, and none was left


def test_a_machine_lost_at_any_moment_of_sending_loses_nothing_that_was_sent(drive, work, tmp_path):
    last = 0
    for n in range(30):
        heard, told = os.pipe()

        def go_on(first=last + 1, told=told):
            mirror = Mirror(tmp_path / "local", drive)
            mirror.fetch()
            for step in itertools.count(first):
                work(tmp_path / "local", step)
                mirror.send()
                os.write(told, step.to_bytes(4, "big"))

        child = in_a_child(go_on)
        os.close(told)
        sent = max(last, int.from_bytes(os.read(heard, 4), "big"))
        time.sleep(0.003 * n)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(heard, 4):
            sent = int.from_bytes(more, "big")
        os.close(heard)
        shutil.rmtree(tmp_path / "local")  # and its disk
        step, generator_step, steps = fetched(drive, tmp_path)
        assert step >= sent and generator_step >= sent and steps[:step] == list(range(1, step + 1))
        last = step
    assert last > 30


def train(dataset, config, mirror, steps, intervals=Intervals(0, 1e6)):  # noqa: B008 (frozen)
    limits = Limits(steps=steps)
    return train_gan(
        dataset, config, mirror.local, torch.device("cpu"), limits, intervals, compiled=False, mirror=mirror
    )


def test_a_run_goes_on_from_the_drive_as_if_it_had_never_moved(drive, dataset, tiny_run, tmp_path):
    for machine, steps in (("first", 3), ("second", 6)):
        mirror = Mirror(tmp_path / machine, drive)
        mirror.fetch()
        assert train(dataset, tiny_run(), mirror, steps).step == steps
    whole = Mirror(tmp_path / "whole", tmp_path / "other drive")
    train_gan(dataset, tiny_run(), whole.local, torch.device("cpu"), Limits(steps=6), Intervals(1e6, 1e6))
    one, other = (load_newest_checkpoint(folder / "checkpoints")[0] for folder in (drive, whole.local))
    assert_same(one["players"], other["players"])
    assert torch.equal(one["rng"], other["rng"])
    steps = [line["step"] for line in read_metrics(drive / "metrics.jsonl", "training")]
    assert steps == sorted(set(steps)) and steps[-1] == 6


def test_a_drive_that_goes_away_in_mid_run_is_told_of_once_and_gets_everything_later(
    drive, dataset, tiny_run, tmp_path
):
    mirror = Mirror(tmp_path / "local", drive)
    train(dataset, tiny_run(), mirror, 2)
    drive.rename(tmp_path / "away")
    with pytest.warns(TrainingWarning, match="is the drive mounted") as told:
        train(dataset, tiny_run(), mirror, 5)
    words = [str(warning.message) for warning in told if "goes on" in str(warning.message)]
    assert [("could not be written to" in text, "Training goes on" in text) for text in words].count(
        (True, True)
    ) == 1
    assert str(tmp_path / "local") in words[-1]  # at the end: where it is
    assert not drive.exists(), "nothing may be made in the place of the mount"
    assert load_newest_checkpoint(tmp_path / "away" / "checkpoints")[0]["step"] == 2
    (tmp_path / "away").rename(drive)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        mirror.fetch()
        train(dataset, tiny_run(), mirror, 5)
    assert load_newest_checkpoint(drive / "checkpoints")[0]["step"] == 5


def test_a_run_of_a_drive_is_trained_elsewhere_and_comes_back(drive, work, tmp_path):
    mirror = Mirror(tmp_path / "local", drive)
    for step in (1, 2):
        work(tmp_path / "local", step)
        mirror.send()
    shutil.move(drive, tmp_path / "moved")
    assert load_newest_checkpoint(tmp_path / "moved" / "checkpoints")[0]["step"] == 2
    work(tmp_path / "moved", 7)
    assert sorted(path.name for path in (tmp_path / "moved" / "checkpoints").glob("*.pt")) == [
        "b.pt",
        "step-00000007.pt",
    ]
    shutil.move(tmp_path / "moved", drive)
    mirror = Mirror(tmp_path / "local", drive)
    assert mirror.fetch() == []
    work(tmp_path / "local", 8)
    mirror.send()
    assert fetched(drive, tmp_path)[0] == 8
    assert sorted(path.name for path in (drive / "checkpoints").glob("*.pt")) == ["a.pt", "b.pt"]


def test_a_damaged_checkpoint_on_the_drive_is_named_and_the_other_taken_and_kept(drive, work, tmp_path):
    mirror = Mirror(tmp_path / "local", drive)
    for step in (1, 2):
        work(tmp_path / "local", step)
        mirror.send()
    content = bytearray((drive / "checkpoints" / "b.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (drive / "checkpoints" / "b.pt").write_bytes(content)
    mirror = Mirror(tmp_path / "new", drive)
    (problem,) = mirror.fetch()
    assert "b.pt cannot be read (its digest is another)" in problem
    assert load_newest_checkpoint(tmp_path / "new" / "checkpoints")[0]["step"] == 1
    work(tmp_path / "new", 4)
    mirror.send()
    assert {path.stem for path in (drive / "checkpoints").glob("*.pt")} == {"a", "b"}
    assert [load_newest_checkpoint(drive / "checkpoints")[0]["step"]] == [4]


def test_samples_on_the_drive_are_bounded_and_keep_the_first(drive, work, tmp_path):
    mirror = Mirror(tmp_path / "local", drive)
    for step in range(1, 3 * SAMPLES_KEPT):
        folder = tmp_path / "local" / "samples" / f"{step:08d}"
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(b"a sound")
        if step % 20 == 0:
            mirror.send()
            assert len(list((drive / "samples").iterdir())) <= SAMPLES_KEPT + 20
    kept = sorted(path.name for path in (drive / "samples").iterdir())
    assert kept[0] == "00000001" and len(kept) <= SAMPLES_KEPT


def test_a_drive_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(OSError, match="no drive is not there: is the drive mounted"):
        Mirror(tmp_path / "local", tmp_path / "no drive").fetch()
