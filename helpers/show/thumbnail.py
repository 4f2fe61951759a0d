"""A small mel spectrogram without axes, for any length of sound, as a PNG of 1 to 2 kB."""

import math
import struct
import zlib
from functools import lru_cache

import matplotlib
import numpy as np
import torch

from helpers.sound.audio_files import ONE_STEP

MOST_COLUMNS, ROWS, COLOURS = 112, 48, 16
SHOWN_RANGE_DB = 60  # below a picture's loudest point
WINDOW_S = 0.032
MEL_CORNER_HZ = 700  # below it the mel scale is nearly linear, above it logarithmic


def thumbnail(samples: np.ndarray, sample_rate: int) -> bytes:
    """The spectrogram of finite float32 samples (n,), n >= 1, as a PNG; silence is black.

    >>> png = thumbnail(waveform, audio.sample_rate)
    """
    hop = max(1, math.ceil(len(samples) / MOST_COLUMNS))
    n_fft = 2 ** math.ceil(math.log2(max(WINDOW_S * sample_rate, hop)))
    window = torch.hann_window(n_fft)
    options = {"hop_length": hop, "window": window, "pad_mode": "constant", "return_complex": True}
    spectrum = torch.stft(torch.from_numpy(samples), n_fft, **options).abs().square()
    power = (_bands(n_fft, sample_rate) @ spectrum).numpy()  # (ROWS, n_columns)
    top = max(power.max(), ONE_STEP**2)
    decibels = 10 * np.log10(np.maximum(power / top, 1e-12))
    share = np.clip(1 + decibels / SHOWN_RANGE_DB, 0, 1)
    return _png(np.rint((COLOURS - 1) * share[::-1]).astype(np.uint8))


@lru_cache(maxsize=8)
def _bands(n_fft: int, sample_rate: int) -> torch.Tensor:
    """Weights (ROWS, n_freqs) of the mean power in bands that are equally wide in mel.

    A band narrower than a bin takes its share of that bin, so that none is empty.
    """
    highest = math.log1p(sample_rate / 2 / MEL_CORNER_HZ)
    edges_hz = MEL_CORNER_HZ * np.expm1(np.linspace(0, highest, ROWS + 1))
    edges = edges_hz / sample_rate * n_fft  # in bins
    bins = np.arange(n_fft // 2 + 1)[:, None]
    below = np.clip(edges - bins + 0.5, 0, 1)  # (n_freqs, ROWS + 1), the part of a bin
    weights = np.diff(below, axis=1) / np.diff(edges)
    return torch.from_numpy(weights.T.astype(np.float32))


def _png(levels: np.ndarray) -> bytes:
    """Levels (rows, columns) from 0 to COLOURS - 1 as a PNG of so many colours, 4 bits a pixel."""
    n_rows, n_columns = levels.shape
    even = np.pad(levels, ((0, 0), (0, n_columns % 2)))
    packed = even[:, ::2] << 4 | even[:, 1::2]
    rows = np.pad(packed, ((0, 0), (1, 0)))  # each begins with a byte for "not filtered"
    palette = matplotlib.colormaps["magma"](np.linspace(0, 1, COLOURS), bytes=True)[:, :3]
    parts = {
        b"IHDR": struct.pack(">2I5B", n_columns, n_rows, 4, 3, 0, 0, 0),
        b"PLTE": palette.tobytes(),
        b"IDAT": zlib.compress(rows.tobytes(), 9),
        b"IEND": b"",
    }
    chunks = b"".join(_chunk(kind, content) for kind, content in parts.items())
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
