"""The disk space of clips: estimated, never too low, and refused where a disk has too little."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
import soundfile

from helpers.config import DataConfig
from helpers.data import disk_space as space
from helpers.data.audit import DatasetError
from helpers.data.clips import prepare_clips
from helpers.data.disk_space import clip_bytes, estimate_cache_size

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label, lengths in {"a": (960, 500, 9_000), "b": (4_000,)}.items():
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for index, n_samples in enumerate(lengths):
            path = tmp_path / "sounds" / label / f"{index}.wav"
            soundfile.write(path, rng.uniform(-0.3, 0.3, n_samples), 8_000)
    (tmp_path / "sounds" / "a" / "notes.txt").write_text("no sound")
    return tmp_path / "sounds"


@pytest.mark.parametrize(
    ("settings", "n_clips"),
    [
        ({"slice_long": "no"}, 4),
        ({}, 17),
        ({"slice_long": "yes"}, 17),
        ({"slice_long": "yes", "max_clips_per_class": 3}, 6),
    ],
)
def test_the_clips_are_never_more_and_not_far_fewer_than_is_said(
    folder, tiny_audio, tmp_path, settings, n_clips
):
    data = DataConfig(**settings)
    said = estimate_cache_size(folder, tiny_audio, data)
    assert said.n_clips == n_clips and said.n_bytes == n_clips * sum(clip_bytes(tiny_audio))
    clips = prepare_clips(folder, tiny_audio, data, tmp_path / "data", tmp_path / "cache")
    assert 0.7 * said.n_clips <= len(clips.labels) <= said.n_clips
    assert (tmp_path / "cache" / f"clips-{clips.key}.f16").stat().st_size <= said.n_bytes
    assert f"at most {n_clips} clips" in str(said)


def test_a_disk_too_small_is_refused_with_what_is_missing_and_nothing_written(
    folder, tiny_audio, tmp_path, monkeypatch
):
    monkeypatch.setattr(space, "KEPT_FREE_BYTES", 3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**30, 2**30 - 2**20, 2**20))
    with pytest.raises(
        DatasetError, match=r"only 1 MiB free, 2 MiB too little.*max_clips_per_class"
    ):
        prepare_clips(folder, tiny_audio, DataConfig(), tmp_path / "data", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("clips-*"))


def test_a_header_that_lies_does_not_ask_for_the_whole_disk(folder, tiny_audio, tmp_path):
    path = folder / "b" / "liar.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 4_000), 8_000)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff\xff\xff\xff"  # the 36 bits that say how many samples there are
    path.write_bytes(content)
    data = DataConfig(slice_long="yes")
    assert estimate_cache_size(folder, tiny_audio, data).n_clips < 1_000
    clips = prepare_clips(folder, tiny_audio, data, tmp_path / "data", tmp_path / "cache")
    assert [row.status for row in clips.audit if row.path == "b/liar.flac"] in (
        ["suspect"],
        ["unreadable"],
    )
    assert len(clips.labels) >= 12
