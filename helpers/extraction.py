"""From files to features in one file on disk: in parallel, block by block, whatever the length of a recording."""

import functools
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from helpers.audio import AudioError, stream_audio
from helpers.audit import AuditRow, left_out, n_workers, track
from helpers.config import AudioConfig, DataConfig
from helpers.features import MelExtractor
from helpers.slicing import ClipCutter
from helpers.space import clip_bytes

FILES_AT_ONCE = 256  # results held before they are written
SPOOLED_BYTES = 2**20  # of one file's features in memory; what is more waits on disk
CLIPS_AT_ONCE = 64  # of one file


def write_features(
    path: Path, folder: Path, plan: list[AuditRow], audio: AudioConfig, data: DataConfig, progress: Callable | None
) -> tuple[list[AuditRow], list[tuple[str, int, int]]]:
    """The finished audit, and label, row and first sample of each clip whose features now are in the file."""
    extractor, rows, clips, n_clips = MelExtractor(audio), [], [], Counter()
    most = data.max_clips_per_class or math.inf
    with (
        open(path, "wb") as body,
        ThreadPoolExecutor(n_workers(), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        for first in track(range(0, len(plan), FILES_AT_ONCE), progress, None, f"log-mels of {len(plan)} files"):
            part = [left_out(r, most) if n_clips[r.label] >= most else r for r in plan[first : first + FILES_AT_ONCE]]
            work = functools.partial(_process, folder=folder, spool_dir=path.parent, data=data, extractor=extractor)
            for row, features, starts in pool.map(work, part):
                n_taken = int(min(len(starts), most - n_clips[row.label]))
                if starts and not n_taken:
                    row = left_out(row, most)
                elif starts:
                    row = row._replace(n_clips=n_taken)
                _append(body, features, n_taken * clip_bytes(audio))
                clips += [(row.label, len(rows), start) for start in starts[:n_taken]]
                n_clips[row.label] += n_taken
                rows.append(row)
    return rows, clips


def _process(row: AuditRow, folder: Path, spool_dir: Path, data: DataConfig, extractor: MelExtractor):
    """The finished row, its clips' features (float16, in a file of their own if they are many) and first samples."""
    if row.status:
        return row, None, []
    audio, starts = extractor.audio, []
    features = tempfile.SpooledTemporaryFile(SPOOLED_BYTES, dir=spool_dir)  # noqa: SIM115 (`_append` closes it)

    def keep(clips: list[tuple[int, np.ndarray]]) -> None:
        for start in range(0, len(clips), CLIPS_AT_ONCE):
            part = clips[start : start + CLIPS_AT_ONCE]
            mels = extractor(torch.from_numpy(np.stack([clip for _, clip in part])))  # (n, n_mels, n_frames)
            features.write(mels.half().numpy().tobytes())
        starts.extend(start for start, _ in clips)

    cutter = ClipCutter(audio.clip_samples, data.silence_db, data.slice_long)
    try:
        info, blocks = stream_audio(folder / row.path, audio.sample_rate)
        for block in blocks:
            keep(cutter.feed(block))
        keep(cutter.finish())
    except AudioError as error:
        return row._replace(status="unreadable", why=str(error)), None, []
    duration_s = cutter.n_samples / audio.sample_rate
    row = row._replace(
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        duration_s=round(duration_s, 4),
        level_db=round(cutter.loudest_db, 1),
    )
    if duration_s < data.min_duration_s:
        return row._replace(status="too short", why=f"under {data.min_duration_s} s"), None, []
    if cutter.loudest_db < data.silence_db:
        return row._replace(status="silent", why=f"never louder than {data.silence_db} dB"), None, []
    changes = _changes(info, cutter.n_samples, len(starts), audio)
    return row._replace(status="kept", changes=changes, n_clips=len(starts)), features, starts


def _append(body, features, n_bytes: int) -> None:
    """The first n_bytes of a temporary file to the end of another, a little at a time."""
    if features is not None:
        features.seek(0)
        while n_bytes > 0:
            part = features.read(min(n_bytes, SPOOLED_BYTES))
            body.write(part)
            n_bytes -= len(part)
        features.close()


def _changes(info, n_samples: int, n_clips: int, audio: AudioConfig) -> str:
    made = {
        "resampled": info.sample_rate != audio.sample_rate,
        "mixed to mono": info.n_channels > 1,
        "sliced": n_clips > 1,
        "cropped": n_samples > audio.clip_samples and n_clips == 1,
        "padded": n_samples < audio.clip_samples,
    }
    return ", ".join(change for change, was_made in made.items() if was_made)
