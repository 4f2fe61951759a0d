"""Folders and archives of made sounds, for the tests of where recordings come from."""

import zipfile
from pathlib import Path

import numpy as np

from helpers.data.layouts import is_audio, walk_files
from helpers.sound.audio_files import write_wav

TONE = np.sin(np.arange(800) * 0.3).astype(np.float32)


def make_sounds(folder: Path, *names: str) -> Path:
    for name in names:
        write_wav(folder / name, TONE, 8_000)
    return folder


def zip_folder(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            opened.write(file, file.relative_to(folder))
    return archive


def relative(folder: Path) -> list[str]:
    """The audio files below a folder, sorted."""
    return [name for name in walk_files(folder) if is_audio(folder / name)]
