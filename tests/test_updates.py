"""One update: each player's own weights move, in every precision; the average follows; statistics are its own."""

import copy
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from helpers import updates
from helpers.augment import augment
from helpers.losses import discriminator_loss, generator_loss
from helpers.updates import Players

CPU = torch.device("cpu")
RECIPES = ("baseline", "modern")


def test_the_average_moves_by_its_decay_in_weights_and_statistics():
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    average = copy.deepcopy(network)
    for network_part in (network[0].weight.data, network[1].running_mean):
        network_part.add_(1.0)
    updates.update_average(average, network, 0.75)
    torch.testing.assert_close(network[0].weight - average[0].weight, torch.full((3, 3), 0.75))
    torch.testing.assert_close(average[1].running_mean, torch.full((3,), 0.25))
    updates.update_average(average, network, 0.0)
    torch.testing.assert_close(average[0].weight, network[0].weight)


class OneLayer(torch.nn.Module):
    """Sounds that are twice the latent plus three, through a batch norm whose statistics are of something else."""

    def __init__(self):
        super().__init__()
        self.z_dim, self.norm = 4, torch.nn.BatchNorm2d(4, affine=False)
        self.norm.running_mean.fill_(50)
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, z, y):
        return self.norm((self.weight * z + 3 + 100 * y[:, :1])[:, :, None, None])


def test_own_statistics_are_those_of_its_own_sounds_of_all_classes_alike():
    network = OneLayer().eval()
    fresh = updates.with_own_statistics(network, 2)
    assert not fresh.training and network.norm.running_mean.eq(50).all()
    torch.testing.assert_close(fresh.norm.running_mean, torch.full((4,), 53.0), atol=0.3, rtol=0)
    torch.testing.assert_close(fresh.norm.running_var, torch.full((4,), 2500 * 64 / 63 + 4), atol=25, rtol=0)
    again = updates.with_own_statistics(network, 2)
    assert torch.equal(again.norm.running_mean, fresh.norm.running_mean)


def changed(before: dict, network) -> bool:
    return any(not torch.equal(before[name], value) for name, value in network.named_parameters())


def snapshot(network) -> dict:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def unchanged(x, generator):
    return x


def one_step(players, config, real, y, step=0, augmented=unchanged):
    rng = torch.Generator().manual_seed(step)
    return updates.train_step(players, real, y, rng, augmented, config.train, step)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_moves_both_players_in_every_precision(tiny_run, datasets, recipe, precision):
    config, data = tiny_run(recipe), datasets[recipe]
    players = Players(config, 3, CPU, precision)
    real, y = data.batch(torch.arange(0, 20, 5))
    augmented = functools.partial(augment, names=config.train.augmentations, silence=data.normaliser.silence())
    before = snapshot(players.generator), snapshot(players.discriminator)
    losses = one_step(players, config, real, y, augmented=augmented)
    assert changed(before[0], players.generator) and changed(before[1], players.discriminator)
    assert ("r1" in losses) == ("loss_class" in losses) == (recipe == "modern")
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    for network in (players.generator, players.discriminator):
        assert all(weight.requires_grad for weight in network.parameters())
        assert all(weight.dtype == torch.float32 and bool(weight.isfinite().all()) for weight in network.parameters())


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_player_learns_from_the_other_as_it_was_before_the_step(tiny_run, datasets, recipe):
    config = tiny_run(recipe)
    players = Players(config, 3, CPU, "fp32")
    real, y = datasets[recipe].batch(torch.arange(0, 20, 5))
    other_real, other_y = datasets[recipe].batch(torch.arange(1, 21, 5))
    one_step(players, config, real, y)
    made, discriminator, generator = players.made, copy.deepcopy(players.discriminator), snapshot(players.generator)
    assert torch.equal(made[1], y)
    losses = one_step(players, config, other_real, other_y, step=1)
    with torch.no_grad():
        expected_d = discriminator_loss(discriminator(other_real, other_y), discriminator(*made))
        expected_g = generator_loss(discriminator(*players.made))
        players.generator.load_state_dict(generator, strict=False)
        z = torch.randn((4, 8), generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(players.generator(z, other_y), players.made[0])
    torch.testing.assert_close(losses["loss_d"], expected_d)
    torch.testing.assert_close(losses["loss_g"], expected_g)


def test_players_that_learn_side_by_side_learn_what_they_do_in_turns(tiny_run, dataset):
    config, found = tiny_run(), {}
    augmented = functools.partial(augment, names=config.train.augmentations, silence=dataset.normaliser.silence())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for beside in (False, True):
            players = Players(config, 3, CPU, "fp32")
            with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                players.side = pool if beside else None
                real, y = dataset.batch(torch.arange(0, 20, 5))
                for step in range(4):
                    one_step(players, config, real, y, step, augmented)
            found[beside] = snapshot(players.generator) | snapshot(players.discriminator)
    finally:
        torch.set_num_threads(threads)
    assert [name for name, value in found[True].items() if not torch.equal(value, found[False][name])] == []


def test_an_error_beside_is_raised(tiny_run, dataset):
    config = tiny_run()
    players = Players(config, 3, CPU, "fp32")
    real, y = dataset.batch(torch.arange(4))
    one_step(players, config, real, y)
    with ThreadPoolExecutor(1) as players.side, pytest.raises(RuntimeError, match="size|shape|match"):
        one_step(players, config, real[:, :, :32], y, step=1)


def test_the_penalty_is_taken_at_every_nth_step(tiny_run, dataset):
    config = tiny_run(r1_every=3)
    players = Players(config, 3, CPU, "fp32")
    real, y = dataset.batch(torch.arange(4))
    penalised = ["r1" in one_step(players, config, real, y, step) for step in range(7)]
    assert penalised == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_discriminator_learns_to_tell_noise_from_sounds(tiny_run, datasets, recipe):
    config, data = tiny_run(recipe, batch_size=12, learning_rate_g=1e-9), datasets[recipe]
    players = Players(config, 3, CPU, "fp32")
    real, y = data.batch(torch.arange(0, 21, 2))
    losses = [float(one_step(players, config, real, y, step)["loss_d"]) for step in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_machines_without_a_compiler_do_not_compile(monkeypatch):
    def no_compiler(_):
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    updates.can_compile.cache_clear()
    assert not updates.can_compile()
    updates.can_compile.cache_clear()
