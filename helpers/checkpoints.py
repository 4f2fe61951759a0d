"""Checkpoints of training, whole or not there, and found to be damaged by their digests."""

import hashlib
import io
import json
from pathlib import Path
from typing import NamedTuple

import torch

from helpers.files import drop, write_atomically, write_in_place

KEPT = 2  # newest checkpoints on disk: one to continue from, one in case that one is damaged


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

    Nothing in a checkpoint is executed: `torch.load(weights_only=True)`.
    """
    _, _, state, problems = _load_newest(folder)
    return state, problems


def newest_whole(folder: Path) -> tuple[Saved | None, bytes, list[str]]:
    """Which checkpoint `load_newest_checkpoint` takes, with its digest, its bytes, and the same sentences."""
    saved, content, _, problems = _load_newest(folder)
    return saved, content, problems


def saved_in(folder: Path) -> list[Saved]:
    """The checkpoints in a folder, oldest first: those of `save_checkpoint`, and those of a run from a drive, which
    have fixed names and a note each."""
    found = []
    for path in folder.glob("*.pt"):
        if path.stem.removeprefix("step-").isdecimal():
            digest = _digest_path(path)
            noted = digest.read_text(errors="replace") if digest.exists() else ""
            found.append(Saved(int(path.stem.removeprefix("step-")), path, noted))
        elif _note_path(path).exists() and _note_path(path).stat().st_size:  # empty: being written
            found.append(_read_note(path))
    return sorted(found)


def write_note(saved: Saved) -> None:
    """Say beside a checkpoint with a fixed name that it is whole, and of which step."""
    write_in_place(_note_path(saved.path), json.dumps({"step": saved.step, "sha256": saved.digest}).encode())


def empty_note(path: Path) -> None:
    """Say beside a checkpoint with a fixed name that it is not whole."""
    write_in_place(_note_path(path), b"")


def _read_note(path: Path) -> Saved:
    try:
        note = json.loads(_note_path(path).read_bytes())
        return Saved(int(note["step"]), path, str(note["sha256"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Saved(0, path, "unreadable")


def _load_newest(folder: Path) -> tuple[Saved | None, bytes, dict | None, list[str]]:
    problems = []
    for saved in reversed(saved_in(folder)):
        try:
            content = saved.path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if saved.digest not in ("", digest):
                raise ValueError("its digest is another")
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if not (isinstance(state, dict) and "step" in state):
                raise ValueError("it is of another program")
            return saved._replace(digest=digest), content, state, problems
        except Exception as error:  # damage makes the unpickler fail in any way at all
            why = str(error) if type(error) is ValueError else type(error).__name__
            problems.append(f"{saved.path} cannot be read ({why}); the one before it is used")
    return None, b"", None, problems


def _digest_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".sha256")


def _note_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")
