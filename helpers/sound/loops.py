"""Loops of sustained sounds, which a sampler repeats while a key is held, and their place in WAV.

A loop is smooth where the sound before and after its end is like that before and after its start.
"""

import struct
from typing import NamedTuple

import numpy as np

BLOCK_S, BLOCKS_A_LEVEL = 0.01, 4  # levels are measured over 40 ms, every 10 ms
SUSTAINED_DB = 6.0  # a sustained level stays within this range
FADING_DB_PER_S = 4.0  # what falls or rises faster is not sustained
QUIET_DB = 12.0  # below the loudest level: no longer the sound itself
SUSTAINED_S, SUSTAINED_SHARE = 0.3, 0.5  # of the sound at least
CROSSFADE_S = 0.05
N_ENDS = 12  # places that are tried as a loop's end
AS_GOOD = 0.001  # of a likeness: then the longer loop is taken
UNITY_KEY = 60  # middle C plays a file as it is


class Loop(NamedTuple):
    """The first and the last sample of what repeats."""

    first: int
    last: int


def make_loop(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, Loop | None]:
    """A waveform (n,) with a smooth loop, and where that is; unchanged, and None, if it fades.

    The crossfade is in the samples, because players differ in whether and how they make one: up to
    the loop's end the sound becomes that before its start, and afterwards itself again. So the file
    is smooth also where it is played once, and it keeps its length and its end.
    """
    part = find_sustained(waveform, sample_rate)
    if part is None:
        return waveform, None
    n_fade = min(round(CROSSFADE_S * sample_rate), (part[1] - part[0]) // 8)
    start, end, likeness = _find_seam(waveform, *part, n_fade)
    looped = waveform.copy()
    before, after = slice(end - n_fade, end), slice(end, end + n_fade)
    looped[before] = _crossfade(waveform[before], waveform[start - n_fade : start], likeness)
    looped[after] = _crossfade(waveform[start : start + n_fade], waveform[after], likeness)
    return looped, Loop(start, end - 1)


def find_sustained(waveform: np.ndarray, sample_rate: int) -> tuple[int, int] | None:
    """The longest part of a waveform (n,) with a steady level: its first, its last sample + 1.

    None unless that is a good part of the sound: drums, plucks and words have no such part.
    """
    size = max(1, round(BLOCK_S * sample_rate))
    n_blocks = len(waveform) // size
    if n_blocks < round(SUSTAINED_S / BLOCK_S):
        return None
    blocks = waveform[: n_blocks * size].astype(np.float64).reshape(n_blocks, size)
    energy = np.convolve(np.square(blocks).mean(axis=1), np.ones(BLOCKS_A_LEVEL), "valid")
    levels = 10 * np.log10(energy / BLOCKS_A_LEVEL + 1e-20)
    first, end = _longest_steady(levels)
    duration_s = (end - first + BLOCKS_A_LEVEL - 1) * BLOCK_S
    if duration_s < max(SUSTAINED_S, SUSTAINED_SHARE * len(waveform) / sample_rate):
        return None
    slope_db = np.polyfit(np.arange(first, end) * BLOCK_S, levels[first:end], 1)[0]
    if abs(slope_db) > FADING_DB_PER_S or energy.max() == 0:
        return None
    return first * size, (end + BLOCKS_A_LEVEL - 1) * size


def add_loop(wav: bytes, sample_rate: int, loop: Loop) -> bytes:
    """The content of a WAV file with a loop: a chunk `smpl` at its end, which samplers read.

    soundfile writes none.
    """
    values = (0, 0, round(1e9 / sample_rate), UNITY_KEY, 0, 0, 0, 1, 0)
    forward_for_ever = (0, 0, *loop, 0, 0)
    chunk = struct.pack("<4sI9I6I", b"smpl", 60, *values, *forward_for_ever)
    chunks = wav[8:] + chunk  # at an even byte, as it must be: soundfile pads the samples
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def _longest_steady(levels: np.ndarray) -> tuple[int, int]:
    """The longest run of levels (n,), none quiet, within SUSTAINED_DB: its first, its last + 1."""
    longest, first, quiet = (0, 0), 0, levels.max() - QUIET_DB
    for last, level in enumerate(levels):
        if level < quiet:
            first = last + 1
            continue
        while np.ptp(levels[first : last + 1]) > SUSTAINED_DB:
            first += 1
        longest = max(longest, (first, last + 1), key=lambda run: run[1] - run[0])
    return longest


def _find_seam(waveform: np.ndarray, first: int, end: int, n_fade: int) -> tuple[int, int, float]:
    """Where a loop starts, its last sample + 1, and how alike the sound is at both (0 to 1).

    It starts in the first third of the part from first to end, and ends in its last quarter.
    Likeness is the correlation of n_fade samples before and after, over their mean energy: it is 1
    only where both are the same, also in level.
    """
    length = end - first
    starts = np.arange(first + n_fade, first + n_fade + length // 3)
    latest = end - n_fade
    ends = np.unique(np.linspace(latest - length // 4, latest, N_ENDS).astype(int))
    searched = waveform[starts[0] - n_fade : starts[-1] + n_fade].astype(np.float64)
    size = 2 ** (2 * len(searched) - 1).bit_length()
    spectrum = np.fft.rfft(searched, size)
    sums = np.concatenate([[0], np.square(searched).cumsum()])
    energies = sums[2 * n_fade :] - sums[: -2 * n_fade]  # of the sound around each start
    likeness = np.empty((len(ends), len(starts)))
    for row, place in enumerate(ends):
        around = waveform[place - n_fade : place + n_fade].astype(np.float64)
        products = np.fft.irfft(spectrum * np.fft.rfft(around, size).conj(), size)
        own = np.square(around).sum()
        likeness[row] = 2 * products[: len(starts)] / (energies + own)
    lengths = ends[:, None] - starts
    good = likeness >= likeness.max() - AS_GOOD
    row, column = np.unravel_index(np.where(good, lengths, 0).argmax(), lengths.shape)
    return int(starts[column]), int(ends[row]), float(likeness[row, column].clip(0, 1))


def _crossfade(old: np.ndarray, new: np.ndarray, likeness: float) -> np.ndarray:
    """From one waveform (n,) to another, at a steady level whether or not they are alike."""
    share = (np.arange(len(old)) + 0.5) / len(old)
    level = np.sqrt(share**2 + (1 - share) ** 2 + 2 * share * (1 - share) * likeness)
    return (((1 - share) * old + share * new) / level).astype(np.float32)
