"""Which file below a folder has which label: class folders, and the test splits of known data sets."""

import os
import re
import warnings
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from helpers.data.archives import CLASS_FOLDERS, SourceError
from helpers.data.known_datasets import KNOWN
from helpers.sound.audio_files import SUFFIXES

FSDD_NAME = re.compile(r"\d_[a-z]+_\d+\.wav")
ESC_NAME = re.compile(r"([1-5])-\d+-[A-Z](-\d+)?\.(wav|ogg)")


def find_class_folder(folder: Path) -> Path:
    """The folder whose subfolders are the classes: `folder`, or the one it is wrapped in.

    Audio may lie at any depth below a class. A folder is a mere wrapper while all its audio lies below one
    subfolder and none directly in that one. Hidden names and __MACOSX do not count.
    Raises SourceError if there is no such folder, no audio in it, or audio but no class folders.
    """
    return find_classes(Path(folder))[0]


def list_audio(folder: Path) -> list[Path]:
    """Every audio file below a folder, sorted; hidden names and __MACOSX left out, links followed."""
    return _walk(Path(folder))[0]


def recognise_holdout(file_names: Iterable[str]) -> str:
    """Glob of the own test split of FSDD or ESC, if every name is as theirs are; "" for anything else.

    Of ESC it is the highest fold present. A glob that would hold out nothing or everything is none.
    """
    names = list(file_names)
    glob = ""
    if names and all(FSDD_NAME.fullmatch(name) for name in names):
        glob = KNOWN["fsdd"].holdout
    elif names and all(ESC_NAME.fullmatch(name) for name in names):
        glob = f"{max(name[0] for name in names)}-*"
    n_held_out = sum(fnmatch(name, glob) for name in names)
    return glob if 0 < n_held_out < len(names) else ""


def find_classes(folder: Path) -> tuple[Path, list[Path]]:
    """The class folder at or below `folder`, and the audio files in its subfolders."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SourceError(
            f"{str(folder)!r} {what}; give a folder of class folders: {CLASS_FOLDERS}"
        )
    audio, n_files = _walk(folder)
    if not audio:
        raise SourceError(
            f"{str(folder)!r} holds no audio: {n_files} files were looked at, none ends in "
            f"{', '.join(SUFFIXES)}. Give another folder or convert the files; {CLASS_FOLDERS}"
        )
    inside = [file.relative_to(folder).parts for file in audio]
    while all(len(parts) > 2 for parts in inside) and len({parts[0] for parts in inside}) == 1:
        folder, inside = folder / inside[0][0], [parts[1:] for parts in inside]
    files = [folder.joinpath(*parts) for parts in inside if len(parts) > 1]
    n_loose = len(inside) - len(files)
    if not files:
        raise SourceError(
            f"{str(folder)!r} holds {n_loose} audio files but no class folders: {CLASS_FOLDERS}"
        )
    if n_loose:
        warnings.warn(
            f"{n_loose} audio files beside the class folders of {str(folder)!r} are left out",
            stacklevel=3,
        )
    return folder, files


def _walk(folder: Path) -> tuple[list[Path], int]:
    """The audio files below a folder, sorted, and how many files there are of any kind."""
    audio, n_files = [], 0
    for root, folders, names in os.walk(folder, onerror=_warn_unlisted, followlinks=True):
        folders[:] = [name for name in folders if _is_visible(name) and not _leads_back(root, name)]
        names = [name for name in names if _is_visible(name)]
        n_files += len(names)
        audio += [Path(root, name) for name in names if name.lower().endswith(SUFFIXES)]
    return sorted(audio), n_files


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _leads_back(root: str, name: str) -> bool:
    """Whether this is a link to a folder it lies in, which would be walked without an end."""
    path = os.path.join(root, name)
    if not os.path.islink(path):
        return False
    target = os.path.realpath(path)
    return os.path.commonpath([target, os.path.realpath(root)]) == target


def _warn_unlisted(error: OSError) -> None:
    warnings.warn(
        f"the folder {error.filename!r} cannot be listed ({error.strerror}) and is left out",
        stacklevel=2,
    )


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    """Every visible file below the class folders: relative path, size in bytes, time of change in ns; sorted."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        if Path(parent) == Path(folder):
            continue
        for name in sorted(n for n in names if not n.startswith(".")):
            path = Path(parent, name)
            status = (
                path.stat() if path.exists() else path.lstat()
            )  # a link to nowhere is a row of the audit too
            found.append((os.path.relpath(path, folder), status.st_size, status.st_mtime_ns))
    return sorted(found)
