"""Variety by ear: traits of made sounds are what they were made with, spans are said in words."""

import math

import pytest
import torch

from helpers.gan.generate import make_inverter
from helpers.judge import variety
from helpers.judge.variety import (
    compare_variety,
    measure_traits,
    measure_variety,
    spans,
    variety_in_words,
)

RATE = 16_000


def tone(hertz: float, onset_s: float = 0.1, length_s: float = 0.5, overtones: int = 1):
    """A second with a tone and its overtones, each half as loud as the one before."""
    time = torch.arange(RATE) / RATE
    sounds = (time >= onset_s) & (time < onset_s + length_s)
    waves = [0.5**n * torch.sin(2 * math.pi * hertz * (n + 1) * time) for n in range(overtones)]
    return 0.3 * sum(waves) * sounds


@pytest.mark.parametrize("hertz", [60.0, 110.0, 261.6, 523.25, 1_500.0])
@pytest.mark.parametrize("overtones", [1, 4])
def test_a_pitch_is_found_with_and_without_overtones(hertz, overtones):
    found = measure_traits(tone(hertz, overtones=overtones)[None], RATE)["pitch"]
    assert float(found) == pytest.approx(12 * math.log2(hertz / 50), abs=0.1)


def test_noise_and_silence_have_no_pitch():
    noise = 0.1 * torch.randn(8, RATE, generator=torch.Generator().manual_seed(0))
    found = measure_traits(torch.cat([noise, torch.zeros(1, RATE)]), RATE)
    assert found["pitch"].isnan().all()
    assert found["length"][:8].isfinite().all() and found["length"][8].isnan()
    assert measure_traits(noise[:, :400], RATE)["pitch"].isnan().all(), "too short for a pitch"


def test_onset_length_and_brightness_are_those_of_the_sound():
    sounds = torch.stack([tone(300, 0.05, 0.3), tone(300, 0.25, 0.6), tone(1_200, 0.05, 0.3)])
    found = measure_traits(sounds, RATE)
    assert found["onset"].tolist() == pytest.approx([50, 250, 50], abs=10)
    assert found["length"].tolist() == pytest.approx([300, 600, 300], abs=10)
    dull, _, bright = found["brightness"].tolist()
    assert 18 < bright - dull < 25, "two octaves"


def test_a_span_ignores_one_odd_sound():
    traits = measure_traits(torch.stack([tone(200)] * 19 + [tone(800)]), RATE)
    assert spans(traits)["pitch"] == pytest.approx(0, abs=0.01)
    octave = measure_traits(torch.stack([tone(200 * 2 ** (n / 10)) for n in range(11)]), RATE)
    assert spans(octave)["pitch"] == pytest.approx(9.6, abs=0.1)


def test_what_varies_much_less_than_the_recordings_is_said():
    noise = 0.1 * torch.randn(6, RATE, generator=torch.Generator().manual_seed(1))
    real = torch.cat([torch.stack([tone(200 * 2 ** (n / 3)) for n in range(6)]), noise])
    made = torch.cat([torch.stack([tone(200 * 2 ** (n / 60)) for n in range(6)]), noise])
    labels = torch.arange(2).repeat_interleave(6)
    rows = compare_variety(
        measure_traits(made, RATE), labels, measure_traits(real, RATE), labels, ["guitar", "rain"]
    )
    assert [row["class"] for row in rows] == ["guitar", "rain"]
    assert rows[0]["pitch"] == pytest.approx(0.8, abs=0.1)
    assert rows[0]["pitch of recordings"] == pytest.approx(16, abs=0.2)
    assert "pitch" not in rows[1] and rows[1]["length of recordings"] < 20
    words = variety_in_words(rows)
    assert "'guitar': pitch spans 1 half-tones, the recordings' 16" in words
    assert not any("rain" in line for line in words)
    assert variety_in_words(compare_variety(*[measure_traits(real, RATE), labels] * 2, "ab")) == []


def test_sounds_without_the_pitch_of_their_recordings_are_named():
    noise = 0.1 * torch.randn(4, RATE, generator=torch.Generator().manual_seed(2))
    real = torch.stack([tone(200 + 100 * n) for n in range(4)])
    labels = torch.zeros(4, dtype=torch.long)
    rows = compare_variety(
        measure_traits(noise, RATE), labels, measure_traits(real, RATE), labels, ["flute"]
    )
    assert variety_in_words(rows)[0] == "'flute': the recordings have a pitch, its sounds do not"


def test_the_sounds_of_a_generator_are_measured_beside_as_many_recordings(
    sound_generator, clips, monkeypatch
):
    generator, seen, measure = sound_generator(), [], variety.measure_traits

    def count(waveforms, rate):
        seen.append((waveforms.shape, rate))
        return measure(waveforms, rate)

    monkeypatch.setattr(variety, "measure_traits", count)
    monkeypatch.setattr(variety, "MOST_SOUNDS", 15)
    monkeypatch.setattr(variety, "FEWEST_OF_CLASS", 5)
    rows = measure_variety(generator, make_inverter(generator), clips)
    assert [row["class"] for row in rows] == ["high", "low", "noise"]
    made, real = seen
    assert made == real == ((15, clips.audio.clip_samples), 8_000)
    assert all(row["brightness of recordings"] > 0 for row in rows)


def test_a_class_whose_noise_is_too_steady_is_named():
    row = {"class": "hat", "flutter": 0.5, "flutter of recordings": 1.0}
    assert variety_in_words([row, row | {"class": "rain", "flutter": 0.9}]) == [
        "'hat': its noise flutters 0.50 as much as white noise, the recordings' 1.00"
    ]
