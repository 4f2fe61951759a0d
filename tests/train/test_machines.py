"""Several machines train one run on a drive: it goes on from what was sent last."""

import contextlib
import errno
import json
import os
import random
import shutil
from pathlib import Path

import pytest
from drives import Faults, ReadFaults, train_with

from helpers import files
from helpers.judge.faults import TrainingWarning
from helpers.run.folder import RunFolder, open_run
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.drive_copy import DriveCopy, OvertakenError
from helpers.train.metrics_file import append_metrics, drop_lines_after, read_metrics


class World:
    """Machines that train one run on a drive which fails now and then.

    Each checkpoint holds its history: which machine made each step.
    """

    def __init__(self, place, drive, seed: int, monkeypatch):
        self.place, self.drive, self.random, self.patch = (
            place,
            drive,
            random.Random(seed),
            monkeypatch,
        )
        self.mirrors: dict[str, DriveCopy] = {}
        self.sent: list[str] = []  # the history of what was sent last
        self.n_sent = self.n_trained = self.n_before = (
            0  # n_before: trained before the run was started over
        )

    def history(self, local) -> list[str]:
        checkpoint, _ = load_newest_checkpoint(local / "checkpoints")
        return checkpoint.note["history"] if checkpoint else []

    def begin(self, machine):
        before = self.history(self.place / machine)
        self.mirrors.pop(machine, None)
        mirror = DriveCopy(self.place / machine, self.drive)
        with contextlib.suppress(OSError), self.faults():
            mirror.fetch()
            self.mirrors[machine] = mirror
            history = self.history(mirror.local.root)  # as training does where it goes on
            drop_lines_after(
                mirror.local.root / "metrics.jsonl", int(history[-1].split()[-1]) if history else 0
            )
        asides = [self.history(folder) for folder in self.place.glob(f"{machine}.before-*")]
        held = [self.history(self.place / machine), *asides]
        assert any(history[: len(before)] == before for history in held), (
            "what was here is here, or set aside"
        )

    def train(self, machine):
        if machine in self.mirrors:
            local, self.n_trained = self.mirrors[machine].local.root, self.n_trained + 1
            history = self.history(local)
            step = int(history[-1].split()[-1]) + self.random.randint(1, 3) if history else 1
            note = {"history": [*history, f"{machine} {self.n_trained} {step}"]}
            append_metrics(local / "metrics.jsonl", {"kind": "training", "step": step})
            save_checkpoint(local / "checkpoints", Checkpoint(step, {}, note))

    def send(self, machine):
        if machine in self.mirrors:
            with contextlib.suppress(OSError):
                with self.faults():
                    self.mirrors[machine].send()
                self.sent = self.history(self.mirrors[machine].local.root)
                self.n_sent += 1

    def lose(self, machine):
        self.mirrors.pop(machine, None)
        shutil.rmtree(self.place / machine, ignore_errors=True)

    def restart_kernel(self, machine):
        self.mirrors.pop(machine, None)

    def start_over(self, machine):
        self.mirrors.pop(machine, None)
        RunFolder(self.drive, self.place, self.place, self.place / machine).restart()
        self.sent, self.n_before = [], self.n_trained

    @contextlib.contextmanager
    def faults(self):
        at = self.random.randint(1, 40)  # most of these are never reached
        kind = self.random.choice(("read", "write", "write"))
        with self.patch.context() as patch:
            if kind == "read":
                number = self.random.choice((errno.ENOTCONN, errno.ENOENT))
                faults = ReadFaults(self.drive, at, number, n_faults=3)
                patch.setattr(Path, "read_bytes", faults.on(Path.read_bytes))
                patch.setattr(os, "listdir", faults.on(os.listdir))
            else:
                faults = Faults(self.drive, self.random.choice((errno.EIO, errno.ENOSPC)), at, 3)
                patch.setattr(files, "open", faults.open, raising=False)
                patch.setattr(files.os, "truncate", faults.truncate)
            yield


@pytest.mark.parametrize("seed", range(40))
def test_whatever_machines_and_a_drive_do_the_drive_goes_on_from_what_was_sent(
    tmp_path, drive, monkeypatch, seed
):
    monkeypatch.setattr(files.os, "fsync", lambda _: None)
    world = World(tmp_path / "machines", drive, seed, monkeypatch)
    doings = (
        [world.begin] * 2
        + [world.train] * 3
        + [world.send] * 3
        + [world.lose, world.restart_kernel]
    )
    for n in range(200):
        if n % 70 == 69:
            world.start_over("other")
        world.random.choice(doings)(world.random.choice(("one", "other", "third")))
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        DriveCopy(tmp_path / "fresh", drive).fetch()
        there = world.history(tmp_path / "fresh")
        assert there[: len(world.sent)] == world.sent
        assert all(int(words.split()[1]) > world.n_before for words in there)
        steps = [
            line["step"] for line in read_metrics(tmp_path / "fresh" / "metrics.jsonl", "training")
        ]
        mine = [int(words.split()[-1]) for words in there]
        assert [step for step in steps if mine and step <= mine[-1]] == mine
    assert world.n_sent > 3


MACHINES = ("one", "other")


def tags(folder) -> list:
    """Each training step, and which machine made it."""
    lines = read_metrics(folder / "metrics.jsonl", "training")
    return [(line["step"], MACHINES[line["by"]]) for line in lines]


@pytest.fixture
def work_as(work):
    """A function: the same work, with the machine's name in its lines of metrics."""

    def write(mirror, step: int, send: bool = True) -> None:
        work(mirror.local.root, step)
        lines = (mirror.local.root / "metrics.jsonl").read_text().splitlines()
        named = json.dumps(json.loads(lines[-1]) | {"by": MACHINES.index(mirror.local.root.name)})
        (mirror.local.root / "metrics.jsonl").write_text("\n".join([*lines[:-1], named, ""]))
        if send:
            mirror.send()

    return write


def test_where_two_machines_went_on_the_drive_counts_and_the_others_work_is_set_aside(
    drive, work_as, tmp_path
):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    for step in (2, 4):
        work_as(one, step)
    for step in (6, 8, 20):
        work_as(one, step, send=False)  # the drive was away
    other.fetch()
    for step in (6, 9, 12):
        work_as(other, step)
    before = {path: path.read_bytes() for path in drive.rglob("*.*")}
    with pytest.raises(
        OSError, match="was changed meanwhile: this run is trained on another machine too"
    ):
        one.send()
    assert before == {path: path.read_bytes() for path in drive.rglob("*.*")}
    one = DriveCopy(one.local.root, drive)
    (aside,) = one.fetch()
    assert load_newest_checkpoint(one.local.root / "checkpoints")[0].step == 12
    assert load_newest_checkpoint(tmp_path / "one.before-1" / "checkpoints")[0].step == 20
    assert str(tmp_path / "one.before-1") in aside
    work_as(one, 14)
    assert tags(drive) == [
        (2, "one"),
        (4, "one"),
        (6, "other"),
        (9, "other"),
        (12, "other"),
        (14, "one"),
    ]


def test_a_run_that_was_started_over_elsewhere_does_not_come_back(drive, work_as, tmp_path):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    for step in (900, 1000):
        work_as(one, step)
    RunFolder(drive, tmp_path, tmp_path, other.local.root).restart()
    other.fetch()
    for n_sent, step in enumerate((100, 200)):
        one = DriveCopy(one.local.root, drive)
        assert len(one.fetch()) == 1 and (tmp_path / f"one.before-{n_sent + 1}").is_dir()
        if n_sent:
            assert load_newest_checkpoint(one.local.root / "checkpoints")[0].step == 100
        else:  # nothing was trained yet where it was started over
            assert load_newest_checkpoint(one.local.root / "checkpoints") == (None, [])
        work_as(one, 1010, send=False)
        work_as(other, step)
    with pytest.raises(OvertakenError):
        one.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 200
    assert tags(drive) == [(100, "other"), (200, "other")]


def test_a_run_that_was_started_over_off_the_drive_does_not_come_back_either(
    trained, drive, tmp_path
):
    mirror = trained(1, 9)
    shutil.move(drive, tmp_path / "moved")
    open_run(str(tmp_path / "moved")).restart()
    shutil.move(tmp_path / "moved", drive)
    assert len(DriveCopy(mirror.local.root, drive).fetch()) == 1
    assert load_newest_checkpoint(mirror.local.root / "checkpoints") == (None, [])


def test_what_another_machine_sends_while_this_one_fetches_is_fetched(
    drive, work_as, tmp_path, monkeypatch
):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    other.fetch()
    for step in (10, 12):
        work_as(other, step)
    read = files.read_newest

    def meanwhile(listed):
        found = read(listed)
        if listed and listed[0].path.parent == drive / "checkpoints":
            monkeypatch.setattr(files, "read_newest", read)
            work_as(other, 14)
        return found

    monkeypatch.setattr(files, "read_newest", meanwhile)
    with pytest.raises(FileNotFoundError):  # what it has listed is gone: it is to be run again
        one.fetch()
    one.fetch()
    assert load_newest_checkpoint(one.local.checkpoints)[0].step == 14
    work_as(one, 15)
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 15


def test_a_checkpoint_that_arrives_on_the_drive_after_its_name_is_not_lost(
    drive, work_as, tmp_path
):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    other.fetch()
    for step in (2, 50):
        work_as(other, step)
    (arriving,) = (drive / "checkpoints").glob("step-00000050.*")
    content = arriving.read_bytes()
    arriving.write_bytes(content[:99])  # the upload of a large file takes longer
    assert len(one.fetch()) == 1
    arriving.write_bytes(content)
    with pytest.raises(OvertakenError):
        work_as(one, 3)
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 50
    assert len(DriveCopy(one.local.root, drive).fetch()) == 1
    assert load_newest_checkpoint(one.local.checkpoints)[0].step == 50


def test_a_copy_of_before_the_first_checkpoint_is_set_aside_too(drive, work_as, tmp_path):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    append_metrics(one.local.root / "metrics.jsonl", {"kind": "training", "step": 5, "by": 0})
    other.fetch()
    work_as(other, 5)
    one = DriveCopy(one.local.root, drive)
    assert len(one.fetch()) == 1
    assert tags(one.local.root) == [(5, "other")]


def test_any_number_of_sends_that_fail_leave_the_drive_to_the_machine_that_wrote_it(
    drive, work_as, tmp_path, monkeypatch
):
    one = DriveCopy(tmp_path / "one", drive)
    one.fetch()
    work_as(one, 1)
    write = files.write_synced

    def full(path, content):
        if path.parent == drive / "checkpoints":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(files, "write_synced", full)
    for step in range(2, 130):
        work_as(one, step, send=False)
        with pytest.raises(OSError, match="No space left"):
            one.send()
    monkeypatch.setattr(files, "write_synced", write)
    assert DriveCopy(one.local.root, drive).fetch() == []
    one.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 129


def test_training_that_another_machine_overtook_says_so_and_where_its_work_is(
    drive, dataset, tiny_run, tmp_path
):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    train_with(dataset, tiny_run(), one, 2)
    other.fetch()
    train_with(dataset, tiny_run(), other, 4)
    with pytest.warns(
        TrainingWarning, match="trained on another machine too.* Stop one of the two"
    ) as shown:
        train_with(dataset, tiny_run(), one, 5)
    assert "what was trained here is set aside" in str(shown[-1].message)
    assert f"it is in {one.local.root}" in str(shown[-1].message)
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 4


def test_two_machines_that_begin_at_once_do_not_overwrite_each_other(drive, work_as, tmp_path):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    other.fetch()
    work_as(other, 5)
    with pytest.raises(OvertakenError):
        work_as(one, 7)
    assert tags(drive) == [(5, "other")]
