"""Losses against their closed forms."""

import math

import pytest
import torch

from helpers.gan.losses import class_loss, discriminator_loss, generator_loss, r1_penalty


def test_undecided_players_lose_log_2_each():
    zeros = torch.zeros(5)
    assert float(discriminator_loss(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(zeros)) == pytest.approx(math.log(2))


def test_losses_are_the_cross_entropies_of_their_labels():
    real, fake = torch.randn(7), torch.randn(7)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones(7)) + entropy(fake, torch.zeros(7))
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), entropy(fake, torch.ones(7)))


def test_the_generator_still_learns_when_it_is_found_out():
    logit = torch.tensor([-20.0], requires_grad=True)
    generator_loss(logit).backward()
    assert float(logit.grad) == pytest.approx(-1)  # minimax would give e^-20


def test_large_logits_give_finite_losses_in_half_precision():
    huge = torch.tensor([60_000.0], dtype=torch.float16)
    assert float(discriminator_loss(-huge, huge)) == pytest.approx(120_000, rel=1e-2)
    assert float(discriminator_loss(huge, -huge)) == 0 == float(generator_loss(huge))


def test_a_class_that_is_named_rightly_costs_little_and_a_guess_the_logarithm_of_their_number():
    y = torch.eye(4)
    assert float(class_loss(50 * y, y)) == pytest.approx(0, abs=1e-6)
    assert float(class_loss(torch.zeros(4, 4), y)) == pytest.approx(math.log(4))


def test_r1_of_a_linear_function_is_half_its_squared_slope():
    slope = torch.randn(1, 4, 6)
    real = torch.randn(3, 1, 4, 6, requires_grad=True)
    logits = (real * slope).sum(dim=(1, 2, 3))
    torch.testing.assert_close(r1_penalty(logits, real), 0.5 * slope.square().sum())


def test_r1_is_a_mean_over_clips_and_can_be_learned_from():
    scale = torch.tensor(3.0, requires_grad=True)
    real = torch.full((2, 1, 1, 1), 2.0)
    real[1] = 5.0
    real.requires_grad_()
    penalty = r1_penalty((scale * real.square() / 2).flatten(), real)  # slope: scale · x
    assert float(penalty) == pytest.approx(0.5 * 9 * (4 + 25) / 2)
    penalty.backward()
    assert float(scale.grad) == pytest.approx(3 * (4 + 25) / 2)
