"""Audio files and waveforms: read anything as mono at one rate, write WAV, level, silence, slices."""

import math
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


class AudioError(ValueError):
    """A file that cannot be used as audio; the message says why."""


@dataclass(frozen=True)
class SourceInfo:
    """What a file was before it was read: its rate in hertz, its channels, its length in seconds."""

    sample_rate: int
    n_channels: int
    duration_s: float


def read_audio(path: Path, sample_rate: int) -> tuple[np.ndarray, SourceInfo]:
    """Read any audio file as mono at `sample_rate`.

    Returns the waveform, float32 of shape (n_samples,) in about [-1, 1], and what the file was.
    Raises AudioError if the file is empty, no audio, damaged, or holds values that are not finite.
    """
    try:
        with open(path, "rb") as file:  # opened here: libsndfile takes no name that is not valid UTF-8
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)  # (n_samples, n_channels)
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        raise AudioError(_reason(path, error)) from error
    if samples.shape[0] == 0:
        raise AudioError("holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError("holds samples that are not numbers (NaN or infinite)")
    info = SourceInfo(rate, samples.shape[1], samples.shape[0] / rate)
    return resample(samples.mean(axis=1), rate, sample_rate), info


def source_rate(path: Path) -> int:
    """The sample rate of a file in hertz, from its header; AudioError if it has none."""
    try:
        with open(path, "rb") as file:
            return soundfile.info(file).samplerate
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        raise AudioError(_reason(path, error)) from error


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Band-limited resampling (torchaudio's windowed sinc) of a waveform (n_samples,)."""
    if from_rate == to_rate:
        return waveform
    return _resampler(from_rate, to_rate)(torch.from_numpy(waveform)).numpy()


def write_wav(path: Path, waveform, sample_rate: int) -> Path:
    """Write a waveform (n_samples,) as 16-bit WAV; peaks above full scale are scaled down, never clipped."""
    samples = np.nan_to_num(np.asarray(waveform, dtype=np.float32))
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1.0:
        samples = samples / peak
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        soundfile.write(file, samples, sample_rate, subtype="PCM_16", format="WAV")
    return path


def level_db(waveform: np.ndarray) -> float:
    """RMS level of a waveform in decibels of full scale; SILENT_DB for digital silence."""
    if len(waveform) == 0:
        return SILENT_DB
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    return 20 * math.log10(rms) if rms > 0 else SILENT_DB


def loudest_db(waveform: np.ndarray, window: int) -> float:
    """Level of the loudest window of `window` samples: a click in a long silence is not silence."""
    return float(_window_levels_db(waveform, window).max())


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


def slice_starts(waveform: np.ndarray, n_samples: int, silence_db: float) -> list[int]:
    """Where the clips of a long recording begin: back to back, silence left out.

    A clip starts at the first window (an eighth of a clip) louder than silence_db after the clip before.
    """
    window = max(1, n_samples // 8)
    starts, next_free = [], 0
    for index, level in enumerate(_window_levels_db(waveform, window)):
        start = index * window
        if level > silence_db and start >= next_free and (not starts or len(waveform) - start >= n_samples // 2):
            starts.append(start)
            next_free = start + n_samples
    return starts


def _window_levels_db(waveform: np.ndarray, window: int) -> np.ndarray:
    n_windows = max(1, math.ceil(len(waveform) / window))
    padded = fit_length(waveform, n_windows * window).reshape(n_windows, window)  # (n_windows, window)
    filled = np.full(n_windows, window)
    filled[-1] = max(1, len(waveform) - (n_windows - 1) * window)
    rms = np.sqrt(np.square(padded, dtype=np.float64).sum(axis=1) / filled)
    return 20 * np.log10(np.maximum(rms, 10 ** (SILENT_DB / 20)))


@lru_cache(maxsize=32)
def _resampler(from_rate: int, to_rate: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(from_rate, to_rate)


def _reason(path: Path, error: Exception) -> str:
    try:
        size = path.stat().st_size
    except OSError:
        return f"cannot be opened ({error})"
    return "is empty (0 bytes)" if size == 0 else f"is not readable as audio ({type(error).__name__})"
