"""Formats that soundfile does not read, such as those of telephones: decoded by ffmpeg, once."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from helpers.config import digest_of

SUFFIXES = (".m4a", ".aac", ".mp4", ".mov", ".webm", ".wma", ".amr", ".3gp")
DECODED = Path(tempfile.gettempdir()) / "class-sounds-decoded"
LONGEST_S = 600  # to decode one file


class DecodingError(ValueError):
    """A file that ffmpeg cannot decode, or that needs ffmpeg where there is none."""


def decode(path: Path, kind: str = "") -> Path:
    """A WAV file of 32-bit samples with the first sound track of `path`, at its own rate.

    kind is what the file is, where that is known: some have the suffix of another kind.

    It is kept in the temporary folder and made anew when `path` has changed. Raises DecodingError,
    and OSError if `path` cannot be looked at.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise DecodingError(
            f"{kind or path.suffix.lower()} needs ffmpeg: install it (apt install ffmpeg, brew "
            "install ffmpeg), or convert the file to WAV"
        )
    status = path.stat()
    name = digest_of(str(path.absolute()), str(status.st_size), str(status.st_mtime_ns))
    target = DECODED / f"{name}.wav"
    if not target.exists():
        DECODED.mkdir(exist_ok=True)
        handle, part = tempfile.mkstemp(".part", dir=DECODED)
        os.close(handle)
        # as file:…, a name cannot be taken for an option or for the address of something else
        what = ["-i", b"file:" + os.fsencode(path.absolute()), "-map", "0:a:0"]
        # as RF64, which may have any length; of Wave64, libsndfile 1.2 takes floats for integers
        how = ["-f", "wav", "-rf64", "always", "-c:a", "pcm_f32le", "-y", part]
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", *what, *how]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=LONGEST_S)
            if done.returncode:
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                reason = lines[0] if lines else f"exit status {done.returncode}"
                raise DecodingError(f"cannot be decoded by ffmpeg: {reason}")
            os.replace(part, target)
        except subprocess.TimeoutExpired as error:
            raise DecodingError(f"cannot be decoded by ffmpeg in {LONGEST_S} s") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
    return target
