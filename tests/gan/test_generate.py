"""From class, seed and latent to sound: repeatable, bounded, at the rate asked for."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from helpers.config import ConfigError
from helpers.gan import generate as sampling
from helpers.gan.generate import (
    Sounds,
    draw_latents,
    generate_audio_gan,
    generate_in_parts,
    generate_mels,
    generate_sounds,
    interpolate,
    make_inverter,
)
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import floor_rms

RECIPES = ("baseline", "modern")


def test_latents_are_normal_and_repeatable():
    z = draw_latents(4000, 8, seed=1)
    assert z.shape == (4000, 8) and z.dtype == torch.float32
    assert torch.equal(draw_latents(4000, 8, seed=1), z)
    assert not torch.equal(draw_latents(4000, 8, seed=2), z)
    assert float(z.mean()) == pytest.approx(0, abs=0.02) and float(z.std()) == pytest.approx(
        0.987, abs=0.02
    )


@pytest.mark.parametrize("truncation", [0.05, 0.5, 1.0, 3.0])
def test_latents_stay_within_the_truncation_and_fill_it(truncation):
    z = draw_latents(2000, 8, seed=1, truncation=truncation)
    assert float(z.abs().max()) <= truncation + 1e-6
    assert float(z.abs().max()) > 0.95 * truncation
    bound = truncation / math.sqrt(2)
    density = math.exp(-(truncation**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * truncation * density / math.erf(
        bound
    )  # of a normal distribution cut off there
    assert float(z.var()) == pytest.approx(variance, rel=0.05)


def test_another_truncation_keeps_the_order_of_the_latents():
    wide, narrow = draw_latents(100, 8, 3, 3.0), draw_latents(100, 8, 3, 0.5)
    assert torch.equal(wide.flatten().argsort(), narrow.flatten().argsort())
    torch.testing.assert_close(
        draw_latents(5, 8, 3, 50.0), torch.randn((5, 8), generator=torch.manual_seed(3))
    )


@pytest.mark.parametrize("truncation", [0, -1, math.nan])
def test_a_truncation_that_leaves_nothing_is_refused(truncation):
    with pytest.raises(ConfigError, match="truncation must be above 0"):
        draw_latents(1, 8, 0, truncation)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_seed_is_a_sound_and_a_class_another(sound_generator, recipe):
    generator = sound_generator(recipe)
    first = generate_audio_gan(generator, 0, 2, sample_rate=8_000, seed=5)
    assert first.shape == (2, generator.audio.clip_samples) and first.dtype == np.float32
    assert np.isfinite(first).all() and np.abs(first).max() > 0
    assert not np.allclose(first[0], first[1])
    np.testing.assert_array_equal(
        generate_audio_gan(generator, 0, 2, sample_rate=8_000, seed=5), first
    )
    assert not np.allclose(generate_audio_gan(generator, 1, 2, sample_rate=8_000, seed=5), first)
    assert not np.allclose(generate_audio_gan(generator, 0, 2, sample_rate=8_000, seed=6), first)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 4_000])
def test_sounds_come_at_the_rate_asked_for(sound_generator, rate):
    generator = sound_generator()
    waveforms = generate_audio_gan(generator, 2, 3, sample_rate=rate)
    assert waveforms.shape == (3, math.ceil(generator.audio.clip_samples * rate / 8_000))


def test_the_default_rate_is_that_of_the_first_system(sound_generator):
    waveforms = generate_audio_gan(sound_generator(), 0)
    assert waveforms.shape == (1, math.ceil(960 * 22_050 / 8_000))


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_a_class_that_is_not_there_is_refused(sound_generator, index):
    with pytest.raises(ConfigError, match=f"category_idx must be 0 to 2, got {index}"):
        generate_audio_gan(sound_generator(), index)


def test_no_sounds_are_refused(sound_generator):
    with pytest.raises(ConfigError, match="num_samples must be at least 1, got 0"):
        generate_audio_gan(sound_generator(), 0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_generating_leaves_generator_and_global_numbers_as_they_are(sound_generator, recipe):
    generator = sound_generator(recipe)
    generator.network.train()  # as training leaves it
    before = {name: value.clone() for name, value in generator.network.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    generate_audio_gan(generator, 0, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(before[name], value) for name, value in generator.network.state_dict().items()
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_many_sounds_are_what_each_is_alone(sound_generator, recipe):
    generator, labels = sound_generator(recipe), torch.arange(70) % 3
    z = draw_latents(70, 8)
    together = generate_mels(generator, z, labels)
    assert together.shape == (70, 16, 16)
    for item in (0, 63, 64, 69):
        alone = generate_mels(generator, z[item : item + 1], labels[item : item + 1])
        torch.testing.assert_close(together[item : item + 1], alone, atol=1e-4, rtol=1e-4)


def test_sounds_carry_what_was_drawn_and_what_is_heard(sound_generator):
    generator, labels = sound_generator(), torch.tensor([0, 2])
    sounds = generate_sounds(generator, draw_latents(2, 8), labels, MelInverter(generator.audio))
    assert sounds.compressed.shape == (2, 16, 16) and sounds.waveforms.shape == (2, 960)
    assert sounds.sample_rate == 8_000 and torch.equal(sounds.labels, labels)
    assert float(sounds.compressed.min()) >= generator.audio.floor_value - 1e-5


def test_trimmed_sounds_end_where_they_fall_silent():
    waveforms = np.zeros((2, 1_000), np.float32)
    waveforms[0, :300] = 0.5
    waveforms[1] = 0.5
    sounds = Sounds(torch.zeros(2, 16, 16), waveforms, torch.zeros(2), 8_000)
    short, whole = sounds.trimmed()
    assert 300 <= len(short) < 400
    assert np.array_equal(whole, waveforms[1])


@pytest.mark.parametrize("loudest", [0.01, 0.1, 10.0])
def test_the_noise_that_the_way_back_makes_of_silence_is_trimmed(tiny_audio, loudest):
    """A decay, and after it a mel that lies a little above silence, as a generator draws it."""
    decay = np.log(loudest) - np.arange(16) * 2.0
    mels = torch.from_numpy(np.maximum(decay, tiny_audio.floor_value + 0.2)).float()
    mels = mels.expand(1, tiny_audio.n_mels, 16)
    waveforms = MelInverter(tiny_audio)(mels).numpy()
    sounds = Sounds(mels, waveforms, torch.zeros(1), 8_000, floor_rms(tiny_audio))
    (trimmed,) = sounds.trimmed()
    assert 0.1 < len(trimmed) / waveforms.shape[1] < 0.9


def test_a_generator_sounds_by_the_inversion_that_was_saved_with_it(sound_generator):
    generator = sound_generator()
    assert make_inverter(generator).method == "joint"
    learned = dataclasses.replace(generator, inversion=MagnitudeNet(generator.audio))
    assert make_inverter(learned).method == "learned"
    assert make_inverter(learned, "nnls", n_iterations=3).n_iterations == 3


def test_interpolation_begins_and_ends_where_it_is_told_to():
    start, end = draw_latents(2, 16, seed=4)
    path = interpolate(start, end, 7)
    assert path.shape == (7, 16)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(path.flip(0), interpolate(end, start, 7), atol=1e-5, rtol=1e-5)


def test_interpolation_keeps_the_length_of_latents_and_walks_evenly():
    start, end = torch.nn.functional.normalize(torch.randn(2, 16), dim=1) * 4
    path = interpolate(start, end, 9)
    torch.testing.assert_close(path.norm(dim=1), torch.full((9,), 4.0))
    steps = path.diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(8), atol=1e-4, rtol=1e-4)


def test_interpolation_from_a_latent_to_itself_stays_there():
    z = torch.randn(16)
    torch.testing.assert_close(interpolate(z, z, 5), z.expand(5, 16))
    torch.testing.assert_close(interpolate(z, 2 * z, 3)[1], 1.5 * z)
    torch.testing.assert_close(interpolate(z, torch.randn(16), 1), z[None])


def test_parts_are_the_sounds_of_the_whole_a_few_at_a_time(sound_generator, monkeypatch):
    monkeypatch.setattr(sampling, "SOUNDS_AT_ONCE", 4)
    generator = sound_generator()
    z, labels, inverter = (
        draw_latents(10, 8, seed=1),
        torch.arange(10) % 3,
        make_inverter(generator),
    )
    whole = generate_sounds(generator, z, labels, inverter)
    parts = list(generate_in_parts(generator, z, labels, inverter))
    assert [len(part.waveforms) for part in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([part.labels for part in parts]), labels)
    assert torch.equal(torch.cat([part.compressed for part in parts]), whole.compressed)
    np.testing.assert_allclose(
        np.concatenate([part.waveforms for part in parts]), whole.waveforms, atol=1e-4
    )
