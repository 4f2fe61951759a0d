"""A run on a drive that fails, fills up, goes away or is left half written: nothing that was sent is ever lost."""

import contextlib
import errno
import hashlib
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
from helpers.files import SAMPLES_KEPT
from helpers.gan.generator_file import load_generator, read_generator_note
from helpers.judge.advice import TrainingWarning
from helpers.run.folder import open_run
from helpers.train import drive_copy as mirror_module
from helpers.train.checkpoints import load_newest_checkpoint, newest_whole, save_checkpoint
from helpers.train.drive_copy import DriveCopy, OvertakenError
from helpers.train.loop import Intervals, Limits, train_gan
from helpers.train.metrics_file import append_metrics, drop_lines_after, read_metrics


def fetched(drive, tmp_path, name="another machine"):
    """What a machine that has nothing gets from the drive: the last step of checkpoint, generator and metrics."""
    shutil.rmtree(tmp_path / name, ignore_errors=True)
    DriveCopy(tmp_path / name, drive).fetch()
    state, problems = load_newest_checkpoint(tmp_path / name / "checkpoints")
    assert problems == []
    if state is None:
        return 0, 0, []
    assert torch.equal(state["weights"], torch.full((300,), float(state["step"])))
    generator = tmp_path / name / "generator.safetensors"
    load_generator(generator)
    steps = [line["step"] for line in read_metrics(tmp_path / name / "metrics.jsonl", "training")]
    return state["step"], read_generator_note(generator)["step"], steps


def test_what_is_sent_is_fetched_and_the_drive_keeps_two_checkpoints(drive, work, tmp_path):
    mirror = DriveCopy(tmp_path / "local", drive)
    assert mirror.fetch() == []
    for step in (1, 2, 3, 4):
        work(tmp_path / "local", step)
        mirror.send()
        assert fetched(drive, tmp_path) == (step, step, list(range(1, step + 1)))
    assert sorted(path.name for path in (drive / "checkpoints").iterdir()) == [
        "a.json",
        "a.pt",
        "b.json",
        "b.pt",
    ]
    assert not list(drive.rglob("*.copy"))
    before = {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}
    mirror.send()  # nothing is new
    assert before == {path: path.stat().st_mtime_ns for path in drive.rglob("*.*")}


def test_the_drive_is_not_overtaken_by_an_older_copy_nor_a_newer_copy_by_the_drive(
    drive, work, tmp_path
):
    one, other = (DriveCopy(tmp_path / name, drive) for name in ("one", "other"))
    one.fetch()
    work(tmp_path / "one", 5)
    one.send()
    work(tmp_path / "other", 3)
    other.fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0]["step"] == 5
    work(tmp_path / "other", 9)  # not sent: the drive was gone
    DriveCopy(tmp_path / "other", drive).fetch()
    assert load_newest_checkpoint(tmp_path / "other" / "checkpoints")[0]["step"] == 9
    assert read_generator_note(tmp_path / "other" / "generator.safetensors")["step"] == 9


def test_lines_that_were_written_to_the_drive_meanwhile_stay(trained, drive, work, tmp_path):
    mirror = trained(1)
    append_metrics(drive / "metrics.jsonl", {"kind": "quality", "accuracy": 0.9, "step": 1})
    mirror.fetch()
    work(tmp_path / "local", 2)
    mirror.send()
    assert [line["step"] for line in read_metrics(drive / "metrics.jsonl", "training")] == [1, 2]
    assert len(read_metrics(drive / "metrics.jsonl", "quality")) == 1


@pytest.mark.parametrize(
    ("number", "n_faults"),
    [(errno.EIO, 1), (errno.ENOTCONN, 2), (errno.ENOSPC, 10**6), (errno.EROFS, 10**6)],
    ids=["EIO once", "ENOTCONN twice", "ENOSPC from then on", "EROFS from then on"],
)
def test_no_fault_of_the_drive_loses_what_was_sent(
    drive, work, tmp_path, monkeypatch, number, n_faults
):
    """Every open, write and truncation on the drive fails; each time it is tried again, and the machine is lost."""
    monkeypatch.setattr(files.os, "fsync", lambda _: None)  # takes most of the time
    for at in itertools.count(1):
        new_drive(drive)
        shutil.rmtree(tmp_path / "local", ignore_errors=True)
        mirror = DriveCopy(tmp_path / "local", drive)
        mirror.fetch()
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
        assert not [path for path in drive.rglob("*.copy") if path.stat().st_size]
        if not failed:
            break
    assert at > 20  # places where it failed, and none was left


def test_no_fault_of_the_drive_when_it_is_read_is_taken_for_an_empty_drive(
    drive, work, tmp_path, monkeypatch
):
    """Every reading of a file or a folder fails once, at the start of a session and in each sending."""
    at = n_failed = 0
    while at == n_failed:
        at += 1
        new_drive(drive)
        for name in ("first", "second"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        first, second = (DriveCopy(tmp_path / name, drive) for name in ("first", "second"))
        first.fetch()
        for step in (1, 2):
            work(first.local, step)
            first.send()
        faults = ReadFaults(drive, at)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", faults.on(Path.read_bytes))
            patch.setattr(os, "listdir", faults.on(os.listdir))
            for _ in range(2):
                with contextlib.suppress(OSError):
                    second.fetch()
                    break
            for step in (3, 4):
                work(second.local, step)
                with contextlib.suppress(OSError):
                    second.send()
        n_failed += faults.n >= at
        assert fetched(drive, tmp_path)[0] >= 3, at
        second.send()
        assert fetched(drive, tmp_path) == (4, 4, [1, 2, 3, 4]), at
    assert at > 20  # readings that failed, and none was left


def test_a_drive_that_cannot_be_read_begins_no_new_run(drive, work, tmp_path, monkeypatch):
    first, second = (DriveCopy(tmp_path / name, drive) for name in ("first", "second"))
    first.fetch()
    for step in (100, 200):
        work(first.local, step)
        first.send()
    before = {path: path.read_bytes() for path in drive.rglob("*.*")}

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            second.fetch()
    work(second.local, 1)  # whoever trains all the same
    with pytest.raises(OSError, match="trained on another machine too"):
        second.send()
    assert before == {path: path.read_bytes() for path in drive.rglob("*.*")}


@pytest.mark.parametrize("name", ["checkpoints", "generator.safetensors.copy", "beginning.txt"])
def test_a_first_send_that_broke_off_is_sent_again_also_by_the_next_session(
    drive, work, tmp_path, monkeypatch, name
):
    write = files.write_in_place

    def failing(path, content):
        if name in str(path):
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write(path, content)

    mirror = DriveCopy(tmp_path / "local", drive)
    with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        for module in (files, mirror_module):
            patch.setattr(module, "write_in_place", failing)
        mirror.fetch()
        work(mirror.local, 1)
        mirror.send()
    mirror = DriveCopy(mirror.local, drive)
    assert mirror.fetch() == []
    work(mirror.local, 2)
    mirror.send()
    assert fetched(drive, tmp_path)[0] == 2


def test_a_run_that_was_moved_to_the_drive_without_digests_is_sent_past(drive, work, tmp_path):
    save_checkpoint({"step": 7, "weights": torch.full((300,), 7.0)}, drive / "checkpoints", 7)
    (drive / "checkpoints" / "step-00000007.sha256").unlink()
    for step in (8, 9):
        mirror = DriveCopy(tmp_path / "local", drive)
        assert mirror.fetch() == []
        work(mirror.local, step)
        mirror.send()
        assert fetched(drive, tmp_path)[0] == step


def test_where_the_drives_checkpoints_were_removed_the_local_copy_counts(trained, drive, tmp_path):
    mirror = trained(1, 2)
    shutil.rmtree(drive / "checkpoints")
    with pytest.raises(OvertakenError):  # in mid-run nobody knows who did that
        mirror.send()
    mirror = DriveCopy(mirror.local, drive)
    assert mirror.fetch() == []
    mirror.send()
    assert fetched(drive, tmp_path) == (2, 2, [1, 2])


def test_what_is_on_a_full_drive_is_fetched_without_writing_there(
    trained, drive, tmp_path, monkeypatch
):
    trained(1, name="first")
    content = (drive / "generator.safetensors").read_bytes()
    (drive / "generator.safetensors.copy").write_bytes(content)
    (drive / "generator.safetensors.sha256").write_text(hashlib.sha256(content).hexdigest())
    (drive / "generator.safetensors").write_bytes(content[:99])

    def full(path, _):
        assert not path.is_relative_to(drive)

    for module in (files, mirror_module):
        monkeypatch.setattr(module, "write_in_place", full)
    assert DriveCopy(tmp_path / "second", drive).fetch() == []
    assert (tmp_path / "second" / "generator.safetensors").read_bytes() == content


def test_where_nothing_on_the_drive_is_whole_the_local_copy_counts(trained, drive, work, tmp_path):
    mirror = trained(1, 2)
    for path in (drive / "checkpoints").glob("*.pt"):
        path.write_bytes(b"damaged")
    for name in ("new", "local"):  # a machine that has nothing begins anew, and may send
        shutil.copytree(drive, tmp_path / f"drive of {name}")
        mirror = DriveCopy(tmp_path / name, tmp_path / f"drive of {name}")
        assert len(mirror.fetch()) == 2
        assert (load_newest_checkpoint(mirror.local / "checkpoints")[0] is None) == (name == "new")
        work(mirror.local, 3)
        mirror.send()
        assert load_newest_checkpoint(mirror.drive / "checkpoints")[0]["step"] == 3


def test_a_flipped_bit_in_a_note_makes_no_older_checkpoint_the_newest(
    trained, drive, work, tmp_path
):
    trained(1000, 1200)
    note = drive / "checkpoints" / "a.json"
    note.write_text(note.read_text().replace("1000", "9000"))
    new = DriveCopy(tmp_path / "new", drive)
    (problem,) = new.fetch()
    assert "a.pt cannot be read" in problem
    work(new.local, 1300)
    new.send()
    assert fetched(drive, tmp_path)[0] == 1300
    assert newest_whole(drive / "checkpoints")[0].path.stem == "a", (
        "what was whole is not what is overwritten"
    )


def test_a_run_that_was_moved_to_a_drive_without_room_is_sent_when_there_is_some(
    drive, work, tmp_path, monkeypatch
):
    for step in (8, 9):
        save_checkpoint(
            {"step": step, "weights": torch.full((300,), float(step))}, drive / "checkpoints", step
        )
    mirror = DriveCopy(tmp_path / "local", drive)
    mirror.fetch()

    def full(path, content):
        if path.suffix == ".pt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        files.write_in_place(path, content)

    work(mirror.local, 10)
    with monkeypatch.context() as patch:
        patch.setattr(mirror_module, "write_in_place", full)
        with pytest.raises(OSError, match="No space left"):
            mirror.send()
    for step in (11, 12):
        work(mirror.local, step)
        mirror.send()
        assert fetched(drive, tmp_path)[0] == step


def test_a_checkpoint_that_is_damaged_on_the_drive_is_sent_again_and_so_is_what_follows(
    trained, drive, work
):
    mirror = trained(1, 2)
    (drive / "checkpoints" / "b.pt").write_bytes(b"damaged")
    mirror = DriveCopy(mirror.local, drive)
    assert len(mirror.fetch()) == 1
    mirror.send()
    assert newest_whole(drive / "checkpoints")[0].step == 2
    for step in (3, 4):
        work(mirror.local, step)
        mirror.send()
    assert newest_whole(drive / "checkpoints")[0].step == 4


def test_a_note_that_is_damaged_in_mid_run_does_not_end_the_sending(trained, drive, work):
    mirror = trained(1)
    for step in (2, 3, 4):
        (drive / "checkpoints" / f"{mirror.newest.path.stem}.json").write_text("{")
        work(mirror.local, step)
        mirror.send()
    assert newest_whole(drive / "checkpoints")[0].step == 4


def test_a_beginning_of_any_words_is_one(drive, work, tmp_path):
    (drive / "beginning.txt").write_text(" ab cd\nef\n")
    mirror = DriveCopy(tmp_path / "local", drive)
    for step in (1, 2):
        assert mirror.fetch() == []
        work(mirror.local, step)
        mirror.send()


def test_folders_among_the_pictures_and_sounds_are_left_alone(drive, work, tmp_path):
    mirror = DriveCopy(tmp_path / "local", drive)
    mirror.fetch()
    work(mirror.local, 1)
    (mirror.local / "samples" / ".ipynb_checkpoints").mkdir()
    mirror.send()
    assert (drive / "samples" / "00000001" / "a.wav").exists()


def test_a_damaged_generator_is_not_sent_and_is_fetched_again(trained, drive):
    mirror = trained(1)
    kept = mirror.local / "generator.safetensors"
    content = bytearray(kept.read_bytes())
    content[-100] ^= 1
    kept.write_bytes(content)
    with pytest.raises(OSError, match="generator.safetensors is damaged"):
        mirror.send()
    load_generator(drive / "generator.safetensors")
    DriveCopy(mirror.local, drive).fetch()
    load_generator(kept)


def test_an_older_checkpoint_is_never_sent_over_a_newer(trained, drive):
    mirror = trained(3, 4)
    (mirror.local / "checkpoints" / "step-00000004.pt").write_bytes(b"damaged")
    before = {path: path.read_bytes() for path in drive.rglob("*.*")}
    with pytest.raises(OSError, match="step-00000004.pt cannot be read"):
        mirror.send()
    assert before == {path: path.read_bytes() for path in drive.rglob("*.*")}


@pytest.mark.parametrize("name", ["generator.safetensors", "metrics.jsonl"])
def test_what_broke_off_while_it_was_sent_is_whole_where_the_folder_is_opened(
    trained, drive, work, tmp_path, monkeypatch, name
):
    send = trained(1, 2)
    work(send.local, 3)
    write = files.write_in_place

    def go_away(path, content):
        if path == drive / name:
            path.write_bytes(content[: len(content) // 2])
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(files, "write_in_place", go_away)
    with pytest.raises(KeyboardInterrupt):
        send.send()
    monkeypatch.setattr(files, "write_in_place", write)
    for moved in ("opened by 03_train", "opened by 04_listen"):
        shutil.copytree(drive, tmp_path / moved)
        run = open_run(str(tmp_path / moved))
        if name != "generator.safetensors" or "03" in moved:
            assert run.open_drive_copy() is None
        assert read_generator_note(run.whole_generator())["step"] == (
            3 if name == "generator.safetensors" else 2
        )
        load_generator(run.generator)
        assert [line["step"] for line in read_metrics(run.metrics, "training")] == [1, 2, 3]
        assert not list(run.root.glob("*.copy"))


def test_pictures_are_sent_and_a_drive_that_is_away_at_the_end_is_told_of(drive, work, tmp_path):
    mirror = DriveCopy(tmp_path / "local", drive)
    mirror.fetch()
    work(mirror.local, 1)
    (mirror.local / "pictures").mkdir()
    (mirror.local / "pictures" / "losses.png").write_bytes(b"a picture")
    assert mirror.try_to_send() == f"sent to {drive}"
    assert (drive / "pictures" / "losses.png").read_bytes() == b"a picture"
    drive.rename(tmp_path / "away")
    (drive / "pictures").mkdir(parents=True)  # made by whoever took it for a folder
    assert "is the drive mounted?); it is in" in mirror.try_to_send()
    assert [path.name for path in drive.rglob("*")] == ["pictures"]


def test_a_machine_lost_at_any_moment_of_sending_loses_nothing_that_was_sent(drive, work, tmp_path):
    last = 0
    for n in range(30):
        heard, told = os.pipe()

        def go_on(first=last + 1, told=told):
            mirror = DriveCopy(tmp_path / "local", drive)
            mirror.fetch()
            drop_lines_after(mirror.local / "metrics.jsonl", first - 1)  # as training does
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


def test_a_run_goes_on_from_the_drive_as_if_it_had_never_moved(drive, dataset, tiny_run, tmp_path):
    for machine, steps in (("first", 3), ("second", 6)):
        mirror = DriveCopy(tmp_path / machine, drive)
        mirror.fetch()
        assert train_with(dataset, tiny_run(), mirror, steps).step == steps
    whole = DriveCopy(tmp_path / "whole", tmp_path / "other drive")
    train_gan(
        dataset, tiny_run(), whole.local, torch.device("cpu"), Limits(steps=6), Intervals(1e6, 1e6)
    )
    one, other = (
        load_newest_checkpoint(folder / "checkpoints")[0] for folder in (drive, whole.local)
    )
    assert_same(one["players"], other["players"])
    assert torch.equal(one["rng"], other["rng"])
    steps = [line["step"] for line in read_metrics(drive / "metrics.jsonl", "training")]
    assert steps == sorted(set(steps)) and steps[-1] == 6


def test_a_drive_that_goes_away_in_mid_run_is_told_of_once_and_gets_everything_later(
    drive, dataset, tiny_run, tmp_path
):
    mirror = DriveCopy(tmp_path / "local", drive)
    mirror.fetch()
    train_with(dataset, tiny_run(), mirror, 2)
    drive.rename(tmp_path / "away")
    with pytest.warns(TrainingWarning, match="is the drive mounted") as told:
        train_with(dataset, tiny_run(), mirror, 5)
    words = [str(warning.message) for warning in told if "goes on" in str(warning.message)]
    assert [
        ("could not be written to" in text, "Training goes on" in text) for text in words
    ].count((True, True)) == 1
    assert str(tmp_path / "local") in words[-1]  # at the end: where it is
    assert not drive.exists(), "nothing may be made in the place of the mount"
    assert load_newest_checkpoint(tmp_path / "away" / "checkpoints")[0]["step"] == 2
    (tmp_path / "away").rename(drive)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        mirror.fetch()
        train_with(dataset, tiny_run(), mirror, 5)
    assert load_newest_checkpoint(drive / "checkpoints")[0]["step"] == 5


def test_a_run_of_a_drive_is_trained_elsewhere_and_comes_back(trained, drive, work, tmp_path):
    mirror = trained(1, 2)
    shutil.move(drive, tmp_path / "moved")
    assert load_newest_checkpoint(tmp_path / "moved" / "checkpoints")[0]["step"] == 2
    work(tmp_path / "moved", 7)
    assert sorted(path.name for path in (tmp_path / "moved" / "checkpoints").glob("*.pt")) == [
        "b.pt",
        "step-00000007.pt",
    ]
    shutil.move(tmp_path / "moved", drive)
    mirror = DriveCopy(tmp_path / "local", drive)
    (aside,) = mirror.fetch()
    assert aside.endswith(
        f"by another machine, and counts; what was here is in {tmp_path}/local.before-1"
    )
    work(tmp_path / "local", 8)
    mirror.send()
    assert fetched(drive, tmp_path)[0] == 8
    assert sorted(path.name for path in (drive / "checkpoints").glob("*.pt")) == ["a.pt", "b.pt"]


def test_a_damaged_checkpoint_on_the_drive_is_named_and_the_other_taken_and_kept(
    trained, drive, work, tmp_path
):
    mirror = trained(1, 2)
    content = bytearray((drive / "checkpoints" / "b.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (drive / "checkpoints" / "b.pt").write_bytes(content)
    mirror = DriveCopy(tmp_path / "new", drive)
    (problem,) = mirror.fetch()
    assert "b.pt cannot be read (its digest is another)" in problem
    assert load_newest_checkpoint(tmp_path / "new" / "checkpoints")[0]["step"] == 1
    work(tmp_path / "new", 4)
    mirror.send()
    assert {path.stem for path in (drive / "checkpoints").glob("*.pt")} == {"a", "b"}
    assert [load_newest_checkpoint(drive / "checkpoints")[0]["step"]] == [4]


def test_samples_on_the_drive_are_bounded_and_keep_the_first(drive, work, tmp_path):
    mirror = DriveCopy(tmp_path / "local", drive)
    mirror.fetch()
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
    with pytest.raises(
        OSError, match="no drive is not there, or holds no run: is the drive mounted"
    ):
        DriveCopy(tmp_path / "local", tmp_path / "no drive").fetch()
