"""Audio files to log-mels in one file on disk: in parallel, and block by block.

However long a recording is, only a small part of it is in memory.
"""

import contextlib
import functools
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import AuditRow, leave_out, most_per_recording
from helpers.data.disk_space import bytes_per_clip
from helpers.data.recording import Starts, read_recording
from helpers.progress import n_workers, tracked
from helpers.sound.audio_files import AudioError
from helpers.sound.mel import MelExtractor

FEW_FILES = 64  # this many are read without other processes
FILES_AT_ONCE = 2048  # are read before it is looked which classes have enough clips
FILES_IN_A_ROW = 16  # are read by one process before it sends what it made
VALUES_AT_ONCE = 75_000  # of spectrograms made together: more do not fit in the cache of a core

# What is made of some files: a file with the log-mels of all their clips, and of each file its
# finished row and the starts of its clips
FilesRead = tuple[Path, list[tuple[AuditRow, Starts]]]


def write_mels(
    path: Path, folder: Path, plan: list[AuditRow], audio: AudioConfig, data: DataConfig, progress
) -> tuple[list[AuditRow], list[tuple[str, int, int]]]:
    """Cut the planned files below `folder` into clips and write their log-mels to `path`, float16.

    Returns the finished audit and, for each clip, its label, its row in the audit and its first
    sample. Raises ConfigError if a mel band would be empty, OSError if `path` cannot be written.
    """
    _extractor(audio)  # raises if a band is empty
    rows, clips, n_clips = [], [], Counter()
    most, clip_bytes = data.max_clips_per_class or sys.maxsize, bytes_per_clip(audio)
    batches = range(0, len(plan), FILES_AT_ONCE)
    with (
        open(path, "wb") as body,
        tempfile.TemporaryDirectory(dir=path.parent) as spool,
        _ReaderProcesses(n_workers() if len(plan) > FEW_FILES else 1) as readers,
    ):
        n_files = Counter(row.label for row in plan if not row.status)
        bounds = {label: most_per_recording(data, n) for label, n in n_files.items()}
        how = {"folder": folder, "spool": spool, "audio": audio, "data": data, "bounds": bounds}
        work = functools.partial(_read_files, **how)
        for first in tracked(progress, batches, None, f"log-mels of {len(plan)} files"):
            batch = plan[first : first + FILES_AT_ONCE]
            batch = [leave_out(row, most) if n_clips[row.label] >= most else row for row in batch]
            for mels_path, results in readers.map(work, batch):
                with open(mels_path, "rb") as mels:
                    for row, starts in results:
                        n_free = most - n_clips[row.label] if row.status == "kept" else 0
                        taken = []
                        for start in starts:
                            mel = mels.read(clip_bytes)
                            if start is not None and len(taken) < n_free:
                                body.write(mel)
                                taken.append(start)
                        clips += [(row.label, len(rows), start) for start in taken]
                        n_clips[row.label] += len(taken)
                        row = _with_clips(row, taken, audio) if taken else leave_out(row, most)
                        rows.append(row)
                mels_path.unlink()
    return rows, clips


class _ReaderProcesses(contextlib.ExitStack):
    """n processes that read files, in the order of the files; if n is 1, this process reads them.

    Threads would wait for each other at every call of Python. And a file that ends the process that
    reads it, as a fault in a decoder can, is the only file that is lost.
    """

    def __init__(self, n: int):
        super().__init__()
        self.n, self.pool = n, None

    def map(self, work: Callable[[list], FilesRead], rows: list[AuditRow]) -> Iterator[FilesRead]:
        """Give lists of rows to `work` and yield what it returns."""
        parts = [rows[n : n + FILES_IN_A_ROW] for n in range(0, len(rows), FILES_IN_A_ROW)]
        if self.n == 1:
            yield from map(work, parts)
            return
        if self.pool is None:
            self.pool = _start_processes(self.n)
            self.callback(self.pool.shutdown, cancel_futures=True)
        n_done = 0
        try:
            for read in self.pool.map(work, parts):
                n_done += len(read[1])
                yield read
        except BrokenProcessPool:
            self.pool = None
            for row in rows[n_done:]:  # each in a process of its own, to find the one that ends it
                with _start_processes(1) as pool:
                    try:
                        read = pool.submit(work, [row]).result()
                    except BrokenProcessPool:  # a row that has a status is not read
                        why = "ends the process that reads it"
                        read = work([row._replace(status="unreadable", why=why)])
                yield read


def _start_processes(n: int) -> ProcessPoolExecutor:
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    return ProcessPoolExecutor(n, context, initializer=torch.set_num_threads, initargs=(1,))


def _with_clips(row: AuditRow, starts: list[int], audio: AudioConfig) -> AuditRow:
    """The row of a file with clips that begin at these samples."""
    left = (row.duration_s - start / audio.sample_rate for start in starts)
    used_s = sum(min(audio.duration_s, seconds) for seconds in left)
    return row._replace(n_clips=len(starts), used_s=round(used_s, 4))


def _read_files(
    rows: list[AuditRow],
    folder: Path,
    spool: str,
    audio: AudioConfig,
    data: DataConfig,
    bounds: dict[str, int],
) -> FilesRead:
    path = Path(spool, uuid.uuid4().hex)
    with open(path, "wb") as body:
        mels = _MelWriter(body, audio)
        results = [_read_file(row, folder, mels, data, bounds.get(row.label, 1)) for row in rows]
        mels.flush()
    return path, results


def _read_file(
    row: AuditRow, folder: Path, mels: "_MelWriter", data: DataConfig, most: int
) -> tuple[AuditRow, Starts]:
    """Read a file that has no status yet and write its clips; returns its row and their starts."""
    if row.status:
        return row, []
    n_before = mels.n_added
    try:
        recording = read_recording(folder / row.path, mels.audio, data, most, mels.add)
    except AudioError as error:
        unused = [None] * (mels.n_added - n_before)
        return row._replace(status="unreadable", why=str(error)), unused
    unused = [None] * (mels.n_added - n_before - len(recording.starts))
    return recording.complete(row, data), unused + recording.starts


class _MelWriter:
    """Makes the log-mels of some clips at a time and writes them to an open file, float16."""

    def __init__(self, body: BinaryIO, audio: AudioConfig):
        self.body, self.audio, self.waiting, self.n_added = body, audio, [], 0
        self.clips_at_once = max(1, VALUES_AT_ONCE // (audio.n_freqs * audio.n_frames))

    def add(self, clip: np.ndarray) -> None:
        """Take the next clip (clip_samples,)."""
        self.waiting.append(clip)
        self.n_added += 1
        if len(self.waiting) == self.clips_at_once:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            waveforms = torch.from_numpy(np.stack(self.waiting))  # (B, clip_samples)
            self.body.write(_extractor(self.audio)(waveforms).half().numpy().tobytes())
            self.waiting = []


@functools.lru_cache(maxsize=4)
def _extractor(audio: AudioConfig) -> MelExtractor:
    """Made once in each process: to send it along would cost more than to read a file."""
    return MelExtractor(audio)
