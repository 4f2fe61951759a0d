"""Open audio files as soundfile does, without three of its habits.

These are what it prints, how it seeks, and that it drops whole blocks where a file is damaged. And
it is opened by descriptor: by name, libsndfile takes an MP3 beside a `._` file of macOS for another
format.

libmpg123 writes what it finds wrong in an MP3 to the process's standard error, and names no file.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

import numpy as np
import soundfile

FINE_FRAMES = 1_024  # read at a time up to where a file is damaged
_lock = threading.Lock()
_silenced = {"threads": 0, "stderr": -1}  # how many decode now; what standard error was before


class StraightFile(soundfile.SoundFile):
    """A file that is decoded in silence, and read straight on.

    soundfile seeks to where it is after each block of a file that is seekable. The decoders of MP3
    and Vorbis then lose what they know of the samples before, and the next block begins wrongly.
    """

    def __init__(self, path: bytes):
        self.path = path
        with decoders_silenced():
            try:
                super().__init__(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
            except soundfile.SoundFileError:  # some are known by the suffix alone
                super().__init__(path)

    def seekable(self) -> bool:
        """False, which keeps soundfile from seeking by itself; `seek` works where it can."""
        return False

    def seek(self, frames: int, whence: int = soundfile.SEEK_SET) -> int:
        """Go to a frame and return where the file then is; SoundFileError if its format cannot."""
        with decoders_silenced():
            return super().seek(frames, whence)

    def read_block(self, n_frames: int) -> np.ndarray:
        """The next samples, float32 (n, channels), at most n_frames; none at the end."""
        with decoders_silenced():
            return self.read(n_frames, dtype="float32", always_2d=True)

    def blocks(self, n_frames: int, position: int = 0) -> Iterator[np.ndarray]:
        """The samples from here on, float32 (n, channels), at most n_frames at a time.

        position is where the file is now; not every format can tell. Where a decoder finds damage,
        the samples before it are the last. Raises SoundFileError if there are none.
        """
        try:
            while len(block := self.read_block(n_frames)):
                position += len(block)
                yield block
        except soundfile.SoundFileError:
            found = False
            with StraightFile(self.path) as again:
                for block in again._blocks_before_damage(position):
                    found = True
                    yield block
            if not found and not position:
                raise

    def _blocks_before_damage(self, start: int) -> Iterator[np.ndarray]:
        position = 0
        with contextlib.suppress(soundfile.SoundFileError):
            while len(block := self.read_block(FINE_FRAMES)):
                position += len(block)
                if position > start:
                    yield block[max(0, len(block) - (position - start)) :]


@contextlib.contextmanager
def decoders_silenced() -> Iterator[None]:
    """Meanwhile nothing that is written to descriptor 2 arrives. Several threads may be inside."""
    with _lock:
        if not _silenced["threads"]:
            _silenced["stderr"] = _drop_stderr()
        _silenced["threads"] += 1
    try:
        yield
    finally:
        with _lock:
            _silenced["threads"] -= 1
            if not _silenced["threads"] and _silenced["stderr"] >= 0:
                os.dup2(_silenced["stderr"], 2)
                os.close(_silenced["stderr"])


def _drop_stderr() -> int:
    """Let standard error lead nowhere; returns a descriptor of what it was, -1 without one."""
    try:
        kept = os.dup(2)
    except OSError:  # a process without standard error
        return -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return kept
