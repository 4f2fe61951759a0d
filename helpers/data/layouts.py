"""Which file below a folder has which label: class folders, and test splits of known data sets."""

import os
import re
import warnings
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from helpers.data.archives import HOW_TO_ARRANGE, SourceError
from helpers.data.known_datasets import KNOWN_DATASETS
from helpers.sound.audio_files import SUFFIXES

FSDD_NAME = re.compile(r"\d_[a-z]+_\d+\.wav")
ESC_NAME = re.compile(r"[1-5]-\d+-[A-Z](-\d+)?\.(wav|ogg)")


def find_classes(folder: Path) -> tuple[Path, list[Path]]:
    """The folder whose subfolders are the classes, and the audio files in these.

    It is `folder` itself, or the one in it that holds all audio, at any depth. Audio may lie at any
    depth below a class. Raises SourceError if there is no audio, or none in class folders.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SourceError(
            f"{str(folder)!r} {what}; give a folder of class folders: {HOW_TO_ARRANGE}"
        )
    names = walk_files(folder)
    inside = [Path(name).parts for name in filter(is_audio, names)]
    if not inside:
        raise SourceError(
            f"{str(folder)!r} holds no audio: {len(names)} files were looked at, none ends in "
            f"{', '.join(SUFFIXES)}. Give another folder or convert the files; {HOW_TO_ARRANGE}"
        )
    while all(len(parts) > 2 for parts in inside) and len({parts[0] for parts in inside}) == 1:
        folder, inside = folder / inside[0][0], [parts[1:] for parts in inside]
    files = [folder.joinpath(*parts) for parts in inside if len(parts) > 1]
    n_loose = len(inside) - len(files)
    if not files:
        raise SourceError(
            f"{str(folder)!r} holds {n_loose} audio files but no class folders: {HOW_TO_ARRANGE}"
        )
    if n_loose:
        warnings.warn(
            f"{n_loose} audio files beside the class folders of {str(folder)!r} are left out",
            stacklevel=3,
        )
    return folder, files


def walk_files(folder: Path) -> list[str]:
    """The paths of all visible files below a folder, relative to it, sorted.

    Names that begin with a dot and __MACOSX are not visible. Links are followed, but no link that
    leads back to a folder it lies in. A folder that cannot be listed is warned of.
    """
    found = []
    for root, folders, names in os.walk(folder, onerror=_warn_unlisted, followlinks=True):
        folders[:] = [name for name in folders if _is_visible(name) and not _leads_back(root, name)]
        found += [os.path.relpath(f"{root}/{name}", folder) for name in names if _is_visible(name)]
    return sorted(found)


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    """Every visible file in the class folders: relative path, bytes, time of change in ns."""
    found = []
    for name in walk_files(folder):
        if os.sep in name:
            path = folder / name
            status = path.stat() if path.exists() else path.lstat()  # of a link to nowhere
            found.append((name, status.st_size, status.st_mtime_ns))
    return found


def is_audio(name: str) -> bool:
    """Whether a file has the suffix of a format that is read."""
    return name.lower().endswith(SUFFIXES)


def recognise_holdout(names: Iterable[str]) -> str:
    """Glob of the own test split of FSDD or ESC, if every file is named as theirs; else "".

    Of ESC it is the highest fold that is there. A glob that would hold out nothing or everything
    is none.

    >>> recognise_holdout(["0_ann_0.wav", "1_bob_12.wav"])
    '*_[0-4].wav'
    """
    names, glob = list(names), ""
    if names and all(map(FSDD_NAME.fullmatch, names)):
        glob = KNOWN_DATASETS["fsdd"].holdout
    elif names and all(map(ESC_NAME.fullmatch, names)):
        glob = f"{max(name[0] for name in names)}-*"
    n_held_out = sum(fnmatch(name, glob) for name in names)
    return glob if 0 < n_held_out < len(names) else ""


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _leads_back(root: str, name: str) -> bool:
    """Whether this is a link to a folder that it lies in: to walk it would never end."""
    path = Path(root, name)
    if not path.is_symlink():
        return False
    above = (parent.resolve() for parent in path.parents)
    return any(folder.is_relative_to(path.resolve()) for folder in above)


def _warn_unlisted(error: OSError) -> None:
    warnings.warn(
        f"the folder {error.filename!r} cannot be listed ({error.strerror}) and is left out",
        stacklevel=2,
    )
