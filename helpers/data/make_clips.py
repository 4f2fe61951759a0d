"""Audio files to clips, as waveforms and log-mels on disk: in parallel, and block by block.

However long a recording is, only a small part of it is in memory.
"""

import contextlib
import functools
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import AuditRow, leave_out, most_per_recording
from helpers.data.disk_space import clip_bytes
from helpers.data.recording import Starts, read_recording
from helpers.progress import n_workers, tracked
from helpers.sound.audio_files import AudioError
from helpers.sound.mel import MelExtractor

FEW_FILES = 64  # this many are read without other processes
FILES_AT_ONCE = 2048  # are read before it is looked which classes have enough clips
FILES_IN_A_ROW = 16  # are read by one process before it sends what it made
VALUES_AT_ONCE = 75_000  # of spectrograms made together: more do not fit in the cache of a core

# What is made of some files: files with the waveforms and the log-mels of all their clips, and of
# each file its finished row and the starts of its clips
FilesRead = tuple[tuple[Path, Path], list[tuple[AuditRow, Starts]]]


def write_clips(
    paths: Sequence[Path],
    folder: Path,
    plan: list[AuditRow],
    audio: AudioConfig,
    data: DataConfig,
    progress,
) -> tuple[list[AuditRow], list[tuple[str, int, int]]]:
    """Cut the planned files below `folder` into clips; write waveforms and log-mels to two paths.

    Both are float16. Returns the finished audit and, for each clip, its label, its row in the audit
    and its first sample. Raises ConfigError if a mel band would be empty, OSError if a path cannot
    be written.
    """
    _extractor(audio)  # raises if a band is empty
    rows, clips, n_clips = [], [], Counter()
    most, sizes = data.max_clips_per_class or sys.maxsize, clip_bytes(audio)
    batches = range(0, len(plan), FILES_AT_ONCE)
    with (
        open(paths[0], "wb") as waveforms,
        open(paths[1], "wb") as mels,
        tempfile.TemporaryDirectory(dir=paths[0].parent) as spool,
        _ReaderProcesses(n_workers() if len(plan) > FEW_FILES else 1) as readers,
    ):
        n_files = Counter(row.label for row in plan if not row.status)
        bounds = {label: most_per_recording(data, n) for label, n in n_files.items()}
        how = {"folder": folder, "spool": spool, "audio": audio, "data": data, "bounds": bounds}
        work = functools.partial(_read_files, **how)
        for first in tracked(progress, batches, None, f"clips of {len(plan)} files"):
            batch = plan[first : first + FILES_AT_ONCE]
            batch = [leave_out(row, most) if n_clips[row.label] >= most else row for row in batch]
            for made, results in readers.map(work, batch):
                with open(made[0], "rb") as made_waveforms, open(made[1], "rb") as made_mels:
                    for row, starts in results:
                        n_free = most - n_clips[row.label] if row.status == "kept" else 0
                        taken = []
                        for start in starts:
                            waveform, mel = made_waveforms.read(sizes[0]), made_mels.read(sizes[1])
                            if start is not None and len(taken) < n_free:
                                waveforms.write(waveform)
                                mels.write(mel)
                                taken.append(start)
                        clips += [(row.label, len(rows), start) for start in taken]
                        n_clips[row.label] += len(taken)
                        row = _with_clips(row, taken, audio) if taken else leave_out(row, most)
                        rows.append(row)
                for path in made:
                    path.unlink()
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
    name = uuid.uuid4().hex
    paths = Path(spool, f"{name}.waveforms"), Path(spool, f"{name}.mels")
    with open(paths[0], "wb") as waveforms, open(paths[1], "wb") as mels:
        made = _ClipWriter(waveforms, mels, audio)
        results = [_read_file(row, folder, made, data, bounds.get(row.label, 1)) for row in rows]
        made.flush()
    return paths, results


def _read_file(
    row: AuditRow, folder: Path, made: "_ClipWriter", data: DataConfig, most: int
) -> tuple[AuditRow, Starts]:
    """Read a file that has no status yet and write its clips; returns its row and their starts."""
    if row.status:
        return row, []
    n_before = made.n_added
    try:
        recording = read_recording(folder / row.path, made.audio, data, most, made.add)
    except AudioError as error:
        unused = [None] * (made.n_added - n_before)
        return row._replace(status="unreadable", why=str(error)), unused
    unused = [None] * (made.n_added - n_before - len(recording.starts))
    return recording.complete(row, data), unused + recording.starts


class _ClipWriter:
    """Writes waveforms and log-mels, of some clips at a time, to two open files, float16."""

    def __init__(self, waveforms: BinaryIO, mels: BinaryIO, audio: AudioConfig):
        self.waveforms, self.mels, self.audio = waveforms, mels, audio
        self.waiting, self.n_added = [], 0
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
            self.waveforms.write(waveforms.half().numpy().tobytes())
            self.mels.write(_extractor(self.audio)(waveforms).half().numpy().tobytes())
            self.waiting = []


@functools.lru_cache(maxsize=4)
def _extractor(audio: AudioConfig) -> MelExtractor:
    """Made once in each process: to send it along would cost more than to read a file."""
    return MelExtractor(audio)
