"""What a preset keeps of recordings, and which one is proposed for them."""

import dataclasses

import numpy as np
import pytest
import soundfile

from helpers.config import DataConfig
from helpers.data.clips import prepare_clips
from helpers.judge.compare_presets import BY_SIZE, CLOSE_DB, compare_presets, propose_preset


@pytest.fixture
def compare(tmp_path, tiny_audio):
    """A function: sounds, arrays (n,) at a rate, as the files of two classes, compared."""

    def run(sounds: list[np.ndarray], rate: int, source_rate: int):
        for number, sound in enumerate(sounds):
            folder = tmp_path / "sounds" / ("even", "odd")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / f"{number}.wav", sound, rate)
        cache = tmp_path / "cache"
        clips = prepare_clips(tmp_path / "sounds", tiny_audio, DataConfig(), cache, cache)
        return compare_presets(tmp_path / "sounds", clips, source_rate)

    return run


def tones(rate: int, seconds: float, hertz: float) -> list[np.ndarray]:
    time = np.arange(round(rate * seconds)) / rate
    decay = np.exp(-time / (seconds / 3))
    return [0.5 * decay * np.sin(2 * np.pi * (hertz + 10 * n) * time) for n in range(6)]


def hisses(rate: int, seconds: float) -> list[np.ndarray]:
    """Noise above 10 kHz."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(6):
        spectrum = np.fft.rfft(rng.standard_normal(round(rate * seconds)))
        spectrum[: round(10_000 * seconds)] = 0
        found.append(0.1 * np.fft.irfft(spectrum))
    return found


def test_low_tones_need_the_smallest_picture(compare):
    kept = compare(tones(8_000, 0.5, 300), 8_000, 8_000)
    assert [one.preset for one in kept] == list(BY_SIZE)
    assert [one.size for one in kept] == sorted(one.size for one in kept)
    assert all(one.cut == 0 for one in kept)
    assert propose_preset(kept, "cpu") == 'preset "cpu" suits these recordings'
    larger = propose_preset(kept, "long")
    assert larger.startswith('preset "long" suits') and '"cpu" keeps as much' in larger
    assert "1/16 of the size" in larger


def test_what_sounds_above_a_preset_asks_for_one_that_reaches_higher(compare):
    cpu, short, long = kept = compare(hisses(44_100, 0.5), 44_100, 44_100)
    assert cpu.difference_db > short.difference_db + CLOSE_DB
    assert short.difference_db == long.difference_db
    assert propose_preset(kept, "cpu").startswith('preset = "short" suits these recordings better')
    assert "keeps less of their sound" in propose_preset(kept, "cpu")
    assert propose_preset(kept, "short") == 'preset "short" suits these recordings'


def test_quiet_recordings_count_as_loud_ones_do(compare):
    quiet = compare([0.008 * sound for sound in tones(8_000, 0.5, 300)], 8_000, 8_000)
    assert all(0 < one.difference_db < 6 for one in quiet)
    assert np.abs(quiet[0].recording).max() == pytest.approx(0.5)


def test_long_recordings_ask_for_the_longest_clip(compare):
    kept = compare(tones(8_000, 3.0, 300), 8_000, 8_000)
    assert [one.cut for one in kept] == [1, 1, 0]
    assert 'preset = "long"' in propose_preset(kept, "cpu")
    assert "cuts 100% of them at 1.5 s" in propose_preset(kept, "short")


def test_no_preset_is_said_to_suit_recordings_that_all_of_them_cut(compare):
    kept = compare(tones(8_000, 7.0, 300), 8_000, 8_000)
    assert [one.cut for one in kept] == [1, 1, 1]
    for one in kept:
        sentence = propose_preset(kept, one.preset)
        assert sentence.startswith("no preset suits all of these recordings")
        assert f"cuts 100% of them at {one.audio.duration_s:.1f} s" in sentence


def test_the_copy_is_of_the_recording_and_of_its_length(compare):
    sounds = tones(8_000, 0.5, 300)
    for one in compare(sounds, 8_000, 0):  # of unknown rate: presets as they are
        assert one.audio.sample_rate >= 16_000 and one.sample_rate == 44_100
        assert one.recording.shape == one.copy.shape
        spectra = [np.abs(np.fft.rfft(sound)) for sound in (one.recording, one.copy)]
        assert abs(int(spectra[0].argmax()) - int(spectra[1].argmax())) <= 10
        assert np.abs(one.copy).max() == pytest.approx(np.abs(one.recording).max(), rel=0.5)


def test_a_preset_with_fewer_faults_wins_even_if_larger(compare):
    kept = compare(tones(8_000, 0.5, 300), 8_000, 8_000)
    spoilt = [dataclasses.replace(kept[0], cut=0.5), *kept[1:]]
    assert 'preset = "short"' in propose_preset(spoilt, "cpu")
