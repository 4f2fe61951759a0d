"""Known public data sets: their addresses, their download, and which file has which class."""

import csv
import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from helpers.data.archives import SourceError, extract

BY_CLASS = "by_class"  # the folder of the class folders
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30
MOST_BYTES = 20 * 10**9  # of a download


@dataclass(frozen=True)
class KnownDataset:
    """A public data set: one archive of .wav files, its digest, and what gives the class of a file.

    The class is the first group of class_pattern in the file's name, or the column "category" of
    class_table (a CSV with a column "filename", anywhere in the archive), or else the name of the
    file's folder.
    """

    url: str
    known_hash: str | None  # "algorithm:digits", as pooch reads it; None: any content will do
    file_name: str
    holdout: str = ""  # glob of the names of the data set's own test files
    class_pattern: str = ""
    class_table: str = ""
    not_classes: tuple[str, ...] = ()  # names of folders


KNOWN_DATASETS = {
    # URL and SHA-256: tensorflow/datasets, tensorflow_datasets/datasets/spoken_digit/checksums.tsv
    "fsdd": KnownDataset(
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
        known_hash="sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
        file_name="free-spoken-digit-dataset-1.0.9.tar.gz",
        holdout="*_[0-4].wav",
        class_pattern=r"(\d)_[a-z]+_\d+\.wav",
    ),
    # URL and MD5: soundata, soundata/datasets/esc50.py since its pull request 209, which left
    # master.zip for this commit because the digest of a branch changes with every push
    "esc50": KnownDataset(
        url="https://github.com/karolpiczak/ESC-50/archive/"
        "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip",
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
        not_classes=("_background_noise_",),
    ),
}


def fetch(dataset: KnownDataset, target: Path, progress: Callable | None = None) -> Path:
    """The class folders of a known data set in `target`; downloaded and extracted once."""
    if not target.is_dir():
        archive = download(dataset, target.parent, progress)
        extract(archive, target, progress, lambda folder: arrange(dataset, folder))
        archive.unlink()
    return target / BY_CLASS


def download(dataset: KnownDataset, work_dir: Path, progress: Callable | None = None) -> Path:
    """The archive of a known data set in work_dir. An interrupted download is continued.

    Raises SourceError if the network fails (what has arrived is kept), or if the digest is not the
    known one.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    part = work_dir / f"{dataset.file_name}.part"
    continues = part.exists()
    receive = functools.partial(_receive, part=part, progress=progress)
    try:
        path = pooch.retrieve(
            dataset.url, dataset.known_hash, dataset.file_name, work_dir, downloader=receive
        )
        return Path(path)
    except SourceError:
        raise
    except OSError as error:  # of the disk, or of requests, whose errors are OSErrors
        is_too_long = isinstance(error, requests.HTTPError) and error.response.status_code == 416
        if not (continues and is_too_long):
            n_mb = part.stat().st_size / 1e6 if part.exists() else 0.0
            raise SourceError(
                f"The download of {dataset.file_name} from {dataset.url} broke off: {error}. "
                f"{n_mb:.1f} MB have arrived and are kept in {part}. Run again to continue from "
                "there, or get the file yourself and give its path as the source"
            ) from error
    except ValueError as error:  # pooch's, with the file, the digest expected and the digest found
        if not continues:
            raise SourceError(
                f"{error} It came from {dataset.url}. Run again to download it afresh; if the "
                "digest differs again, the publisher changed the file: get it yourself and give "
                "its path as the source"
            ) from error
    part.unlink(missing_ok=True)  # it was no beginning of this file
    return download(dataset, work_dir, progress)


def arrange(dataset: KnownDataset, folder: Path) -> None:
    """Move the sounds of an extracted data set to folder/by_class/<class>/.

    Raises SourceError if no file is as the data set's naming says, or its class table is missing.
    """
    table = _read_table(dataset, folder) if dataset.class_table else {}
    n_moved = 0
    for file in sorted(folder.rglob("*.wav")):
        name = file.parent.name
        if dataset.class_table:
            name = table.get(file.name, "")
        elif dataset.class_pattern:
            match = re.fullmatch(dataset.class_pattern, file.name)
            name = match[1] if match else ""
        if not file.name.startswith(".") and name and name not in dataset.not_classes:
            target = folder / BY_CLASS / name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
            n_moved += 1
    if n_moved == 0:
        raise SourceError(
            f"{dataset.file_name} holds no .wav file that belongs to a class of the data set; get "
            "the data set yourself, arranged in class folders, and give its path as the source"
        )


def _receive(url: str, path: str, _, part: Path, progress: Callable | None) -> None:
    """Append to `part` what it lacks of the file at the URL, then rename it to `path`."""
    words = {"desc": f"Downloading {part.stem}", "unit": "B", "unit_scale": True}
    bar = progress(**words) if progress else tqdm(disable=True)

    def begin(reply: requests.Response, **_) -> None:
        bar.total = int(reply.headers.get("Content-Length", 0)) or None
        if (bar.total or 0) > MOST_BYTES:
            raise SourceError(
                f"{url} has {bar.total / 1e9:.0f} GB, more than the {MOST_BYTES / 1e9:.0f} GB that "
                "are downloaded: get it yourself and give its path as the source"
            )
        if reply.status_code == 200:
            out.truncate(0)  # the server sends the file from its beginning

    with bar, part.open("ab") as out:
        headers = {"Accept-Encoding": "identity"}
        if out.tell():
            headers["Range"] = f"bytes={out.tell()}-"
        options = {"timeout": TIMEOUT_S, "headers": headers, "hooks": {"response": begin}}
        counted = CallbackIOWrapper(bar.update, out, "write")
        pooch.HTTPDownloader(chunk_size=CHUNK_BYTES, **options)(url, counted, None)
    os.replace(part, path)


def _read_table(dataset: KnownDataset, folder: Path) -> dict[str, str]:
    """File name to class, from the data set's own table."""
    tables = sorted(folder.rglob(dataset.class_table))
    if not tables:
        raise SourceError(
            f"{dataset.file_name} lacks {dataset.class_table}, which names the classes; "
            "download it again"
        )
    with tables[0].open(encoding="utf-8", newline="") as lines:
        return {row["filename"]: row["category"] for row in csv.DictReader(lines)}
