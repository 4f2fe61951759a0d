"""Sounds that a person brings: where they are kept, and Colab's upload button for them."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from helpers.config import ConfigError, check_classes, digest_of
from helpers.data.archives import ARCHIVE_SUFFIXES, SourceError, extract_archive
from helpers.data.labelling import find_labels
from helpers.data.layouts import is_audio, walk_files
from helpers.data.source_names import KIT, understand_source
from helpers.data.sources import open_source
from helpers.files import PROJECT, names_in, read_if_there, write_synced
from helpers.progress import tracked
from helpers.run import colab
from helpers.run.colab import RunError
from helpers.run.folder import RunFolder, resolve_source
from helpers.show.plots import printable
from helpers.sound.audio_files import SUFFIXES, write_wav
from helpers.sound.file_kinds import HEAD_BYTES, kind_of_head

TAKE = re.compile(r"take-(\d{4,})\.wav")
NO_CLASS = (
    "own_class is empty: upload an archive with a folder for each class, or set own_class first to "
    "upload sound files"
)


def find_own_folder(run: RunFolder, data_source: str) -> Path:
    """The folder of class folders that own sounds go to.

    It is that in data_source, if this is a folder, and for the drum kit the run's `recordings`.
    Raises RunError for anything else, to which no sound can be added, such as a folder whose
    classes stand in a table.
    """
    source, _ = resolve_source(data_source)
    if source == KIT:
        return run.recordings
    if os.path.isdir(source):
        with contextlib.suppress(SourceError):  # a new one holds no sounds yet
            opened = open_source(source, run.work)
            if opened.labels != "folders":
                raise RunError(
                    f"no sounds can be added to {data_source!r}: {opened.words}\n"
                    "Add them yourself, or give a folder with a subfolder for each class"
                )
            return opened.folder
        return Path(source)
    raise RunError(
        f"no sounds can be added to {data_source!r}: set data_source to the folder that they shall "
        f"go to, or to {KIT!r} to collect them in {run.recordings}"
    )


def choose_source(run: RunFolder, data_source: str) -> str:
    """The data source, or the run's own sounds, if there are any, in the place of the drum kit.

    Raises RunError if the run folder cannot be read.
    """
    own = run.recordings
    if understand_source(data_source) != KIT or own.name not in run.list_names():
        return data_source
    if not any(is_audio(own / name) for name in walk_files(own)):
        return data_source
    print(printable(f"your own sounds in {own} are used; for the drum kit choose another run_dir"))
    return str(own)


def upload_sounds(folder: Path, class_name: str, progress: Callable | None = None) -> None:
    """Ask for files in Colab and keep them below a folder: sounds in the folder of their class.

    Of an archive, all files are kept at the places that they have in it. Elsewhere than in Colab a
    sentence says where files can be put. Raises ConfigError for a name that no class can have,
    RunError where nothing comes or it cannot be kept, and SourceError for an archive without
    sounds.
    """
    if class_name:
        check_class(class_name)
    if not is_asked(folder):
        return
    print(f"sound files become sounds of {class_name!r}" if class_name else NO_CLASS)
    files = colab.upload_files()
    if not files:
        raise RunError(
            "nothing was uploaded: choose files with the button, or set upload = False, and run "
            "this cell again"
        )
    for name, content in files.items():
        if name.lower().endswith(ARCHIVE_SUFFIXES):
            _keep_archive(folder, name, content, class_name, progress)
        elif not (name.lower().endswith(SUFFIXES) or kind_of_head(content[:HEAD_BYTES])):
            print(printable(f"{name} is neither a sound nor an archive: it is not kept"))
        else:
            kept = keep_file(folder / check_class(class_name) / name, content)
            print(printable(f"kept: {kept}"))


def keep_uploaded(files: Sequence[str | Path]) -> tuple[str, str]:
    """Copy uploaded files to a folder of the project's data; the same files, to the same folder.

    Returns the data source that they are, an archive or that folder, and a run folder for it.
    Raises RunError where there are none, or they cannot be written.
    """
    if not files:
        raise RunError("nothing is uploaded yet: choose a .zip, or sound files, then press Train")
    contents = {Path(file).name: Path(file).read_bytes() for file in files}
    digest = digest_of(*(hashlib.sha256(content).hexdigest() for content in contents.values()))
    folder = PROJECT / "data" / f"uploaded-{digest}"
    kept = [keep_file(folder / name, content) for name, content in contents.items()]
    archives = [path for path in kept if path.name.lower().endswith(ARCHIVE_SUFFIXES)]
    return str(archives[0] if archives else folder), f"runs/uploaded-{digest}"


def is_asked(folder: Path) -> bool:
    """Whether a person can be asked here; where not, a sentence says what to do instead."""
    if colab.can_ask():
        return True
    print(
        printable(
            "upload and record need Colab, with this notebook open: here, put your files in "
            f"{folder}, in a folder for each class, and run this cell again"
        )
    )
    return False


def check_class(name: str) -> str:
    """The name of a class, if a folder can have it and is seen then. Raises ConfigError."""
    with contextlib.suppress(ConfigError):
        if not name.strip().startswith("."):
            return check_classes([name.strip()])[0]
    raise ConfigError(f'own_class must name a class, such as "dog", as a folder can; got {name!r}')


def keep_file(path: Path, content: bytes) -> Path:
    """Write a file that a person brought; returns its path.

    Where another file has its name, it gets a number. Where the same one is there, nothing is
    written. Raises RunError where it cannot be written.
    """
    place, number = path, 1
    with _explain_write_errors(path.parent):
        while (there := read_if_there(place)) is not None and there != content:
            number += 1
            place = path.with_stem(f"{path.stem}-{number}")
        if there is None:
            write_synced(place, content)
    return place


def keep_take(folder: Path, waveform, sample_rate: int) -> Path:
    """Write a take (n,) as the next of `take-0001.wav`, `take-0002.wav` and so on in a folder.

    Raises RunError where it cannot be written.
    """
    with _explain_write_errors(folder):
        numbers = [int(found[1]) for found in map(TAKE.fullmatch, names_in(folder)) if found]
        name = f"take-{max(numbers, default=0) + 1:04d}.wav"
        return write_wav(folder / name, waveform, sample_rate)


def _keep_archive(
    folder: Path, name: str, content: bytes, class_name: str, progress: Callable | None
) -> None:
    """Keep what is in an archive: class folders as they are, or all its files as one class."""
    with tempfile.TemporaryDirectory() as work:
        archive = Path(work, name)
        archive.write_bytes(content)
        opened = extract_archive(archive, Path(work), progress)
        try:
            opened = find_labels(opened, "folders").folder
        except SourceError:
            has_sound = any(is_audio(opened / name) for name in walk_files(opened))
            if not (class_name and has_sound):
                raise
            folder = folder / check_class(class_name)
        names = walk_files(opened)
        for file in tracked(progress, names, len(names), f"keeping {name}"):
            keep_file(folder / file, (opened / file).read_bytes())
    print(printable(f"kept: {len(names)} files of {name} in {folder}"))


@contextlib.contextmanager
def _explain_write_errors(folder: Path) -> Iterator[None]:
    if folder.is_relative_to(colab.DRIVE):  # else a folder could be made where Drive was
        colab.require_drive()
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written to ({error}): make room there, and run this cell again"
        ) from error
