"""Augmentation of real and generated spectrograms alike (DiffAugment, Zhao et al. 2020); silence fills."""

import torch
from torch import Tensor

from helpers.config import AUGMENTATIONS
from helpers.gan.processes import n_processes, own_share

TIME_SHIFT_SHARE = 0.125  # of the frames, either way
GAIN_RANGE = 0.1  # added to the normalised log-mel: a level some decibels up or down
CUTOUT_SHARE = 0.25  # of either axis, at most


def augment(
    x: Tensor, names: tuple[str, ...], silence: Tensor, generator: torch.Generator
) -> Tensor:
    """Apply the named augmentations, each clip its own draw; differentiable in x.

    x (B, 1, n_mels, n_frames); silence (n_mels,) or (1,): the normalised value that fills what is emptied;
    generator draws on the CPU. Names are keys of AUGMENTATIONS; others raise KeyError.
    """
    fill = silence.to(x.device, x.dtype).view(1, 1, -1, 1).expand(1, 1, x.shape[2], 1)
    for name in names:
        x = AUGMENT[name](x, fill, generator)
    return x


def shift(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Move each clip in time by up to an eighth of its length; what enters is silence."""
    n_clips, _, _, n_frames = x.shape
    longest = max(1, int(TIME_SHIFT_SHARE * n_frames))
    offset = (_draw(n_clips, generator) * (2 * longest + 1)).long() - longest
    source = torch.arange(n_frames)[None, :] - offset  # (B, n_frames)
    inside = ((source >= 0) & (source < n_frames)).to(x.device)[:, None, None, :]
    index = source.clamp(0, n_frames - 1).to(x.device)[:, None, None, :].expand_as(x)
    return torch.where(inside, x.gather(3, index), fill)


def gain(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Raise or lower each clip's level by a constant; what was silence stays silence."""
    change = (_draw(len(x), generator)[:, :, None, None] * 2 - 1) * GAIN_RANGE
    return torch.where(x > fill + 1e-3, torch.maximum(x + change.to(x.device, x.dtype), fill), x)


def cutout(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Silence one rectangle of each clip, up to a quarter of either axis."""
    inside = torch.ones(1, dtype=torch.bool, device=x.device)
    for axis in (2, 3):
        size = x.shape[axis]
        length = _draw(len(x), generator) * CUTOUT_SHARE * size
        start = _draw(len(x), generator) * (size - length)
        position = torch.arange(size)[None, :]
        span = ((position >= start) & (position < start + length)).to(x.device)  # (B, size)
        inside = inside & (span[:, None, :, None] if axis == 2 else span[:, None, None, :])
    return torch.where(inside, fill, x)


AUGMENT = dict(zip(AUGMENTATIONS, (shift, gain, cutout), strict=True))


def _draw(n_clips: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers (n_clips, 1) in [0, 1) for a process's clips; the generator moves on as for those of all."""
    return own_share(torch.rand((n_clips * n_processes(), 1), generator=generator))
