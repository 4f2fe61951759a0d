"""Adversarial losses and penalties, pure functions of tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy with real as 1 and fake as 0, of logits (B,); a scalar (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating: binary cross-entropy of fakes against 1, of logits (B,); a scalar."""
    return F.softplus(-fake_logits.float()).mean()


def class_loss(class_logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (B, n_classes) against one-hot labels (B, n_classes); a scalar (Odena et al. 2017)."""
    return F.cross_entropy(class_logits.float(), y)


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Half the mean squared gradient norm at real samples (Mescheder et al. 2018, eq. 9, without its gamma).

    real_logits (B,) must come from `real` (B, 1, H, W), which requires grad.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()
