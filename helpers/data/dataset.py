"""From class folders to training examples: features computed once, `TrainAudioSpectrogramDataset`."""

import math

import numpy as np
import torch
from torch import Tensor

from helpers.config import TrainConfig
from helpers.data.clips import ClipCache
from helpers.data.disk_space import bytes_per_clip
from helpers.labels import one_hot
from helpers.sound.normalisation import Normaliser, fit_normaliser

HELD_SHARE = 0.25


class TrainAudioSpectrogramDataset(torch.utils.data.Dataset):
    """Normalised log-mels and one-hot labels of one split, read from the cache.

    An item is a spectrogram (1, n_mels, n_frames) and a `label_vec` (n_classes,), both float32.
    """

    def __init__(self, cache: ClipCache, normaliser: Normaliser, split: str = "train"):
        self.cache, self.normaliser = cache, normaliser
        self.indices = cache.indices(split)
        self.labels = torch.from_numpy(cache.labels[self.indices])
        self.n_classes = len(cache.classes)
        self.held: Tensor | None = (
            None  # all features (N, n_mels, n_frames) float16, on the device of the batches
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        spectrograms, label_vecs = self.batch(torch.tensor([range(len(self))[item]]))
        return spectrograms[0], label_vecs[0]

    def hold_on(self, device: torch.device) -> None:
        """Keep all features on a device, so that batches are made there and none is copied.

        Of a GPU they may take HELD_SHARE of the memory that is free; if they are more, they stay where they are.
        """
        n_bytes = len(self) * bytes_per_clip(self.cache.audio)
        if device.type != "cuda" or n_bytes <= HELD_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.held = torch.from_numpy(self.cache.features[self.indices]).to(device)

    def batch(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrograms (B, 1, n_mels, n_frames) and one-hot labels (B, n_classes) of the items (B,)."""
        normalised = self.normaliser.normalise(self.compressed(items))
        return normalised, one_hot(self.labels[items], self.n_classes).to(normalised.device)

    def compressed(self, items: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) of the items (B,), not normalised."""
        if self.held is not None:
            return self.held[items.to(self.held.device)].float()
        return torch.from_numpy(self.cache.features[self.indices[items.numpy()]].astype(np.float32))


def fit_to(cache: ClipCache) -> Normaliser:
    """The normaliser of the cache's audio configuration, fitted to its training clips."""
    return fit_normaliser(cache.batches("train"), len(cache.classes), cache.audio)


GROUP = 4  # clips of one class in a balanced batch


def draw_items(dataset, train: TrainConfig, step: int, rng: torch.Generator) -> Tensor:
    """Which items (batch_size,) a step sees: groups of a class, classes equally often, or a shuffled pass over all.

    Groups let the discriminator see whether the sounds of a class differ.
    """
    size = train.batch_size
    if train.class_balanced:
        n_groups = math.ceil(size / GROUP)
        present = dataset.labels.unique()
        rounds = [
            torch.randperm(len(present), generator=rng)
            for _ in range(math.ceil(n_groups / len(present)))
        ]
        members = [
            (dataset.labels == label).nonzero()[:, 0]
            for label in present[torch.cat(rounds)[:n_groups]]
        ]
        return torch.cat(
            [own[torch.randint(len(own), (GROUP,), generator=rng)] for own in members]
        )[:size]
    per_epoch = steps_per_epoch(dataset, train)
    epoch, position = divmod(step, per_epoch)
    shuffled = torch.randperm(
        len(dataset), generator=torch.Generator().manual_seed(train.seed + epoch)
    )
    return shuffled.repeat(math.ceil(per_epoch * size / len(dataset)))[
        position * size : (position + 1) * size
    ]


def steps_per_epoch(dataset, train: TrainConfig) -> int:
    """Steps in which as many clips are seen as the data set has."""
    return max(1, math.ceil(len(dataset) / train.batch_size))
