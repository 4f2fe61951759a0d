"""The table of a network's stages shows their order and what each gives."""

import pytest
import torch

from helpers.config import AudioConfig, ModelConfig
from helpers.gan.networks import make_discriminator, make_generator
from helpers.gan.stages import list_stages

AUDIO = AudioConfig(sample_rate=16_000, n_mels=32, n_frames=48)


@pytest.mark.parametrize("recipe", ["modern", "baseline"])
def test_a_generator_grows_from_noise_to_a_picture(recipe):
    model = ModelConfig(recipe=recipe, z_dim=8, upsampling="filtered")
    network = make_generator(model, AUDIO, 3).eval()
    rows = list_stages(network, torch.randn(2, 8), torch.eye(3)[:2])
    assert rows[-1]["gives"] == "1 × 32 × 48"
    assert rows[0]["gives"].count("×") == 0  # a row of numbers
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("recipe", ["modern", "baseline"])
def test_a_discriminator_ends_with_one_number(recipe):
    network = make_discriminator(ModelConfig(recipe=recipe), AUDIO, 3)
    rows = list_stages(network, torch.randn(2, 1, 32, 48), torch.eye(3)[:2])
    heads = [row for row in rows if row["stage"] == "head"]
    assert [row["gives"] for row in heads] == ["1"]


def test_the_hooks_are_gone_afterwards_also_after_an_error():
    network = make_discriminator(ModelConfig(), AUDIO, 3)
    with pytest.raises(RuntimeError):
        list_stages(network, torch.randn(2, 1, 32, 48), torch.eye(5)[:2])
    assert not any(layer._forward_hooks for layer in network.modules())
