"""From files to features in one file on disk: in parallel, block by block, whatever the length of a recording."""

import functools
import itertools
import math
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import AuditRow, left_out
from helpers.data.cut_clips import ClipCutter
from helpers.data.disk_space import bytes_per_clip
from helpers.progress import n_workers, tracked
from helpers.sound.audio_files import AudioError, stream_audio
from helpers.sound.mel import MelExtractor

FEW_FILES = 64  # are read without other processes
FILES_AT_ONCE = 2048  # before it is seen which classes have enough
FILES_IN_A_ROW = 16  # read by one process before it says so
SPOOLED_BYTES = 2**20  # of one file's features in memory; what is more waits on disk
VALUES_AT_ONCE = 75_000  # of the spectrograms from which features are made together: more leave the cache of a core


def write_features(
    path: Path,
    folder: Path,
    plan: list[AuditRow],
    audio: AudioConfig,
    data: DataConfig,
    progress: Callable | None,
) -> tuple[list[AuditRow], list[tuple[str, int, int]]]:
    """The finished audit, and label, row and first sample of each clip whose features now are in the file."""
    _extractor(audio)  # raises on a bank that cannot be inverted
    rows, clips, n_clips, most = [], [], Counter(), data.max_clips_per_class or math.inf
    with (
        open(path, "wb") as body,
        tempfile.TemporaryDirectory(dir=path.parent) as spool,
        Readers(n_workers() if len(plan) > FEW_FILES else 1) as readers,
    ):
        work = functools.partial(_process, folder=folder, spool=Path(spool), audio=audio, data=data)
        for first in tracked(
            range(0, len(plan), FILES_AT_ONCE), progress, None, f"log-mels of {len(plan)} files"
        ):
            part = [
                left_out(r, most) if n_clips[r.label] >= most else r
                for r in plan[first : first + FILES_AT_ONCE]
            ]
            for row, features, starts in readers.map(work, part):
                n_taken = int(min(len(starts), most - n_clips[row.label]))
                if starts and not n_taken:
                    row = left_out(row, most)
                elif starts:
                    row = row._replace(n_clips=n_taken)
                _append(body, features, n_taken * bytes_per_clip(audio))
                clips += [(row.label, len(rows), start) for start in starts[:n_taken]]
                n_clips[row.label] += n_taken
                rows.append(row)
    return rows, clips


class Readers:
    """Processes that read files, in the order of the files; or this process itself, if one is enough.

    Processes, since threads would wait for each other at every call; and a file that ends the one which reads it, as
    a fault in a decoder can, takes nothing else with it.
    """

    def __init__(self, n: int):
        self.n, self.pool = n, None

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *_) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[list], list], rows: list[AuditRow]) -> Iterator[tuple]:
        """What `work` gives for each row, from lists of them."""
        parts = [
            rows[first : first + FILES_IN_A_ROW] for first in range(0, len(rows), FILES_IN_A_ROW)
        ]
        if self.n == 1:
            yield from itertools.chain.from_iterable(map(work, parts))
            return
        n_done, self.pool = 0, self.pool or _processes(self.n)
        try:
            for results in self.pool.map(work, parts):
                n_done += len(results)
                yield from results
        except BrokenProcessPool:
            self.pool = None
            for row in rows[n_done:]:
                yield _alone(work, row)


def _processes(n: int) -> ProcessPoolExecutor:
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    return ProcessPoolExecutor(n, context, initializer=torch.set_num_threads, initargs=(1,))


def _alone(work: Callable[[list], list], row: AuditRow) -> tuple:
    with _processes(1) as pool:
        try:
            return pool.submit(work, [row]).result()[0]
        except BrokenProcessPool:
            return row._replace(status="unreadable", why="ends the process that reads it"), b"", []


def _process(
    rows: list[AuditRow], folder: Path, spool: Path, audio: AudioConfig, data: DataConfig
) -> list[tuple]:
    """The finished rows, each with its clips' features and first samples."""
    features = _Features(audio, spool)
    read = [
        _read(row, folder, audio, data, functools.partial(features.add, n))
        for n, row in enumerate(rows)
    ]
    return [
        (row, features.of(n) if starts else b"", starts) for n, (row, starts) in enumerate(read)
    ]


def _read(
    row: AuditRow, folder: Path, audio: AudioConfig, data: DataConfig, add: Callable
) -> tuple:
    """The finished row of a file and where its clips begin, if it is kept; `add` takes each clip."""
    if row.status:
        return row, []
    starts, cutter = [], ClipCutter(audio.clip_samples, data.silence_db, data.slice_long)
    try:
        info, blocks = stream_audio(folder / row.path, audio.sample_rate)
        for clips in itertools.chain(map(cutter.feed, blocks), map(ClipCutter.finish, (cutter,))):
            for start, clip in clips:
                starts.append(start)
                add(clip)
    except AudioError as error:
        return row._replace(status="unreadable", why=str(error)), []
    duration_s = cutter.n_samples / audio.sample_rate
    row = row._replace(
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        duration_s=round(duration_s, 4),
        level_db=round(cutter.loudest_db, 1),
    )
    if duration_s < data.min_duration_s:
        return row._replace(status="too short", why=f"under {data.min_duration_s} s"), []
    if cutter.loudest_db < data.silence_db:
        return row._replace(status="silent", why=f"never louder than {data.silence_db} dB"), []
    changes = _changes(info, cutter.n_samples, len(starts), audio)
    return row._replace(status="kept", changes=changes, n_clips=len(starts)), starts


class _Features:
    """The features of several files' clips, some clips at a time; those of a long file wait in one of their own."""

    def __init__(self, audio: AudioConfig, spool: Path):
        self.audio, self.spool = audio, spool
        self.clips_at_once = max(1, VALUES_AT_ONCE // (audio.n_freqs * audio.n_frames))
        self.waiting, self.held, self.files = [], {}, {}

    def add(self, owner: int, clip: np.ndarray) -> None:
        """Take the next clip (clip_samples,) of a file."""
        self.waiting.append((owner, clip))
        if len(self.waiting) == self.clips_at_once:
            self._extract()

    def of(self, owner: int) -> bytes | Path:
        """The features of a file's clips, float16: in memory, or in a file."""
        if self.waiting:
            self._extract()
        if owner in self.files:
            self._spool(owner)
        return self.files.get(owner, self.held.get(owner, b""))

    def _extract(self) -> None:
        waveforms = torch.from_numpy(np.stack([clip for _, clip in self.waiting]))
        for (owner, _), mel in zip(
            self.waiting, _extractor(self.audio)(waveforms).half().numpy(), strict=True
        ):
            self.held[owner] = self.held.get(owner, b"") + mel.tobytes()
            if len(self.held[owner]) > SPOOLED_BYTES:
                self._spool(owner)
        self.waiting = []

    def _spool(self, owner: int) -> None:
        path = self.files.setdefault(owner, self.spool / uuid.uuid4().hex)
        with open(path, "ab") as file:
            file.write(self.held.pop(owner, b""))


@functools.lru_cache(maxsize=4)
def _extractor(audio: AudioConfig) -> MelExtractor:
    """Made once in each process: sent along with every file it would cost more than reading the file."""
    return MelExtractor(audio)


def _append(body, features: bytes | Path, n_bytes: int) -> None:
    """The first n_bytes of features to the end of a file, a little at a time."""
    if isinstance(features, bytes):
        body.write(features[:n_bytes])
        return
    with open(features, "rb") as file:
        while n_bytes > 0:
            part = file.read(min(n_bytes, SPOOLED_BYTES))
            body.write(part)
            n_bytes -= len(part)
    features.unlink()


def _changes(info, n_samples: int, n_clips: int, audio: AudioConfig) -> str:
    made = {
        "resampled": info.sample_rate != audio.sample_rate,
        "mixed to mono": info.n_channels > 1,
        "sliced": n_clips > 1,
        "cropped": n_samples > audio.clip_samples and n_clips == 1,
        "padded": n_samples < audio.clip_samples,
    }
    return ", ".join(change for change, was_made in made.items() if was_made)
