"""What is in a folder of class folders: one row a file, with what becomes of it and why; training or test."""

import csv
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from helpers.data.layouts import list_files
from helpers.files import write_atomically
from helpers.progress import n_workers, tracked
from helpers.sound import audio_files

TEST_SHARE = 1 / 7  # of a class's files, when the data set names no split of its own
FILES_IN_A_ROW = 16  # read by one thread before it says so
FEWEST_FOR_TEST = 4  # files in a class before one is held out


class DatasetError(ValueError):
    """A folder or cache that cannot be trained on; the message says why and what to do."""


class AuditRow(NamedTuple):
    """What became of one file. `status` is kept, silent, too short, unreadable, duplicate, not audio or left out."""

    path: str  # relative to the class folders' folder
    label: str
    status: str
    changes: str = ""  # of a kept file: resampled, mixed to mono, cropped, sliced, padded
    why: str = ""
    sample_rate: int = 0
    n_channels: int = 0
    duration_s: float = 0.0
    level_db: float = audio_files.SILENT_DB
    n_clips: int = 0
    split: str = ""
    digest: str = ""


def common_sample_rate(folder: Path, n_files: int = 64) -> int:
    """The sample rate in hertz that most of (up to n_files of) the recordings have; 0 if none can be read."""
    paths = [
        path for path, _, _ in list_files(folder) if path.lower().endswith(audio_files.SUFFIXES)
    ]
    rates = Counter()
    for path in paths[:: max(1, len(paths) // n_files)]:
        try:
            rates[audio_files.source_info(folder / path).sample_rate] += 1
        except audio_files.AudioError:
            continue  # the audit names it
    return rates.most_common(1)[0][0] if rates else 0


def write_audit(audit: Iterable[AuditRow], path: Path) -> None:
    """Write the audit as CSV, a row a file."""
    write_atomically(path, lambda partial: _write_rows(audit, partial))


def _write_rows(audit: Iterable[AuditRow], path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(AuditRow._fields)
        writer.writerows(audit)


def summarise_audit(audit: Iterable[AuditRow]) -> Counter:
    """How many files of each status, and of each change made to kept ones."""
    counts = Counter()
    for row in audit:
        counts[row.status] += 1
        counts.update(change for change in row.changes.split(", ") if change)
    return counts


def digest_files(folder: Path, paths: list[str], progress) -> dict[str, str]:
    """SHA-256 of the content of each file, by its path, read in parallel."""

    def digest(path: str) -> str:
        try:
            with open(folder / path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{path}: {error.strerror}"  # of its own, so that it is nobody's duplicate

    parts = [
        paths[first : first + FILES_IN_A_ROW] for first in range(0, len(paths), FILES_IN_A_ROW)
    ]
    with ThreadPoolExecutor(n_workers()) as pool:
        found = pool.map(lambda part: [digest(path) for path in part], parts)
        return dict(
            zip(
                paths,
                tracked(
                    itertools.chain.from_iterable(found), progress, len(paths), "reading files"
                ),
                strict=True,
            )
        )


def left_out(row: AuditRow, most: float) -> AuditRow:
    """The row of a file that was usable, but is one too many of its class."""
    if row.status not in ("", "kept"):
        return row
    return row._replace(
        status="left out", changes="", n_clips=0, why=f"max_clips_per_class is {most}"
    )


def plan_files(digests: dict[str, str]) -> list[AuditRow]:
    """A row a file, with the status of those that need not be decoded: no audio, or content seen before."""
    first_with, plan = {}, []
    for path, digest in digests.items():
        label, status, why = Path(path).parts[0], "", ""
        if not path.lower().endswith(audio_files.SUFFIXES):
            status, why = "not audio", f"suffix is none of {' '.join(audio_files.SUFFIXES)}"
        elif digest in first_with:
            status, why = "duplicate", f"same content as {first_with[digest]}"
        else:
            first_with[digest] = path
        plan.append(AuditRow(path, label, status, why=why, digest=digest[:16]))
    return plan


def split_files(rows: list[AuditRow], holdout: str) -> list[AuditRow]:
    """Whole files go to train or test: by the glob on their names, or a share of each class chosen by content."""
    kept = [row for row in rows if row.status == "kept"]
    test = {row.path for row in kept if holdout and fnmatch(Path(row.path).name, holdout)}
    for label in sorted({row.label for row in kept}) if not holdout else ():
        members = sorted((row for row in kept if row.label == label), key=lambda row: row.digest)
        n_test = round(len(members) * TEST_SHARE) if len(members) >= FEWEST_FOR_TEST else 0
        test |= {row.path for row in members[: max(n_test, len(members) >= FEWEST_FOR_TEST)]}
    if len(test) == len(kept):
        raise DatasetError(
            f"holdout {holdout!r} matches every usable file, so none is left for training"
        )
    named = {True: "test", False: "train"}
    return [
        row._replace(split=named[row.path in test]) if row.status == "kept" else row for row in rows
    ]


def nothing_usable(folder: Path, rows: list[AuditRow]) -> str:
    """Words for a folder none of whose files could be used."""
    counts = ", ".join(f"{n} {status}" for status, n in summarise_audit(rows).most_common())
    return f"{folder} holds no usable recording ({counts or 'no files'}). First reason: {rows[0].why if rows else '-'}"
