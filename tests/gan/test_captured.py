"""Captured steps: what they read and leave is that of plain steps, whoever repeats them.

A graph needs a GPU. Here the function that would be captured is called instead of replayed.
"""

import pytest
import torch

from helpers.config import RECIPES
from helpers.gan import captured
from helpers.gan.augment import Augmenter
from helpers.gan.captured import CapturedStep
from helpers.gan.players import Players, n_augmented, train_step
from helpers.train.loop import draw_batch

CPU = torch.device("cpu")


@pytest.fixture
def trained(tiny_run, datasets):
    """A function: the players and the losses after some steps that a function takes."""

    def train(take_step, recipe="modern", n_steps=7):
        config, data = tiny_run(recipe, r1_every=3), datasets[recipe]
        players, rng = Players(config, 3, CPU, "fp32"), torch.Generator().manual_seed(0)
        silence, losses = data.normaliser.silence(), []
        augmented = Augmenter(config.train.augmentations, silence, rng, CPU)
        for step in range(n_steps):
            batch = draw_batch(data, config, step, rng, CPU)
            augmented.draw(n_augmented(config.train, step), len(batch.y))
            losses.append(take_step(players, batch, augmented, step))
        return players.tensors(), losses

    return train


@pytest.mark.parametrize("recipe", RECIPES)
def test_repeated_steps_are_plain_steps_bit_for_bit(trained, monkeypatch, recipe):
    made = []

    def repeat(run):
        made.append(run)
        return run

    monkeypatch.setattr(captured, "capture_graph", repeat)
    tensors, losses = trained(CapturedStep(), recipe)
    plain, plain_losses = trained(train_step, recipe)
    assert len(made) == (2 if recipe == "modern" else 1)  # with and without the penalty
    assert tensors.keys() == plain.keys()
    assert [name for name in plain if not torch.equal(tensors[name], plain[name])] == []
    assert losses == plain_losses


def test_where_capturing_fails_plain_steps_go_on_and_it_is_said_once(trained, monkeypatch, capsys):
    captured_step, seen = CapturedStep(), []

    def take_step(players, *arguments):
        seen.append(players)
        return captured_step(players, *arguments)

    def no_graph(_):
        seen[-1].discriminator.requires_grad_(False)  # as in the midst of the generator's part
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(captured, "capture_graph", no_graph)
    tensors, _ = trained(take_step)
    plain, _ = trained(train_step)
    assert [name for name in plain if not torch.equal(tensors[name], plain[name])] == []
    assert capsys.readouterr().out == (
        "the step could not be captured (operation not permitted when stream is capturing): "
        "training goes on without, slower\n"
    )


def test_a_graph_with_other_losses_is_not_used(trained, monkeypatch, capsys):
    def wrong(run):
        return lambda: {name: loss + 1 for name, loss in run().items()}

    monkeypatch.setattr(captured, "capture_graph", wrong)
    tensors, _ = trained(CapturedStep())
    plain, _ = trained(train_step)
    assert [name for name in plain if not torch.equal(tensors[name], plain[name])] == []
    assert "could not be captured (captured, loss_d is" in capsys.readouterr().out


def test_networks_that_cannot_be_compiled_are_captured_as_they_are(trained, monkeypatch, capsys):
    """The failure comes in the generator's part of a step, when the discriminator has moved."""
    captured_step, made = CapturedStep(), []

    def repeat(run):
        made.append(run)
        return run

    def take_step(players, *arguments):
        if not made and not players.compiled:
            discriminate, calls = players.discriminate, []

            def fail_later(*batch):
                calls.append(batch)
                if len(calls) % 2 == 0:
                    raise RuntimeError("no kernel\nand more")
                return discriminate(*batch)

            players.compiled, players.discriminate = True, fail_later
        return captured_step(players, *arguments)

    monkeypatch.setattr(captured, "capture_graph", repeat)
    tensors, losses = trained(take_step)
    plain, plain_losses = trained(train_step)
    assert len(made) == 2 and losses == plain_losses
    assert [name for name in plain if not torch.equal(tensors[name], plain[name])] == []
    assert capsys.readouterr().out == "the networks are not compiled (no kernel)\n"
