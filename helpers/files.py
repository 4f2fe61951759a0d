"""Files that are whole or not there: put in place when they are complete, emptied before they are removed.

A name that is a link is replaced or removed, never followed: what it leads to is not ours.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import safetensors

SAMPLES_KEPT = 60  # looks at a training run whose pictures and sounds stay


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside path, then put it in its place: a kill leaves the old one or the new one.

    Whatever a library makes of a disk that is full, gone or read-only, an OSError is raised; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    _unlink_link(partial)
    try:
        write(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        raise OSError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error


def read_if_there(path: Path) -> bytes | None:
    """What a file holds; None only where there is none. A disk that cannot be read is an OSError, as it must be:
    `Path.exists` says False of that, too."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted; none where there is no folder, and OSError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def drop(path: Path) -> None:
    """Remove a file; emptied first, since Drive keeps what is removed and counts it."""
    with contextlib.suppress(FileNotFoundError):
        if not path.is_symlink():
            os.truncate(path, 0)
        path.unlink()


def write_in_place(path: Path, content: bytes) -> None:
    """Write a file under its own name, to the disk: for a drive that may not rename at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _unlink_link(path)
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def drop_folder(folder: Path) -> None:
    """Remove a folder and the files in it, each as `drop` does; nothing if there is none."""
    if folder.is_symlink():
        folder.unlink()
    for path in [folder / name for name in names_in(folder)]:
        drop_folder(path) if path.is_dir() else drop(path)
    if folder.is_dir():
        folder.rmdir()


def thin_out(folder: Path, most: int) -> None:
    """Of more than `most` folders in a folder remove every second; the first and the last stay."""
    children = sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []
    for child in children[1:-1:2] if len(children) > most else ():
        drop_folder(child)


def _unlink_link(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
