"""The clips of a folder: their log-mels computed once, in a cache on disk."""

import contextlib
import dataclasses
import hashlib
import json
import mmap
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from helpers.config import (
    AudioConfig,
    DataConfig,
    RunConfig,
    check_classes,
    digest_of,
    from_dict,
    to_json,
)
from helpers.data.audit import (
    AuditRow,
    DatasetError,
    digest_files,
    nothing_usable,
    plan_files,
    split_files,
    write_audit,
)
from helpers.data.disk_space import cache_size_of, require_room
from helpers.data.layouts import list_files
from helpers.data.make_clips import write_features
from helpers.data.sources import open_source
from helpers.files import write_atomically
from helpers.sound.audio_files import read_clip

VERY_FEW_CLIPS = 10
LONGEST = 2**40  # samples of a recording
READ_CLIPS = 512  # clips in one batch of a pass over the cache
ENOUGH_CLIPS, ENOUGH_VALUES = 8_192, 2**28  # to measure with: a gigabyte of features at most


@dataclass(frozen=True)
class ClipCache:
    """All clips of a folder as compressed mels on disk, with where each came from."""

    folder: Path
    audio: AudioConfig
    classes: tuple[str, ...]
    audit: tuple[AuditRow, ...]
    features: np.ndarray  # memory-mapped float16 (n_clips, n_mels, n_frames)
    labels: np.ndarray  # int64 (n_clips,)
    file_index: np.ndarray  # int64 (n_clips,) row of the audit
    starts: np.ndarray  # int64 (n_clips,) first sample in the resampled file
    key: str

    def indices(self, split: str) -> np.ndarray:
        """Which clips belong to "train" or "test"."""
        in_split = np.array([row.split == split for row in self.audit], dtype=bool)
        return np.flatnonzero(in_split[self.file_index])

    def batches(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Compressed mels (B, n_mels, n_frames) float32 and labels (B,) over one split, in order."""
        for chunk in np.array_split(
            self.indices(split), max(1, len(self.indices(split)) // READ_CLIPS)
        ):
            yield (
                torch.from_numpy(self.features[chunk].astype(np.float32)),
                torch.from_numpy(self.labels[chunk]),
            )

    def split(self, split: str) -> tuple[Tensor, Tensor]:
        """A split in memory: compressed mels (N, n_mels, n_frames) float32 and labels (N,), of all its clips or of
        as many as are enough to measure with, spread evenly over each class."""
        chosen = self._enough(self.indices(split))
        return torch.from_numpy(self.features[chosen].astype(np.float32)), torch.from_numpy(
            self.labels[chosen]
        )

    def _enough(self, indices: np.ndarray) -> np.ndarray:
        most = min(ENOUGH_CLIPS, ENOUGH_VALUES // (self.audio.n_mels * self.audio.n_frames))
        if len(indices) <= most:
            return indices
        chosen = []
        for label in np.unique(self.labels[indices]):
            own = indices[self.labels[indices] == label]
            n = min(len(own), max(VERY_FEW_CLIPS, round(len(own) * most / len(indices))))
            chosen.append(own[np.linspace(0, len(own) - 1, n).astype(int)])
        return np.sort(np.concatenate(chosen))

    def waveform(self, clip: int) -> np.ndarray:
        """The recording behind a clip, (clip_samples,), cropped or padded as the network saw it."""
        path, start = self.folder / self.audit[self.file_index[clip]].path, int(self.starts[clip])
        return read_clip(path, self.audio.sample_rate, start, self.audio.clip_samples)


def open_clips(
    config: RunConfig, data_dir: Path, cache_dir: Path, work_dir: Path, progress=None
) -> ClipCache:
    """The clips of a run: from its ready cache, or made again from its source. Raises SourceError, DatasetError."""
    ready = _open_cache(cache_dir, config.data.digest) if config.data.digest else None
    if ready is not None:
        return ready
    data = config.data
    source = open_source(
        data.source,
        work_dir,
        kit_clips=data.kit_clips,
        seed=config.train.seed,
        stage=data.stage,
        progress=progress,
    )
    return prepare_clips(source.folder, config.audio, data, data_dir, cache_dir, progress)


def open_judge_clips(
    config: RunConfig, data_dir: Path, cache_dir: Path, work_dir: Path, progress=None
) -> ClipCache:
    """The same clips in the features that every recipe is judged in. Raises SourceError, DatasetError."""
    audio = config.audio.for_judge()
    digest = config.data.digest if audio == config.audio else ""
    judged = dataclasses.replace(
        config, audio=audio, data=dataclasses.replace(config.data, digest=digest)
    )
    return open_clips(judged, data_dir, cache_dir, work_dir, progress)


def prepare_clips(
    folder: Path,
    audio: AudioConfig,
    data: DataConfig,
    data_dir: Path,
    cache_dir: Path,
    progress=None,
) -> ClipCache:
    """Audit every file of the class folders in `folder` and cache the features of those that can be used.

    Writes data_dir/audit.csv and cache_dir/features-<key>.*, where the key names settings and file contents.
    Raises DatasetError if nothing can be used, or the cache does not fit on its disk or cannot be written.
    """
    files = list_files(folder)
    settings = digest_of(
        to_json(audio), to_json(dataclasses.replace(data, source="", stage=False, digest=""))
    )
    listing = digest_of(*(f"{path} {size} {mtime}" for path, size, mtime in files))
    with _told_if_full(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
    note = (
        cache_dir / f"listing-{digest_of(settings, listing)}.txt"
    )  # unchanged files need not be read again
    key = note.read_text(errors="replace") if note.exists() else ""
    cache = _open_cache(cache_dir, key, folder)
    if cache is None:
        digests = digest_files(folder, [path for path, _, _ in files], progress)
        key = digest_of(settings, *(f"{path} {digest}" for path, digest in digests.items()))
        cache = _open_cache(cache_dir, key, folder)
    if cache is None:
        require_room(cache_size_of(folder, list(digests), audio, data), cache_dir)
        with _told_if_full(cache_dir):
            cache = _build_cache(folder, digests, audio, data, cache_dir, key, progress)
    with _told_if_full(cache_dir):
        write_atomically(note, lambda new: new.write_text(key))
    with _told_if_full(data_dir):
        write_audit(cache.audit, data_dir / "audit.csv")
    return cache


@contextlib.contextmanager
def _told_if_full(folder: Path):
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be written to ({error}): make room there, or choose another run folder; "
            "nothing is left half written"
        ) from error


def _build_cache(folder, digests, audio, data, cache_dir, key, progress) -> ClipCache:
    body, note, seal = _cache_files(cache_dir, key)
    partial = body.with_suffix(".partial")
    try:
        rows, clips = write_features(partial, folder, plan_files(digests), audio, data, progress)
        if not clips:
            raise DatasetError(nothing_usable(folder, rows))
        rows = split_files(rows, data.holdout)
        partial.rename(body)
    finally:
        partial.unlink(missing_ok=True)
    index = json.dumps(
        _index(folder, audio, rows, clips)
    )  # ASCII, so that names which are no valid UTF-8 survive
    write_atomically(note, lambda new: new.write_text(index))
    sums = _checksums(body, note)
    write_atomically(seal, lambda new: new.write_text(sums))  # last: without it there is no cache
    return _read_cache(body, json.loads(index), key, None)


def _index(folder: Path, audio: AudioConfig, rows, clips) -> dict:
    classes = sorted({label for label, _, _ in clips})
    number = {name: index for index, name in enumerate(classes)}
    return {
        "folder": str(folder),
        "audio": dataclasses.asdict(audio),
        "classes": classes,
        "audit": rows,
        "labels": [number[label] for label, _, _ in clips],
        "file_index": [file for _, file, _ in clips],
        "starts": [start for _, _, start in clips],
    }


def _open_cache(cache_dir: Path, key: str, folder: Path | None = None) -> ClipCache | None:
    """The cache with a key; None if there is none. One that is damaged is told of and removed."""
    body, note, seal = _cache_files(cache_dir, key)
    if not (
        re.fullmatch("[0-9a-f]{12}", key) and seal.exists()
    ):  # a key may be a stranger's, and leads to files
        return None
    try:
        with ThreadPoolExecutor(1) as pool:  # sums are made while the index is read
            sums = pool.submit(_checksums, body, note, at_once=True)
            cache = _read_cache(body, json.loads(note.read_text()), key, folder)
            if seal.read_text() == sums.result():
                return cache
        why = "its digest is another"
    except (
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        RecursionError,
        FileNotFoundError,
    ) as error:
        why = f"{type(error).__name__}: {error}"
    except OSError as error:  # the recordings may be gone: what cannot be read now is not removed
        raise DatasetError(
            f"the cache {body} cannot be read ({error}): see that its disk is there"
        ) from error
    warnings.warn(
        f"the cache {body} is damaged ({why}): it is made again from the recordings", stacklevel=3
    )
    for path in (seal, note, body):
        path.unlink(missing_ok=True)
    return None


def _cache_files(cache_dir: Path, key: str) -> tuple[Path, Path, Path]:
    """Features, index, and the digests of both."""
    return tuple(cache_dir / f"features-{key}.{suffix}" for suffix in ("f16", "json", "sha256"))


def _checksums(*paths: Path, at_once: bool = False) -> str:
    """SHA-256 of files, as sha256sum writes and checks them; a little at a time, or mapped into memory, in one call
    beside which other threads go on."""
    lines = []
    for path in paths:
        with open(path, "rb") as file:
            digest = (
                _digest_at_once(file)
                if at_once
                else hashlib.file_digest(file, "sha256").hexdigest()
            )
        lines.append(f"{digest}  {path.name}\n")
    return "".join(lines)


def _digest_at_once(file: BinaryIO) -> str:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()


def _read_cache(body: Path, index: dict, key: str, folder: Path | None) -> ClipCache:
    audio = from_dict(AudioConfig, index["audio"])
    shape = (len(index["labels"]), audio.n_mels, audio.n_frames)
    limits = {"labels": len(index["classes"]), "file_index": len(index["audit"]), "starts": LONGEST}
    for name, most in limits.items():
        if len(index[name]) != shape[0] or not all(
            type(n) is int and 0 <= n < most for n in index[name]
        ):
            raise ValueError(f"{name} are not those of {shape[0]} clips")
    return ClipCache(
        folder=Path(folder or index["folder"]),
        audio=audio,
        classes=check_classes(index["classes"]),
        audit=tuple(map(AuditRow._make, index["audit"])),
        features=np.memmap(body, np.float16, "r", shape=shape),
        **{name: np.array(index[name], np.int64) for name in limits},
        key=key,
    )
