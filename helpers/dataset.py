"""From class folders to training examples: audit, split, cached features, `TrainAudioSpectrogramDataset`."""

import csv
import dataclasses
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from helpers import audio as audio_files
from helpers.config import AudioConfig, DataConfig, RunConfig, digest_of, to_json
from helpers.features import MelExtractor, Normaliser, fit_normaliser
from helpers.sources import open_source

TEST_SHARE = 1 / 7  # of a class's files, when the data set names no split of its own
FEWEST_FOR_TEST = 4  # files in a class before one is held out
FEW_CLIPS = 50  # below this a class is learned nearly by heart
VERY_FEW_CLIPS = 10
FILES_AT_ONCE = 256  # results held in memory before they are written
READ_CLIPS = 512  # clips in one batch of a pass over the cache


class DatasetError(ValueError):
    """A folder or cache that cannot be trained on; the message says why and what to do."""


@dataclass(frozen=True)
class AuditRow:
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
        for chunk in np.array_split(self.indices(split), max(1, len(self.indices(split)) // READ_CLIPS)):
            yield torch.from_numpy(self.features[chunk].astype(np.float32)), torch.from_numpy(self.labels[chunk])

    def split(self, split: str) -> tuple[Tensor, Tensor]:
        """All of one split at once: compressed mels (N, n_mels, n_frames) float32 and labels (N,)."""
        features, labels = zip(*self.batches(split), strict=True)
        return torch.cat(features), torch.cat(labels)

    def waveform(self, clip: int) -> np.ndarray:
        """The recording behind a clip, (clip_samples,), cropped or padded as the network saw it."""
        row = self.audit[self.file_index[clip]]
        samples, _ = audio_files.read_audio(self.folder / row.path, self.audio.sample_rate)
        return audio_files.fit_length(samples[self.starts[clip] :], self.audio.clip_samples)


class TrainAudioSpectrogramDataset(torch.utils.data.Dataset):
    """Normalised log-mels and one-hot labels of one split, read from the cache.

    An item is a spectrogram (1, n_mels, n_frames) and a `label_vec` (n_classes,), both float32.
    """

    def __init__(self, cache: ClipCache, normaliser: Normaliser, split: str = "train"):
        self.cache, self.normaliser = cache, normaliser
        self.indices = cache.indices(split)
        self.labels = torch.from_numpy(cache.labels[self.indices])
        self.n_classes = len(cache.classes)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        spectrograms, label_vecs = self.batch(torch.tensor([range(len(self))[item]]))
        return spectrograms[0], label_vecs[0]

    def batch(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrograms (B, 1, n_mels, n_frames) and one-hot labels (B, n_classes) of the items (B,)."""
        compressed = torch.from_numpy(self.cache.features[self.indices[items.numpy()]].astype(np.float32))
        return self.normaliser.normalise(compressed), F.one_hot(self.labels[items], self.n_classes).float()


def open_clips(config: RunConfig, data_dir: Path, cache_dir: Path, work_dir: Path, progress=None) -> ClipCache:
    """The clips of a run: from its ready cache, or made again from its source. Raises SourceError, DatasetError."""
    ready = _open_cache(cache_dir, config.data.digest) if config.data.digest else None
    if ready is not None:
        return ready
    data = config.data
    source = open_source(
        data.source, work_dir, kit_clips=data.kit_clips, seed=config.train.seed, stage=data.stage, progress=progress
    )
    return prepare_clips(source.folder, config.audio, data, data_dir, cache_dir, progress)


def open_judging_clips(
    config: RunConfig, data_dir: Path, cache_dir: Path, work_dir: Path, progress=None
) -> ClipCache:
    """The same clips in the features that every recipe is judged in. Raises SourceError, DatasetError."""
    audio = config.audio.for_judging()
    digest = config.data.digest if audio == config.audio else ""
    judged = dataclasses.replace(config, audio=audio, data=dataclasses.replace(config.data, digest=digest))
    return open_clips(judged, data_dir, cache_dir, work_dir, progress)


def prepare_clips(
    folder: Path, audio: AudioConfig, data: DataConfig, data_dir: Path, cache_dir: Path, progress=None
) -> ClipCache:
    """Audit every file of the class folders in `folder` and cache the features of those that can be used.

    Writes data_dir/audit.csv and cache_dir/features-<key>.*, where the key names settings and file contents.
    Raises DatasetError if nothing can be used.
    """
    files = list_files(folder)
    settings = digest_of(to_json(audio), to_json(dataclasses.replace(data, source="", stage=False, digest="")))
    listing = digest_of(*(f"{path} {size} {mtime}" for path, size, mtime in files))
    cache_dir.mkdir(parents=True, exist_ok=True)
    note = cache_dir / f"listing-{digest_of(settings, listing)}.txt"  # unchanged files need not be read again
    key = note.read_text() if note.exists() else ""
    cache = _open_cache(cache_dir, key, folder)
    if cache is None:
        digests = _digest_files(folder, [path for path, _, _ in files], progress)
        key = digest_of(settings, *(f"{path} {digest}" for path, digest in digests.items()))
        cache = _open_cache(cache_dir, key, folder)
    if cache is None:
        cache = _build_cache(folder, digests, audio, data, cache_dir, key, progress)
    note.write_text(key)
    write_audit(cache.audit, data_dir / "audit.csv")
    return cache


def list_files(folder: Path) -> list[tuple[str, int, int]]:
    """Every visible file below the class folders: relative path, size in bytes, time of change in ns; sorted."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        if Path(parent) == Path(folder):
            continue
        for name in sorted(n for n in names if not n.startswith(".")):
            path = Path(parent, name)
            status = path.stat() if path.exists() else path.lstat()  # a link to nowhere is a row of the audit too
            found.append((os.path.relpath(path, folder), status.st_size, status.st_mtime_ns))
    return sorted(found)


def common_sample_rate(folder: Path, n_files: int = 64) -> int:
    """The sample rate in hertz that most of (up to n_files of) the recordings have; 0 if none can be read."""
    paths = [path for path, _, _ in list_files(folder) if path.lower().endswith(audio_files.SUFFIXES)]
    rates = Counter()
    for path in paths[:: max(1, len(paths) // n_files)]:
        try:
            rates[audio_files.source_rate(folder / path)] += 1
        except audio_files.AudioError:
            continue  # the audit names it
    return rates.most_common(1)[0][0] if rates else 0


def write_audit(audit: Iterable[AuditRow], path: Path) -> None:
    """Write the audit as CSV, a row a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in dataclasses.fields(AuditRow)]
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in audit)


def summarise_audit(audit: Iterable[AuditRow]) -> Counter:
    """How many files of each status, and of each change made to kept ones."""
    counts = Counter()
    for row in audit:
        counts[row.status] += 1
        counts.update(change for change in row.changes.split(", ") if change)
    return counts


def class_advice(cache: ClipCache) -> list[str]:
    """One sentence for each class that has few clips, or far fewer than the largest."""
    counts = Counter(cache.labels[cache.indices("train")].tolist())
    largest = max(counts.values(), default=0)
    advice = []
    for index, name in enumerate(cache.classes):
        n = counts[index]
        if n < VERY_FEW_CLIPS:
            advice.append(f"{name!r} has {n} training clips: too few to learn from. Add recordings or leave it out.")
        elif n < FEW_CLIPS:
            advice.append(f"{name!r} has {n} training clips: expect near copies of them. 100 or more are better.")
        elif n * 5 < largest:
            advice.append(f"{name!r} has {n} training clips against {largest}: batches are balanced, variety is not.")
    dropped = sorted({row.label for row in cache.audit} - set(cache.classes))
    return advice + [f"{name!r} has no usable recording and is left out; the audit says why." for name in dropped]


def fit_to(cache: ClipCache) -> Normaliser:
    """The normaliser of the cache's audio configuration, fitted to its training clips."""
    return fit_normaliser(cache.batches("train"), len(cache.classes), cache.audio)


def _digest_files(folder: Path, paths: list[str], progress) -> dict[str, str]:
    def digest(path: str) -> str:
        try:
            with open(folder / path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{path}: {error.strerror}"  # of its own, so that it is nobody's duplicate

    with ThreadPoolExecutor(_n_workers()) as pool:
        return dict(zip(paths, _track(pool.map(digest, paths), progress, len(paths), "reading files"), strict=True))


def _build_cache(folder, digests, audio, data, cache_dir, key, progress) -> ClipCache:
    partial = cache_dir / f"features-{key}.partial"
    try:
        rows, clips = _write_features(partial, folder, _plan_files(digests), audio, data, progress)
        if not clips:
            raise DatasetError(_nothing_usable(folder, rows))
        rows = _split(rows, data.holdout)
        partial.rename(cache_dir / f"features-{key}.f16")
    finally:
        partial.unlink(missing_ok=True)
    _write_index(cache_dir / f"features-{key}.json", folder, audio, rows, clips)
    return _open_cache(cache_dir, key)


def _write_features(path: Path, folder: Path, plan: list[AuditRow], audio, data, progress):
    """The finished audit, and label, row and first sample of each clip whose features now are in the file."""
    extractor, rows, clips, n_clips = MelExtractor(audio), [], [], Counter()
    most = data.max_clips_per_class or math.inf
    with (
        open(path, "wb") as body,
        ThreadPoolExecutor(_n_workers(), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        for first in _track(range(0, len(plan), FILES_AT_ONCE), progress, None, f"log-mels of {len(plan)} files"):
            part = [
                _left_out(r, most) if n_clips[r.label] >= most else r for r in plan[first : first + FILES_AT_ONCE]
            ]
            for row, features, starts in pool.map(lambda row: _process(row, folder, audio, data, extractor), part):
                n_taken = int(min(len(starts), most - n_clips[row.label]))
                if starts and not n_taken:
                    row = _left_out(row, most)
                elif starts:
                    row = dataclasses.replace(row, n_clips=n_taken)
                body.write(features[:n_taken].tobytes())
                clips += [(row.label, len(rows), start) for start in starts[:n_taken]]
                n_clips[row.label] += n_taken
                rows.append(row)
    return rows, clips


def _left_out(row: AuditRow, most: float) -> AuditRow:
    if row.status not in ("", "kept"):
        return row
    return dataclasses.replace(row, status="left out", changes="", n_clips=0, why=f"max_clips_per_class is {most}")


def _plan_files(digests: dict[str, str]) -> list[AuditRow]:
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


def _process(row: AuditRow, folder: Path, audio: AudioConfig, data: DataConfig, extractor: MelExtractor):
    nothing = np.zeros((0, audio.n_mels, audio.n_frames), np.float16)
    if row.status:
        return row, nothing, []
    try:
        samples, info = audio_files.read_audio(folder / row.path, audio.sample_rate)
    except audio_files.AudioError as error:
        return dataclasses.replace(row, status="unreadable", why=str(error)), nothing, []
    level = audio_files.loudest_db(samples, max(1, audio.clip_samples // 8))
    row = dataclasses.replace(
        row,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        duration_s=round(info.duration_s, 4),
        level_db=round(level, 1),
    )
    if info.duration_s < data.min_duration_s:
        return dataclasses.replace(row, status="too short", why=f"under {data.min_duration_s} s"), nothing, []
    if level < data.silence_db:
        return dataclasses.replace(row, status="silent", why=f"never louder than {data.silence_db} dB"), nothing, []
    starts = [0]
    if data.slice_long and len(samples) > audio.clip_samples:
        starts = audio_files.slice_starts(samples, audio.clip_samples, data.silence_db) or [0]
    clips = np.stack([audio_files.fit_length(samples[start:], audio.clip_samples) for start in starts])
    features = extractor(torch.from_numpy(clips)).half().numpy()  # (n_clips, n_mels, n_frames)
    changes = _changes(info, len(samples), len(starts), audio)
    return dataclasses.replace(row, status="kept", changes=changes, n_clips=len(starts)), features, starts


def _changes(info, n_samples: int, n_clips: int, audio: AudioConfig) -> str:
    made = {
        "resampled": info.sample_rate != audio.sample_rate,
        "mixed to mono": info.n_channels > 1,
        "sliced": n_clips > 1,
        "cropped": n_samples > audio.clip_samples and n_clips == 1,
        "padded": n_samples < audio.clip_samples,
    }
    return ", ".join(change for change, was_made in made.items() if was_made)


def _split(rows: list[AuditRow], holdout: str) -> list[AuditRow]:
    """Whole files go to train or test: by the glob on their names, or a share of each class chosen by content."""
    kept = [row for row in rows if row.status == "kept"]
    test = {row.path for row in kept if holdout and fnmatch(Path(row.path).name, holdout)}
    for label in sorted({row.label for row in kept}) if not holdout else ():
        members = sorted((row for row in kept if row.label == label), key=lambda row: row.digest)
        n_test = round(len(members) * TEST_SHARE) if len(members) >= FEWEST_FOR_TEST else 0
        test |= {row.path for row in members[: max(n_test, len(members) >= FEWEST_FOR_TEST)]}
    if len(test) == len(kept):
        raise DatasetError(f"holdout {holdout!r} matches every usable file, so none is left for training")
    named = {True: "test", False: "train"}
    return [dataclasses.replace(row, split=named[row.path in test]) if row.status == "kept" else row for row in rows]


def _write_index(path: Path, folder: Path, audio: AudioConfig, rows, clips) -> None:
    classes = sorted({label for label, _, _ in clips})
    number = {name: index for index, name in enumerate(classes)}
    index = {
        "folder": str(folder),
        "audio": dataclasses.asdict(audio),
        "classes": classes,
        "audit": [dataclasses.astuple(row) for row in rows],
        "labels": [number[label] for label, _, _ in clips],
        "file_index": [file for _, file, _ in clips],
        "starts": [start for _, _, start in clips],
    }
    partial = path.with_suffix(".json.partial")
    partial.write_text(json.dumps(index))  # ASCII, so that names which are no valid UTF-8 survive
    partial.rename(path)


def _open_cache(cache_dir: Path, key: str, folder: Path | None = None) -> ClipCache | None:
    body, note = cache_dir / f"features-{key}.f16", cache_dir / f"features-{key}.json"
    if not (key and body.exists() and note.exists()):
        return None
    try:
        return _read_cache(body, json.loads(note.read_text()), key, folder)
    except (ValueError, KeyError, TypeError, OSError):
        return None  # damaged: made again


def _read_cache(body: Path, index: dict, key: str, folder: Path | None) -> ClipCache:
    audio = AudioConfig(**index["audio"])
    shape = (len(index["labels"]), audio.n_mels, audio.n_frames)
    return ClipCache(
        folder=Path(folder or index["folder"]),
        audio=audio,
        classes=tuple(index["classes"]),
        audit=tuple(AuditRow(*row) for row in index["audit"]),
        features=np.memmap(body, np.float16, "r", shape=shape),
        labels=np.array(index["labels"], np.int64),
        file_index=np.array(index["file_index"], np.int64),
        starts=np.array(index["starts"], np.int64),
        key=key,
    )


def _nothing_usable(folder: Path, rows: list[AuditRow]) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in summarise_audit(rows).most_common())
    return (
        f"{folder} holds no usable recording ({counts or 'no files'}). First reason: {rows[0].why if rows else '-'}"
    )


def _n_workers() -> int:
    return min(16, os.cpu_count() or 1)


def _track(iterable, progress, total: int | None, desc: str):
    return progress(iterable, total=total, desc=desc) if progress else iterable
