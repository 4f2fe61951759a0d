"""Checkpoints: never half written, never executed, damage named in words."""

import errno
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from helpers.files import UnusableFileError, drop_folder, stamped_name, write_synced
from helpers.network_file import pack
from helpers.train import checkpoints
from helpers.train.checkpoints import (
    Checkpoint,
    checkpoint_files,
    load_newest_checkpoint,
    save_checkpoint,
    save_packed,
)


def checkpoint(step: int, note: dict | None = None) -> Checkpoint:
    return Checkpoint(step, {"weights": torch.full((50, 50), float(step))}, note or {})


def save(folder, step: int) -> Path:
    return save_checkpoint(folder, checkpoint(step))


def save_as(folder, step: int, content: bytes) -> Path:
    """Some bytes under the name that a checkpoint of this content would have."""
    folder.mkdir(exist_ok=True)
    path = folder / stamped_name("step", step, content, ".safetensors")
    path.write_bytes(content)
    return path


def names_in(folder) -> list[str]:
    return sorted(path.name.split(".")[0] for path in folder.iterdir())


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    for step in (5, 10, 200):
        assert save(tmp_path, step).exists()
    assert names_in(tmp_path) == ["step-00000010", "step-00000200"]
    (tmp_path / "step-00000300.0.safetensors.partial").write_bytes(b"of a run that was killed")
    save(tmp_path, 200)
    assert names_in(tmp_path) == ["step-00000010", "step-00000200"]
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded.step == 200 and problems == []
    assert torch.equal(loaded.tensors["weights"], checkpoint(200).tensors["weights"])


def test_the_note_and_all_kinds_of_numbers_come_back(tmp_path):
    tensors = {
        "a/odd name.é": torch.arange(6).reshape(2, 3).T,
        "half": torch.ones(2, dtype=torch.bfloat16),
        "rng": torch.Generator().manual_seed(3).get_state(),
        "one": torch.tensor(0.1, dtype=torch.float64),
    }
    note = {"identity": json.dumps({"classes": ["ä", "_codecs encode"]}), "seconds": 0.1}
    save_checkpoint(tmp_path, Checkpoint(7, tensors, note))
    loaded, _ = load_newest_checkpoint(tmp_path)
    assert loaded.note == note and loaded.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert loaded.tensors[name].dtype == value.dtype
        assert torch.equal(loaded.tensors[name], value)


def test_an_absent_or_empty_folder_is_a_new_run(tmp_path):
    assert load_newest_checkpoint(tmp_path / "none") == (None, [])
    assert load_newest_checkpoint(tmp_path) == (None, [])


@pytest.mark.parametrize("where", ["replace", "fsync"])
def test_a_kill_while_writing_leaves_the_older_one_whole(tmp_path, monkeypatch, where):
    save(tmp_path, 1)

    def die(*args):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, where, die)
        with pytest.raises(OSError, match="no space"):
            save(tmp_path, 2)
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded.step == 1 and problems == []
    save(tmp_path, 3)
    assert load_newest_checkpoint(tmp_path)[0].step == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "random", "text", "pickle", "bit", "foreign"])
def test_a_damaged_newest_gives_way_to_the_one_before_with_a_message(tmp_path, damage):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = newest.read_bytes()
    middle = len(whole) // 2
    foreign = io.BytesIO()
    torch.save({"epoch": 3, "model": torch.zeros(3)}, foreign)
    newest.write_bytes(
        {
            "foreign": foreign.getvalue(),
            "cut": whole[:middle],
            "empty": b"",
            "random": np.random.default_rng(0).bytes(4096),
            "text": b"this is no checkpoint\n" * 10,
            "pickle": pickle.dumps({"step": os.getpid}),
            "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }[damage]
    )
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded.step == 1
    assert len(problems) == 1 and newest.name in problems[0] and "cannot be read" in problems[0]


def test_no_damage_to_a_checkpoint_escapes(tmp_path):
    rng = np.random.default_rng(1)
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = np.frombuffer(newest.read_bytes(), np.uint8)
    for trial in range(60):
        if trial % 2:
            damaged = rng.integers(0, 256, int(rng.integers(1, 300)), dtype=np.uint8)
        else:  # anywhere in the file; its header is the small beginning of it
            damaged = whole.copy()
            at = rng.integers(0, 600, 5) if trial % 4 else len(whole) - 1 - rng.integers(0, 600, 5)
            damaged[at] = rng.integers(0, 256, 5)
        newest.write_bytes(damaged.tobytes())
        loaded, problems = load_newest_checkpoint(tmp_path)
        assert (loaded.step, len(problems)) == (1, 1)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.EACCES])
@pytest.mark.parametrize("failing", ["read_bytes", "listdir"])
def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(tmp_path, monkeypatch, number, failing):
    for step in (1, 2):
        save(tmp_path, step)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path if failing == "read_bytes" else os, failing, fail)
        reads = (load_newest_checkpoint, checkpoint_files)
        for read in reads if failing == "listdir" else reads[:1]:
            with pytest.raises(OSError, match=os.strerror(number)):
                read(tmp_path)
    assert load_newest_checkpoint(tmp_path)[0].step == 2


def test_a_listed_checkpoint_that_is_said_not_to_be_there_is_an_error(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def fail(*_):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        load_newest_checkpoint(tmp_path)


def test_memory_that_is_short_is_not_taken_for_damage(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(safetensors.torch, "load", fail)
    with pytest.raises(MemoryError):
        load_newest_checkpoint(tmp_path)


NOT_OURS = {
    "another program": pack({"weights": torch.zeros(3)}, {}),
    "no safetensors": b"any bytes",
    "later version": pack({}, {"training": json.dumps({"step": "of a later version"})}),
    "another step": pack({}, {"training": json.dumps({"step": 3})}),
    "no object": pack({}, {"training": "[2]"}),
    "deep": pack({}, {"training": "[" * 100_000}),
    "number": pack({}, {"training": '{"step": 1e999}'}),
}


@pytest.mark.parametrize("kind", NOT_OURS)
def test_what_is_whole_but_cannot_be_used_is_refused_and_kept(tmp_path, kind):
    """To begin anew beside it would end in its removal."""
    save(tmp_path, 1)
    path = save_as(tmp_path, 2, NOT_OURS[kind])
    with pytest.raises(
        UnusableFileError, match=r"is whole, but this version cannot use it .*restart=True"
    ):
        load_newest_checkpoint(tmp_path)
    assert path.exists()


def test_checkpoints_of_an_earlier_version_are_refused_and_kept(tmp_path):
    (tmp_path / "step-00000004.pt").write_bytes(b"of an earlier version")
    with pytest.raises(UnusableFileError, match="of an earlier version .*restart=True"):
        load_newest_checkpoint(tmp_path)
    assert (tmp_path / "step-00000004.pt").exists()


@pytest.mark.parametrize("header", [2**63 - 1, 2**40, 0])
def test_a_small_file_that_asks_for_much_memory_is_refused_before_it_gets_it(tmp_path, header):
    content = header.to_bytes(8, "little") + b'{"a": {"dtype": "F32", "shape": [1000000000]}}'
    save_as(tmp_path, 1, content)
    with pytest.raises(UnusableFileError, match="this version cannot use it"):
        load_newest_checkpoint(tmp_path)


def test_a_tensor_larger_than_its_file_is_refused(tmp_path):
    description = {"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}
    header = json.dumps(description).encode()
    save_as(tmp_path, 1, len(header).to_bytes(8, "little") + header + b"\0" * 16)
    with pytest.raises(UnusableFileError, match="this version cannot use it"):
        load_newest_checkpoint(tmp_path)


def test_no_link_is_followed(tmp_path):
    (tmp_path / "precious.txt").write_text("not ours")
    run = tmp_path / "run"
    run.mkdir()
    name = save(tmp_path / "other", 1).name
    for link in ("step-x.partial", f"{name}.partial", name):
        (run / link).symlink_to(tmp_path / "precious.txt")
    save(run, 1)
    assert not (run / name).is_symlink()
    (run / "a.txt").symlink_to(tmp_path / "precious.txt")
    write_synced(run / "a.txt", b"ours")
    assert (run / "a.txt").read_bytes() == b"ours"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious.txt").write_text("not ours")
    (run / "samples").symlink_to(tmp_path / "folder")
    drop_folder(run / "samples")
    (run / "inner").mkdir()
    (run / "inner" / "samples").symlink_to(tmp_path / "folder")
    drop_folder(run)
    assert not run.exists()
    assert [path.read_text() for path in tmp_path.rglob("precious.txt")] == ["not ours"] * 2


def test_all_damaged_is_none_with_a_message_each_and_a_new_checkpoint_is_then_kept(tmp_path):
    for step in (100, 200):
        save(tmp_path, step).write_bytes(b"PK gone")
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded is None
    assert len(problems) == 2
    assert "step-00000200" in problems[0] and "step-00000100" in problems[1]
    for step in (3, 6):  # training begins again, before the damaged steps
        assert save(tmp_path, step).exists()
        assert load_newest_checkpoint(tmp_path)[0].step == step


def test_two_checkpoints_of_one_step_are_both_readable(tmp_path):
    """Two machines that trained the same run have made them."""
    contents = [pack({"w": torch.zeros(n)}, {"training": '{"step": 4}'}) for n in (1, 2)]
    for content in contents:
        save_as(tmp_path, 4, content)
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded.step == 4 and problems == []
    save_packed(tmp_path, 4, contents[0])
    assert len(checkpoint_files(tmp_path)) == checkpoints.KEPT


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_would_run_code_does_not(tmp_path):
    save_as(tmp_path / "run", 1, pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(UnusableFileError):
        load_newest_checkpoint(tmp_path / "run")
    assert not (tmp_path / "executed").exists()
