"""Sounds for a browser: FLAC is exact, Opus is small, and neither begins late."""

import io

import numpy as np
import pytest
import soundfile

from helpers.sound.compressed_audio import encode


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(content), dtype="float32")


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000])
def test_flac_is_exact(rate):
    waveform = np.random.default_rng(0).uniform(-0.9, 0.9, rate // 20).astype(np.float32)
    content, mime = encode(waveform, rate)
    samples, read_rate = decoded(content)
    assert (mime, read_rate) == ("audio/flac", rate)
    np.testing.assert_allclose(samples, waveform, atol=0.51 / 32_768)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_opus_begins_where_the_sound_begins_and_is_smaller(rate):
    time = np.arange(rate // 2) / rate
    rng = np.random.default_rng(0)
    waveform = (0.3 * rng.standard_normal(len(time)) * np.exp(-time / 0.05)).astype(np.float32)
    waveform = np.pad(waveform, (rate // 10, 0))
    content, mime = encode(waveform, rate, lossless=False)
    samples, read_rate = decoded(content)
    assert (mime, read_rate) == ("audio/ogg; codecs=opus", 48_000)
    assert len(samples) == pytest.approx(0.6 * 48_000, abs=48)
    loud = np.abs(samples) > 0.2 * np.abs(samples).max()
    assert loud.argmax() / 48_000 == pytest.approx(0.1, abs=0.003)
    assert len(content) < 8_000


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(
    "waveform", [np.zeros(400), np.full(400, np.nan), np.array([3.0, -1.5, np.nan]), np.ones(1)]
)
def test_silence_nan_and_peaks_are_encoded(waveform, lossless):
    samples, _ = decoded(encode(waveform, 8_000, lossless)[0])
    assert np.isfinite(samples).all() and np.abs(samples).max() <= 1.1
    assert (np.abs(samples).max() > 0.1) == (np.nanmax(waveform, initial=0) > 0)


def test_a_sound_without_samples_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        encode(np.zeros(0), 8_000)
