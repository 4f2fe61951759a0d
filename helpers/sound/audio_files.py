"""Audio files and waveforms: read any file as mono at one rate, write WAV, measure, fit, trim."""

import contextlib
import io
import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from helpers.sound import ffmpeg
from helpers.sound.file_kinds import BY_SUFFIX, HEAD_BYTES, NEED_FFMPEG, SourceInfo, kind_of
from helpers.sound.straight_file import StraightFile

SUFFIXES = (*BY_SUFFIX, *ffmpeg.SUFFIXES)
SILENT_DB = -200.0  # stands for minus infinity
BLOCK_VALUES = 2**21  # values read at a time, all channels together: 8 MiB
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # hertz
RATE_GRIDS = (1, 2, 5, 10, 50, 100)  # hertz, to which `nearby_rate` rounds
MAX_FILTER_VALUES = 2**21  # of the filter that resamples
MOST_FRAMES = 2**53  # of a recording
CANCELLED_DB = 20
PRE_ROLL = 2**15  # frames that a decoder of MP3 or Opus gets before those that are wanted
LAST_PART = 2**19  # frames at a file's end, into which libsndfile 1.2 seeks wrongly in Vorbis
TRIM_BLOCK_S, TRIM_FADE_S = 0.01, 0.005
INAUDIBLE_SHARE = 1e-6  # of a sound's energy: 60 dB below the whole
SILENCE_MARGIN = 1.5  # generated mels lie a little above the level that stands for silence
ONE_STEP = 1 / 32_768  # of 16 bits

Blocks = Iterator[np.ndarray]  # the pieces (n,) of a mono waveform, in order
_resampler = lru_cache(maxsize=32)(torchaudio.transforms.Resample)  # with its filter


class AudioError(ValueError):
    """A file that cannot be used as audio; the message says why."""


class Mix:
    """Makes one channel of several: their mean, or the one of a number. Measures how loud each is.

    >>> mix = Mix()
    >>> mono = mix(np.ones((4, 2)))  # (4,)
    """

    def __init__(self, channel: int = -1):
        self.channel = channel
        self.energies = np.zeros(1)  # of each channel so far
        self.mean_energy = 0.0  # of their mean so far

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Samples (n, channels) to (n,)."""
        if block.shape[1] == 1:
            return block[:, 0]
        mean = block.mean(axis=1)
        self.energies = self.energies + np.square(block, dtype=np.float64).sum(axis=0)
        self.mean_energy += float(np.square(mean, dtype=np.float64).sum())
        return mean if self.channel < 0 else block[:, self.channel]

    @property
    def loudest(self) -> int:
        """The channel with the most energy."""
        return int(self.energies.argmax())

    @property
    def cancels(self) -> bool:
        """Whether the channels cancel each other: their mean is CANCELLED_DB below the loudest."""
        return self.mean_energy < self.energies.max() * 10 ** (-CANCELLED_DB / 10)


def read_audio(path: Path, sample_rate: int) -> tuple[np.ndarray, SourceInfo]:
    """Read a whole audio file as mono at `sample_rate`.

    Returns the waveform, float32 of shape (n_samples,) in about [-1, 1], and the file's header.
    Raises AudioError if the file is empty, damaged, not audio, or holds NaN or infinite samples.
    """
    info, blocks = stream_audio(path, sample_rate)
    return np.concatenate(list(blocks)), info


def read_clip(
    path: Path,
    sample_rate: int,
    start: int,
    n_samples: int,
    duration_s: float | None = None,
    channel: int = -1,
) -> np.ndarray:
    """Read (n_samples,) from sample `start` on, as `read_audio` does, and little more than that.

    Where the file ends before the clip does, silence follows. duration_s is how long the file was
    found to be when it was read whole. Where its header says otherwise it is damaged, and is read
    from its beginning: a decoder would not find the place. channel is the one to take; -1: the mean
    of all.
    """
    info, source = _open(path)
    transform = _resampler(nearby_rate(info.sample_rate, sample_rate), sample_rate)
    step, n_out, context = _steps(transform)
    first = max(0, start // n_out * step - context)  # of the file's samples that the clip needs
    end = math.ceil((start + n_samples) / n_out) * step + context
    is_whole = duration_s is None or abs(duration_s - info.duration_s) < 0.01
    position = _seek(source, first) if is_whole else 0
    pieces = []
    for block in _read_blocks(path, source, Mix(channel), position):
        pieces.append(block[max(0, first - position) : max(0, end - position)])
        position += len(block)
        if position >= end:
            break
    piece = np.concatenate(pieces)
    if not len(piece):
        return np.zeros(n_samples, np.float32)
    resampled = resample(piece, info.sample_rate, sample_rate)
    return fit_length(resampled[start - first // step * n_out :], n_samples)


def stream_audio(
    path: Path, sample_rate: int, mix: "Mix | None" = None
) -> tuple[SourceInfo, Blocks]:
    """Read the header of a file; its waveform follows in blocks (n,), mono at `sample_rate`.

    The blocks are bounded in size. mix makes one channel of several; without, it is their mean.
    Raises AudioError, here and while the blocks are read.
    """
    info, source = _open(path)
    blocks = _read_blocks(path, source, mix or Mix())
    return info, resample_blocks(blocks, info.sample_rate, sample_rate)


def source_info(path: Path) -> SourceInfo:
    """Read the header of a file alone; raises AudioError if it has none."""
    return stream_audio(path, MAX_RATE)[0]  # the file closes with the blocks that nobody reads


def resample_blocks(blocks: Blocks, from_rate: int, to_rate: int) -> Blocks:
    """Resample a waveform that comes in blocks (n,); joined, they equal `resample` of the whole."""
    transform = _resampler(nearby_rate(from_rate, to_rate), to_rate)
    if transform.orig_freq == to_rate:
        yield from blocks
        return
    step, n_out, context = _steps(transform)
    pending, done = next(blocks), 0  # `done` samples have been resampled and stay as context
    for block in blocks:
        pending = np.concatenate([pending, block])
        ready = max(done, (len(pending) - context) // step * step)
        resampled = resample(pending[: ready + context], from_rate, to_rate)
        yield resampled[done // step * n_out : ready // step * n_out]
        start = max(0, ready - context)
        pending, done = pending[start:], ready - start
    yield resample(pending, from_rate, to_rate)[done // step * n_out :]


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample a waveform (n_samples,) by torchaudio's windowed sinc, from the `nearby_rate`."""
    transform = _resampler(nearby_rate(from_rate, to_rate), to_rate)
    return transform(torch.from_numpy(waveform)).numpy()


def nearby_rate(from_rate: int, to_rate: int) -> int:
    """Round `from_rate` until it shares a divisor with `to_rate` that keeps the filter small.

    22 254 Hz to 16 000 Hz would need 89 million values; 22 250 Hz differs by a third of a cent.
    """
    for grid in RATE_GRIDS:
        rate = round(from_rate / grid) * grid
        if rate * to_rate // math.gcd(rate, to_rate) ** 2 <= MAX_FILTER_VALUES:
            break
    return rate


def write_wav(path: Path, waveform, sample_rate: int, bits: int = 16) -> Path:
    """Write a waveform (n_samples,) as WAV of 16 or 24 bits; peaks above full scale are scaled.

    Raises OSError, and leaves no half of a file, if it cannot be written.
    """
    content = wav_bytes(waveform, sample_rate, bits)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(content)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def wav_bytes(waveform, sample_rate: int, bits: int = 16) -> bytes:
    """A waveform (n_samples,) as the content of a WAV file, as `write_wav` writes it."""
    samples = np.nan_to_num(np.asarray(waveform, dtype=np.float32))
    samples = samples / max(1.0, float(np.abs(samples).max(initial=0.0)))
    content = io.BytesIO()  # soundfile itself raises nothing where the disk is full
    soundfile.write(content, samples, sample_rate, subtype=f"PCM_{bits}", format="WAV")
    return content.getvalue()


def level_db(waveform: np.ndarray) -> float:
    """RMS level of a waveform (n,) in decibels of full scale; SILENT_DB for digital silence."""
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if len(waveform) else 0.0
    return 20 * math.log10(rms) if rms > 0 else SILENT_DB


def fit_length(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Crop a waveform (n,) at its end, or pad it with silence, to (n_samples,)."""
    return np.pad(waveform[:n_samples], (0, max(0, n_samples - len(waveform))))


def trim_end(waveform: np.ndarray, sample_rate: int, silence_rms: float = 0.0) -> np.ndarray:
    """Cut the silence off the end of a waveform (n,) and let what is left fade to 0 over 5 ms.

    What is cut off has less than a millionth of the energy, so echoes stay. Blocks of 10 ms that
    are as quiet as silence_rms, the level of noise that stands for silence, or as one step of 16
    bits, count as having none. A waveform without silence at its end, or with nothing else, comes
    back as it is.
    """
    size, n_fade = (max(1, round(s * sample_rate)) for s in (TRIM_BLOCK_S, TRIM_FADE_S))
    padded = np.pad(waveform.astype(np.float64), (0, -len(waveform) % size))
    energy = np.square(padded).reshape(-1, size).sum(axis=1)  # of each block
    silence = size * max(SILENCE_MARGIN * silence_rms, ONE_STEP) ** 2
    energy = (energy - silence).clip(min=0)
    left = energy[::-1].cumsum()[::-1]  # from each block on
    end = int((left > INAUDIBLE_SHARE * energy.sum()).sum()) * size
    if end == 0 or end + n_fade >= len(waveform):
        return waveform
    trimmed = waveform[: end + n_fade].copy()
    trimmed[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=waveform.dtype)
    return trimmed


def _open(path: Path) -> tuple[SourceInfo, StraightFile]:
    with _as_audio_error(path):
        kind = kind_of(path)
        by_suffix = not kind and path.suffix.lower() in ffmpeg.SUFFIXES
        file = ffmpeg.decode(path, kind) if by_suffix or kind in NEED_FFMPEG else path
        source = StraightFile(os.fsencode(file))  # as bytes: a name may be no valid UTF-8
        if kind == "wav" and not source.frames and path.stat().st_size > HEAD_BYTES:
            source.close()  # whoever recorded it never wrote its length
            source = StraightFile(os.fsencode(ffmpeg.decode(path, "a WAV without a length")))
    rate = source.samplerate
    if not MIN_RATE <= rate <= MAX_RATE:
        source.close()
        raise AudioError(f"has {rate} Hz: {MIN_RATE} to {MAX_RATE} are read")
    frames = source.frames if source.frames < MOST_FRAMES else 0  # libsndfile's "unknown"
    return SourceInfo(rate, source.channels, frames / rate), source


def _seek(source: StraightFile, frame: int) -> int:
    """Go to a frame or somewhat before it, and return where the file is now."""
    target = max(0, min(frame - PRE_ROLL, source.frames - LAST_PART))
    try:
        if not target or source.seek(target) == target:
            return target
        source.seek(0)
    except soundfile.SoundFileError:  # of a format that cannot: it is where it was
        pass
    return 0


def _steps(transform: torchaudio.transforms.Resample) -> tuple[int, int, int]:
    """How many samples become how many, and how many samples the filter reaches to each side."""
    step, n_out = transform.orig_freq // transform.gcd, transform.new_freq // transform.gcd
    if step == n_out:
        return 1, 1, 0
    return step, n_out, step * (2 + math.ceil(transform.width / step))


def _read_blocks(path: Path, source: StraightFile, mix: Mix, position: int = 0) -> Blocks:
    """The samples of an open file as mono, float32, in blocks (n,); closes it at the end."""
    n_frames = max(1, BLOCK_VALUES // source.channels)
    is_empty = True
    with _as_audio_error(path), source:
        for block in source.blocks(n_frames, position):
            if not np.isfinite(block).all():
                raise AudioError("holds samples that are not numbers (NaN or infinite)")
            is_empty = False
            yield mix(block)
    if is_empty:
        raise AudioError("holds no samples")


@contextlib.contextmanager
def _as_audio_error(path: Path):
    """Turn what reading a file raises into an AudioError that says why."""
    try:
        yield
    except AudioError:
        raise
    except ffmpeg.DecodingError as error:
        raise AudioError(str(error)) from error
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        reason = f"is not readable as audio ({type(error).__name__})"
        try:
            if path.stat().st_size == 0:
                reason = "is empty (0 bytes)"
        except OSError:
            reason = f"cannot be opened ({error})"
        raise AudioError(reason) from error
