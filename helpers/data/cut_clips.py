"""Recordings of any length, block by block, to clips of one length; levels in windows."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from helpers.sound.audio_files import SILENT_DB, fit_length


class ClipCutter:
    """Cuts one recording into clips while it is read, and measures its length and loudest window.

    With `every`, clips are cut from the whole recording and silence is left out: a clip starts at
    the first window (an eighth of a clip) after the clip before whose level exceeds silence_db, in
    decibels of full scale, if half a clip is left. Without, there is one clip: with `from_onset` it
    starts at the first such window, else at the recording's beginning. A recording that is silent
    or no longer than a clip is one clip as it is. Only a few clips are in memory.
    """

    def __init__(self, clip_samples: int, silence_db: float, every: bool, from_onset: bool = True):
        self.clip_samples, self.silence_db, self.every = clip_samples, silence_db, every
        self.finds = every or from_onset
        self.window = max(1, clip_samples // 8)
        self.n_samples = 0  # of the recording so far
        self.loudest_db = SILENT_DB  # of the recording so far
        self.head = np.zeros(0, np.float32)  # the first clip
        self.pending = np.zeros(0, np.float32)  # the samples from `position` on
        self.position = self.measured_to = self.n_cut = 0
        self.free_from = 0  # the end of the last clip
        self.starts = []  # of clips that are found but not cut yet

    def cut(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each clip of a recording that comes in blocks (n,), as soon as it is complete.

        A clip comes as its first sample in the recording and its samples (clip_samples,). What is
        missing at the end of the recording is padded with silence.
        """
        for block in blocks:
            self.n_samples += len(block)
            self.pending = np.concatenate([self.pending, block])
            if len(self.head) < self.clip_samples:
                self.head = np.concatenate([self.head, block])[: self.clip_samples]
            n_windows = (self.n_samples - self.measured_to) // self.window
            self._measure(self.measured_to + n_windows * self.window)
            while self.starts and self.starts[0] + self.clip_samples <= self.n_samples:
                yield self._next_clip()
            kept_from = min([self.measured_to, *self.starts])
            self.pending = self.pending[kept_from - self.position :]
            self.position = kept_from
        self._measure(self.n_samples)
        if not self.n_cut and (self.n_samples <= self.clip_samples or not self.starts):
            yield 0, fit_length(self.head, self.clip_samples)
            return
        latest = self.n_samples - self.clip_samples // 2
        while self.starts and (self.starts[0] <= latest or not self.n_cut):
            yield self._next_clip()

    def _measure(self, end: int) -> None:
        """Measure the levels of the windows up to `end`, and find where clips start."""
        unmeasured = self.pending[self.measured_to - self.position : end - self.position]
        for index, level in enumerate(window_levels_db(unmeasured, self.window)):
            start = self.measured_to + index * self.window
            self.loudest_db = max(self.loudest_db, float(level))
            if self.finds and level > self.silence_db and start >= self.free_from:
                self.starts.append(start)
                self.free_from = start + self.clip_samples
                self.finds = self.every
        self.measured_to = end

    def _next_clip(self) -> tuple[int, np.ndarray]:
        self.n_cut += 1
        start = self.starts.pop(0)
        return start, fit_length(self.pending[start - self.position :], self.clip_samples)


def window_levels_db(waveform: np.ndarray, window: int) -> np.ndarray:
    """RMS level of each window of a waveform (n,), in decibels of full scale, (ceil(n / window),).

    The last window may be shorter than the others; silence has SILENT_DB.
    """
    n_windows = math.ceil(len(waveform) / window)
    sizes = np.minimum(window, len(waveform) - window * np.arange(n_windows))
    windows = fit_length(waveform, n_windows * window).reshape(n_windows, window)
    rms = np.sqrt(np.square(windows, dtype=np.float64).sum(axis=1) / sizes)
    return 20 * np.log10(np.maximum(rms, 10 ** (SILENT_DB / 20)))
