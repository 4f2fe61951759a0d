"""A person's own sound, to be looked for in a generator: a file, an upload, or a take."""

import tempfile
from pathlib import Path

import numpy as np

from helpers.config import AudioConfig
from helpers.data.layouts import is_audio, walk_files
from helpers.run.colab import RunError
from helpers.run.microphone import record_takes, trim_take
from helpers.run.own_sounds import upload_sounds
from helpers.sound.audio_files import fit_length, read_audio

ASKED_FOR = {"upload": upload_sounds, "record": record_takes}  # in Colab


def open_own_sound(choice: str, audio: AudioConfig) -> tuple[str, np.ndarray] | None:
    """The name of a sound and its waveform (clip_samples,), from its beginning; None for "".

    choice is a file's path, or in Colab "upload" or "record", which ask for one: of several the
    first is taken. Raises RunError if there is no such file or none comes, AudioError if it is no
    sound or silent.
    """
    if not choice:
        return None
    if choice not in ASKED_FOR:
        return _open(Path(choice).expanduser(), audio)
    with tempfile.TemporaryDirectory() as folder:
        ASKED_FOR[choice](Path(folder), "own")
        names = [name for name in walk_files(Path(folder)) if is_audio(Path(folder, name))]
        if not names:
            raise RunError(f"no sound has come: run this cell again to {choice} one")
        return _open(Path(folder, sorted(names)[0]), audio)


def _open(path: Path, audio: AudioConfig) -> tuple[str, np.ndarray]:
    if not path.is_file():
        raise RunError(f"there is no file {path}: give the path of a sound file in own_sound")
    waveform, _ = read_audio(path, audio.sample_rate)
    return path.name, fit_length(trim_take(waveform, audio.sample_rate), audio.clip_samples)
