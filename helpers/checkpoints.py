"""Checkpoints of training, whole or not there, and found to be damaged by their digests."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch

from helpers.config import digest_of
from helpers.files import drop, names_in, read_if_there, write_atomically, write_in_place

KEPT = 2  # newest checkpoints on disk: one to continue from, one in case that one is damaged
LAST_STEP = 10**9
UNREADABLE = "unreadable"  # in the place of a digest


class CheckpointError(ValueError):
    """A checkpoint or generator file that cannot be used; the message names it and says what to do."""


class Saved(NamedTuple):
    """A checkpoint on disk: its step, its file, and the SHA-256 that was noted ("": none was)."""

    step: int
    path: Path
    digest: str


def save_checkpoint(state: dict, folder: Path, step: int) -> Path:
    """Write step-<step>.pt so that a kill at any moment leaves the older ones whole; drop all but the newest two.

    Its SHA-256 lies beside it. Checkpoints of later steps go too: training went on from an older one because they
    could not be read.
    """
    content = io.BytesIO()
    torch.save(state, content)
    return save_bytes(content.getbuffer(), folder, step)


def save_bytes(content: bytes | memoryview, folder: Path, step: int) -> Path:
    """The same, of a checkpoint that is bytes already."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = [digest for digest in folder.glob("step-*.sha256") if not digest.with_suffix(".pt").exists()]
    for stale in [*folder.glob("step-*.partial"), *digests]:
        drop(stale)  # of a run that was killed while it wrote, or had no room
    path, digest = folder / f"step-{step:08d}.pt", hashlib.sha256(content).hexdigest()
    write_atomically(_digest_path(path), lambda partial: partial.write_text(digest))  # first: no checkpoint without
    write_atomically(path, lambda partial: partial.write_bytes(content))
    paths = [saved.path for saved in saved_in(folder)]
    own = paths.index(path)
    for stale in paths[: max(0, own + 1 - KEPT)] + paths[own + 1 :]:
        for file in (stale, _digest_path(stale), _note_path(stale)):
            drop(file)
    return path


def load_newest_checkpoint(folder: Path) -> tuple[dict | None, list[str]]:
    """The newest checkpoint that is whole (None if there is none) and a sentence for each that is not.

    Nothing in a checkpoint is executed: `torch.load(weights_only=True)`. Raises OSError if the disk cannot be read:
    then nobody knows whether there is one.
    """
    _, _, state, problems = _load_newest(folder)
    return state, problems


def newest_whole(folder: Path) -> tuple[Saved | None, bytes, list[str]]:
    """Which checkpoint `load_newest_checkpoint` takes, with its digest, its bytes, and the same sentences.

    Raises OSError as it does.
    """
    saved, content, _, problems = _load_newest(folder)
    return saved, content, problems


def saved_in(folder: Path) -> list[Saved]:
    """The checkpoints in a folder, oldest first: those of `save_checkpoint`, and those of a run from a drive, which
    have fixed names and a note each."""
    found = []
    for path in [folder / name for name in names_in(folder) if name.endswith(".pt")]:
        number = path.stem.removeprefix("step-")
        if number.isdecimal() and len(number) < 20:
            noted = (read_if_there(_digest_path(path)) or b"").decode(errors="replace")
            found.append(Saved(int(number), path, noted))
        elif note := read_if_there(_note_path(path)):  # empty: being written
            found.append(_read_note(path, note))
    return sorted(found)


def write_note(saved: Saved) -> None:
    """Say beside a checkpoint with a fixed name that it is whole, and of which step."""
    note = {"step": saved.step, "sha256": saved.digest, "check": _check_of(saved.step, saved.digest)}
    write_in_place(_note_path(saved.path), json.dumps(note).encode())


def empty_note(path: Path) -> None:
    """Say beside a checkpoint with a fixed name that it is not whole."""
    write_in_place(_note_path(path), b"")


def _read_note(path: Path, content: bytes) -> Saved:
    try:
        note = json.loads(content)
        step, digest = note["step"], note["sha256"]
        if _is_step(step) and note["check"] == _check_of(step, digest):
            return Saved(step, path, digest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return Saved(LAST_STEP, path, UNREADABLE)  # as the newest, so that it is named


def _check_of(step: int, digest: str) -> str:
    """A flipped bit in a step would make an older checkpoint the newest."""
    return digest_of(str(step), digest)


def _is_step(value) -> bool:
    return type(value) is int and 0 <= value < LAST_STEP


def _load_newest(folder: Path) -> tuple[Saved | None, bytes, dict | None, list[str]]:
    problems = []
    for saved in reversed(saved_in(folder)):
        content = saved.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        try:
            if saved.digest not in ("", digest):
                raise ValueError("its digest is another")
            _require_modest(content)
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if not (isinstance(state, dict) and _is_step(state.get("step"))):
                raise ValueError("it is of another program")
            if state["step"] != saved.step:
                raise ValueError("it is of another step than it says")
            return saved._replace(digest=digest), content, state, problems
        except MemoryError:  # of this machine, not of the file
            raise
        except Exception as error:  # damage makes the unpickler fail in any way at all
            why = str(error) if type(error) is ValueError else type(error).__name__
            problems.append(f"{saved.path} cannot be read ({why}); the one before it is used")
    return None, b"", None, problems


def _require_modest(content: bytes) -> None:
    """Raise ValueError of a file that would take more memory than its own size, before it is loaded."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        members = opened.infolist()
    inflated = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if inflated or sum(member.file_size for member in members) > len(content) or b"bytearray" in content:
        raise ValueError("it is of another program")


def _digest_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".sha256")


def _note_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")
