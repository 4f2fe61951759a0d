"""Augmentation of real and generated spectrograms alike (DiffAugment, Zhao et al. 2020)."""

import torch
from torch import Tensor

from helpers.gan.processes import n_processes, own_share

TIME_SHIFT_SHARE = 0.125  # of the frames, either way
GAIN_RANGE = 0.1  # added to the normalised log-mel: a level some decibels up or down
CUTOUT_SHARE = 0.25  # of either axis, at most


def augment(x: Tensor, names: tuple, silence: Tensor, generator: torch.Generator) -> Tensor:
    """Apply the named augmentations, drawn anew for each clip; differentiable in x.

    x is (B, 1, n_mels, n_frames), normalised; silence (n_mels,) or (1,) is the normalised value
    that fills gaps; generator draws on the CPU. Raises KeyError if a name is not in AUGMENTATIONS.
    """
    fill = silence.to(x.device, x.dtype).view(1, 1, -1, 1).expand(1, 1, x.shape[2], 1)
    for name in names:
        x = _AUGMENT[name](x, fill, generator)
    return x


def _shift(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Move each clip in time by up to an eighth of its length; what enters is silence."""
    n_clips, _, _, n_frames = x.shape
    longest = max(1, int(TIME_SHIFT_SHARE * n_frames))
    offset = (_draw(n_clips, generator) * (2 * longest + 1)).long() - longest
    source = (torch.arange(n_frames) - offset)[:, None, None, :].to(x.device)  # (B, 1, 1, n_frames)
    inside = (source >= 0) & (source < n_frames)
    return torch.where(inside, x.gather(3, source.clamp(0, n_frames - 1).expand_as(x)), fill)


def _gain(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Raise or lower each clip's level by a constant; what was silence stays silence."""
    change = (_draw(len(x), generator)[:, :, None, None] * 2 - 1) * GAIN_RANGE  # (B, 1, 1, 1)
    return torch.where(x > fill + 1e-3, torch.maximum(x + change.to(x.device, x.dtype), fill), x)


def _cutout(x: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
    """Silence one rectangle of each clip, up to a quarter of either axis."""
    spans = []
    for size in x.shape[2:]:
        length = _draw(len(x), generator) * CUTOUT_SHARE * size
        start = _draw(len(x), generator) * (size - length)
        position = torch.arange(size)
        spans.append(((position >= start) & (position < start + length)).to(x.device))  # (B, size)
    rows, columns = spans
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], fill, x)


def _draw(n_clips: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers (n_clips, 1) in [0, 1): this process's share of those drawn for all."""
    return own_share(torch.rand((n_clips * n_processes(), 1), generator=generator))


_AUGMENT = {"shift": _shift, "gain": _gain, "cutout": _cutout}
