"""Wider networks: what was learned stays by the names of the classes, to the last bit."""

import dataclasses

import pytest
import torch

from helpers.config import ModelConfig
from helpers.gan.players import NETWORKS, OPTIMISERS, Batch, Players, train_step
from helpers.gan.widen import NOISE, widen
from helpers.labels import one_hot

BEFORE, NOW = ("drum", "rain"), ("cat", "drum", "kick", "rain")
OLD, NEW = [1, 3], [0, 2]  # places among those of now
SPECTRAL = ModelConfig("baseline", z_dim=8, spectral_norm=True)


@pytest.fixture(scope="module", params=["modern", "baseline", "spectral norm"])
def config(request, tiny_run):
    if request.param == "spectral norm":
        return dataclasses.replace(tiny_run("baseline"), model=SPECTRAL)
    return tiny_run(request.param)


def take_step(players: Players, config, n_classes: int, step: int) -> dict:
    """One update, with noise in the place of clips."""
    rng, audio = torch.Generator().manual_seed(step), config.audio
    real = torch.randn((8, 1, audio.n_mels, audio.n_frames), generator=rng)
    z = torch.randn((8, config.model.z_dim), generator=rng)
    batch = Batch(real, one_hot(torch.arange(8) % n_classes, n_classes), z)
    return train_step(players, batch, lambda x: x, step)


@pytest.fixture(scope="module")
def both(config):
    """Players of two classes after two steps, and those of four that go on from there."""
    old, new = (Players(config, len(names), torch.device("cpu"), "fp32") for names in (BEFORE, NOW))
    for step in range(2):
        take_step(old, config, 2, step)
    new.load(widen(old.tensors(), config, BEFORE, NOW))
    return old, new


def wider_tensors(old: dict, new: dict):
    """The name of each tensor that is wider, and what it was and is, its classes' axis in front."""
    for name, value in old.items():
        if value.shape != new[name].shape:
            (axis,) = [a for a, size in enumerate(value.shape) if size != new[name].shape[a]]
            yield name, value.movedim(axis, 0), new[name].movedim(axis, 0)


def test_old_classes_sound_as_before(both, config):
    z, labels = torch.randn((6, config.model.z_dim)), torch.tensor([0, 1] * 3)
    for network in ("generator", "average"):
        old, new = (getattr(players, network).eval() for players in both)
        one, other = old(z, one_hot(labels, 2)), new(z, one_hot(torch.tensor(OLD)[labels], 4))
        # baseline: a wider product of matrices may be added up in another order
        rounding = 0 if config.model.recipe == "modern" else 1e-6
        torch.testing.assert_close(one, other, rtol=0, atol=rounding)


def test_what_was_learned_stays_by_name_bit_for_bit(both):
    old, new = (players.tensors() for players in both)
    assert old.keys() == new.keys()
    wider = {name: values for name, *values in wider_tensors(old, new)}
    assert {name.split(".")[0] for name in wider} == {*NETWORKS, *OPTIMISERS}
    for name, (before, now) in wider.items():
        assert torch.equal(before[:-2], now[:-4]), f"{name}: what belongs to no class"
        assert torch.equal(before[-2:], now[-4:][OLD]), name
    for name in old.keys() - wider.keys():
        assert torch.equal(old[name], new[name]), name


def test_new_classes_begin_as_a_mixture_of_the_old_ones(both):
    for name, before, now in wider_tensors(*(players.tensors() for players in both)):
        old, new = before[-2:], now[-4:][NEW]
        mean = old.mean(dim=0)
        if name.endswith("exp_avg_sq"):  # first steps are as large as those of the old ones
            assert torch.equal(new[0], mean) and torch.equal(new[1], mean)
        elif name.endswith(("exp_avg", "_v")):  # _v: spectral norm finds it in the next step
            assert not new.any()
        else:
            assert not torch.equal(new[0], new[1])
            far = (new - mean).square().mean().sqrt() / old.square().mean().sqrt()
            assert 0 < far < 4 * NOISE, name


def test_the_same_seed_gives_the_same_and_the_average_begins_with_the_generator(both, config):
    old, new = (players.tensors() for players in both)
    again = widen(old, config, BEFORE, NOW)
    assert all(torch.equal(value, again[name]) for name, value in new.items())
    same = old | {name: old[name.replace("average", "generator")] for name in old}
    for name, value in widen(same, config, BEFORE, NOW).items():
        if name.startswith("average."):
            assert torch.equal(value, new[name.replace("average", "generator")])


def test_classes_in_another_order_are_found_by_name(both, config):
    old, new = (players.tensors() for players in both)
    turned = widen(old, config, BEFORE, BEFORE[::-1])
    for name, before, _ in wider_tensors(old, new):
        (axis,) = [a for a, size in enumerate(old[name].shape) if size != new[name].shape[a]]
        assert torch.equal(turned[name].movedim(axis, 0)[-2:], before[-2:].flip(0)), name


def test_wider_players_learn(both, config):
    before = both[1].tensors()
    losses = take_step(both[1], config, 4, 2)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    for name, *_ in wider_tensors(both[0].tensors(), before):
        if config.train.ema_half_life_images or not name.startswith("average."):
            assert not torch.equal(before[name], both[1].tensors()[name]), name
    both[1].load(before)


def test_tensors_of_other_networks_are_refused(both, config):
    tensors = both[0].tensors()
    name = next(name for name, *_ in wider_tensors(tensors, both[1].tensors()))
    for other in (torch.zeros(1), torch.zeros(1, 1)):
        with pytest.raises(ValueError, match="has no entry for each of 2"):
            widen(tensors | {name: other}, config, BEFORE, NOW)
