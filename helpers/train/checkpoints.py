"""Checkpoints of training, whole or not there, and found to be damaged by their digests."""

import hashlib
import io
import json
import pickletools
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch

from helpers.config import digest_of
from helpers.files import (
    UnusableFileError,
    drop,
    names_in,
    read_if_there,
    write_atomically,
    write_in_place,
)

KEPT = 2  # newest checkpoints on disk: one to continue from, one in case that one is damaged
LAST_STEP = 10**9
UNREADABLE = "unreadable"  # in the place of a digest
SAVED_KINDS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"} | {
    f"torch {kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Int", "Long", "Byte", "Bool")
}  # all that a checkpoint of ours is made of, besides numbers and texts
MOST_PARTS = 100_000  # tensors, numbers and texts of a checkpoint


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
    return save_bytes(content.getvalue(), folder, step)


def save_bytes(content: bytes, folder: Path, step: int) -> Path:
    """The same, of a checkpoint that is bytes already."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = [
        digest for digest in folder.glob("step-*.sha256") if not digest.with_suffix(".pt").exists()
    ]
    for stale in [*folder.glob("step-*.partial"), *digests]:
        drop(stale)  # of a run that was killed while it wrote, or had no room
    path, digest = folder / f"step-{step:08d}.pt", hashlib.sha256(content).hexdigest()
    write_atomically(
        _digest_path(path), lambda partial: partial.write_text(digest)
    )  # first: no checkpoint without
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
    then nobody knows whether there is one. Raises UnusableFileError if one is whole by its digest, but not one of this
    version: to begin anew would end in its removal.
    """
    _, _, state, problems = _read_newest(folder, load=True)
    return state, problems


def newest_whole(folder: Path) -> tuple[Saved | None, bytes, list[str]]:
    """The newest checkpoint that is whole by its digest, or can be loaded where none was noted; its bytes; a sentence
    for each that is newer and not whole. Raises OSError if the disk cannot be read."""
    saved, content, _, problems = _read_newest(folder, load=False)
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


def is_whole(saved: Saved) -> bool:
    """Whether a checkpoint is the one whose digest was noted."""
    return hashlib.sha256(saved.path.read_bytes()).hexdigest() == saved.digest


def write_note(saved: Saved) -> None:
    """Say beside a checkpoint with a fixed name that it is whole, and of which step."""
    note = {
        "step": saved.step,
        "sha256": saved.digest,
        "check": _check_of(saved.step, saved.digest),
    }
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


def _read_newest(folder: Path, load: bool) -> tuple[Saved | None, bytes, dict | None, list[str]]:
    problems = []
    for saved in reversed(saved_in(folder)):
        content = saved.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        state, why = None, "" if saved.digest in ("", digest) else "its digest is another"
        if not why and (load or not saved.digest):
            state, why = _load(content, saved.step)
        if not why:
            return saved._replace(digest=digest), content, state, problems
        if saved.digest == digest:
            raise UnusableFileError(
                f"{saved.path} is whole, but this version cannot use it ({why}): use the version that wrote it, "
                "choose another run folder, or start over with restart=True"
            )
        problems.append(f"{saved.path} cannot be read ({why}); the one before it is used")
    return None, b"", None, problems


def _load(content: bytes, step: int) -> tuple[dict | None, str]:
    """What is in a checkpoint, and "", or None and why it is no checkpoint of that step."""
    try:
        if not _is_of_saved_kinds(content):
            return None, "it is of another program"
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:  # of this machine, not of the file
        raise
    except Exception as error:  # damage makes the unpickler fail in any way at all
        return None, type(error).__name__
    if not (isinstance(state, dict) and _is_step(state.get("step")) and _has_modest_parts(state)):
        return None, "it is of another program"
    return (state, "") if state["step"] == step else (None, "it is of another step than it says")


def _is_of_saved_kinds(content: bytes) -> bool:
    """Whether a file makes nothing else, and so takes no more memory than its own size; looked at, not loaded."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        members = opened.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            return False
        pickles = [
            member for member in members if member.filename.lower().endswith("data.pkl")
        ]  # as torch looks
        if len(pickles) != 1:
            return False
        pickled = opened.read(pickles[0])
    return {
        word for code, word, _ in pickletools.genops(pickled) if code.name == "GLOBAL"
    } <= SAVED_KINDS


def _has_modest_parts(state: dict) -> bool:
    """Whether nothing in it is larger than it was in the file: no tensor of one number, no list in itself."""
    waiting, n_parts = [state], 0
    while waiting:
        part = waiting.pop()
        n_parts += 1
        if n_parts + len(waiting) > MOST_PARTS:
            return False
        if (
            torch.is_tensor(part)
            and part.numel() * part.element_size() > part.untyped_storage().nbytes()
        ):
            return False
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
    return True


def _digest_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".sha256")


def _note_path(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".json")
