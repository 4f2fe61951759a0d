"""Open audio files as soundfile does, without two of its habits: what it prints, and how it seeks.

libmpg123 writes what it finds wrong in an MP3 to the process's standard error, and names no file.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

import numpy as np
import soundfile

_lock = threading.Lock()
_silenced = {"threads": 0, "stderr": -1}  # how many decode now; what standard error was before


class StraightFile(soundfile.SoundFile):
    """A file that is decoded in silence, and read straight on.

    soundfile seeks to where it is after each block of a file that is seekable. The decoders of MP3
    and Vorbis then lose what they know of the samples before, and the next block begins wrongly.
    """

    def __init__(self, path: bytes):
        with decoders_silenced():
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
