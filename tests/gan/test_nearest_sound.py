"""The search finds a generator's own sounds again, and says of others that they are not there."""

from pathlib import Path

import pytest
import torch

from helpers.files import PROJECT
from helpers.gan.generate import draw_latents, generate_mels
from helpers.gan.generator_file import SoundGenerator, load_generator
from helpers.gan.nearest_sound import NearestSound, find_nearest, neighbours
from helpers.sound.mel import MelExtractor

KIT: Path = PROJECT / "data" / "kit.safetensors"


@pytest.fixture(scope="module")
def kit() -> SoundGenerator:
    return load_generator(KIT)


def test_a_sound_of_the_generator_is_found_again_also_when_it_is_softer(kit):
    z, label = draw_latents(1, kit.model.z_dim, seed=77), torch.tensor([2])
    log_mel = generate_mels(kit, z, label)[0]
    found = find_nearest(kit, log_mel - 0.7)  # 6 dB
    assert found.label == 2 and found.distance < 0.5 and not found.is_far
    assert found.in_words("bell").startswith("Found") and "'bell'" in found.in_words("bell")
    again = generate_mels(kit, found.z[None], label)[0]
    other = generate_mels(kit, draw_latents(1, kit.model.z_dim, seed=5), label)[0]
    assert (again - log_mel).square().mean() < 0.3 * (other - log_mel).square().mean()


def test_a_sound_that_no_drum_makes_is_far(kit):
    seconds = torch.arange(kit.audio.clip_samples) / kit.audio.sample_rate
    tone = 0.3 * torch.sin(2 * torch.pi * 3_000 * seconds)
    found = find_nearest(kit, MelExtractor(kit.audio)(tone[None])[0])
    assert found.is_far and found.in_words("rim").startswith("Your generator has no such sound")


def test_it_looks_in_one_class_only_if_asked(kit):
    log_mel = generate_mels(kit, draw_latents(1, kit.model.z_dim, 3), torch.tensor([0]))[0]
    assert find_nearest(kit, log_mel, label=5).label == 5


def test_a_distance_that_is_no_number_counts_as_far():
    assert NearestSound(torch.zeros(2), 0, float("nan")).is_far


@pytest.mark.parametrize("damage", ["shape", "nan"])
def test_another_picture_is_refused(kit, damage):
    log_mel = torch.zeros(kit.audio.n_mels, kit.audio.n_frames)
    log_mel = log_mel[1:] if damage == "shape" else log_mel * float("nan")
    with pytest.raises(ValueError, match="need a log-mel"):
        find_nearest(kit, log_mel)


def test_neighbours_go_from_near_to_far():
    z = draw_latents(1, 64, seed=1)[0]
    around = neighbours(z, 8)
    assert around.shape == (8, 64) and torch.equal(neighbours(z, 8), around)
    likeness = torch.nn.functional.cosine_similarity(around, z[None])
    assert likeness[0] > 0.98 and 0.4 < likeness[-1] < 0.95
    assert (likeness.diff() < 0).float().mean() > 0.8
