"""What is in a folder of class folders: a row for each file, and its split."""

import csv
import hashlib
import io
import math
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatch
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from helpers.config import DataConfig
from helpers.data.layouts import is_audio, list_files
from helpers.files import write_atomically
from helpers.progress import n_workers, tracked
from helpers.sound.audio_files import SILENT_DB, AudioError, source_info

TEST_SHARE = 1 / 7  # of a class's files, when the data set names no split of its own
FILES_IN_A_ROW = 16  # that one thread reads
FEWEST_FOR_TEST = 4  # files in a class before one is held out
SMALL_CLASS = 100  # recordings: with fewer, long ones are cut into several clips
CLIPS_OF_SMALL_CLASS = 300  # at most, so cut


class DatasetError(ValueError):
    """A folder or cache that cannot be trained on; the message says why and what to do."""


class AuditRow(NamedTuple):
    """The row of one file.

    status is kept, silent, too short, suspect, unreadable, duplicate, not audio or left out.
    """

    path: str  # relative to the folder of the class folders
    label: str
    status: str
    changes: str = ""  # of a kept file: resampled, mixed to mono, cropped, sliced, padded, cut off
    why: str = ""  # the status, or what is odd about a kept file
    sample_rate: int = 0
    n_channels: int = 0
    duration_s: float = 0.0
    level_db: float = SILENT_DB
    n_clips: int = 0
    used_s: float = 0.0  # of the recording that is in its clips
    channel: int = -1  # that was taken; -1: the mean of all
    split: str = ""
    digest: str = ""

    @property
    def each_change(self) -> list[str]:
        """The changes, one by one."""
        return [change for change in self.changes.split(", ") if change]


def common_sample_rate(folder: Path, n_files: int = 64) -> int:
    """The sample rate in hertz of most recordings, of up to n_files; 0 if none can be read."""
    paths = [path for path, _, _ in list_files(folder) if is_audio(folder / path)]
    rates = Counter()
    for path in paths[:: max(1, len(paths) // n_files)]:
        try:
            rates[source_info(folder / path).sample_rate] += 1
        except AudioError:
            continue  # the audit names it
    return rates.most_common(1)[0][0] if rates else 0


def write_audit(audit: Iterable[AuditRow], path: Path) -> None:
    """Write the audit as CSV, a row for each file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(AuditRow._fields)
    writer.writerows(audit)
    write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))


def summarise_audit(audit: Iterable[AuditRow]) -> Counter:
    """How many files have each status, and how many kept ones each change."""
    counts = Counter()
    for row in audit:
        counts[row.status] += 1
        counts.update(row.each_change)
    return counts


def hash_contents(folder: Path, paths: list[str], progress) -> dict[str, str]:
    """SHA-256 of the content of each file, by its path, read in parallel."""

    def digest(path: str) -> str:
        try:
            with open(folder / path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{path}: {error.strerror}"  # of its own, so that it is nobody's duplicate

    with ThreadPool(n_workers()) as pool:
        digests = pool.imap(digest, paths, FILES_IN_A_ROW)
        found = tracked(progress, digests, len(paths), "reading files")
        return dict(zip(paths, found, strict=True))


def start_audit(folder: Path, digests: dict[str, str]) -> list[AuditRow]:
    """A row for each file below the folder, with the status of those that need not be decoded.

    These are files that are no audio, and files whose content an earlier one has.
    """
    first_with, rows = {}, []
    for path, digest in digests.items():
        status = why = ""
        if not is_audio(folder / path):
            status, why = "not audio", "neither its name nor its content is that of sound"
        elif digest in first_with:
            status, why = "duplicate", f"same content as {first_with[digest]}"
        else:
            first_with[digest] = path
        rows.append(AuditRow(path, Path(path).parts[0], status, why=why, digest=digest[:16]))
    return rows


def most_per_recording(data: DataConfig, n_recordings: int) -> int:
    """The most clips that one recording of a class with n_recordings gives.

    With slice_long "auto", a small class gets several of each, but none of its recordings rules it.
    """
    if data.slice_long == "auto" and n_recordings < SMALL_CLASS:
        return math.ceil(CLIPS_OF_SMALL_CLASS / max(1, n_recordings))
    return sys.maxsize if data.slice_long == "yes" else 1


def leave_out(row: AuditRow, most: float) -> AuditRow:
    """The row of a file that could be used, but is one too many of its class."""
    if row.status not in ("", "kept"):
        return row
    why = f"max_clips_per_class is {most}"
    return row._replace(status="left out", changes="", n_clips=0, why=why)


def check_holdout(paths: Iterable[str], holdout: str) -> None:
    """Raise DatasetError if holdout, a glob, matches none of the files; "" is no glob."""
    paths = sorted(paths)
    if holdout and paths and not any(is_held_out(path, holdout) for path in paths):
        examples = ", ".join(repr(Path(path).name) for path in paths[:3])
        raise DatasetError(
            f"holdout {holdout!r} matches no file: names are like {examples}. Give a pattern that "
            'some match, or "" to hold out a seventh of each class'
        )


def is_held_out(path: str, holdout: str) -> bool:
    """Whether a glob of names, or of whole paths if it has a slash, matches a file's path."""
    return fnmatch(path if "/" in holdout else Path(path).name, holdout)


def split_train_test(rows: list[AuditRow], holdout: str) -> list[AuditRow]:
    """The rows of kept files with their split: whole files are for training or for test.

    holdout is a glob of test files, as `is_held_out` takes it. Without it, or where it matches no
    kept file, a share of each class is for test, chosen by content. Raises DatasetError if no file
    of a class, or none at all, is left for training.
    """
    kept = [row for row in rows if row.status == "kept"]
    test = {row.path for row in kept if holdout and is_held_out(row.path, holdout)}
    if holdout and not test:
        warnings.warn(
            f"holdout {holdout!r} matches only files that are not used: a seventh of each class "
            "is held out instead",
            stacklevel=4,
        )
    if len(test) == len(kept):
        raise DatasetError(
            f"holdout {holdout!r} matches every usable file, so none is left for training"
        )
    by_pattern = bool(test)
    for label in sorted({row.label for row in kept}):
        members = sorted((row for row in kept if row.label == label), key=lambda row: row.digest)
        if not by_pattern and len(members) >= FEWEST_FOR_TEST:
            test |= {row.path for row in members[: max(1, round(len(members) * TEST_SHARE))]}
        elif all(row.path in test for row in members):
            raise DatasetError(
                f"holdout {holdout!r} matches every usable file of class {label!r}, so none is "
                "left to train it on: give another pattern, or take the class out of the folder"
            )
    split = {row.path: "test" if row.path in test else "train" for row in kept}
    return [row._replace(split=split.get(row.path, row.split)) for row in rows]


def explain_nothing_usable(folder: Path, rows: list[AuditRow]) -> str:
    """A sentence on a folder in which no file can be used."""
    counts = ", ".join(f"{n} {status}" for status, n in summarise_audit(rows).most_common())
    reason = rows[0].why if rows else "-"
    return f"{folder} holds no usable recording ({counts or 'no files'}). First reason: {reason}"
