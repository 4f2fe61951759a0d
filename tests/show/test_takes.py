"""Takes of each class: as many as fit, each from its seed, lossless where that is small."""

import base64
import io

import numpy as np
import pytest
import soundfile
import torch

from helpers.config import ConfigError
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.show import takes
from helpers.show.takes import Plan, Takes, plan_takes, render_takes
from helpers.sound.web_audio import encode_for_page


def decoded(sound: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(base64.b64decode(sound)), dtype="float32")


@pytest.mark.parametrize(
    ("n_classes", "duration_s", "plan"),
    [
        (8, 1.0, Plan(8, 8, 12)),
        (1, 1.5, Plan(1, 8, 12)),
        (16, 1.0, Plan(16, 8, 9)),  # a shorter morph
        (35, 1.0, Plan(35, 6, 0)),
        (1000, 0.05, Plan(48, 5, 0)),
        (50, 5.9, Plan(20, 2, 0)),
        (8, 1000.0, Plan(1, 1, 0)),
    ],
)
def test_as_many_as_fit_are_made(n_classes, duration_s, plan):
    assert plan_takes(n_classes, duration_s) == plan
    assert plan.n_classes * (plan.n_takes + max(0, plan.n_steps - 2)) <= takes.MOST_SOUNDS


@pytest.mark.parametrize(("n_takes", "n_steps"), [(0, 12), (8, 2), (8, -1)])
def test_a_number_that_makes_no_sense_is_refused(n_takes, n_steps):
    with pytest.raises(ConfigError, match="must be"):
        plan_takes(8, 1.0, n_takes, n_steps)


def test_a_take_is_the_sound_of_its_seed(sound_generator):
    generator = sound_generator()
    inverter = make_inverter(generator, n_iterations=2)
    sounds = render_takes(generator, inverter, n_takes=3, seed=5, truncation=1.0, n_steps=4)
    assert sounds.names == ("high", "low", "noise") and sounds.left_out == ""
    assert [len(own) for own in (*sounds.waveforms, *sounds.between)] == [3] * 3 + [2] * 3
    z = draw_latents(1, generator.model.z_dim, 5 + 2, 1.0)
    (alone,) = generate_sounds(generator, z, torch.tensor([1]), inverter).trimmed()
    np.testing.assert_allclose(sounds.waveforms[1][2], alone, atol=5e-3)


def test_of_many_classes_some_are_chosen_and_it_is_said(sound_generator):
    generator = sound_generator(classes=[f"class {number}" for number in range(100)])
    inverter = make_inverter(generator, n_iterations=1)
    sounds = render_takes(generator, inverter, n_takes=1, n_steps=0)
    assert len(sounds.names) == 48 and sounds.labels[-1] == 99
    assert sounds.left_out == "To keep this small, it has 48 of 100 classes."


def test_small_sounds_are_lossless_and_large_ones_compressed(monkeypatch):
    rng = np.random.default_rng(0)
    waveforms = [[rng.uniform(-0.5, 0.5, n).astype(np.float32) for n in (800, 1600)]]
    options = {"labels": (0,), "names": ("a",), "between": [[]], "first_seed": 0}
    exact = Takes(waveforms=waveforms, sample_rate=8_000, **options)
    first = exact.for_browser()["takes"][0]
    for sound, waveform in zip(first, waveforms[0], strict=True):
        samples, rate = decoded(sound)
        assert rate == 8_000
        np.testing.assert_allclose(samples, waveform, atol=1 / 32_768)
    assert exact.for_browser()["note"] == ""
    monkeypatch.setattr(takes, "MOST_BYTES", 1_000)
    compressed = Takes(waveforms=waveforms, sample_rate=8_000, **options).for_browser()
    assert "differ a little" in compressed["note"]
    samples, rate = decoded(compressed["takes"][0][1])
    assert rate == 8_000 and len(samples) == pytest.approx(1600, abs=600)
    assert len(compressed["takes"][0][1]) < len(first[1])


def test_the_largest_sounds_fit_when_they_are_compressed():
    rng = np.random.default_rng(0)
    for duration_s in (takes.MOST_SECONDS / takes.MOST_SOUNDS, 6.0):
        noise = rng.uniform(-1, 1, round(44_100 * duration_s)).astype(np.float32)
        n = min(takes.MOST_SOUNDS, int(takes.MOST_SECONDS / duration_s))
        (file,) = encode_for_page([noise], 44_100, takes.MOST_BYTES // n)
        assert n * len(file.content) <= takes.MOST_BYTES
