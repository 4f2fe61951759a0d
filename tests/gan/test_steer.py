"""Steering: places between corners, latents of a typical norm, sounds between two classes."""

import math
from dataclasses import replace

import pytest
import torch

from helpers.config import ConfigError
from helpers.files import PROJECT
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator
from helpers.gan.steer import (
    Place,
    corners_around,
    draw_corners,
    mix_classes,
    mix_corners,
    steered_latent,
    steered_sound,
)


def test_each_corner_is_its_latent_at_the_typical_norm():
    corners = draw_corners(128, seed=3)
    for number, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        mixed = mix_corners(corners, x, y)
        assert torch.cosine_similarity(mixed, corners[number], dim=0) > 0.9999
    for x, y in ((0, 0), (0.5, 0.5), (0.3, 0.9)):
        assert float(mix_corners(corners, x, y).norm()) == pytest.approx(math.sqrt(128), rel=1e-5)


def test_the_middle_is_as_near_to_each_corner():
    likeness = torch.cosine_similarity(mix_corners(torch.eye(4), 0.5, 0.5)[None], torch.eye(4))
    torch.testing.assert_close(likeness, torch.full((4,), 0.5))


def test_a_small_move_is_a_small_change():
    corners = draw_corners(128)
    for x in (0.0, 0.3, 0.7):
        near = torch.cosine_similarity(
            mix_corners(corners, x, 0.4), mix_corners(corners, x + 0.01, 0.4), dim=0
        )
        assert near > 0.999


def test_opposite_corners_give_numbers_in_their_middle():
    assert mix_corners(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), 0.5, 0.5).isfinite().all()


def test_corners_around_a_latent_have_it_in_their_middle_and_differ():
    z = mix_corners(draw_corners(128), 0.2, 0.7)
    corners = corners_around(z, seed=1)
    torch.testing.assert_close(mix_corners(corners, 0.5, 0.5), z, atol=1e-4, rtol=1e-4)
    likeness = torch.cosine_similarity(corners, z[None])
    assert (likeness < 0.97).all() and (likeness > 0.7).all()
    assert not torch.equal(corners, corners_around(z, seed=2))


def test_spread_and_steps_move_the_latent_as_far_as_they_say():
    corners, vectors = draw_corners(8), torch.eye(8)[:2]
    usual = steered_latent(corners, Place(amounts=(0.0, 0.0)), vectors)
    calm = steered_latent(corners, Place(amounts=(0.0, 0.0), spread=0.5), vectors)
    torch.testing.assert_close(calm, usual / 2)
    along = steered_latent(corners, Place(amounts=(1.5, -2.0)), vectors)
    assert (along - usual).tolist() == pytest.approx([1.5, -2.0, *[0.0] * 6], abs=1e-5)
    with pytest.raises(ConfigError, match="need 2 amounts, one a direction"):
        steered_latent(corners, Place(), vectors)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"x": -0.1}, "x must be 0 to 1"),
        ({"y": math.nan}, "y must be 0 to 1"),
        ({"share": 2}, "share must be 0 to 1"),
        ({"spread": 0}, "spread must be 0.3 to 1.5"),
        ({"amounts": (0.0, 5.0)}, "amounts must be -4 to 4 steps"),
    ],
)
def test_a_place_outside_of_the_panel_is_refused(place, words):
    with pytest.raises(ConfigError, match=words):
        Place(**place)


def test_classes_are_mixed_in_shares():
    assert mix_classes(0, 2, 0.25, 3).tolist() == [[0.75, 0, 0.25]]
    assert mix_classes(1, 1, 0.5, 3).tolist() == [[0, 1, 0]]
    assert mix_classes(0, 0, 0.5, 1).tolist() == [[1]]
    for label in (-1, 3):
        with pytest.raises(ConfigError, match=f"a class must be 0 to 2, got {label}"):
            mix_classes(0, label, 0.5, 3)


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
def test_without_a_second_class_it_is_the_sound_of_the_first(sound_generator, recipe):
    generator = sound_generator(recipe)
    inverter = make_inverter(generator, n_iterations=1)
    z = draw_latents(1, 8, seed=4)
    for label in range(3):
        plain = generate_sounds(generator, z, torch.tensor([label]), inverter)
        ends = Place(label=label, second=1), Place(label=0, second=label, share=1.0)
        for end in ends:
            sound = steered_sound(generator, inverter, z[0], end)
            assert sound.compressed.equal(plain.compressed) and int(sound.labels) == label


@pytest.mark.parametrize("pair", [(0, 3), (2, 4)])
def test_a_mixture_lies_between_both_classes(pair):
    generator = load_generator(PROJECT / "data" / "kit.safetensors")
    inverter = make_inverter(generator, n_iterations=1)
    first, half, second = (
        torch.cat(
            [
                steered_sound(generator, inverter, z, replace(place, share=share)).compressed
                for z in draw_latents(3, 128, seed=2)
            ]
        )
        for place in [Place(label=pair[0], second=pair[1])]
        for share in (0.0, 0.5, 1.0)
    )
    whole, to_first, to_second = (
        (a - b).square().mean(dim=(1, 2)).sqrt()  # (3,)
        for a, b in ((first, second), (first, half), (half, second))
    )
    assert (to_first < whole).all() and (to_second < whole).all()
    assert (to_first > 0.2 * whole).all() and (to_second > 0.2 * whole).all()
