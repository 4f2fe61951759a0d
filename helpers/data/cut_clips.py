"""From recordings of any length, block by block, to clips of one length; how loud a recording is."""

import math

import numpy as np

from helpers.sound.audio_files import SILENT_DB, fit_length


class ClipCutter:
    """Clips of a recording that comes in blocks, and the level of its loudest window; holds a few clips at a time.

    With `every`, clips lie back to back and silence is left out: one starts at the first window (an eighth of a clip)
    louder than silence_db after the clip before, if half a clip is left. Otherwise there is one, at the beginning; so
    there is of a recording that is no longer than a clip, or silent.
    """

    def __init__(self, clip_samples: int, silence_db: float, every: bool):
        self.clip_samples, self.silence_db, self.every = clip_samples, silence_db, every
        self.window = max(1, clip_samples // 8)
        self.n_samples, self.loudest_db = 0, SILENT_DB  # of all that has come
        self.head = np.zeros(0, np.float32)  # the first clip
        self.pending, self.position = (
            np.zeros(0, np.float32),
            0,
        )  # what may still be cut, and where it begins
        self.heard_to, self.free_from, self.found, self.n_cut = 0, 0, [], 0

    def feed(self, block: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Take the next block (n,); returns where each clip that is complete begins, and the clip (clip_samples,)."""
        self.n_samples += len(block)
        self.pending = np.concatenate([self.pending, block])
        if len(self.head) < self.clip_samples:
            self.head = np.concatenate([self.head, block])[: self.clip_samples]
        n_windows = (self.n_samples - self.heard_to) // self.window
        self._listen(self.heard_to + n_windows * self.window)
        clips = [
            self._cut(start) for start in self.found if start + self.clip_samples <= self.n_samples
        ]
        self.found = self.found[len(clips) :]
        self.n_cut += len(clips)
        needed_from = min([self.heard_to, *self.found])
        self.pending, self.position = self.pending[needed_from - self.position :], needed_from
        return clips

    def finish(self) -> list[tuple[int, np.ndarray]]:
        """The clips at the end of the recording, padded with silence, in the same form."""
        self._listen(self.n_samples)
        if not self.n_cut and (self.n_samples <= self.clip_samples or not self.found):
            return [(0, fit_length(self.head, self.clip_samples))]
        first = 0 if self.n_cut else 1  # one clip there is in any case
        latest = self.n_samples - self.clip_samples // 2
        return [
            self._cut(s)
            for s in self.found[:first] + [s for s in self.found[first:] if s <= latest]
        ]

    def _listen(self, end: int) -> None:
        """Take the levels of the windows up to `end`, and note where clips begin."""
        heard = self.pending[self.heard_to - self.position : end - self.position]
        for index, level in enumerate(window_levels_db(heard, self.window) if len(heard) else ()):
            start = self.heard_to + index * self.window
            self.loudest_db = max(self.loudest_db, float(level))
            if self.every and level > self.silence_db and start >= self.free_from:
                self.found.append(start)
                self.free_from = start + self.clip_samples
        self.heard_to = end

    def _cut(self, start: int) -> tuple[int, np.ndarray]:
        return start, fit_length(self.pending[start - self.position :], self.clip_samples)


def window_levels_db(waveform: np.ndarray, window: int) -> np.ndarray:
    """RMS level of each window of a waveform (n,) in decibels of full scale, (ceil(n / window),)."""
    n_windows = max(1, math.ceil(len(waveform) / window))
    padded = fit_length(waveform, n_windows * window).reshape(
        n_windows, window
    )  # (n_windows, window)
    filled = np.full(n_windows, window)
    filled[-1] = max(1, len(waveform) - (n_windows - 1) * window)
    rms = np.sqrt(np.square(padded, dtype=np.float64).sum(axis=1) / filled)
    return 20 * np.log10(np.maximum(rms, 10 ** (SILENT_DB / 20)))
