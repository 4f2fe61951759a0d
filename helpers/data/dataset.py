"""Clips to training examples: normalised log-mels, one-hot labels, and what a step sees."""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.config import TrainConfig
from helpers.data.clips import ClipCache
from helpers.data.disk_space import clip_bytes
from helpers.device import copy_to
from helpers.labels import one_hot
from helpers.sound.normalisation import Normaliser, fit_normaliser, move_normaliser

MAX_GPU_SHARE = 0.25  # of a GPU's free memory that the log-mels may take
GROUP = 4  # clips of one class in a balanced batch


class Moved(NamedTuple):
    """The log-mels, labels and statistics that batches are made of, copied to a device."""

    mels: Tensor  # (N, n_mels, n_frames) all log-mels, float16
    labels: Tensor  # (N,)
    normaliser: Normaliser


class TrainAudioSpectrogramDataset(torch.utils.data.Dataset):
    """Normalised log-mels and one-hot labels of one split, "train" or "test", of a cache of clips.

    An item is a spectrogram (1, n_mels, n_frames), normalised to about [-1, 1], and a `label_vec`
    (n_classes,), both float32.

    >>> spectrogram, label_vec = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))[0]
    """

    def __init__(self, cache: ClipCache, normaliser: Normaliser, split: str = "train"):
        self.cache, self.normaliser = cache, normaliser
        self.indices = cache.indices(split)
        self.labels = torch.from_numpy(cache.labels[self.indices])
        self.n_classes = len(cache.classes)
        self.moved: Moved | None = None

    @cached_property
    def members(self) -> list[Tensor]:
        """The items of each class that has any, in the order of the classes."""
        return members_of_classes(self.labels)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        spectrograms, label_vecs = self.batch(torch.tensor([range(len(self))[item]]))
        return spectrograms[0], label_vecs[0]

    def move_to(self, device: torch.device) -> None:
        """Copy all log-mels to a device, where batches are then made.

        If they need more than MAX_GPU_SHARE of a GPU's free memory, they stay on disk.
        """
        n_bytes = len(self) * clip_bytes(self.cache.audio)[1]
        if device.type != "cuda" or n_bytes <= MAX_GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
            mels = torch.from_numpy(self.cache.mels[self.indices]).to(device)
            normaliser = move_normaliser(self.normaliser, device)
            self.moved = Moved(mels, self.labels.to(device), normaliser)

    def batch(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrograms (B, 1, n_mels, n_frames) and label_vecs (B, n_classes) of the items (B,)."""
        labels, normaliser = self.labels, self.normaliser
        if self.moved is not None:
            labels, normaliser = self.moved.labels, self.moved.normaliser
            items = copy_to(items, labels.device)
        spectrograms = normaliser.normalise(self.compressed(items))
        return spectrograms, one_hot(labels[items], self.n_classes)

    def compressed(self, items: Tensor) -> Tensor:
        """Log-mels (B, n_mels, n_frames) of the items (B,), float32, not normalised."""
        if self.moved is not None:
            return self.moved.mels[items.to(self.moved.mels.device)].float()
        return torch.from_numpy(self.cache.mels[self.indices[items.numpy()]].astype(np.float32))


def fit_clip_normaliser(clips: ClipCache) -> Normaliser:
    """Fit the normaliser that the audio configuration names to the training clips."""
    return fit_normaliser(clips.batches("train"), len(clips.classes), clips.audio)


def members_of_classes(labels: Tensor) -> list[Tensor]:
    """The items of each class that has any, of labels (N,), in the order of the classes."""
    return [(labels == label).nonzero()[:, 0] for label in labels.unique()]


def draw_items(dataset, train: TrainConfig, step: int, rng: torch.Generator | None) -> Tensor:
    """Draw the items (batch_size,) that a step sees.

    With `class_balanced`, classes come equally often, in groups of GROUP clips, so that the
    discriminator sees whether the sounds of a class differ. Without, every epoch is a pass over all
    items in a new order, which depends on `train.seed` alone.
    """
    size = train.batch_size
    if not train.class_balanced:
        epoch, position = divmod(step, steps_per_epoch(dataset, train))
        order_rng = torch.Generator().manual_seed(train.seed + epoch)
        order = torch.randperm(len(dataset), generator=order_rng)
        return order[torch.arange(position * size, (position + 1) * size) % len(dataset)]
    classes = dataset.members
    n_groups = math.ceil(size / GROUP)
    n_rounds = math.ceil(n_groups / len(classes))
    rounds = [torch.randperm(len(classes), generator=rng) for _ in range(n_rounds)]
    groups = []
    for index in torch.cat(rounds)[:n_groups]:
        members = classes[index]
        groups.append(members[torch.randint(len(members), (GROUP,), generator=rng)])
    return torch.cat(groups)[:size]


def steps_per_epoch(dataset, train: TrainConfig) -> int:
    """The number of steps that see as many clips as the data set has."""
    return max(1, math.ceil(len(dataset) / train.batch_size))
