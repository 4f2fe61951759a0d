"""One update: each player's own weights move, in every precision; the average follows."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from states import assert_same

from helpers.files import PROJECT
from helpers.gan import players as updates
from helpers.gan.augment import augment
from helpers.gan.players import Players

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
    """Twice the latent plus three, through a batch norm that has statistics of something else."""

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
    torch.testing.assert_close(
        fresh.norm.running_var, torch.full((4,), 2500 * 64 / 63 + 4), atol=25, rtol=0
    )
    again = updates.with_own_statistics(network, 2)
    assert torch.equal(again.norm.running_mean, fresh.norm.running_mean)


def changed(before: dict, network) -> bool:
    return any(not torch.equal(before[name], value) for name, value in network.named_parameters())


def snapshot(network) -> dict:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_step_moves_its_own_player_in_every_precision(tiny_run, datasets, recipe, precision):
    config, data = tiny_run(recipe), datasets[recipe]
    players = Players(config, 3, CPU, precision)
    real, y = data.batch(torch.arange(0, 20, 5))
    silence, rng = data.normaliser.silence(), torch.Generator().manual_seed(0)

    def augmented(x):
        return augment(x, config.train.augmentations, silence, rng)

    before = snapshot(players.generator), snapshot(players.discriminator)
    made = players.make(torch.randn(4, 8), y)
    losses = updates.update_discriminator(players, real, made, y, augmented, 0)
    assert changed(before[1], players.discriminator) and not changed(before[0], players.generator)
    assert ("r1" in losses) == ("loss_class" in losses) == (recipe == "modern")
    between = snapshot(players.discriminator)
    losses |= updates.update_generator(players, made, y, augmented)
    assert changed(before[0], players.generator) and not changed(between, players.discriminator)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert all(weight.requires_grad for weight in players.discriminator.parameters())
    for network in (players.generator, players.discriminator):
        assert all(
            weight.dtype == torch.float32 and bool(weight.isfinite().all())
            for weight in network.parameters()
        )


def test_the_penalty_is_taken_at_every_nth_step(tiny_run, dataset):
    config = tiny_run(r1_every=3)
    players = Players(config, 3, CPU, "fp32")
    real, y = dataset.batch(torch.arange(4))
    made = players.make(torch.randn(4, 8), y)
    penalised = [
        "r1" in updates.update_discriminator(players, real, made, y, lambda x: x, step)
        for step in range(7)
    ]
    assert penalised == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("recipe", RECIPES)
def test_in_fp16_the_first_step_overflows_nowhere(tiny_run, datasets, recipe):
    config, data = tiny_run(recipe, batch_size=16), datasets[recipe]
    players = Players(config, 3, CPU, "fp16")
    before = snapshot(players.generator), snapshot(players.discriminator)
    real, y = data.batch(torch.arange(16))
    batch = updates.Batch(real, y, torch.randn(16, 8))
    assert players.make(batch.z, y).dtype == torch.float32  # the last layer's, in full
    updates.train_step(players, batch, lambda x: x, 1)
    assert players.scaler.get_scale() == updates.LOSS_SCALE
    assert changed(before[0], players.generator) and changed(before[1], players.discriminator)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_discriminator_learns_to_tell_noise_from_sounds(tiny_run, datasets, recipe):
    config, data = tiny_run(recipe, batch_size=12), datasets[recipe]
    players = Players(config, 3, CPU, "fp32")
    real, y = data.batch(torch.arange(0, 21, 2))
    losses = []
    for step in range(60):
        made = players.make(torch.randn(11, 8), y)
        found = updates.update_discriminator(players, real, made, y, lambda x: x, step)
        losses.append(float(found["loss_d"]))
    assert losses[-1] < 0.5 * losses[0]


def test_machines_without_a_compiler_do_not_compile(monkeypatch):
    def no_compiler(_):
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    updates.can_compile.cache_clear()
    assert not updates.can_compile(CPU)
    updates.can_compile.cache_clear()


def test_a_cuda_that_is_installed_but_not_there_is_not_warned_of(tmp_path):
    code = "import torch; from helpers.gan.players import can_compile as can\n"
    code += "print(can(torch.device('cpu')))"
    (tmp_path / "nvcc").touch(mode=0o755)
    places = {"CUDA_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | places | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"{updates.can_compile(CPU)}\n" and "CUDA" not in told.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_updates_both_players_and_the_average_if_one_is_kept(tiny_run, datasets, recipe):
    players = Players(tiny_run(recipe), 3, CPU, "fp32")
    real, y = datasets[recipe].batch(torch.arange(4))
    networks = (players.generator, players.discriminator, players.average)
    before = [snapshot(network) for network in networks]
    batch = updates.Batch(real, y, torch.randn(4, 8))
    losses = updates.train_step(players, batch, lambda x: x, 0)
    moved = [changed(old, network) for old, network in zip(before, networks, strict=True)]
    assert moved == [True, True, recipe == "modern"]
    assert {"loss_d", "loss_g"} <= losses.keys()
    assert players.to_listen_to() is (players.average if recipe == "modern" else players.generator)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_next_step_from_saved_tensors_is_the_same(tiny_run, dataset, precision):
    real, y = dataset.batch(torch.arange(4))
    batch = updates.Batch(real, y, torch.randn(4, 8))
    one, other = (Players(tiny_run(seed=seed), 3, CPU, precision) for seed in (0, 1))
    updates.train_step(one, batch, lambda x: x, 0)
    other.load(one.tensors())
    for players in (one, other):
        updates.train_step(players, batch, lambda x: x, 1)
    assert_same(one.tensors(), other.tensors())
