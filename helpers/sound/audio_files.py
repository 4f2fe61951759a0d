"""Audio files and waveforms: read anything as mono at one rate, whole or in blocks, write WAV, level, silence."""

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
SILENT_DB = -200.0  # stands for minus infinity
TRIM_FADE_S = 0.005
BLOCK_VALUES = 2**21  # read at a time, of all channels: 8 MiB
LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000
RATE_GRIDS = (1, 2, 5, 10, 50, 100)  # hertz
LARGEST_FILTER = 2**21  # numbers


class AudioError(ValueError):
    """A file that cannot be used as audio; the message says why."""


@dataclass(frozen=True)
class SourceInfo:
    """What a file was before it was read: its rate in hertz, its channels, its length in seconds."""

    sample_rate: int
    n_channels: int
    duration_s: float


def read_audio(path: Path, sample_rate: int) -> tuple[np.ndarray, SourceInfo]:
    """Read any audio file as mono at `sample_rate`, whole.

    Returns the waveform, float32 of shape (n_samples,) in about [-1, 1], and what the file was.
    Raises AudioError if the file is empty, no audio, damaged, or holds values that are not finite.
    """
    info, blocks = stream_audio(path, sample_rate)
    return np.concatenate(list(blocks)), info


def read_clip(path: Path, sample_rate: int, start: int, n_samples: int) -> np.ndarray:
    """n_samples from `start` of a file as mono at `sample_rate`, padded with silence; reads no further than needed.

    Raises AudioError as `read_audio` does.
    """
    found, position = [], 0
    for block in stream_audio(path, sample_rate)[1]:
        found.append(block[max(0, start - position) :])
        position += len(block)
        if position >= start + n_samples:
            break
    return fit_length(np.concatenate(found), n_samples)


def stream_audio(path: Path, sample_rate: int) -> tuple[SourceInfo, Iterator[np.ndarray]]:
    """What a file is by its header, and its waveform as mono at `sample_rate` in blocks (n,) of bounded size.

    Raises AudioError as `read_audio` does, also while the blocks are read.
    """
    with _as_audio_error(path):
        source = _open(path)
    info = _info_of(source)
    return info, resample_blocks(_read_blocks(path, source), info.sample_rate, sample_rate)


def resample_blocks(
    blocks: Iterable[np.ndarray], from_rate: int, to_rate: int
) -> Iterator[np.ndarray]:
    """The blocks (n,) of a waveform, resampled as `resample` does with the whole of it."""
    from_rate = nearby_rate(from_rate, to_rate)
    if from_rate == to_rate:
        yield from blocks
        return
    step, n_out = (rate // math.gcd(from_rate, to_rate) for rate in (from_rate, to_rate))
    context = step * (1 + math.ceil((_resampler(from_rate, to_rate).width + step) / step))
    blocks = iter(blocks)
    pending, n_before = (
        next(blocks),
        0,
    )  # what is not resampled yet, after n_before samples of context
    for block in blocks:
        pending = np.concatenate([pending, block])
        n_ready = max(0, len(pending) - n_before - context) // step * step
        known = resample(pending[: n_before + n_ready + context], from_rate, to_rate)
        first = n_before // step * n_out
        yield known[first : first + n_ready // step * n_out]
        kept = min(context, n_before + n_ready)
        pending, n_before = pending[n_before + n_ready - kept :], kept
    yield resample(pending, from_rate, to_rate)[n_before // step * n_out :]


def source_info(path: Path) -> SourceInfo:
    """What a file is by its header; AudioError if it has none."""
    with _as_audio_error(path), _open(path) as source:
        return _info_of(source)


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Band-limited resampling (torchaudio's windowed sinc) of a waveform (n_samples,).

    A rate that has next to nothing in common with the other is taken for one that has, `nearby_rate`.
    """
    from_rate = nearby_rate(from_rate, to_rate)
    if from_rate == to_rate:
        return waveform
    return _resampler(from_rate, to_rate)(torch.from_numpy(waveform)).numpy()


def nearby_rate(from_rate: int, to_rate: int) -> int:
    """The rate itself, or where the filter between the two would be huge the nearest that shares a larger divisor.

    22 254 Hz to 16 000 would take 89 million numbers; 22 250 differs by a third of a cent.
    """
    rates = (round(from_rate / grid) * grid for grid in RATE_GRIDS)
    small = (
        rate for rate in rates if rate * to_rate // math.gcd(rate, to_rate) ** 2 <= LARGEST_FILTER
    )
    return next(small, round(from_rate / RATE_GRIDS[-1]) * RATE_GRIDS[-1])


def write_wav(path: Path, waveform, sample_rate: int) -> Path:
    """Write a waveform (n_samples,) as 16-bit WAV; peaks above full scale are scaled down, never clipped.

    Raises OSError, and leaves no half of a file, if it cannot be written.
    """
    samples = np.nan_to_num(np.asarray(waveform, dtype=np.float32))
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1.0:
        samples = samples / peak
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    soundfile.write(content, samples, sample_rate, subtype="PCM_16", format="WAV")
    try:
        path.write_bytes(
            content.getvalue()
        )  # raises OSError where the disk is full, as soundfile does not
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()  # half of a sound is none
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def level_db(waveform: np.ndarray) -> float:
    """RMS level of a waveform in decibels of full scale; SILENT_DB for digital silence."""
    if len(waveform) == 0:
        return SILENT_DB
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    return 20 * math.log10(rms) if rms > 0 else SILENT_DB


def fit_length(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Crop at the end, or pad with silence, to exactly n_samples."""
    if len(waveform) >= n_samples:
        return waveform[:n_samples]
    return np.pad(waveform, (0, n_samples - len(waveform)))


def trim_end(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A waveform (n,) without the silence at its end, faded to it; one that is all silence is left as it is.

    Silence is what stays 60 dB below the peak, and what cannot be written in 16 bits.
    """
    threshold = max(1e-3 * float(np.abs(waveform).max(initial=0.0)), 1 / 32_768)
    heard = np.flatnonzero(np.abs(waveform) > threshold)
    n_fade = round(TRIM_FADE_S * sample_rate)
    if not len(heard) or heard[-1] + n_fade >= len(waveform):
        return waveform
    trimmed = waveform[: heard[-1] + n_fade].copy()
    trimmed[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=waveform.dtype)
    return trimmed


@lru_cache(maxsize=32)
def _resampler(from_rate: int, to_rate: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(from_rate, to_rate)


def _open(path: Path) -> soundfile.SoundFile:
    """A file to be read; soundfile takes a name that is no valid UTF-8 as bytes only."""
    source = soundfile.SoundFile(os.fsencode(path))
    if not LOWEST_RATE <= source.samplerate <= HIGHEST_RATE:
        source.close()
        raise AudioError(f"has {source.samplerate} Hz: {LOWEST_RATE} to {HIGHEST_RATE} are read")
    return source


def _info_of(source: soundfile.SoundFile) -> SourceInfo:
    return SourceInfo(source.samplerate, source.channels, source.frames / source.samplerate)


def _read_blocks(path: Path, source: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """A file's samples as mono, float32, in blocks (n,)."""
    n_read = 0
    with _as_audio_error(path), source:
        while True:
            block = source.read(
                max(1, BLOCK_VALUES // source.channels), dtype="float32", always_2d=True
            )
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise AudioError("holds samples that are not numbers (NaN or infinite)")
            n_read += len(block)
            yield (
                block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
            )  # (n, n_channels) to (n,)
    if not n_read:
        raise AudioError("holds no samples")


@contextlib.contextmanager
def _as_audio_error(path: Path):
    """What a file that cannot be read raises, as AudioError with the reason."""
    try:
        yield
    except AudioError:
        raise
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        raise AudioError(_reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    try:
        size = path.stat().st_size
    except OSError:
        return f"cannot be opened ({error})"
    return (
        "is empty (0 bytes)" if size == 0 else f"is not readable as audio ({type(error).__name__})"
    )
