"""A sound in a notebook: a player in the page, and the WAV file behind it."""

from pathlib import Path

import numpy as np
from IPython.display import Audio

from helpers.sound.audio_files import write_wav


def player(waveform, sample_rate: int) -> Audio:
    """A player of a waveform (n,) at its own level, made quieter only if it would clip."""
    samples = np.nan_to_num(np.asarray(waveform, dtype=np.float32))
    peak = float(np.abs(samples).max(initial=0.0))
    return Audio(samples / max(1.0, peak), rate=sample_rate, normalize=False)


def save_and_play(wav, sample_rate: int, filename: str | Path) -> Audio:
    """Write a waveform (n,) as a 16-bit WAV file and return a player of it.

    >>> player_in_notebook = save_and_play(waveform, 22050, "sounds/rain.wav")
    """
    write_wav(Path(filename), wav, sample_rate)
    return player(wav, sample_rate)
