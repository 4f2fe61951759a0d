"""Known data sets: where they are, how their files become class folders, and downloads that continue."""

import csv
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from helpers.data.archives import SourceError
from helpers.progress import tracked

BY_CLASS = "by_class"  # folder of the class folders, inside what a known data set's archive held
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30


@dataclass(frozen=True)
class KnownDataset:
    """A public data set: one archive of .wav files, its digest, and what gives the class of a file.

    The class is the first group of class_pattern in the file name, or the column "category" of class_table
    (a CSV with a column "filename", anywhere in the archive), or else the name of the file's folder.
    """

    url: str
    known_hash: str  # "algorithm:digits", as pooch reads it
    file_name: str
    holdout: str = ""  # glob on the file names of the data set's own test split
    class_pattern: str = ""
    class_table: str = ""
    left_out: tuple[str, ...] = ()  # classes that are none


KNOWN = {
    # URL and SHA-256: tensorflow/datasets, tensorflow_datasets/datasets/spoken_digit/checksums.tsv
    "fsdd": KnownDataset(
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
        known_hash="sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
        file_name="free-spoken-digit-dataset-1.0.9.tar.gz",
        holdout="*_[0-4].wav",
        class_pattern=r"(\d)_[a-z]+_\d+\.wav",
    ),
    # URL and MD5: soundata, soundata/datasets/esc50.py since its pull request 209, which left master.zip for
    # this commit because the digest of a branch changes with every push
    "esc50": KnownDataset(
        url="https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip",
        known_hash="md5:071b44018315e034b2c6e8064543d19c",
        file_name="ESC-50-33c8ce9.zip",
        holdout="5-*",
        class_table="esc50.csv",
    ),
    # URL and SHA-256: torchaudio/datasets/speechcommands.py; the same digest stands in
    # tensorflow_datasets/datasets/speech_commands/checksums.tsv
    "speech_commands": KnownDataset(
        url="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        known_hash="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        file_name="speech_commands_v0.02.tar.gz",
        left_out=("_background_noise_",),
    ),
}


def download(dataset: KnownDataset, work_dir: Path, progress: Callable | None = None) -> Path:
    """The archive of a known data set below work_dir; what an interrupted download left is continued.

    Raises SourceError if the network fails (what has arrived is kept) or the digest is not the known one.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    part = work_dir / f"{dataset.file_name}.part"

    def receive(url: str, output_file: str, _pooch) -> None:
        try:
            _receive(url, part, progress)
            os.replace(part, output_file)
        except OSError as error:  # of the disk, or of requests, whose errors are OSErrors
            raise SourceError(_broken_off(dataset, part, error)) from error

    try:
        archive = pooch.retrieve(
            dataset.url,
            dataset.known_hash,
            fname=dataset.file_name,
            path=work_dir,
            downloader=receive,
        )
    except SourceError:
        raise
    except ValueError as error:  # pooch's, with the file, the digest expected and the digest found
        raise SourceError(
            f"{error} It came from {dataset.url}. Run again to download it afresh; if the digest differs "
            "again, the publisher changed the file: get it yourself and give its path as the source"
        ) from error
    return Path(archive)


def arrange(dataset: KnownDataset, folder: Path) -> Path:
    """Move the sounds of an extracted data set to folder/by_class/<class>/; returns folder/by_class.

    Raises SourceError if no file is as the data set's naming says, or its table of classes is not there.
    """
    table = _read_table(dataset, folder) if dataset.class_table else {}
    n_moved = 0
    for file in sorted(folder.rglob("*.wav")):
        name = _class_of(dataset, file, table)
        if not file.name.startswith(".") and name and name not in dataset.left_out:
            target = folder / BY_CLASS / name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
            n_moved += 1
    if n_moved == 0:
        raise SourceError(
            f"{dataset.file_name} holds no .wav file that belongs to a class of the data set; "
            "get the data set yourself, arranged in class folders, and give its path as the source"
        )
    return folder / BY_CLASS


def _class_of(dataset: KnownDataset, file: Path, table: dict[str, str]) -> str:
    if dataset.class_table:
        return table.get(file.name, "")
    if dataset.class_pattern:
        match = re.fullmatch(dataset.class_pattern, file.name)
        return match[1] if match else ""
    return file.parent.name


def _read_table(dataset: KnownDataset, folder: Path) -> dict[str, str]:
    """File name to class, from the data set's own table."""
    tables = sorted(folder.rglob(dataset.class_table))
    if not tables:
        raise SourceError(
            f"{dataset.file_name} lacks {dataset.class_table}, which names the classes; download it again"
        )
    with tables[0].open(encoding="utf-8", newline="") as lines:
        return {row["filename"]: row["category"] for row in csv.DictReader(lines)}


def _receive(url: str, part: Path, progress: Callable | None) -> None:
    """Append to part what it lacks of the file at url, or start again where the server cannot continue."""
    n_kept = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={n_kept}-"} if n_kept else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as reply:
        if reply.status_code != 416:
            reply.raise_for_status()
            continues = reply.status_code == 206 and _begins_at(reply) == n_kept
            if reply.status_code == 200 or continues:
                _save(reply, part, n_kept if continues else 0, progress)
                return
    part.unlink(missing_ok=True)  # it is longer than the file, or the server sent another range
    if n_kept == 0:
        raise requests.ConnectionError(
            f"the server answered {reply.status_code} to a plain request"
        )
    _receive(url, part, progress)


def _begins_at(reply: requests.Response) -> int:
    match = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _save(reply: requests.Response, part: Path, n_kept: int, progress: Callable | None) -> None:
    """Write the body of the reply behind the first n_kept bytes; a body that ends early is an error."""
    n_coming = int(reply.headers["Content-Length"]) if "Content-Length" in reply.headers else None
    n_chunks = None if n_coming is None else math.ceil(n_coming / CHUNK_BYTES)
    desc = f"Downloading {part.name.removesuffix('.part')} (MB)"
    with part.open("ab" if n_kept else "wb") as out:
        for chunk in tracked(progress, reply.iter_content(CHUNK_BYTES), n_chunks, desc):
            out.write(chunk)
    n_arrived = part.stat().st_size - n_kept
    if n_coming is not None and n_arrived < n_coming:
        raise requests.ConnectionError(
            f"the connection ended {n_coming - n_arrived} bytes too early"
        )


def _broken_off(dataset: KnownDataset, part: Path, error: OSError) -> str:
    n_kept = part.stat().st_size if part.exists() else 0
    return (
        f"The download of {dataset.file_name} from {dataset.url} broke off: {error}. {n_kept / 1e6:.1f} MB "
        f"have arrived and are kept in {part}. Run again to continue from there, or get the file yourself "
        "and give its path as the source"
    )
