"""Checkpoints of training: whole or not there, and never code that is executed.

A checkpoint is a safetensors file: the tensors that the next step depends on, and a note in JSON.
Its name has the step and the start of its SHA-256, so that damage is found.
"""

import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from helpers import files
from helpers.files import StampedFile, UnusableFileError
from helpers.network_file import pack, unpack

KEPT = 2  # newest checkpoints on disk: one to continue from, one in case that one is damaged
STEM = "step"
SUFFIX = ".safetensors"
START_OVER = "choose another run folder, or start over with restart=True"


class Checkpoint(NamedTuple):
    """The state of training after a step."""

    step: int
    tensors: dict[str, Tensor]
    note: dict  # seconds of training, and the configuration that it is of


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint so that a kill at any moment leaves the older ones whole."""
    note = json.dumps({"step": checkpoint.step, **checkpoint.note})
    return save_packed(folder, checkpoint.step, pack(checkpoint.tensors, {"training": note}))


def save_packed(folder: Path, step: int, content: bytes) -> Path:
    """Write the bytes of a checkpoint, and remove all but the newest two.

    Checkpoints of later steps go too: they could not be read, and training went on from this one.
    """
    for name in files.names_in(folder):
        if name.endswith(".partial"):  # of a run that was killed while it wrote
            files.drop(folder / name)
    path = folder / files.stamped_name(STEM, step, content, SUFFIX)
    files.write_atomically(path, content)
    others = [file for file in checkpoint_files(folder) if file.path != path]
    older = [file for file in others if file.number <= step]
    later = [file for file in others if file.number > step]
    for stale in older[: len(older) - KEPT + 1] + later:
        files.drop(stale.path)
    return path


def checkpoint_files(folder: Path) -> list[StampedFile]:
    """The checkpoints in a folder, oldest first. Raises OSError if the disk cannot be read."""
    return files.stamped_files(folder, STEM, SUFFIX)


def load_newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, or None, and a sentence on each newer one that is damaged.

    Raises OSError if the disk cannot be read: then nobody knows whether there is one. Raises
    UnusableFileError for a whole checkpoint that this version did not write: to begin anew beside
    it would end in its removal.
    """
    file, content, damaged = files.read_newest(checkpoint_files(folder))
    problems = describe_damage(damaged)
    if file is None:
        older = [name for name in files.names_in(folder) if name.endswith(".pt")]
        if older:
            raise UnusableFileError(
                f"{folder} holds checkpoints of an earlier version ({older[0]}): use that version, "
                f"{START_OVER}"
            )
        return None, problems
    try:
        tensors, metadata = unpack(content)
        note = json.loads(metadata["training"])
        if note.pop("step") != file.number:
            raise ValueError("it is of another step than its name says")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnusableFileError(
            f"{file.path} is whole, but this version cannot use it ({error}): use the version that "
            f"wrote it, {START_OVER}"
        ) from error
    return Checkpoint(file.number, tensors, note), problems


def describe_damage(damaged: list[StampedFile]) -> list[str]:
    """A sentence on each damaged checkpoint."""
    why = "its content does not match its name"
    return [f"{file.path} cannot be read ({why}); the one before is used" for file in damaged]
