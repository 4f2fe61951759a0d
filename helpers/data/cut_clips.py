"""Clips of one length from recordings of any length, block by block; levels in windows."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from helpers.sound.audio_files import SILENT_DB, fit_length

MUCH_QUIETER_DB = 20  # than the loudest window: background, or the end of a sound that fades
WINDOWS_GOING_ON = 4  # after a clip, before a sound that lasts gives another
ONSET_PARTS = 25  # of a window: how finely an onset is found
EVEN_DB, EVEN_PEAK = -20.0, 0.99  # level and highest peak of clips that are made equally loud


class ClipCutter:
    """Cuts one recording into clips while it is read, and measures its length and loudest window.

    A window is an eighth of a clip. A clip starts `lead` samples before the sound does: in the
    first window whose level exceeds silence_db, in decibels of full scale. With `every`, clips go
    on after it: one at each window that is loud after a quiet one, and one where a sound lasts for
    half a clip more. A sound that begins in the last window of a clip has one of its own. Quiet is
    what is MUCH_QUIETER_DB below the loudest window so far. A window that is as much louder than
    all before it starts a clip anew: what came before was background. A recording that is silent or
    no longer than a clip is one clip as it is. Only a few clips are in memory.
    """

    def __init__(self, clip_samples: int, silence_db: float, every: bool, lead: int = 0):
        self.clip_samples, self.silence_db, self.every = clip_samples, silence_db, every
        self.lead = lead
        self.window = max(1, clip_samples // 8)
        self.n_samples = 0  # of the recording so far
        self.loudest_db = SILENT_DB  # of the recording so far
        self.peak = 0.0  # of the recording so far
        self.head = np.zeros(0, np.float32)  # the first clip
        self.pending = np.zeros(0, np.float32)  # the samples from `position` on
        self.position = self.measured_to = self.n_cut = 0
        self.free_from = 0  # the end of the last clip
        self.was_loud = False  # the last window
        self.n_going_on = 0  # loud windows since the end of the last clip
        self.starts = []  # of clips that are found but not cut yet
        self.onsets = set()  # those of them where a sound begins; at others it goes on

    def cut(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each clip of a recording that comes in blocks (n,), as soon as it is complete.

        A clip comes as its first sample in the recording and its samples (clip_samples,). What is
        missing at the end of the recording is padded with silence. Clips that turn out to be much
        quieter than the rest are among them: see `choose_clips`.
        """
        for block in blocks:
            self.n_samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
            self.pending = np.concatenate([self.pending, block])
            if len(self.head) < self.clip_samples:
                self.head = np.concatenate([self.head, block])[: self.clip_samples]
            n_windows = (self.n_samples - self.measured_to) // self.window
            self._measure(self.measured_to + n_windows * self.window)
            while self.starts and self.starts[0] + self.clip_samples <= self.n_samples:
                yield self._next_clip()
            # so far back a clip can start
            reach = self.measured_to - (WINDOWS_GOING_ON + 1) * self.window - self.lead
            kept_from = max(self.position, min([reach, *self.starts]))
            self.pending = self.pending[kept_from - self.position :]
            self.position = kept_from
        self._measure(self.n_samples)
        if not self.n_cut and (self.n_samples <= self.clip_samples or not self.starts):
            yield 0, fit_length(self.head, self.clip_samples)
            return
        latest = self.n_samples - self.clip_samples // 2
        while self.starts:
            if self.starts[0] <= latest or self.starts[0] in self.onsets:
                yield self._next_clip()
            else:
                self.starts.pop(0)

    def _measure(self, end: int) -> None:
        """Measure the levels of the windows up to `end`, and find where clips start."""
        unmeasured = self.pending[self.measured_to - self.position : end - self.position]
        for index, level in enumerate(window_levels_db(unmeasured, self.window).tolist()):
            start = self.measured_to + index * self.window
            is_first = self.loudest_db <= self.silence_db < level
            stands_out = level > max(self.silence_db, self.loudest_db + MUCH_QUIETER_DB)
            is_loud = level > max(self.silence_db, self.loudest_db - MUCH_QUIETER_DB)
            if is_first or stands_out:
                self._start_at_onset(start, level, earliest=0, anew=True)
            elif self.every and start + 2 * self.window > self.free_from:  # its last window, or on
                is_beyond = start + self.window > self.free_from
                self.n_going_on = self.n_going_on + is_beyond if is_loud else 0
                if is_loud and not self.was_loud:
                    self._start_at_onset(start, level, earliest=self.free_from - self.window)
                elif self.n_going_on == WINDOWS_GOING_ON:
                    first = start - (WINDOWS_GOING_ON - 1) * self.window
                    self._start_clip(max(first, self.free_from))
            self.was_loud = is_loud
            self.loudest_db = max(self.loudest_db, level)
        self.measured_to = end

    def _start_at_onset(self, start: int, level: float, earliest: int, anew: bool = False) -> None:
        """Start a clip where the sound begins, in the window at `start` or the one before."""
        first = max(self.position, earliest, start - self.window)
        size = max(1, self.window // ONSET_PARTS)
        searched = self.pending[first - self.position : start + self.window - self.position]
        parts = window_levels_db(searched, size)
        loud = np.flatnonzero(parts > max(self.silence_db, level - MUCH_QUIETER_DB))
        onset = first + (int(loud[0]) * size if len(loud) else 0)
        begin = max(earliest, self.position, onset - self.lead)
        while anew and self.starts and self.starts[-1] + self.clip_samples > begin:
            self.starts.pop()
        self._start_clip(begin)
        self.onsets.add(begin)

    def _start_clip(self, begin: int) -> None:
        self.starts.append(begin)
        self.free_from = begin + self.clip_samples
        self.n_going_on = 0

    def _next_clip(self) -> tuple[int, np.ndarray]:
        self.n_cut += 1
        start = self.starts.pop(0)
        self.onsets.discard(start)
        return start, fit_length(self.pending[start - self.position :], self.clip_samples)


def choose_clips(levels_db: list[float], most: int) -> list[int]:
    """Which clips of a recording are kept, by the level of the loudest window of each.

    Those that are much quieter than the loudest one are not; of the others `most`, spread evenly,
    the first one among them.
    """
    loudest = max(levels_db, default=SILENT_DB)
    loud = [n for n, level in enumerate(levels_db) if level >= loudest - MUCH_QUIETER_DB]
    if len(loud) <= most:
        return loud
    return [loud[n * len(loud) // most] for n in range(most)]


def even_level(clip: np.ndarray) -> np.ndarray:
    """A clip (n,) made as loud as all others: its loudest window, an eighth of it, gets EVEN_DB.

    A clip with high peaks stays quieter, so that none exceeds EVEN_PEAK; silence stays as it is.
    """
    level = loudest_window_db(clip)
    peak = float(np.abs(clip).max(initial=0.0))
    if level <= SILENT_DB or not peak:
        return clip
    return clip * np.float32(min(10 ** ((EVEN_DB - level) / 20), EVEN_PEAK / peak))


def loudest_window_db(clip: np.ndarray) -> float:
    """RMS level of the loudest window, an eighth, of a clip (n,), in decibels of full scale."""
    return float(window_levels_db(clip, max(1, len(clip) // 8)).max(initial=SILENT_DB))


def window_levels_db(waveform: np.ndarray, window: int) -> np.ndarray:
    """RMS level of each window of a waveform (n,), in decibels of full scale, (ceil(n / window),).

    The last window may be shorter than the others; silence has SILENT_DB.
    """
    n_windows = math.ceil(len(waveform) / window)
    sizes = np.minimum(window, len(waveform) - window * np.arange(n_windows))
    windows = fit_length(waveform, n_windows * window).reshape(n_windows, window)
    rms = np.sqrt(np.square(windows, dtype=np.float64).sum(axis=1) / sizes)
    return 20 * np.log10(np.maximum(rms, 10 ** (SILENT_DB / 20)))
