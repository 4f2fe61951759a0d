"""Sounds for a page: lossless where they fit, else MP3, and something that plays in any case."""

import io

import numpy as np
import pytest
import soundfile

from helpers.sound.web_audio import encode_for_page

RATE = 44_100


def read(file) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(file.content), dtype="float32")
    assert rate == RATE
    return samples


@pytest.fixture
def noise() -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)


@pytest.fixture
def missing(monkeypatch):
    """A function: takes an encoder away from libsndfile."""

    def take(kind: str) -> None:
        write = soundfile.write

        def without(*values, format, **options):
            if format == kind:
                raise soundfile.LibsndfileError(1)
            write(*values, format=format, **options)

        monkeypatch.setattr(soundfile, "write", without)

    return take


def test_what_fits_is_lossless_at_its_own_level(noise):
    quiet = noise / 1000
    files = encode_for_page([noise, quiet], RATE, 10**6)
    assert {file.media_type for file in files} == {"audio/flac"}
    for file, waveform in zip(files, (noise, quiet), strict=True):
        assert file.is_lossless
        np.testing.assert_allclose(read(file), waveform, atol=1 / 32_768)


def test_what_does_not_fit_is_mp3_as_good_as_fits_and_short_ones_stay_lossless(noise):
    click = np.zeros(40, dtype=np.float32)
    sizes = []
    for most_bytes in (20_000, 9_000):
        file, short = encode_for_page([noise, click], RATE, most_bytes)
        assert (file.media_type, short.media_type) == ("audio/mpeg", "audio/flac")
        assert not file.is_lossless and len(read(file)) == len(noise)
        sizes.append(len(file.content))
        assert sizes[-1] < most_bytes
    assert sizes[0] > sizes[1], "the best that fits"


def test_when_nothing_fits_the_smallest_is_taken(noise):
    (file,) = encode_for_page([noise], RATE, 1)
    assert file.media_type == "audio/mpeg" and len(file.content) < 10_000


def test_without_an_encoder_another_one_is_taken(noise, missing):
    missing("MP3")
    assert encode_for_page([noise], RATE, 1)[0].media_type == "audio/flac"
    missing("FLAC")
    (file,) = encode_for_page([noise], RATE, 1)
    assert file.media_type == "audio/wav" and file.is_lossless
    np.testing.assert_allclose(read(file), noise, atol=1 / 32_768)


def test_rates_that_mp3_does_not_know_stay_lossless(noise):
    assert encode_for_page([noise], 10_000, 1)[0].media_type == "audio/flac"


def test_nothing_gives_nothing():
    assert encode_for_page([], RATE, 1) == []
