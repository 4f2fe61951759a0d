"""The files below a folder: which of them are there, are audio, or are a known data set's test."""

import os
import re
import warnings
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from helpers.data.known_datasets import KNOWN_DATASETS
from helpers.sound.audio_files import SUFFIXES
from helpers.sound.file_kinds import kind_of

# Of macOS, network disks and Windows: they hold copies, thumbnails and what was deleted
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information")
OTHER_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".md", ".jpg", ".png", ".pdf", ".mid", ".zip")
OTHER_SUFFIXES += (".lab", ".npy", ".npz", ".xml", ".html", ".log", ".ini", ".yaml", ".yml")
OTHER_SUFFIXES += (".jpeg", ".gif", ".textgrid", ".srt", ".py", ".ipynb", ".docx", ".xlsx", ".asd")

FSDD_NAME = re.compile(r"\d_[a-z]+_\d+\.wav")
ESC_NAME = re.compile(r"[1-5]-\d+-[A-Z](-\d+)?\.(wav|ogg)")


def walk_files(folder: Path) -> list[str]:
    """The paths of all visible files below a folder, relative to it, sorted.

    Names that begin with a dot are not visible, nor are SYSTEM_FOLDERS. Links are followed, but no
    link that leads back to a folder it lies in. A folder that cannot be listed is warned of.
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


def is_audio(path: Path) -> bool:
    """Whether a file is one that is read: by its suffix, or else by its first bytes."""
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return True
    try:
        return not name.endswith(OTHER_SUFFIXES) and kind_of(path) != ""
    except OSError:
        return False


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
    return not name.startswith(".") and name not in SYSTEM_FOLDERS


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
