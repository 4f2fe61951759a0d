"""One recording: read, cut into clips, and described: is it usable, and what was done to it."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from helpers.config import AudioConfig, DataConfig
from helpers.data.audit import AuditRow
from helpers.data.cut_clips import ClipCutter, choose_clips, even_level, loudest_window_db
from helpers.sound.audio_files import Mix, stream_audio
from helpers.sound.file_kinds import LOSSY, cut_off, kind_of, promised_seconds

MOST_PEAK, MOST_LOSSY_PEAK = 1_000, 4  # times full scale; whole files stay far below
HELD = 4  # times as many clips as are wanted are in memory, before the loud ones are known
LEAST_SHARE = 0.1  # of the length in its header, which a file must have

Starts = list[int | None]  # first samples of clips; None: a clip that is not kept
Clip = tuple[int, np.ndarray]  # its first sample in the recording, and its samples
TakeClip = Callable[[np.ndarray], None]


def read_recording(
    path: Path, audio: AudioConfig, data: DataConfig, most: int, take_clip: TakeClip
) -> "Recording":
    """Read a file once, or twice where one of its channels is to be chosen, and cut it into clips.

    take_clip gets each clip (clip_samples,), also those that turn out not to be kept; the clips of
    the recording that is returned are the last ones. Raises AudioError.
    """
    channel = -1
    if data.channels == "loudest":
        mix = Mix()
        for _ in stream_audio(path, audio.sample_rate, mix)[1]:
            pass
        channel = mix.loudest
    recording = Recording(path, audio, data, most, channel, take_clip)
    if recording.mix.cancels and channel < 0:
        recording = Recording(path, audio, data, most, recording.mix.loudest, take_clip)
    return recording


class Recording:
    """One file as it was read and cut, with what is to be said of it."""

    def __init__(
        self,
        path: Path,
        audio: AudioConfig,
        data: DataConfig,
        most: int,
        channel: int,
        take_clip: TakeClip,
    ):
        self.path, self.audio, self.mix = path, audio, Mix(channel)
        rate, n_samples = audio.sample_rate, audio.clip_samples
        cutter = ClipCutter(n_samples, data.silence_db, most > 1, round(data.lead_s * rate))
        self.info, blocks = stream_audio(path, rate, self.mix)
        found, begins, levels = cutter.cut(blocks), [], []
        if most < sys.maxsize:  # else there may be more than memory holds
            found = _choose_from(found, most)
        for start, clip in found:
            take_clip(even_level(clip) if data.level == "even" else clip)
            begins.append(start)
            levels.append(loudest_window_db(clip))
        kept = set(choose_clips(levels, most))
        self.starts: Starts = [start if n in kept else None for n, start in enumerate(begins)]
        self.cutter, self.duration_s = cutter, cutter.n_samples / rate

    def complete(self, row: AuditRow, data: DataConfig) -> AuditRow:
        """The row of this file with all that was found."""
        row = row._replace(
            sample_rate=self.info.sample_rate,
            n_channels=self.info.n_channels,
            duration_s=round(self.duration_s, 4),
            level_db=round(self.cutter.loudest_db, 1),
            channel=self.mix.channel if self.info.n_channels > 1 else -1,
        )
        if why := self._suspicion():
            return row._replace(status="suspect", why=why)
        if self.duration_s < data.min_duration_s:
            return row._replace(status="too short", why=f"under {data.min_duration_s} s")
        if self.cutter.loudest_db < data.silence_db:
            return row._replace(status="silent", why=f"never louder than {data.silence_db} dB")
        odd = self._oddities()
        changes = ", ".join(change for change, was_made in self._changes(odd).items() if was_made)
        return row._replace(status="kept", changes=changes, why="; ".join(odd))

    def _suspicion(self) -> str:
        """Why these samples can hardly be what was recorded; "" if they can."""
        most = MOST_LOSSY_PEAK if kind_of(self.path) in LOSSY else MOST_PEAK
        if self.cutter.peak > most:
            return (
                f"samples reach {self.cutter.peak:.3g} times full scale: convert it again, to "
                "samples from -1 to 1"
            )
        promised = promised_seconds(self.path, self.info)
        if self.duration_s < LEAST_SHARE * promised:
            return f"only {self.duration_s:.2f} s of the {promised:.2f} s in its header are there"
        return ""

    def _oddities(self) -> list[str]:
        """The remarks on a file that is kept."""
        odd = [cut_off(self.path, self.info, self.duration_s)]
        if self.mix.cancels and self.mix.channel >= 0:
            odd.append(f"its channels cancel each other: channel {self.mix.channel + 1} is taken")
        return [words for words in odd if words]

    def _changes(self, odd: list[str]) -> dict[str, bool]:
        """Each possible change, and whether it was made to this file."""
        starts = [start for start in self.starts if start is not None]
        cropped = "cropped"
        if len(starts) == 1 and starts[0]:
            cropped = f"cropped from {starts[0] / self.audio.sample_rate:.1f} s"
        is_longer = self.cutter.n_samples > self.audio.clip_samples
        return {
            "resampled": self.info.sample_rate != self.audio.sample_rate,
            "mixed to mono": self.info.n_channels > 1 and self.mix.channel < 0,
            "one channel taken": self.mix.channel >= 0 and self.info.n_channels > 1,
            "sliced": len(starts) > 1,
            cropped: is_longer and len(starts) == 1,
            "padded": self.cutter.n_samples < self.audio.clip_samples,
            "cut off": any("ends early" in words for words in odd),
        }


def _choose_from(clips: Iterable[Clip], most: int) -> list[Clip]:
    """At most so many clips of a recording, spread evenly; those that are much quieter are not."""
    held, step = [], 1
    for number, found in enumerate(clips):
        if number % step == 0:
            held.append(found)
        if len(held) > HELD * most:
            held, step = held[::2], 2 * step
    return [held[n] for n in choose_clips([loudest_window_db(clip) for _, clip in held], most)]
