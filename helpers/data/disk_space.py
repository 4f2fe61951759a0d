"""How much of a disk the clips of a folder will take, known before they are made."""

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import DatasetError
from helpers.data.layouts import list_files
from helpers.files import KEPT_FREE_BYTES, in_mebibytes
from helpers.progress import n_workers
from helpers.sound.audio_files import SUFFIXES, AudioError, source_info

FEWEST_BITS_PER_S = 1_000  # of sound: silence in FLAC takes a little more


@dataclass(frozen=True)
class CacheSize:
    """Clips at most, and the bytes that their features take."""

    n_clips: int
    n_bytes: int

    def __str__(self) -> str:
        return f"at most {self.n_clips} clips, {in_mebibytes(self.n_bytes)} of features"


def bytes_per_clip(audio: AudioConfig) -> int:
    """Bytes of one clip's features, float16."""
    return 2 * audio.n_mels * audio.n_frames


def estimate_cache_size(folder: Path, audio: AudioConfig, data: DataConfig) -> CacheSize:
    """What the recordings in the class folders of `folder` will take."""
    return cache_size_of(folder, [path for path, _, _ in list_files(folder)], audio, data)


def cache_size_of(
    folder: Path, paths: Sequence[str], audio: AudioConfig, data: DataConfig
) -> CacheSize:
    """The same for files that are listed already: one clip a file, or as many as its length allows when sliced.

    Lengths are those that the headers promise, silence is not known yet: the most that it can be.
    """
    paths = [path for path in paths if path.lower().endswith(SUFFIXES)]
    counts, n_clips = Counter(), [1] * len(paths)
    if data.slice_long:
        with ThreadPoolExecutor(n_workers()) as pool:
            n_clips = pool.map(lambda path: _n_clips(folder / path, audio), paths)
    for path, n in zip(paths, n_clips, strict=True):
        counts[Path(path).parts[0]] += n
    most = data.max_clips_per_class or math.inf
    total = int(sum(min(n, most) for n in counts.values()))
    return CacheSize(total, total * bytes_per_clip(audio))


def require_room(needed: CacheSize, folder: Path) -> None:
    """Raise DatasetError, with what is missing, where the features do not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    missing = needed.n_bytes + KEPT_FREE_BYTES - free
    if missing > 0:
        raise DatasetError(
            f"the features do not fit: {needed}, but {folder} has only {in_mebibytes(free)} free, "
            f"{in_mebibytes(missing)} too little. Make room there, set max_clips_per_class, or take fewer n_frames"
        )


def _n_clips(path: Path, audio: AudioConfig) -> int:
    """Clips of a file at most; a header that promises more than its bytes can hold is not believed."""
    try:
        longest_s = 8 * path.stat().st_size / FEWEST_BITS_PER_S
        return max(1, math.ceil(min(source_info(path).duration_s, longest_s) / audio.duration_s))
    except (AudioError, OSError):
        return 0
