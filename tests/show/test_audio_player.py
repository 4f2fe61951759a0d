"""A player plays what is written, at its own level."""

import base64
import io

import numpy as np
import pytest
import soundfile
import torch

from helpers.show.audio_player import player, save_and_play


def played(audio) -> tuple[np.ndarray, int]:
    """Samples and rate of what a player in a page holds."""
    assert isinstance(audio.data, bytes)
    samples, rate = soundfile.read(io.BytesIO(audio.data), dtype="float32")
    assert base64.b64encode(audio.data).decode()[:100] in audio._repr_html_()
    return samples, rate


def test_what_is_played_is_what_is_written(tmp_path):
    waveform = (0.2 * np.sin(np.arange(4000) / 5)).astype(np.float32)
    audio = save_and_play(waveform, 8_000, tmp_path / "new" / "x.wav")
    samples, rate = soundfile.read(tmp_path / "new" / "x.wav", dtype="float32")
    assert rate == 8_000 and soundfile.info(tmp_path / "new" / "x.wav").subtype == "PCM_16"
    np.testing.assert_allclose(samples, waveform, atol=1e-4)
    samples, rate = played(audio)
    assert rate == 8_000
    np.testing.assert_allclose(samples, waveform, atol=1e-4)  # not made louder


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, list])
def test_a_player_takes_arrays_tensors_and_lists(tmp_path, make):
    waveform = (0.1 * np.ones(100)).astype(np.float32)
    samples, _ = played(save_and_play(make(waveform), 8_000, str(tmp_path / "x.wav")))
    np.testing.assert_allclose(samples, 0.1, atol=1e-4)


@pytest.mark.parametrize(
    "waveform", [np.zeros(100), np.full(100, np.nan), np.array([0.0, np.nan, 0.3])]
)
def test_a_player_does_not_fail_on_silence_or_nan(waveform):
    samples, _ = played(player(waveform, 8_000))
    np.testing.assert_allclose(samples, np.nan_to_num(waveform), atol=1e-4)


def test_a_player_scales_down_what_would_clip():
    samples, _ = played(player(np.array([3.0, -1.5, 0.0]), 8_000))
    np.testing.assert_allclose(samples, [1, -0.5, 0], atol=1e-3)
