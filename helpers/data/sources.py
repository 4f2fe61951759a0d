"""Where recordings come from: a folder, an archive, the built-in kit or a known data set."""

import os
import shutil
import time
import urllib.parse
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from helpers.config import digest_of
from helpers.data.archives import SourceError, archive_stem, extract_archive
from helpers.data.drum_kit import make_kit
from helpers.data.known_datasets import KNOWN_DATASETS, KnownDataset, download, fetch
from helpers.data.labelling import Labelling, find_labels
from helpers.data.layouts import recognise_holdout
from helpers.data.source_names import KIT, understand_source
from helpers.files import one_at_a_time
from helpers.progress import tracked

KIT_SEED = 0  # never that of a training: runs of several seeds must learn from the same sounds
COPY_THREADS = 8  # a copy from Google Drive mostly waits for the answer to its request
COPY_RETRIES = 2
RETRY_PAUSE_S = 2.0

Bring = Callable[[Path, Path], OSError | None]  # makes of a file the second path


@dataclass(frozen=True)
class Source:
    """Recordings on the local disk.

    folder holds the class folders. holdout is a glob of the data set's own test files; "" if none
    is known. labels is how their classes were found, as `find_labels` takes it, words the same in a
    sentence.
    """

    name: str
    folder: Path
    holdout: str = ""
    labels: str = "folders"
    words: str = ""


def open_source(
    source: str,
    work_dir: Path,
    *,
    kit_clips: int = 2000,
    labels: str = "auto",
    stage: bool = False,
    progress: Callable | None = None,
) -> Source:
    """Bring recordings to the local disk: below work_dir, or a folder stays where it is.

    source: "kit" (kit_clips drum sounds, always the same), a known data set, the path of a folder
    or an archive, or an archive's web address, all as `understand_source` takes them. labels: which
    class a file of a folder or archive has, as `find_labels` takes it; where that is not by class
    folders, work_dir gets such folders, with links to the files. stage: copy a folder to work_dir,
    once, because many small reads are slow where it lies. progress makes a bar, as
    `helpers.progress.progress_bar` does. Raises SourceError if there is no such source, or its
    classes cannot be found.

    >>> source = open_source("kit", Path("work"), kit_clips=80)
    """
    source = understand_source(os.fspath(source))
    work_dir = Path(os.path.expanduser(work_dir)).resolve()
    if source == KIT:
        target = work_dir / f"kit-{kit_clips}-{KIT_SEED}"
        with one_at_a_time(target):
            return Source(KIT, make_kit(target, kit_clips, KIT_SEED, progress=progress))
    if source in KNOWN_DATASETS:
        known = KNOWN_DATASETS[source]
        target = work_dir / f"{source}-{digest_of(known.url, known.known_hash)[:8]}"
        with one_at_a_time(target):
            return Source(source, fetch(known, target, progress), known.holdout)
    path = _downloaded(source, work_dir, progress) if "://" in source else _existing_path(source)
    is_folder = path.is_dir()
    outer = path if is_folder else extract_archive(path, work_dir, progress)
    name = path.name if is_folder else archive_stem(path)
    found = find_labels(outer, labels, name)
    copies, folder = is_folder and stage, found.folder
    if copies or not found.can_stay:
        how, key = ("staged" if copies else "arranged"), digest_of(str(outer), found.how)[:8]
        target = work_dir / f"{how}-{path.name}-{key}"
        with one_at_a_time(target):
            folder = _arrange(found, target, _copy if copies else _link, progress)
    holdout = found.holdout or recognise_holdout(Path(one.path).name for one in found.files)
    return Source(name, folder, holdout, found.how, found.words)


def _downloaded(address: str, work_dir: Path, progress: Callable | None) -> Path:
    """The archive at a web address, in a folder of its own below work_dir, downloaded once."""
    name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name
    folder = work_dir / f"downloaded-{digest_of(address)[:8]}"
    with one_at_a_time(folder):
        return download(KnownDataset(address, None, name), folder, progress)


def _existing_path(source: str) -> Path:
    if source and os.path.exists(source):
        return Path(source).resolve()
    nearest = next(str(p) for p in Path(source).absolute().parents if os.path.exists(p))
    raise SourceError(
        f"There is no folder or archive {source!r}; of that path only {nearest!r} exists. Check "
        "the spelling (and that Google Drive is mounted, if it lies there), or use one of "
        f"{', '.join([KIT, *KNOWN_DATASETS])}"
    )


def _arrange(found: Labelling, target: Path, bring: Bring, progress: Callable | None) -> Path:
    """Make target hold the files in class folders, as copies or as links."""
    places = (Path(one.path) if found.can_stay else found.place(one) for one in found.files)
    origins = (found.folder / one.path for one in found.files)
    wanted = {target / place: file for place, file in zip(places, origins, strict=True)}
    for root, folders, names in os.walk(target, topdown=False):
        for path in [Path(root, name) for name in names]:
            if path not in wanted:
                path.unlink()
        for path in [Path(root, name) for name in folders]:
            if not any(path.iterdir()):
                path.rmdir()
    failed = _bring_all(wanted, bring, progress)
    for _ in range(COPY_RETRIES):
        if failed:
            time.sleep(RETRY_PAUSE_S)
            failed = _bring_all({copy: wanted[copy] for copy in failed}, bring, progress)
    if failed:
        names = ", ".join(repr(wanted[copy].name) for copy in list(failed)[:3])
        message = (
            f"{len(failed)} of {len(wanted)} files could not be copied from "
            f"{str(found.folder)!r} to the local disk: {names}{', ...' if len(failed) > 3 else ''} "
            f"({next(iter(failed.values()))})"
        )
        if len(failed) == len(wanted):
            raise SourceError(
                f"{message}. Check that both disks are there and not full, and run again"
            )
        warnings.warn(f"{message}; they are left out. Run again to try them again", stacklevel=3)
    return target


def _bring_all(
    wanted: dict[Path, Path], bring: Bring, progress: Callable | None
) -> dict[Path, OSError]:
    """Copy or link what changed, keys from values; returns those that failed, with the reason."""
    with ThreadPoolExecutor(COPY_THREADS) as pool:
        results = pool.map(bring, wanted.values(), wanted)
        errors = tracked(progress, results, len(wanted), "Copying")
        return {copy: error for copy, error in zip(wanted, errors, strict=True) if error}


def _link(file: Path, link: Path) -> OSError | None:
    """Make a link to a file; a copy where the system has no links."""
    try:
        if link.is_symlink() and link.readlink() == file:
            return None
        link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    except OSError:
        return _copy(file, link)
    return None


def _copy(file: Path, copy: Path) -> OSError | None:
    """Copy a file with its time of change, unless size and time say that it is there."""
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
