"""Folders and archives of made sounds, and parts of their clips."""

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.config import digest_of
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
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


def part_of(
    dataset: TrainAudioSpectrogramDataset, classes: Sequence[str], without: Sequence[str] = ()
) -> TrainAudioSpectrogramDataset:
    """A data set as it would be with these classes alone, and without the files of some paths."""
    cache, names = dataset.cache, [*classes]
    audit = tuple(
        row if row.label in names and row.path not in without else row._replace(status="left out")
        for row in cache.audit
    )
    kept = np.array([audit[index].status == "kept" for index in cache.file_index])
    part = dataclasses.replace(
        cache,
        classes=tuple(names),
        audit=audit,
        labels=np.array([names.index(cache.classes[label]) for label in cache.labels[kept]]),
        key=digest_of(cache.key, *names, *without),
        **{name: getattr(cache, name)[kept] for name in ("mels", "file_index", "starts")},
    )
    return TrainAudioSpectrogramDataset(part, fit_clip_normaliser(part))
