"""From files to log-mels: recordings of any length in little memory, and files that crash."""

import os
import signal
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch

from helpers.config import DataConfig
from helpers.data import make_clips as extraction
from helpers.data import recording
from helpers.data.clips import prepare_clips
from helpers.sound import audio_files as audio
from helpers.sound.mel import MelExtractor

N_SAMPLES = 960  # of a clip at the tiny geometry


def write_noise(path, n_samples: int, seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform = np.random.default_rng(seed).uniform(-0.3, 0.3, n_samples).astype(np.float32)
    soundfile.write(path, waveform, 8_000, subtype="FLOAT")
    return waveform


def prepare(tmp_path, tiny_audio, **data):
    return prepare_clips(
        tmp_path / "sounds",
        tiny_audio,
        DataConfig(**{"lead_s": 0.0} | data),
        tmp_path / "data",
        tmp_path / "cache",
    )


def test_a_long_recording_is_cut_while_it_is_read_and_its_clips_are_those_of_the_whole(
    tmp_path, tiny_audio, monkeypatch
):
    monkeypatch.setattr(audio, "BLOCK_VALUES", 5_000)
    waveform = write_noise(tmp_path / "sounds" / "a" / "long.wav", 100 * N_SAMPLES + 300)
    write_noise(tmp_path / "sounds" / "b" / "short.wav", N_SAMPLES)
    clips = prepare(tmp_path, tiny_audio, slice_long="yes")
    own = np.flatnonzero(clips.labels == 0)
    assert clips.starts[own].tolist() == [n * N_SAMPLES for n in range(100)]
    assert clips.audit[0].duration_s == pytest.approx(len(waveform) / 8_000, abs=1e-3)
    expected = MelExtractor(tiny_audio)(
        torch.from_numpy(waveform[: 100 * N_SAMPLES].reshape(100, N_SAMPLES))
    )
    np.testing.assert_allclose(clips.mels[own], expected.numpy(), atol=0.01)
    expected = waveform[70 * N_SAMPLES : 71 * N_SAMPLES].astype(np.float16)
    np.testing.assert_array_equal(clips.waveforms[own[70]], expected)
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path, tiny_audio, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_VALUES", 2**14)
    peaks = []
    for name, n_clips in (("warm", 10), ("short", 200), ("long", 2_000)):
        write_noise(tmp_path / name / "sounds" / "a" / "x.wav", n_clips * N_SAMPLES)
        tracemalloc.start()
        prepare(tmp_path / name, tiny_audio, slice_long="yes")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (
        peaks[2] - peaks[1] < 4 * 2_000 * 200
    )  # some words a clip, of the 4 * 960 bytes that its samples are


def test_a_file_that_ends_its_reader_is_left_out_and_the_others_are_read(
    tmp_path, tiny_audio, monkeypatch
):
    for index in range(6):
        write_noise(tmp_path / "sounds" / "a" / f"{index}.wav", N_SAMPLES, index)
    stream = recording.stream_audio

    def crash(path, rate, mix):
        if path.name == "3.wav":
            os.kill(os.getpid(), signal.SIGSEGV)
        return stream(path, rate, mix)

    monkeypatch.setattr(recording, "stream_audio", crash)
    monkeypatch.setattr(extraction, "n_workers", lambda: 2)
    monkeypatch.setattr(extraction, "FEW_FILES", 0)
    monkeypatch.setattr(extraction, "FILES_AT_ONCE", 4)
    clips = prepare(tmp_path, tiny_audio)
    assert [row.status for row in clips.audit] == ["kept"] * 3 + ["unreadable"] + ["kept"] * 2
    assert clips.audit[3].why == "ends the process that reads it" and len(clips.labels) == 5


def test_few_long_recordings_give_many_clips_and_none_rules_its_class(tmp_path, tiny_audio):
    """Two classes of six recordings, one of which is ten times as long as the others."""
    for label in "ab":
        for index in range(6):
            length = (400 if index == 0 else 40) * N_SAMPLES
            write_noise(
                tmp_path / "sounds" / label / f"{index}.wav", length, 10 * ord(label) + index
            )
    clips = prepare(tmp_path, tiny_audio)
    assert [row.n_clips for row in clips.audit] == [50, 40, 40, 40, 40, 40] * 2
    starts = clips.starts[clips.file_index == 0]
    assert starts[-1] > 380 * N_SAMPLES, "from its whole length"
    assert {*np.diff(starts) // N_SAMPLES} == {8}
    files = {split: {*clips.file_index[clips.indices(split)]} for split in ("train", "test")}
    assert files["test"] and not files["train"] & files["test"]
