"""Adversarial losses and penalties, pure functions of tensors."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, relativistic: bool = False) -> Tensor:
    """Binary cross-entropy with real as 1 and fake as 0, of logits (B,); a scalar (Goodfellow et al. 2014, eq. 1).

    relativistic: of each pair's difference instead, pairs being of one class (R3GAN, Huang et al. 2024, eq. 2).
    """
    if relativistic:
        return F.softplus(fake_logits.float() - real_logits.float()).mean()
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def undecided_loss(relativistic: bool) -> float:
    """The loss of a discriminator that cannot tell real from made."""
    return math.log(2) * (1 if relativistic else 2)


def generator_loss(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """Non-saturating: binary cross-entropy of fakes against 1, of logits (B,); a scalar.

    With real_logits (B,) relativistic: of each pair's difference.
    """
    logits = fake_logits.float()
    return F.softplus(-logits if real_logits is None else real_logits.float() - logits).mean()


def class_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (B, n_classes) against one-hot labels (B, n_classes); a scalar (Odena et al. 2017)."""
    return F.cross_entropy(class_logits.float(), y)


def gradient_penalty(logits: Tensor, x: Tensor) -> Tensor:
    """Half the mean squared gradient norm: R1 at real samples, R2 at fake ones (Mescheder et al. 2018, eqs. 9, 10).

    Without its gamma. logits (B,) must come from x (B, 1, H, W), which requires grad.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()
