"""A waveform as it is handed out: at one rate, without an offset, cut to the sound, no clicks."""

import numpy as np

from helpers.sound.audio_files import resample, trim_end

ONSET_SHARE = 0.005  # of the peak, 46 dB below it: from there on a sound is heard
OFFSET_SHARE = 0.001  # of the peak: less is no offset, but the sound's own
LEAD_S = 0.002  # kept before that
FADE_IN_S, FADE_OUT_S = 0.001, 0.01


def hand_out(waveform, from_rate: int, to_rate: int) -> np.ndarray:
    """A waveform (n,) at `from_rate` as (m,), float32 at `to_rate`, that starts and ends at 0.

    It begins 2 ms before the sound, so that a key answers at once, and ends where the sound ends.
    Values that are not finite become 0. Levels stay. Silence keeps its length.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    samples = np.where(np.isfinite(samples), samples, np.float32(0))
    samples = resample(without_offset(samples), from_rate, to_rate)
    return fade_ends(trim_end(trim_start(samples, to_rate), to_rate), to_rate)


def without_offset(waveform: np.ndarray) -> np.ndarray:
    """A waveform (n,) less the constant that it swings around.

    The constant is a mean with Hann's weights. A plain mean of a kick drum is far from 0, because
    its first swing is the largest; to subtract it would leave a step where the drum has ended.
    """
    weights = np.hanning(len(waveform) + 2)[1:-1]
    offset = np.average(waveform.astype(np.float64), weights=weights)
    is_offset = abs(offset) > OFFSET_SHARE * np.abs(waveform).max()
    return (waveform - offset).astype(np.float32) if is_offset else waveform


def trim_start(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut what comes more than 2 ms before the sound off a waveform (n,); silence stays."""
    loudness = np.abs(waveform)
    onset = int((loudness > ONSET_SHARE * loudness.max(initial=0.0)).argmax())
    return waveform[max(0, onset - round(LEAD_S * sample_rate)) :]


def fade_ends(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A waveform (n,) that rises from 0 within 1 ms and falls to 0 within 10 ms."""
    n_most = len(waveform) // 4
    n_in, n_out = (min(n_most, round(s * sample_rate)) for s in (FADE_IN_S, FADE_OUT_S))
    faded = waveform.copy()
    faded[:n_in] *= _rise(n_in)
    faded[len(faded) - n_out :] *= _rise(n_out)[::-1]
    return faded


def _rise(n: int) -> np.ndarray:
    """Half a period of a cosine from 0 to nearly 1, (n,)."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(n) / max(1, n))).astype(np.float32)
