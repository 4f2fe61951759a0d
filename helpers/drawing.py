"""Which clips a training step sees."""

import math

import torch
from torch import Tensor

from helpers.config import TrainConfig

GROUP = 4  # clips of one class in a balanced batch


def draw_items(dataset, train: TrainConfig, step: int, rng: torch.Generator) -> Tensor:
    """Which items (batch_size,) a step sees: groups of a class, classes equally often, or a shuffled pass over all.

    Groups let the discriminator see whether the sounds of a class differ.
    """
    size = train.batch_size
    if train.class_balanced:
        n_groups = math.ceil(size / GROUP)
        present = dataset.labels.unique()
        rounds = [torch.randperm(len(present), generator=rng) for _ in range(math.ceil(n_groups / len(present)))]
        members = [(dataset.labels == label).nonzero()[:, 0] for label in present[torch.cat(rounds)[:n_groups]]]
        return torch.cat([own[torch.randint(len(own), (GROUP,), generator=rng)] for own in members])[:size]
    per_epoch = steps_per_epoch(dataset, train)
    epoch, position = divmod(step, per_epoch)
    shuffled = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(train.seed + epoch))
    return shuffled.repeat(math.ceil(per_epoch * size / len(dataset)))[position * size : (position + 1) * size]


def steps_per_epoch(dataset, train: TrainConfig) -> int:
    """Steps in which as many clips are seen as the data set has."""
    return max(1, math.ceil(len(dataset) / train.batch_size))
