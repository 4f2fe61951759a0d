"""Both recipes' networks: shapes, that class and latent matter, that every weight can learn."""

import pytest
import torch
import torch.nn.functional as F

from helpers.config import AudioConfig, ModelConfig
from helpers.gan.losses import class_loss, discriminator_loss, generator_loss
from helpers.gan.networks import class_spread, make_discriminator, make_generator, pixel_norm

N_CLASSES = 3
RECIPES = ("baseline", "modern")


def make_players(recipe: str, n_mels: int = 64, n_frames: int = 64, **model):
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "generator_width": 8, "discriminator_width": 8, "embedding_dim": 4}
    config = ModelConfig(recipe, **{**sizes, "upsampling": "filtered", **model})
    audio = AudioConfig(n_mels=n_mels, n_frames=n_frames)
    return make_generator(config, audio, N_CLASSES), make_discriminator(config, audio, N_CLASSES)


def labels_of(*labels: int) -> torch.Tensor:
    return F.one_hot(torch.tensor(labels), N_CLASSES).float()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("n_mels", "n_frames"), [(64, 64), (128, 512), (80, 96)])
def test_shapes_follow_the_geometry(recipe, n_mels, n_frames):
    generator, discriminator = make_players(recipe, n_mels, n_frames)
    y = labels_of(0, 2)
    made = generator(torch.randn(2, 8), y)
    assert made.shape == (2, 1, n_mels, n_frames)
    assert discriminator(made, y).shape == (2,)
    assert bool(torch.isfinite(made).all())


def test_filtered_upsampling_draws_no_grid_and_transposed_does():
    z, y = torch.randn(8, 8), labels_of(0, 1, 2, 0, 1, 2, 0, 1)
    grid = 1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2)
    found = {}
    for upsampling in ("transposed", "filtered"):
        generator, _ = make_players("modern", upsampling=upsampling)
        h = generator.upsamplers[-1](torch.randn(8, 8, 32, 32)).detach()
        found[upsampling] = float((h * grid).mean(dim=(2, 3)).square().mean() / h.square().mean())
        assert generator(z, y).shape == (8, 1, 64, 64)
    assert found["filtered"] < 0.01 * found["transposed"]


def test_the_filter_has_no_weights_in_a_file_and_keeps_a_constant():
    generator, _ = make_players("modern", upsampling="filtered")
    assert not [name for name in generator.state_dict() if "kernel" in name]
    smooth = generator.upsamplers[0][1]
    kept = smooth(torch.ones(1, len(smooth.kernel), 8, 8))[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(kept, torch.ones_like(kept))


def test_the_baseline_stays_within_minus_1_and_1():
    generator, _ = make_players("baseline")
    assert float(generator(50 * torch.randn(4, 8), labels_of(0, 1, 2, 0)).abs().max()) <= 1


@pytest.mark.parametrize("recipe", RECIPES)
@torch.no_grad()
def test_class_and_latent_both_change_the_sound_and_the_verdict(recipe):
    generator, discriminator = (network.eval() for network in make_players(recipe))
    z, other_z = torch.randn(1, 8), torch.randn(1, 8)
    sound = generator(z, labels_of(0))
    assert torch.equal(generator(z, labels_of(0)), sound)
    for other in (generator(z, labels_of(1)), generator(other_z, labels_of(0))):
        assert float((other - sound).std()) > 1e-3 * float(sound.std())
    assert float(discriminator(sound, labels_of(0))) != float(discriminator(sound, labels_of(1)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_gradients_reach_every_weight_of_both_players(recipe):
    generator, discriminator = make_players(recipe)
    y = labels_of(0, 1, 2, 0, 1, 2, 0, 1)
    real, z = torch.randn(8, 1, 64, 64), torch.randn(8, 8)
    generator_loss(discriminator(generator(z, y), y)).backward()
    assert [name for name, weight in generator.named_parameters() if not weight.grad.any()] == []
    discriminator.zero_grad()
    loss = discriminator_loss(discriminator(real, y), discriminator(generator(z, y).detach(), y))
    if recipe == "modern":
        loss = loss + class_loss(discriminator.forward_with_class(real, y)[1], y)
    loss.backward()
    assert [
        name for name, weight in discriminator.named_parameters() if not weight.grad.any()
    ] == []


def test_the_class_that_is_heard_does_not_depend_on_the_class_that_is_claimed():
    _, discriminator = make_players("modern")
    sound = torch.randn(2, 1, 64, 64)
    (_, heard), (_, same) = (
        discriminator.forward_with_class(sound, labels_of(*claimed)) for claimed in ((0, 1), (2, 2))
    )
    assert heard.shape == (2, 3)
    assert torch.equal(heard, same)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_size_of_the_modern_recipe_can_be_asked_for(recipe):
    small, large = (
        make_players(recipe),
        make_players(recipe, generator_width=16, discriminator_width=16),
    )
    sizes = [
        [sum(weight.numel() for weight in player.parameters()) for player in pair]
        for pair in (small, large)
    ]
    if recipe == "modern":
        assert sizes[1][0] > sizes[0][0] and sizes[1][1] > sizes[0][1]
    else:
        assert sizes[0] == sizes[1]  # the first system has one size


@pytest.mark.parametrize("recipe", RECIPES)
@torch.no_grad()
def test_a_sound_does_not_depend_on_the_others_in_its_batch_once_trained(recipe):
    generator, _ = make_players(recipe)
    z, y = torch.randn(5, 8), labels_of(0, 1, 2, 0, 1)
    for _ in range(3):
        generator.train()(z, y)  # batch statistics move
    together = generator.eval()(z, y)
    for item in range(5):
        alone = generator(z[item : item + 1], y[item : item + 1])
        torch.testing.assert_close(together[item : item + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
@torch.no_grad()
def test_signals_neither_vanish_nor_blow_up_at_the_start(recipe):
    generator, discriminator = make_players(recipe)
    y = labels_of(*range(3)).repeat(4, 1)
    made = generator(torch.randn(12, 8), y)
    assert 0.01 < float(made.std()) < 10
    assert float(discriminator(torch.randn(12, 1, 64, 64), y).abs().max()) < 30


def test_pixel_norm_gives_every_place_a_root_mean_square_of_1():
    x = pixel_norm(torch.randn(2, 6, 3, 4) * 7)
    torch.testing.assert_close(x.square().mean(dim=1), torch.ones(2, 3, 4), rtol=1e-4, atol=0)
    assert not pixel_norm(torch.zeros(1, 6, 2, 2)).any()


def test_the_class_spread_is_the_mean_deviation_within_a_class():
    x, y = torch.randn(8, 3, 4, 5), labels_of(0, 1, 0, 1, 1, 0, 0, 2)
    spread = class_spread(x, y)
    assert spread.shape == (8, 1)
    for rows in ([0, 2, 5, 6], [1, 3, 4]):
        expected = float(x[rows].std(dim=0, unbiased=False).mean())
        torch.testing.assert_close(
            spread[rows], torch.full((len(rows), 1), expected), rtol=1e-4, atol=1e-5
        )
    assert float(spread[7]) < 1e-3  # alone in its class


def test_one_class_that_has_collapsed_is_told_of_it():
    x, y = torch.randn(8, 3, 4, 5), labels_of(0, 0, 0, 0, 1, 1, 1, 1)
    x[4:] = x[4]
    spread = class_spread(x, y)
    assert bool((spread[:4] > 0.1).all()) and bool((spread[4:] < 1e-3).all())


def test_the_class_spread_keeps_its_digits_in_half_precision():
    x, y = 100 + torch.randn(8, 3, 4, 5), labels_of(0, 0, 0, 0, 1, 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            class_spread(x, y), class_spread(x.double(), y).float(), rtol=1e-3, atol=0
        )


def test_batches_one_after_another_are_judged_as_if_each_were_alone():
    _, discriminator = make_players("modern")
    batches, y = torch.randn(2, 8, 1, 64, 64), labels_of(0, 1, 0, 1, 1, 0, 0, 2)
    batches[1] *= 0.1
    logits, heard = discriminator.forward_with_class(batches.flatten(0, 1), torch.cat([y, y]), 2)
    alone = [discriminator.forward_with_class(batch, y) for batch in batches]
    torch.testing.assert_close(logits, torch.cat([one[0] for one in alone]))
    torch.testing.assert_close(heard, torch.cat([one[1] for one in alone]))
    assert not torch.allclose(
        logits, discriminator.forward_with_class(batches.flatten(0, 1), torch.cat([y, y]))[0]
    )


def test_spectral_norm_keeps_the_largest_singular_value_at_about_1():
    _, discriminator = make_players("baseline", spectral_norm=True)
    _, free = make_players("baseline")
    discriminator.train()
    for _ in range(30):  # one power iteration each
        discriminator(torch.randn(2, 1, 64, 64), labels_of(0, 1))

    def largest(network):
        layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        return torch.stack(
            [torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2) for m in layers]
        )

    torch.testing.assert_close(largest(discriminator), torch.ones(6), atol=0.05, rtol=0)
    assert bool(((largest(free) - 1).abs() > 0.05).any())
