"""Make a trained run's networks and optimisers wider, for classes that they do not know yet.

Classes are found by name: where a new name comes between others, the numbers of these change.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from helpers.config import RunConfig
from helpers.gan.networks import make_discriminator, make_generator

NOISE = 0.1  # of the known classes' root mean square: new classes differ from the first step on

Fill = Callable[[Tensor, int, int, int], Tensor]


def widen(
    tensors: dict[str, Tensor], config: RunConfig, before: Sequence[str], now: Sequence[str]
) -> dict[str, Tensor]:
    """Widen the tensors of `Players.tensors` from the classes `before` to the classes `now`.

    `now` holds all names of `before`, in any order. Their weights and Adam's averages stay as they
    are, bit for bit. The weights of a new class are the mean of the known ones, with a little
    noise: the networks are used to numbers of that size, and the new class begins as a mixture of
    the others. Its averages of squared gradients are the mean of the known ones, so that its first
    steps are no larger than theirs; its averages of gradients are 0. The same seed gives the same
    numbers, in every process. Raises ValueError for tensors of other networks.
    """
    widened = dict(tensors)
    for name, (axis, fill) in _tensors_of_classes(config).items():
        if name in tensors:  # a weight that never had a gradient has no averages
            widened[name] = _insert(tensors[name], axis, fill, before, now, config.train.seed)
    return widened


def _tensors_of_classes(config: RunConfig) -> dict[str, tuple[int, Fill]]:
    """The axis of the classes in each tensor of `Players` that has one, and how it is filled."""
    found = {}
    for make, optimiser, names in (
        (make_generator, "optimiser_g", ("generator", "average")),
        (make_discriminator, "optimiser_d", ("discriminator",)),
    ):
        with torch.device("meta"):  # takes no memory
            one, two = (make(config.model, config.audio, n) for n in (1, 2))
        weights = [name for name, _ in one.named_parameters()]
        for name, axis in _longer_axes(one.state_dict(), two.state_dict()).items():
            # what is no weight belongs to spectral norm, which with 0 is what it was
            fill = _near_the_mean if name in weights else _zeros
            found |= {f"{network}.{name}": (axis, fill) for network in names}
            if name in weights:
                averages = f"{optimiser}.{weights.index(name)}"
                found[f"{averages}.exp_avg"] = axis, _zeros
                found[f"{averages}.exp_avg_sq"] = axis, _mean
    return found


def _longer_axes(short: dict[str, Tensor], long: dict[str, Tensor]) -> dict[str, int]:
    """The axis on which the second tensor of a name is longer, where one is."""
    return {
        name: axis
        for name, value in short.items()
        for axis, size in enumerate(value.shape)
        if size < long[name].shape[axis]
    }


def _insert(
    x: Tensor, axis: int, fill: Fill, before: Sequence[str], now: Sequence[str], seed: int
) -> Tensor:
    """x with an entry on an axis for each class of `now`, behind those that are of no class."""
    if x.dim() <= axis or x.shape[axis] < len(before):
        raise ValueError(f"a tensor of {tuple(x.shape)} has no entry for each of {len(before)}")
    others, known = x.split([x.shape[axis] - len(before), len(before)], dim=axis)
    known_names = set(before)
    new_names = [name for name in now if name not in known_names]
    entries = dict(zip(before, known.unbind(axis), strict=True))
    new = fill(known, axis, len(new_names), seed)
    entries |= zip(new_names, new.unbind(axis), strict=True)
    return torch.cat([others, torch.stack([entries[name] for name in now], dim=axis)], dim=axis)


def _near_the_mean(known: Tensor, axis: int, n: int, seed: int) -> Tensor:
    mean = _mean(known, axis, n, seed)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    return mean + NOISE * known.square().mean().sqrt() * noise


def _mean(known: Tensor, axis: int, n: int, seed: int) -> Tensor:
    return known.mean(dim=axis, keepdim=True).repeat_interleave(n, dim=axis)


def _zeros(known: Tensor, axis: int, n: int, seed: int) -> Tensor:
    return torch.zeros_like(_mean(known, axis, n, seed))
