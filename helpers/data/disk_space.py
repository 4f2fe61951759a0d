"""How much disk space the clips of a folder need, estimated before they are made."""

import math
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import DatasetError, most_per_recording
from helpers.data.layouts import is_audio, list_files
from helpers.files import KEPT_FREE_BYTES, in_mebibytes
from helpers.progress import n_workers
from helpers.sound.audio_files import AudioError, source_info

MIN_BITS_PER_S = 1_000  # of a recording: silence in FLAC takes a little more


class CacheSize(NamedTuple):
    """The largest number of clips that a folder can give, and the bytes that these take."""

    n_clips: int
    n_bytes: int

    def __str__(self) -> str:
        return (
            f"at most {self.n_clips} clips, {in_mebibytes(self.n_bytes)} of waveforms and log-mels"
        )


def clip_bytes(audio: AudioConfig) -> tuple[int, int]:
    """The bytes of one clip's waveform and of its log-mel, both in float16."""
    return 2 * audio.clip_samples, 2 * audio.n_mels * audio.n_frames


def estimate_cache_size(folder: Path, audio: AudioConfig, data: DataConfig) -> CacheSize:
    """Estimate the size of the cache of a folder of class folders, from the headers of its files.

    The estimate is an upper bound: which files are damaged, silent or duplicates is not known yet.
    """
    paths = [path for path, _, _ in list_files(folder) if is_audio(folder / path)]
    most_clips = [1] * len(paths)
    n_files = Counter(Path(path).parts[0] for path in paths)
    bounds = [most_per_recording(data, n_files[Path(path).parts[0]]) for path in paths]
    if max(bounds, default=1) > 1:
        with ThreadPoolExecutor(n_workers()) as pool:
            most_clips = pool.map(lambda path: _most_clips(folder / path, audio), paths)
    n_of_class = Counter()
    for path, n, bound in zip(paths, most_clips, bounds, strict=True):
        n_of_class[Path(path).parts[0]] += min(n, bound)
    limit = data.max_clips_per_class or math.inf
    n_clips = sum(min(n, limit) for n in n_of_class.values())
    return CacheSize(n_clips, n_clips * sum(clip_bytes(audio)))


def require_room(needed: CacheSize, folder: Path) -> None:
    """Raise DatasetError, with what is missing, if a cache does not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    missing = needed.n_bytes + KEPT_FREE_BYTES - free
    if missing > 0:
        raise DatasetError(
            f"the clips do not fit: {needed}, but {folder} has only {in_mebibytes(free)} free, "
            f"{in_mebibytes(missing)} too little. "
            "Make room there, set max_clips_per_class, or take fewer n_frames"
        )


def _most_clips(path: Path, audio: AudioConfig) -> int:
    """How many clips a file can give: by its header, but no more than its bytes can hold."""
    try:
        longest_s = 8 * path.stat().st_size / MIN_BITS_PER_S
        duration_s = min(source_info(path).duration_s or longest_s, longest_s)
        return max(1, math.ceil(duration_s / audio.duration_s))
    except (AudioError, OSError):
        return 0
