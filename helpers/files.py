"""Files that are whole or not there: put in place when they are complete, emptied before they are removed.

A name that is a link is replaced or removed, never followed: what it leads to is not ours.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import safetensors

KEPT_FREE_BYTES = 64 * 2**20  # of a disk, for all else that a run writes
SAMPLES_KEPT = 60  # looks at a training run whose pictures and sounds stay


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside path, then put it in its place: a kill leaves the old one or the new one.

    Whatever a library makes of a disk that is full, gone or read-only, an OSError is raised; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    unlink_link(partial)
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
    unlink_link(path)
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class WrittenTwice:
    """A file on a drive that may fail at any moment and rename nothing at once: one of two is whole at all times.

    What is new is written under the name with .copy, and its SHA-256 noted; then the file itself follows, and when
    that is whole the other two go.
    """

    def __init__(self, path: Path):
        self.path, self.copy, self.note = (
            path.with_name(path.name + end) for end in ("", ".copy", ".sha256")
        )

    def read(self) -> bytes | None:
        """What was written last and is whole; None if there is no such file."""
        content = self._noted()
        return read_if_there(self.path) if content is None else content

    def write(self, content: bytes) -> None:
        self.mend()
        drop(self.note)
        write_in_place(self.copy, content)
        write_in_place(self.note, hashlib.sha256(content).hexdigest().encode())
        self._finish(content)

    def mend(self) -> None:
        """Go on where a machine went away in the middle of writing."""
        content = self._noted()
        if content is not None:
            self._finish(content)

    def whole(self) -> Path:
        """Where that lies: under its own name, or beside it."""
        return self.path if self._noted() is None else self.copy

    def drop(self) -> None:
        for path in (
            self.note,
            self.copy,
            self.path,
        ):  # the note first: without it the copy is nothing
            drop(path)

    def _noted(self) -> bytes | None:
        digest = read_if_there(self.note)
        content = read_if_there(self.copy) if digest else None
        whole = content is not None and hashlib.sha256(content).hexdigest().encode() == digest
        return content if whole else None

    def _finish(self, content: bytes) -> None:
        write_in_place(self.path, content)
        drop(self.note)
        drop(self.copy)


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
    children = (
        sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []
    )
    for child in children[1:-1:2] if len(children) > most else ():
        drop_folder(child)


def set_aside(folder: Path) -> Path:
    """Rename a folder so that another can take its place; its new name, which was nobody's."""
    taken = names_in(folder.parent)
    number = next(n for n in range(1, len(taken) + 2) if f"{folder.name}.before-{n}" not in taken)
    return folder.rename(folder.with_name(f"{folder.name}.before-{number}"))


def unlink_link(path: Path) -> None:
    """Make way for a file of ours where a link lies."""
    if path.is_symlink():
        path.unlink()


PROJECT = Path(__file__).resolve().parent.parent


class UnusableFileError(ValueError):
    """A checkpoint or generator file that cannot be used; the message names it and says what to do."""


def in_mebibytes(n_bytes: int) -> str:
    """Bytes in words."""
    return f"{n_bytes / 2**20:,.0f} MiB"
