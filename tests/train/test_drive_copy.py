"""A run on a drive that fails, fills up or goes away: nothing that was sent is ever lost."""

import contextlib
import errno
import itertools
import os
import shutil
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch
from drives import Faults, ReadFaults, new_drive, train_with
from failing import in_a_child
from states import assert_same

from helpers import files
from helpers.files import STEP_FOLDERS_KEPT, stamped_name
from helpers.gan.generator_file import load_generator, read_origin
from helpers.judge.faults import TrainingWarning
from helpers.run.folder import open_run
from helpers.train.checkpoints import load_newest_checkpoint
from helpers.train.drive_copy import DriveCopy, OvertakenError, newest_generator
from helpers.train.loop import train_gan
from helpers.train.metrics_file import add_quality_file, drop_lines_after, read_metrics
from helpers.train.schedule import Intervals, Limits


def steps_of(folder) -> list[int]:
    return [line["step"] for line in read_metrics(folder / "metrics.jsonl", "training")]


def fetched(drive, tmp_path, name="another machine"):
    """The step of checkpoint, generator and metrics that a machine gets which has nothing."""
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    DriveCopy(tmp_path / name, drive).fetch()
    checkpoint, problems = load_newest_checkpoint(tmp_path / name / "checkpoints")
    assert problems == []
    if checkpoint is None:
        return 0, 0, []
    weights = checkpoint.tensors["weights"]
    assert torch.equal(weights, torch.full((300,), float(checkpoint.step)))
    generator = tmp_path / name / "generator.safetensors"
    load_generator(generator)
    return checkpoint.step, read_origin(generator)["step"], steps_of(tmp_path / name)


def names_on(drive) -> list[str]:
    """The names of checkpoints, metrics and generators on a drive, without their digests."""
    found = [p.name.split(".") for p in drive.rglob("*.*") if p.parent.name != "00000001"]
    return sorted(f"{name[0]}.{name[-1]}" for name in found if len(name) == 3)


def only(folder, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def contents(drive) -> dict:
    return {path: path.read_bytes() for path in drive.rglob("*.*")}


def failing_with(number: int, *names: str):
    """write_synced on a disk that fails at files with one of these words in their path."""
    write = files.write_synced

    def failing(path, content):
        if any(name in str(path) for name in names):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            raise OSError(number, os.strerror(number))
        write(path, content)

    return failing


def test_what_is_sent_is_fetched_and_the_drive_keeps_two_checkpoints(drive, work, tmp_path):
    copy = DriveCopy(tmp_path / "local", drive)
    assert copy.fetch() == []
    for step in (1, 2, 3, 4):
        work(tmp_path / "local", step)
        copy.send()
        assert fetched(drive, tmp_path) == (step, step, list(range(1, step + 1)))
    assert names_on(drive) == [
        "beginning-00000001.txt",
        "generator-00000004.safetensors",
        "metrics-00000004.jsonl",
        "step-00000003.safetensors",
        "step-00000004.safetensors",
    ]
    before = {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}
    copy.send()  # nothing is new
    assert before == {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}


def test_nothing_on_the_drive_is_overwritten_renamed_or_appended_to(trained, drive, work):
    copy = trained(1)
    for step in (2, 3, 4):
        before = contents(drive)
        work(copy.local.root, step)
        copy.send()
        after = contents(drive)
        assert all(after[path] == content for path, content in before.items() if path in after)
        assert set(after) - set(before), "what is new has a new name"


def test_an_older_file_goes_only_when_the_newer_one_came_back_whole(
    trained, drive, work, monkeypatch
):
    copy = trained(1)
    work(copy.local.root, 2)
    read = Path.read_bytes

    def cut(path):
        content = read(path)
        return content[:-1] if path.name.startswith("generator-00000002") else content

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", cut)
        with pytest.raises(OSError, match="generator-00000002.* did not come back as it was"):
            copy.send()
    assert read_origin(only(drive, "generator-00000001.*"))["step"] == 1


def test_a_backup_by_a_hard_link_is_not_emptied(trained, drive, work, tmp_path):
    copy = trained(1)
    kept = only(drive / "checkpoints", "step-00000001.*")
    content = kept.read_bytes()
    os.link(kept, tmp_path / "backup")
    for step in (2, 3, 4):
        work(copy.local.root, step)
        copy.send()
    assert not kept.exists() and (tmp_path / "backup").read_bytes() == content


def test_a_newer_local_copy_is_kept_and_an_older_one_is_not(drive, work, tmp_path):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    work(tmp_path / "one", 5)
    one.send()
    work(tmp_path / "other", 3)
    other.fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0].step == 5
    work(tmp_path / "other", 9)  # not sent: the drive was gone
    DriveCopy(tmp_path / "other", drive).fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0].step == 9
    assert read_origin(tmp_path / "other" / "generator.safetensors")["step"] == 9


def test_measurements_that_were_added_on_the_drive_meanwhile_stay(trained, drive, work, tmp_path):
    copy = trained(1)
    add_quality_file(drive, {"kind": "quality", "accuracy": 0.9, "step": 1})
    copy.fetch()
    work(tmp_path / "local", 2)
    copy.send()
    add_quality_file(drive, {"kind": "quality", "accuracy": 0.8, "step": 2})
    assert steps_of(drive) == [1, 2]
    quality = read_metrics(drive / "metrics.jsonl", "quality")
    assert [line["accuracy"] for line in quality] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("number", "n_faults"),
    [(errno.EIO, 1), (errno.ENOTCONN, 2), (errno.ENOSPC, 10**6), (errno.EROFS, 10**6)],
    ids=["EIO once", "ENOTCONN twice", "ENOSPC from then on", "EROFS from then on"],
)
def test_no_fault_of_the_drive_loses_what_was_sent(
    drive, work, tmp_path, monkeypatch, number, n_faults
):
    """Every open, write and truncation on the drive fails; each time the machine is lost, too."""
    monkeypatch.setattr(files.os, "fsync", lambda _: None)  # takes most of the time
    for at in itertools.count(1):
        new_drive(drive)
        shutil.rmtree(tmp_path / "local", ignore_errors=True)
        copy = DriveCopy(tmp_path / "local", drive)
        copy.fetch()
        for step in (1, 2):
            work(tmp_path / "local", step)
            copy.send()
        faults, failed = Faults(drive, number, at, n_faults), 0
        with monkeypatch.context() as patch:
            patch.setattr(files, "open", faults.open, raising=False)
            patch.setattr(files.os, "truncate", faults.truncate)
            for step in (3, 4, 5):
                work(tmp_path / "local", step)
                try:
                    copy.send()
                except OSError as error:
                    assert error.errno == number
                    failed += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step, generator_step, steps = fetched(drive, tmp_path)
        assert step >= 5 - failed and generator_step >= 5 - failed, (at, failed)
        assert steps[:step] == list(range(1, step + 1)), (at, failed)
        copy.send()
        assert fetched(drive, tmp_path) == (5, 5, [1, 2, 3, 4, 5])
        assert {name for name in names_on(drive) if not name.startswith("step-")} == {
            "beginning-00000001.txt",
            "generator-00000005.safetensors",
            "metrics-00000005.jsonl",
        }
        if not failed:
            break
    print(f"{at - 1} places where the drive failed with {errno.errorcode[number]}")
    assert at > 10  # places where it failed, and none was left


@pytest.mark.parametrize(
    ("number", "n_faults"), [(errno.ENOTCONN, 1), (errno.ENOENT, 1), (errno.ENOENT, 6)]
)
def test_no_fault_when_the_drive_is_read_is_taken_for_an_empty_drive(
    drive, work, tmp_path, monkeypatch, number, n_faults
):
    """Every reading of a file or folder fails, at the start of a session and in each sending.

    A mount that drops answers "no such file" for files that are there, for a while.
    """
    at = n_failed = 0
    while at == n_failed:
        at += 1
        new_drive(drive)
        for name in ("first", "second"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        first, second = (DriveCopy(tmp_path / name, drive) for name in ("first", "second"))
        first.fetch()
        for step in (1, 2):
            work(first.local.root, step)
            first.send()
        faults = ReadFaults(drive, at, number, n_faults)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", faults.on(Path.read_bytes))
            patch.setattr(os, "listdir", faults.on(os.listdir))
            for _ in range(n_faults + 1):
                with contextlib.suppress(OSError):
                    second.fetch()
                    break
            for step in (3, 4):
                work(second.local.root, step)
                with contextlib.suppress(OSError):
                    second.send()
        n_failed += faults.n >= at
        assert load_newest_checkpoint(second.local.checkpoints)[0].step == 4
        assert steps_of(second.local.root) == [1, 2, 3, 4], at
        assert fetched(drive, tmp_path)[0] >= 2 + (n_faults == 1), at
        second.send()
        assert fetched(drive, tmp_path) == (4, 4, [1, 2, 3, 4]), at
    print(f"{n_failed} places where reading failed with {errno.errorcode[number]}")
    assert at > 15  # readings that failed, and none was left


def test_a_drive_that_cannot_be_read_begins_no_new_run(drive, work, tmp_path, monkeypatch):
    first, second = (DriveCopy(tmp_path / name, drive) for name in ("first", "second"))
    first.fetch()
    for step in (100, 200):
        work(first.local.root, step)
        first.send()
    before = contents(drive)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            second.fetch()
    work(second.local.root, 1)  # whoever trains all the same
    with pytest.raises(OSError, match="trained on another machine too"):
        second.send()
    assert before == contents(drive)


@pytest.mark.parametrize("name", ["checkpoints", "generator-", "beginning-"])
def test_a_first_send_that_broke_off_is_sent_again_also_by_the_next_session(
    drive, work, tmp_path, monkeypatch, name
):
    copy = DriveCopy(tmp_path / "local", drive)
    with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        patch.setattr(files, "write_synced", failing_with(errno.EIO, f"{drive}/{name}"))
        copy.fetch()
        work(copy.local.root, 1)
        copy.send()
    copy = DriveCopy(copy.local.root, drive)
    assert len(copy.fetch()) == (name == "checkpoints")  # the half of one is named
    work(copy.local.root, 2)
    copy.send()
    assert fetched(drive, tmp_path)[0] == 2


def test_a_run_that_was_moved_to_the_drive_is_taken_up_and_sent(drive, work, tmp_path):
    work(drive, 7)
    for step in (8, 9):
        copy = DriveCopy(tmp_path / "local", drive)
        assert copy.fetch() == []
        work(copy.local.root, step)
        copy.send()
        assert fetched(drive, tmp_path) == (step, step, list(range(7, step + 1)))
    assert not (drive / "generator.safetensors").exists()


def test_where_the_drives_checkpoints_were_removed_the_local_copy_counts(trained, drive, tmp_path):
    copy = trained(1, 2)
    shutil.rmtree(drive / "checkpoints")
    with pytest.raises(OvertakenError):  # in mid-run nobody knows who did that
        copy.send()
    copy = DriveCopy(copy.local.root, drive)
    assert copy.fetch() == []
    copy.send()
    assert fetched(drive, tmp_path) == (2, 2, [1, 2])


def test_what_is_on_a_full_drive_is_fetched_without_writing_there(
    trained, drive, tmp_path, monkeypatch
):
    trained(1, name="first")
    content = only(drive, "generator-*").read_bytes()
    half = stamped_name("generator", 2, b"another", ".safetensors")
    (drive / half).write_bytes(content[:99])

    write = files.write_synced

    def full(path, content):
        assert not path.is_relative_to(drive)
        write(path, content)

    monkeypatch.setattr(files, "write_synced", full)
    assert DriveCopy(tmp_path / "second", drive).fetch() == []
    assert (tmp_path / "second" / "generator.safetensors").read_bytes() == content


def test_where_nothing_on_the_drive_is_whole_the_local_copy_counts(trained, drive, work, tmp_path):
    trained(1, 2)
    for path in (drive / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    for name in ("new", "local"):  # a machine that has nothing begins anew, and may send
        shutil.copytree(drive, tmp_path / f"drive of {name}")
        copy = DriveCopy(tmp_path / name, tmp_path / f"drive of {name}")
        assert len(copy.fetch()) == 2
        checkpoint, _ = load_newest_checkpoint(copy.local.checkpoints)
        assert (checkpoint is None) == (name == "new")
        work(copy.local.root, 3)
        copy.send()
        assert load_newest_checkpoint(copy.drive.checkpoints)[0].step == 3


def test_a_name_that_is_not_its_contents_makes_no_older_checkpoint_the_newest(
    trained, drive, work, tmp_path
):
    trained(1000, 1200)
    older = only(drive / "checkpoints", "step-00001000.*")
    digest = older.name.split(".")[1]
    wrong = f"{int(digest, 16) ^ 1:08x}"
    older.rename(older.with_name(f"step-00009000.{wrong}.safetensors"))
    new = DriveCopy(tmp_path / "new", drive)
    (problem,) = new.fetch()
    assert "step-00009000" in problem and "cannot be read" in problem
    work(new.local.root, 1300)
    new.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 1300


def test_a_run_that_was_moved_to_a_drive_without_room_is_sent_when_there_is_some(
    drive, work, tmp_path, monkeypatch
):
    for step in (8, 9):
        work(drive, step)
    copy = DriveCopy(tmp_path / "local", drive)
    copy.fetch()
    work(copy.local.root, 10)
    with monkeypatch.context() as patch:
        full = failing_with(errno.ENOSPC, f"{drive}/checkpoints")
        patch.setattr(files, "write_synced", full)
        with pytest.raises(OSError, match="No space left"):
            copy.send()
    for step in (11, 12):
        work(copy.local.root, step)
        copy.send()
        assert fetched(drive, tmp_path)[0] == step


def test_a_checkpoint_that_is_damaged_on_the_drive_is_sent_again_and_so_is_what_follows(
    trained, drive, work
):
    copy = trained(1, 2)
    only(drive / "checkpoints", "step-00000002.*").write_bytes(b"damaged")
    copy = DriveCopy(copy.local.root, drive)
    assert len(copy.fetch()) == 1
    copy.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 2
    for step in (3, 4):
        work(copy.local.root, step)
        copy.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 4


def test_foreign_files_beside_those_of_a_run_are_left_alone(drive, work, tmp_path):
    foreign = ["step-00000009.pt (1)", "step-9.00000000.safetensors", "notes.txt", "generator-x"]
    (drive / "checkpoints").mkdir()
    for name in foreign:
        (drive / "checkpoints" / name).write_text("mine")
    copy = DriveCopy(tmp_path / "local", drive)
    for step in (1, 2, 3):
        assert copy.fetch() == []
        work(copy.local.root, step)
        copy.send()
    assert all((drive / "checkpoints" / name).read_text() == "mine" for name in foreign)


def test_folders_among_the_pictures_and_sounds_are_left_alone(drive, work, tmp_path):
    copy = DriveCopy(tmp_path / "local", drive)
    copy.fetch()
    work(copy.local.root, 1)
    (copy.local.samples / ".ipynb_checkpoints").mkdir()
    copy.send()
    assert (drive / "samples" / "00000001" / "a.wav").exists()


def test_a_damaged_generator_is_not_sent_and_is_fetched_again(trained, drive):
    copy = trained(1)
    content = bytearray(copy.local.generator.read_bytes())
    content[-100] ^= 1
    copy.local.generator.write_bytes(content)
    with pytest.raises(OSError, match="generator.safetensors is damaged"):
        copy.send()
    load_generator(newest_generator(drive))
    DriveCopy(copy.local.root, drive).fetch()
    load_generator(copy.local.generator)


def test_an_older_checkpoint_is_never_sent_over_a_newer(trained, drive):
    copy = trained(3, 4)
    only(copy.local.checkpoints, "step-00000004.*").write_bytes(b"damaged")
    before = {path: content for path, content in contents(drive).items() if "step-" in path.name}
    with pytest.raises(OSError, match="step-00000004.* cannot be read"):
        copy.send()
    after = contents(drive)
    assert all(after[path] == content for path, content in before.items())


@pytest.mark.parametrize("name", ["generator-", "metrics-"])
def test_what_broke_off_while_it_was_sent_is_passed_over_where_the_folder_is_opened(
    trained, drive, work, tmp_path, monkeypatch, name
):
    copy = trained(1, 2)
    work(copy.local.root, 3)
    failing = failing_with(errno.EIO, str(drive / name))
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_synced", failing)
        with pytest.raises(OSError, match="Input/output error"):
            copy.send()
    for moved in ("opened by 03_train", "opened by 04_listen"):
        shutil.copytree(drive, tmp_path / moved)
        run = open_run(str(tmp_path / moved))
        if "03" in moved:
            assert run.open_drive_copy() is None
            assert run.generator.exists()
        assert read_origin(run.find_generator())["step"] == 2
        load_generator(run.find_generator())
        assert steps_of(run.root) == ([1, 2] if name == "metrics-" else [1, 2, 3])


def test_pictures_are_sent_and_a_drive_that_is_away_at_the_end_is_named(drive, work, tmp_path):
    copy = DriveCopy(tmp_path / "local", drive)
    copy.fetch()
    work(copy.local.root, 1)
    copy.local.pictures.mkdir()
    (copy.local.pictures / "losses-00000001.png").write_bytes(b"a picture")
    assert copy.try_to_send() == f"sent to {drive}"
    assert (drive / "pictures" / "losses-00000001.png").read_bytes() == b"a picture"
    drive.rename(tmp_path / "away")
    (drive / "pictures").mkdir(parents=True)  # made by whoever took it for a folder
    assert "is the drive mounted?); it is in" in copy.try_to_send()
    assert [path.name for path in drive.rglob("*")] == ["pictures"]


def test_a_machine_lost_at_any_moment_of_sending_loses_nothing_that_was_sent(drive, work, tmp_path):
    last = 0
    for n in range(30):
        reading, writing = os.pipe()

        def go_on(first=last + 1, pipe=writing):
            copy = DriveCopy(tmp_path / "local", drive)
            copy.fetch()
            drop_lines_after(copy.local.metrics, first - 1)  # as training does
            for step in itertools.count(first):
                work(tmp_path / "local", step)
                copy.send()
                os.write(pipe, step.to_bytes(4, "big"))

        child = in_a_child(go_on)
        os.close(writing)
        sent = max(last, int.from_bytes(os.read(reading, 4), "big"))
        time.sleep(0.003 * n)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 4):
            sent = int.from_bytes(more, "big")
        os.close(reading)
        shutil.rmtree(tmp_path / "local")  # and its disk
        step, generator_step, steps = fetched(drive, tmp_path)
        assert step >= sent and generator_step >= sent
        assert steps[:step] == list(range(1, step + 1))
        last = step
    assert last >= 30  # each machine sent at least once


def test_a_run_goes_on_from_the_drive_as_if_it_had_never_moved(drive, dataset, tiny_run, tmp_path):
    for machine, steps in (("first", 3), ("second", 6)):
        copy = DriveCopy(tmp_path / machine, drive)
        copy.fetch()
        assert train_with(dataset, tiny_run(), copy, steps).step == steps
    limits, seldom = Limits(steps=6), Intervals(1e6, 1e6)
    train_gan(dataset, tiny_run(), tmp_path / "whole", torch.device("cpu"), limits, seldom)
    folders = (drive, tmp_path / "whole")
    one, other = (load_newest_checkpoint(folder / "checkpoints")[0] for folder in folders)
    assert_same(one.tensors, other.tensors)
    steps = steps_of(drive)
    assert steps == sorted(set(steps)) and steps[-1] == 6


def test_a_drive_that_goes_away_in_mid_run_is_named_once_and_gets_everything_later(
    drive, dataset, tiny_run, tmp_path
):
    copy = DriveCopy(tmp_path / "local", drive)
    copy.fetch()
    train_with(dataset, tiny_run(), copy, 2)
    drive.rename(tmp_path / "away")
    with pytest.warns(TrainingWarning, match="is the drive mounted") as shown:
        train_with(dataset, tiny_run(), copy, 5)
    words = [str(warning.message) for warning in shown if "goes on" in str(warning.message)]
    assert ["could not be written" in text for text in words].count(True) == 1
    assert str(tmp_path / "local") in words[-1]  # at the end: where it is
    assert not drive.exists(), "nothing may be made in the place of the mount"
    assert load_newest_checkpoint(tmp_path / "away" / "checkpoints")[0].step == 2
    (tmp_path / "away").rename(drive)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        copy.fetch()
        train_with(dataset, tiny_run(), copy, 5)
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 5


def test_a_run_of_a_drive_is_trained_elsewhere_and_comes_back(trained, drive, work, tmp_path):
    trained(1, 2)
    shutil.move(drive, tmp_path / "moved")
    assert load_newest_checkpoint(tmp_path / "moved" / "checkpoints")[0].step == 2
    run = open_run(str(tmp_path / "moved"))
    assert run.open_drive_copy() is None and read_origin(run.generator)["step"] == 2
    work(tmp_path / "moved", 7)
    assert steps_of(run.root) == [1, 2, 7] and read_origin(run.find_generator())["step"] == 7
    shutil.move(tmp_path / "moved", drive)
    copy = DriveCopy(tmp_path / "local", drive)
    (aside,) = copy.fetch()
    assert aside.endswith(
        f"by another machine, and counts; what was here is in {tmp_path}/local.before-1"
    )
    work(tmp_path / "local", 8)
    copy.send()
    assert fetched(drive, tmp_path) == (8, 8, [1, 2, 7, 8])


def test_a_damaged_checkpoint_on_the_drive_is_named_and_the_other_taken_and_kept(
    trained, drive, work, tmp_path
):
    trained(1, 2)
    newest = only(drive / "checkpoints", "step-00000002.*")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    copy = DriveCopy(tmp_path / "new", drive)
    (problem,) = copy.fetch()
    assert "step-00000002" in problem and "content does not match its name" in problem
    assert load_newest_checkpoint(tmp_path / "new" / "checkpoints")[0].step == 1
    work(tmp_path / "new", 4)
    copy.send()
    assert load_newest_checkpoint(drive / "checkpoints")[0].step == 4


def test_samples_on_the_drive_are_bounded_and_keep_the_first(drive, tmp_path):
    copy = DriveCopy(tmp_path / "local", drive)
    copy.fetch()
    for step in range(1, 3 * STEP_FOLDERS_KEPT):
        folder = tmp_path / "local" / "samples" / f"{step:08d}"
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(b"a sound")
        if step % 20 == 0:
            copy.send()
            assert len(list((drive / "samples").iterdir())) <= STEP_FOLDERS_KEPT + 20
    kept = sorted(path.name for path in (drive / "samples").iterdir())
    assert kept[0] == "00000001" and len(kept) <= STEP_FOLDERS_KEPT


def test_a_drive_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(OSError, match="no drive is not there, or holds no run: is the drive"):
        DriveCopy(tmp_path / "local", tmp_path / "no drive").fetch()
