"""Where recordings come from: a folder, an archive, the built-in kit or a known download, on the local disk."""

import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from helpers.archives import CLASS_FOLDERS, archive_stem, extract_archive, extract_to
from helpers.audio import SUFFIXES
from helpers.config import digest_of
from helpers.downloads import BY_CLASS, KNOWN, SourceError, arrange, download, tracked
from helpers.drums import make_kit

KIT = "kit"
COPY_THREADS = 8  # a copy from Google Drive mostly waits for the answer to its request
COPY_RETRIES = 2
RETRY_PAUSE_S = 2.0
FSDD_NAME = re.compile(r"\d_[a-z]+_\d+\.wav")
ESC_NAME = re.compile(r"([1-5])-\d+-[A-Z](-\d+)?\.(wav|ogg)")


@dataclass(frozen=True)
class Source:
    """Recordings on the local disk: the subfolders of `folder` are the classes.

    holdout is a glob on the file names of the data set's own test split; "" if none is known.
    """

    name: str
    folder: Path
    holdout: str = ""


def open_source(
    source: str,
    work_dir: Path,
    *,
    kit_clips: int = 2000,
    seed: int = 0,
    stage: bool = False,
    progress: Callable | None = None,
) -> Source:
    """Bring recordings to the local disk, below work_dir unless they are a folder that stays where it is.

    source: "kit" (kit_clips drum sounds made from seed), "fsdd", "esc50", "speech_commands", or the path of
    a folder or an archive. stage: copy a folder to work_dir, once, for disks where many small reads are slow.
    progress wraps an iterable and takes total= (None: not known) and desc=, like tqdm.
    Raises SourceError if there is no such source, or it holds no class folders with audio.
    """
    source = os.fspath(source)
    work_dir = Path(os.path.expanduser(work_dir)).resolve()
    if source == KIT:
        folder = make_kit(work_dir / f"kit-{kit_clips}-{seed}", kit_clips, seed, progress=progress)
        return Source(KIT, folder)
    if source in KNOWN:
        return Source(source, _open_known(source, work_dir, progress), KNOWN[source].holdout)
    path = _existing_path(source)
    if path.is_dir():
        folder, files = _find_classes(path)
        if stage:
            target = work_dir / f"staged-{path.name}-{digest_of(str(path))[:8]}"
            folder = _stage(folder, files, target, progress)
        return Source(path.name, folder, recognise_holdout(file.name for file in files))
    folder, files = _find_classes(extract_archive(path, work_dir, progress))
    return Source(archive_stem(path), folder, recognise_holdout(file.name for file in files))


def find_class_folder(folder: Path) -> Path:
    """The folder whose subfolders are the classes: `folder`, or the one it is wrapped in.

    Audio may lie at any depth below a class. A folder is a mere wrapper while all its audio lies below one
    subfolder and none directly in that one. Hidden names and __MACOSX do not count.
    Raises SourceError if there is no such folder, no audio in it, or audio but no class folders.
    """
    return _find_classes(Path(folder))[0]


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


def _open_known(name: str, work_dir: Path, progress: Callable | None) -> Path:
    """The class folders of a known data set; its archive is removed when it has been extracted."""
    dataset = KNOWN[name]
    target = work_dir / f"{name}-{digest_of(dataset.url, dataset.known_hash)[:8]}"
    if not target.is_dir():
        archive = download(dataset, work_dir, progress)
        extract_to(archive, target, progress, finish=lambda folder: arrange(dataset, folder))
        archive.unlink()
    return target / BY_CLASS


def _existing_path(source: str) -> Path:
    path = os.path.expanduser(source)
    if source and os.path.exists(path):
        return Path(path).resolve()
    nearest = next(str(parent) for parent in Path(path).absolute().parents if os.path.exists(parent))
    raise SourceError(
        f"There is no folder or archive {source!r}; of that path only {nearest!r} exists. Check the spelling "
        f"(and that Google Drive is mounted, if it lies there), or use one of {', '.join([KIT, *KNOWN])}"
    )


def _find_classes(folder: Path) -> tuple[Path, list[Path]]:
    """The class folder at or below `folder`, and the audio files in its subfolders."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SourceError(f"{str(folder)!r} {what}; give a folder of class folders: {CLASS_FOLDERS}")
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
        raise SourceError(f"{str(folder)!r} holds {n_loose} audio files but no class folders: {CLASS_FOLDERS}")
    if n_loose:
        warnings.warn(f"{n_loose} audio files beside the class folders of {str(folder)!r} are left out", stacklevel=3)
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
    warnings.warn(f"the folder {error.filename!r} cannot be listed ({error.strerror}) and is left out", stacklevel=2)


def _stage(folder: Path, files: list[Path], target: Path, progress: Callable | None) -> Path:
    """Make target hold copies of the files, at the same places below it as below folder."""
    wanted = {target / file.relative_to(folder): file for file in files}
    _remove_gone(target, wanted)
    failed = _copy_all(wanted, progress)
    for _ in range(COPY_RETRIES):
        if failed:
            time.sleep(RETRY_PAUSE_S)
            failed = _copy_all({copy: wanted[copy] for copy in failed}, progress)
    if failed:
        names = ", ".join(repr(wanted[copy].name) for copy in list(failed)[:3])
        message = (
            f"{len(failed)} of {len(files)} files could not be copied from {str(folder)!r} to the local disk: "
            f"{names}{', ...' if len(failed) > 3 else ''} ({next(iter(failed.values()))})"
        )
        if len(failed) == len(files):
            raise SourceError(f"{message}. Check that both disks are there and not full, and run again")
        warnings.warn(f"{message}; they are left out. Run again to try them again", stacklevel=3)
    return target


def _remove_gone(target: Path, wanted: dict[Path, Path]) -> None:
    for root, folders, names in os.walk(target, topdown=False):
        for path in (Path(root, name) for name in names):
            if path not in wanted:
                path.unlink()
        for path in (Path(root, name) for name in folders):
            if not any(path.iterdir()):
                path.rmdir()


def _copy_all(wanted: dict[Path, Path], progress: Callable | None) -> dict[Path, OSError]:
    """Copy what changed, keys from values; returns the copies that failed, with the reason."""
    with ThreadPoolExecutor(COPY_THREADS) as pool:
        errors = tracked(progress, pool.map(_copy, wanted.values(), wanted), len(wanted), "Copying")
        return {copy: error for copy, error in zip(wanted, errors, strict=True) if error}


def _copy(file: Path, copy: Path) -> OSError | None:
    """Copy a file with its time of change, unless size and time say it is there; returns what went wrong."""
    try:
        status = file.stat()
        if not (copy.exists() and _stamp(copy.stat()) == _stamp(status)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        copy.unlink(missing_ok=True)
        return error
    return None


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns // 1_000_000
