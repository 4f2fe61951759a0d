"""Augmentation of real and generated spectrograms alike (DiffAugment, Zhao et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.device import copy_to
from helpers.gan.processes import n_processes, own_share

TIME_SHIFT_SHARE = 0.125  # of the frames, either way
GAIN_RANGE = 0.1  # added to the normalised log-mel: a level some decibels up or down
CUTOUT_SHARE = 0.25  # of either axis, at most


def augment(x: Tensor, names: Sequence[str], silence: Tensor, generator: torch.Generator) -> Tensor:
    """Apply the named augmentations, drawn anew for each clip; differentiable in x.

    x is (B, 1, n_mels, n_frames), normalised; silence (n_mels,) or (1,) is the normalised value
    that fills gaps; generator draws on the CPU. Raises KeyError if a name is not in AUGMENTATIONS.
    """
    augmented = Augmenter(names, silence, generator, x.device)
    augmented.draw(1, len(x))
    return augmented(x)


class Augmenter:
    """`augment` for the many batches of training, with random numbers drawn ahead.

    `draw` draws for all batches of a step, and copies the numbers to the device at once. Each call
    then augments one of these batches.
    """

    def __init__(
        self,
        names: Sequence[str],
        silence: Tensor,
        generator: torch.Generator,
        device: torch.device,
    ):
        self.parts = [_PARTS[name] for name in names]
        self.fill = silence.to(device).view(1, 1, -1, 1)
        self.generator, self.device = generator, device
        self.drawn: list[Tensor] = []

    def draw(self, n_batches: int, n_clips: int) -> None:
        """Draw for the next n_batches of n_clips each: this process's share of all clips."""
        n_numbers = sum(n for _, n in self.parts)
        size = (n_batches * n_numbers, n_clips * n_processes())
        numbers = own_share(torch.rand(size, generator=self.generator).T).T
        self.drawn = list(copy_to(numbers, self.device).unflatten(0, (n_batches, n_numbers)))

    def __call__(self, x: Tensor) -> Tensor:
        """Augment the next batch (B, 1, n_mels, n_frames). Raises IndexError if none is drawn."""
        numbers = iter(self.drawn.pop(0).unsqueeze(2))  # (B, 1) each, in [0, 1)
        fill = self.fill.to(x.dtype).expand(1, 1, x.shape[2], 1)
        for part, n in self.parts:
            x = part(x, fill, *(next(numbers) for _ in range(n)))
        return x


def _shift(x: Tensor, fill: Tensor, where: Tensor) -> Tensor:
    """Move each clip in time by up to an eighth of its length; what enters is silence."""
    n_frames = x.shape[3]
    longest = max(1, int(TIME_SHIFT_SHARE * n_frames))
    offset = (where * (2 * longest + 1)).long() - longest
    frames = torch.arange(n_frames, device=x.device)
    source = (frames - offset)[:, None, None, :]  # (B, 1, 1, n_frames)
    inside = (source >= 0) & (source < n_frames)
    return torch.where(inside, x.gather(3, source.clamp(0, n_frames - 1).expand_as(x)), fill)


def _gain(x: Tensor, fill: Tensor, level: Tensor) -> Tensor:
    """Raise or lower each clip's level by a constant; what was silence stays silence."""
    change = (level[:, :, None, None] * 2 - 1) * GAIN_RANGE  # (B, 1, 1, 1)
    return torch.where(x > fill + 1e-3, torch.maximum(x + change.to(x.dtype), fill), x)


def _cutout(x: Tensor, fill: Tensor, height: Tensor, top: Tensor, width: Tensor, left: Tensor):
    """Silence one rectangle of each clip, up to a quarter of either axis."""
    rows = _span(height, top, x.shape[2])
    columns = _span(width, left, x.shape[3])
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], fill, x)


def _span(share: Tensor, where: Tensor, size: int) -> Tensor:
    """Which of `size` places (B, size) lie in a span of random length and place."""
    length = share * CUTOUT_SHARE * size
    start = where * (size - length)
    position = torch.arange(size, device=share.device)
    return (position >= start) & (position < start + length)


# each with the random numbers a clip that it needs
_PARTS = {"shift": (_shift, 1), "gain": (_gain, 1), "cutout": (_cutout, 4)}
