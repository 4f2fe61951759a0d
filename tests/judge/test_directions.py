"""Directions change what their names say, for latents that they were not learned from."""

import math

import pytest
import torch

from helpers.files import PROJECT
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator
from helpers.judge import directions
from helpers.judge.directions import find_directions
from helpers.judge.variety import measure_traits


@pytest.fixture(scope="module")
def kit():
    generator = load_generator(PROJECT / "data" / "kit.safetensors")
    return generator, make_inverter(generator, n_iterations=2)


@pytest.fixture(scope="module")
def found(kit):
    return {direction.trait: direction for direction in find_directions(*kit, n=5)}


def test_a_kit_gets_longer_and_louder(found):
    assert {"length", "level"} <= found.keys() and len(found) <= 5
    for direction in found.values():
        assert direction.vector.shape == (128,)
        assert float(direction.vector.norm()) == pytest.approx(1, abs=1e-5)
        assert direction.change > 0 and len(direction.names) == 2
    assert found["length"].names == ("shorter", "longer") and found["length"].unit == "ms"


def test_two_steps_along_make_other_sounds_longer_by_what_was_said(kit, found):
    generator, inverter = kit
    z, labels = draw_latents(48, 128, seed=123), torch.arange(48) % 8
    direction = found["length"]

    def lengths(steps: float) -> torch.Tensor:
        moved = z + steps * direction.vector
        waveforms = generate_sounds(generator, moved, labels, inverter).waveforms
        return measure_traits(torch.from_numpy(waveforms), 16_000)["length"]

    back, along = lengths(-2), lengths(2)
    assert (along - back).mean() / 4 == pytest.approx(direction.change, rel=0.5)
    assert (along >= back).float().mean() > 0.85


def test_a_direction_leaves_other_traits_more_alone_than_its_own(kit, found):
    generator, inverter = kit
    z, labels = draw_latents(32, 128, seed=321), torch.arange(32) % 8
    usual = directions._measure(generator, inverter, z, labels)
    spreads = {
        name: directions._spread(directions._within_classes(values, labels))
        for name, values in usual.items()
    }
    vector = found["level"].vector
    louder = directions._measure(generator, inverter, z + vector, labels)
    softer = directions._measure(generator, inverter, z - vector, labels)
    moved = {
        name: float((louder[name] - softer[name]).nanmean().abs()) / spreads[name]
        for name in ("level", "length", "brightness")
    }
    assert moved["level"] > 3 * max(moved["length"], moved["brightness"])


def test_a_generator_that_ignores_its_latent_has_no_directions(sound_generator):
    generator = sound_generator()
    for layer in generator.network.modules():
        if isinstance(layer, torch.nn.Linear) and layer is not generator.network.embedding:
            layer.weight.data[:, :8] = 0
    assert find_directions(generator, make_inverter(generator, n_iterations=1)) == []


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
@pytest.mark.parametrize("n_classes", [1, 1000])
def test_there_may_be_one_class_or_a_thousand(sound_generator, monkeypatch, recipe, n_classes):
    monkeypatch.setattr(directions, "SOUNDS", 96)
    generator = sound_generator(recipe, classes=[f"class {n}" for n in range(n_classes)])
    found = find_directions(generator, make_inverter(generator, n_iterations=1), n=2)
    assert len(found) <= 2
    for direction in found:
        assert direction.vector.shape == (8,) and math.isfinite(direction.change)


def test_a_seed_finds_the_same_directions_again(sound_generator):
    generator = sound_generator()
    inverter = make_inverter(generator, n_iterations=1)
    first, again = (find_directions(generator, inverter, seed=3) for _ in range(2))
    assert [one.trait for one in first] == [one.trait for one in again]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.vector, other.vector)


def test_numbers_that_are_not_finite_are_named(sound_generator):
    generator = sound_generator()
    torch.nn.init.constant_(generator.network.to_spectrogram.bias, math.nan)
    with pytest.raises(ValueError, match="the generator has diverged"):
        find_directions(generator, make_inverter(generator))
