"""Files that are whole or not there, and the names of a run's files.

A name that is a link is replaced or removed, never followed: it leads to somebody else's file.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
KEPT_FREE_BYTES = 64 * 2**20  # of a disk, for all else that a run writes
PLAY_PAGE, PACK = "play.html", "pack.zip"  # pads without Python; sounds for a sampler
STEP_FOLDERS_KEPT = 60  # of samples/<step>/


class UnusableFileError(ValueError):
    """A checkpoint or generator that is damaged or of another make; the message says what to do."""


@dataclass(frozen=True)
class RunFiles:
    """The names of the files in a run folder. The folder moves as a whole."""

    root: Path

    config = property(lambda self: self.root / "config.json")
    data = property(lambda self: self.root / "data")
    recordings = property(lambda self: self.root / "recordings")  # a person's own
    checkpoints = property(lambda self: self.root / "checkpoints")
    generator = property(lambda self: self.root / "generator.safetensors")
    metrics = property(lambda self: self.root / "metrics.jsonl")
    judge = property(lambda self: self.root / "judge.safetensors")
    inversion = property(lambda self: self.root / "inversion.safetensors")
    samples = property(lambda self: self.root / "samples")
    sounds = property(lambda self: self.root / "sounds")
    pictures = property(lambda self: self.root / "pictures")
    notebooks = property(lambda self: self.root / "notebooks")
    play_page = property(lambda self: self.root / PLAY_PAGE)
    pack = property(lambda self: self.root / PACK)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside `path`, then rename it: a kill leaves the old file or the new one.

    Of several that write it at once, the last one counts. Raises OSError where the disk is full,
    gone or read-only; the old file stays.
    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        write_synced(partial, content)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write it in parts; at the end it gets its name, as in `write_atomically`.

    Whatever is raised before that end leaves the old file, and nothing of the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time make what is at `path`; the others wait until that one has ended.

    The lock is an empty file beside it. A disk that is read-only, full or without locks gives none.
    """
    lock_file = path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_lock(lock_file, f"another run makes {path}: waiting for its end"))
            stack.callback(lock_file.unlink, missing_ok=True)
        yield


def _lock(path: Path, words: str) -> BinaryIO:
    """Make, open and lock a file. Prints these words if another has it locked and must end first.

    Who had it removes it at its end: then the name belongs to another file, or to none.
    """
    while True:
        file = open(path, "ab")  # noqa: SIM115 (the caller closes it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(words, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def write_synced(path: Path, content: bytes) -> None:
    """Write a file under its own name and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_if_there(path: Path) -> bytes | None:
    """The content of a file, or None where there is none.

    Raises OSError if the disk cannot be read. `Path.exists` answers False in that case.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder; none where there is no folder. Raises OSError as above."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def drop(path: Path) -> None:
    """Remove a file, if it is there. It is emptied first, because Drive's trash counts its size.

    A link, or a file with a second hard link, is not emptied: somebody keeps it.
    """
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.truncate(path, 0)
        path.unlink()


def drop_folder(folder: Path) -> None:
    """Remove a folder and every file in it by `drop`; nothing if there is none."""
    if folder.is_symlink():
        folder.unlink()
    for path in [folder / name for name in names_in(folder)]:
        drop_folder(path) if path.is_dir() else drop(path)
    if folder.is_dir():
        folder.rmdir()


def thin_out(folder: Path, most: int) -> None:
    """If a folder has more than `most` subfolders, remove every second; first and last stay."""
    children = [folder / name for name in names_in(folder) if (folder / name).is_dir()]
    for child in children[1:-1:2] if len(children) > most else ():
        drop_folder(child)


def set_aside(folder: Path) -> Path:
    """Rename a folder to an unused name beside it, and return that name."""
    taken = names_in(folder.parent)
    number = 1
    while f"{folder.name}.before-{number}" in taken:
        number += 1
    return folder.rename(folder.with_name(f"{folder.name}.before-{number}"))


def in_mebibytes(n_bytes: int) -> str:
    """A number of bytes in words.

    >>> in_mebibytes(3 * 2**20)
    '3 MiB'
    """
    return f"{n_bytes / 2**20:,.0f} MiB"


class StampedFile(NamedTuple):
    """A file that never changes: its name has a number and the start of its content's SHA-256.

    An example is checkpoints/step-00001234.3f9a1c20.safetensors. A file whose content does not
    match its name is damaged, or was not written to its end.
    """

    number: int
    digest: str
    path: Path

    def holds(self, content: bytes) -> bool:
        """Whether this content belongs to the file's name."""
        return _short_digest(content) == self.digest


def stamped_name(stem: str, number: int, content: bytes, suffix: str) -> str:
    """The name of a file that never changes.

    >>> stamped_name("metrics", 7, b"", ".jsonl")
    'metrics-00000007.e3b0c442.jsonl'
    """
    return f"{stem}-{number:08d}.{_short_digest(content)}{suffix}"


def stamped_files(
    folder: Path, stem: str, suffix: str, names: Sequence[str] | None = None
) -> list[StampedFile]:
    """The files in a folder that `stamped_name` named, lowest number first.

    names: a listing of the folder; None: it is listed here, and may not be there.
    """
    form = re.compile(rf"{stem}-(\d{{8,9}})\.([0-9a-f]{{8}}){re.escape(suffix)}")
    names = names_in(folder) if names is None else names
    found = [(match, folder / name) for name in names if (match := form.fullmatch(name))]
    return sorted(StampedFile(int(match[1]), match[2], path) for match, path in found)


def add_stamped_file(folder: Path, stem: str, suffix: str, content: bytes) -> None:
    """Write a new file with the next number."""
    earlier = stamped_files(folder, stem, suffix)
    number = earlier[-1].number + 1 if earlier else 1
    write_synced(folder / stamped_name(stem, number, content, suffix), content)


def read_newest(
    files: Sequence[StampedFile],
) -> tuple[StampedFile | None, bytes, list[StampedFile]]:
    """The newest whole file with its content, and the newer files that are not whole.

    Of several with the same number the longest counts as the newest. Raises OSError if one cannot
    be read, also if it is gone meanwhile: then nobody knows which is the newest.
    """
    damaged = []
    for number in sorted({file.number for file in files}, reverse=True):
        same = [(file, file.path.read_bytes()) for file in files if file.number == number]
        whole = [(len(content), file, content) for file, content in same if file.holds(content)]
        if whole:
            _, file, content = max(whole)
            return file, content, damaged
        damaged += [file for file, _ in same]
    return None, b"", damaged


def _short_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
