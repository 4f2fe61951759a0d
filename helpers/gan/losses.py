"""Adversarial losses and penalties: pure functions of tensors, each returns a scalar."""

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy of logits (B,), real as 1, fake as 0 (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss: binary cross-entropy of the logits (B,) of fakes against 1."""
    return F.softplus(-fake_logits.float()).mean()


def class_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits against one-hot y, both (B, n_classes) (Odena et al. 2017)."""
    return F.cross_entropy(class_logits.float(), y)


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Half the mean squared norm of the gradient at real clips (Mescheder et al. 2018, eq. 9).

    The paper's gamma is left to the caller. real_logits (B,) must come from `real` (B, 1, H, W),
    which requires grad.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()
