"""The clips of a folder: waveforms and log-mels, made once and kept on disk, in a cache.

A cache is four files: clips-<key>.f16 holds the waveforms, .mels.f16 the log-mels, .json the index
(what each clip is), .sha256 the digests of these three. The key names the settings and the contents
of the audio files.
"""

import contextlib
import dataclasses
import hashlib
import json
import mmap
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.config import AudioConfig, DataConfig, RunConfig, check_classes, digest_of
from helpers.config_json import from_dict, to_json
from helpers.data import audit as audits
from helpers.data.audit import AuditRow, DatasetError
from helpers.data.disk_space import estimate_cache_size, require_room
from helpers.data.layouts import list_files
from helpers.data.make_clips import write_clips
from helpers.data.sources import open_source
from helpers.files import write_atomically, write_synced

VERY_FEW_CLIPS = 10  # of a class
READ_CLIPS = 512  # in one batch of a pass over the cache
ENOUGH_CLIPS = 8_192  # to measure with
ENOUGH_SAMPLES = 2**29  # of clips to measure with, a gigabyte
MAX_SAMPLES = 2**40  # of a recording
CACHE_SUFFIXES = ("f16", "mels.f16", "json", "sha256")
MAKING = "making-"  # begins the name of a folder in which a cache is made
ABANDONED_S = 3_600  # without a change: whoever made it was killed
DAMAGE = (ValueError, KeyError, TypeError, OverflowError, RecursionError, FileNotFoundError)


@dataclass(frozen=True)
class ClipCache:
    """All clips of a folder: waveforms and log-mels on disk, and where each clip came from."""

    folder: Path
    audio: AudioConfig
    classes: tuple[str, ...]
    audit: tuple[AuditRow, ...]
    waveforms: np.ndarray  # (n_clips, clip_samples), float16, memory-mapped
    mels: np.ndarray  # log-mels (n_clips, n_mels, n_frames), float16, memory-mapped
    labels: np.ndarray  # int64 (n_clips,), numbers of classes
    file_index: np.ndarray  # int64 (n_clips,), rows of the audit
    starts: np.ndarray  # int64 (n_clips,), first sample in the resampled file
    key: str

    def indices(self, split: str) -> np.ndarray:
        """The numbers of the clips that belong to "train" or "test", in order."""
        in_split = np.array([row.split == split for row in self.audit], dtype=bool)
        return np.flatnonzero(in_split[self.file_index])

    def batches(self, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        """All log-mels (B, n_mels, n_frames), float32, and labels (B,) of a split, in order."""
        indices = self.indices(split)
        return map(self._read, np.array_split(indices, max(1, len(indices) // READ_CLIPS)))

    def measured(self, split: str) -> np.ndarray:
        """The numbers of the clips of a split to measure with, in order.

        These are all clips, or about ENOUGH_CLIPS of them, spread evenly over each class.
        """
        indices, chosen = self.indices(split), []
        most = min(ENOUGH_CLIPS, ENOUGH_SAMPLES // self.audio.clip_samples)
        if len(indices) <= most:
            return indices
        for label in np.unique(self.labels[indices]):
            own = indices[self.labels[indices] == label]
            n = min(len(own), max(VERY_FEW_CLIPS, round(len(own) * most / len(indices))))
            chosen.append(own[np.linspace(0, len(own) - 1, n).astype(int)])
        return np.sort(np.concatenate(chosen))

    def split(self, split: str) -> tuple[Tensor, Tensor]:
        """Log-mels (N, n_mels, n_frames), float32, and labels (N,) of the clips `measured`."""
        return self._read(self.measured(split))

    def recordings(self, split: str) -> tuple[Tensor, Tensor]:
        """Waveforms (N, clip_samples), float16, and labels (N,) of the clips `measured`."""
        indices = self.measured(split)
        return torch.from_numpy(self.waveforms[indices]), torch.from_numpy(self.labels[indices])

    def waveform(self, clip: int) -> np.ndarray:
        """The recording of a clip, (clip_samples,), cropped, padded and levelled as its log-mel."""
        return self.waveforms[clip].astype(np.float32)

    def _read(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        mels = torch.from_numpy(self.mels[indices].astype(np.float32))
        return mels, torch.from_numpy(self.labels[indices])


def open_clips(
    config: RunConfig, data_dir: Path, cache_dir: Path, work_dir: Path, progress=None
) -> ClipCache:
    """Open the clips of a run: its cache, or a new one from its source, brought to work_dir.

    Raises SourceError, DatasetError.
    """
    data = config.data
    cache = _open_cache(cache_dir, data.digest)
    if cache is not None:
        return cache
    how = {"kit_clips": data.kit_clips, "labels": data.labels, "stage": data.stage}
    source = open_source(data.source, work_dir, **how, progress=progress)
    return prepare_clips(source.folder, config.audio, data, data_dir, cache_dir, progress)


def open_clips_as(
    config: RunConfig,
    audio: AudioConfig,
    data_dir: Path,
    cache_dir: Path,
    work_dir: Path,
    progress=None,
) -> ClipCache:
    """Open a run's clips with the log-mels of `audio`, be they the run's own or others.

    Raises SourceError, DatasetError.
    """
    if audio != config.audio:
        data = dataclasses.replace(config.data, digest="")  # which names the cache of training
        config = dataclasses.replace(config, audio=audio, data=data)
    return open_clips(config, data_dir, cache_dir, work_dir, progress)


def prepare_clips(
    folder: Path,
    audio: AudioConfig,
    data: DataConfig,
    data_dir: Path,
    cache_dir: Path,
    progress=None,
) -> ClipCache:
    """Open the clips of a folder of class folders; their log-mels are made if they are not cached.

    Writes what became of each file to data_dir/audit.csv, and the cache to cache_dir.
    Raises DatasetError if no file can be used, if data.lead_s leaves no room for the sound, if
    data.holdout leaves nothing to train a class on
    or matches no file, or if the cache does not fit or cannot be written.

    >>> clips = prepare_clips(Path("sounds"), AudioConfig(), DataConfig(), Path("run"), Path("run"))
    """
    if data.lead_s >= audio.duration_s / 2:
        raise DatasetError(
            f"lead_s is {data.lead_s:g}, and a clip has {audio.duration_s:.2f} s: give less than "
            "half of that, or the sound would not be in it"
        )
    files = list_files(folder)
    audits.check_holdout((path for path, _, _ in files), data.holdout)
    settings = _settings_digest(audio, data)
    with _explain_write_errors(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        listing_file = _listing_file(cache_dir, settings, files)
        key = listing_file.read_text(errors="replace") if listing_file.exists() else ""
        cache = _open_cache(cache_dir, key, folder)
        if cache is None:
            digests = audits.hash_contents(folder, [path for path, _, _ in files], progress)
            key = digest_of(settings, *(f"{path} {digest}" for path, digest in digests.items()))
            cache = _open_cache(cache_dir, key, folder)
        if cache is None:
            require_room(estimate_cache_size(folder, audio, data), cache_dir)
            cache = _make_cache(folder, digests, audio, data, cache_dir, key, progress)
        write_atomically(listing_file, key.encode())
    with _explain_write_errors(data_dir):
        audits.write_audit(cache.audit, data_dir / "audit.csv")
    return cache


def remove_older_caches(clips: ClipCache, data: DataConfig, cache_dir: Path) -> None:
    """Remove what a run's cache_dir holds of other settings or recordings than those of its clips.

    A cache that is in use stays where such files cannot be removed.
    """
    listing = _listing_file(
        cache_dir, _settings_digest(clips.audio, data), list_files(clips.folder)
    )
    kept = {clips.key}
    for path in sorted(cache_dir.glob("*-*.*")):  # the waveforms first
        form = re.fullmatch(r"(?:clips|(features))-([0-9a-f]{12})\.(?:.+\.)?\w+", path.name)
        if form and (form[1] or form[2] not in kept):  # features: of an earlier version
            try:
                path.unlink(missing_ok=True)
            except OSError:  # the rest of this cache stays, too
                kept.add(form[2])
    for path in cache_dir.glob("listing-*.txt"):
        if path != listing:
            path.unlink(missing_ok=True)
    for folder in cache_dir.glob(f"{MAKING}*"):  # of a process that was killed
        latest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        if time.time() - latest > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _settings_digest(audio: AudioConfig, data: DataConfig) -> str:
    data_json = to_json(dataclasses.replace(data, source="", stage=False, digest=""))
    return digest_of(to_json(audio), data_json)


def _listing_file(cache_dir: Path, settings: str, files: list[tuple[str, int, int]]) -> Path:
    """Holds the key of a list of files: if none has changed, none is read to find the key."""
    listing = digest_of(*(f"{path} {size} {mtime}" for path, size, mtime in files))
    return cache_dir / f"listing-{digest_of(settings, listing)}.txt"


@contextlib.contextmanager
def _explain_write_errors(folder: Path):
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be written to ({error}): make room there, or choose another run "
            "folder; nothing is left half written"
        ) from error


def _cache_files(cache_dir: Path, key: str) -> list[Path]:
    """The files of a cache: waveforms, log-mels, index, digests of these."""
    return [cache_dir / f"clips-{key}.{suffix}" for suffix in CACHE_SUFFIXES]


def _make_cache(folder, digests, audio, data, cache_dir, key, progress) -> ClipCache:
    """Make a cache in a folder of its own, and move it to its place when it is whole."""
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=cache_dir) as making:
        files = *clips_files, index_file, digests_file = _cache_files(Path(making), key)
        plan = audits.start_audit(folder, digests)
        rows, clips = write_clips(clips_files, folder, plan, audio, data, progress)
        if not clips:
            raise DatasetError(audits.explain_nothing_usable(folder, rows))
        rows = audits.split_train_test(rows, data.holdout)
        labels, file_index, starts = zip(*clips, strict=True)
        numbers = {name: number for number, name in enumerate(sorted(set(labels)))}
        index = {
            "folder": str(folder),
            "audio": dataclasses.asdict(audio),
            "classes": list(numbers),
            "audit": rows,
            "labels": [numbers[label] for label in labels],
            "file_index": file_index,
            "starts": starts,
        }
        write_synced(index_file, json.dumps(index).encode())  # ASCII: any name of a file survives
        write_synced(digests_file, _digests(*clips_files, index_file).encode())
        # The digests come last: without them there is no cache. Another may have made it meanwhile
        there = _cache_files(cache_dir, key)
        for file, target in zip(files, there, strict=True):
            if not there[-1].exists():
                file.replace(target)
    return _read_cache(cache_dir, key, folder)


def _open_cache(cache_dir: Path, key: str, folder: Path | None = None) -> ClipCache | None:
    """Open the cache with a key; None if there is none, or it is damaged.

    A damaged cache is named in a warning and removed. Raises DatasetError if its disk fails.
    """
    files = *digested, digests_file = _cache_files(cache_dir, key)
    # The key can come from a stranger's file, and it names the files that are opened and removed
    if not re.fullmatch("[0-9a-f]{12}", key) or not digests_file.exists():
        return None
    try:
        with ThreadPoolExecutor(1) as pool:  # digests are computed while the index is read
            digests = pool.submit(_digests, *digested)
            cache = _read_cache(cache_dir, key, folder)
            if digests_file.read_text() == digests.result():
                return cache
        why = "its digest is another"
    except DAMAGE as error:
        why = f"{type(error).__name__}: {error}"
    except OSError as error:  # no damage: the disk may come back, the recordings may be gone
        raise DatasetError(
            f"the cache {files[0]} cannot be read ({error}): see that its disk is there"
        ) from error
    warnings.warn(
        f"the cache {files[0]} is damaged ({why}): it is made again from the recordings",
        stacklevel=3,
    )
    for path in reversed(files):
        path.unlink(missing_ok=True)
    return None


def _digests(*paths: Path) -> str:
    """SHA-256 of files, as sha256sum writes and checks them.

    Each file is hashed in one call, during which other threads go on.
    """
    lines = []
    for path in paths:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
            lines.append(f"{hashlib.sha256(body).hexdigest()}  {path.name}\n")
    return "".join(lines)


def _read_cache(cache_dir: Path, key: str, folder: Path | None) -> ClipCache:
    """Read the index and map the clips; raises one of DAMAGE if the index is not ours."""
    waveforms_file, mels_file, index_file, _ = _cache_files(cache_dir, key)
    index = json.loads(index_file.read_text())
    audio = from_dict(AudioConfig, index["audio"])
    n_clips, n_classes, n_files = (len(index[name]) for name in ("labels", "classes", "audit"))
    limits = {"labels": n_classes, "file_index": n_files, "starts": MAX_SAMPLES}
    for name, limit in limits.items():
        fit = all(type(number) is int and 0 <= number < limit for number in index[name])
        if len(index[name]) != n_clips or not fit:
            raise ValueError(f"{name} are not those of {n_clips} clips")
    return ClipCache(
        folder=Path(folder or index["folder"]),
        audio=audio,
        classes=check_classes(index["classes"]),
        audit=tuple(map(AuditRow._make, index["audit"])),
        waveforms=np.memmap(waveforms_file, np.float16, "r", shape=(n_clips, audio.clip_samples)),
        mels=np.memmap(mels_file, np.float16, "r", shape=(n_clips, audio.n_mels, audio.n_frames)),
        **{name: np.array(index[name], np.int64) for name in limits},
        key=key,
    )
