"""Compressed mels to the numbers that networks see, and back: statistics of a data set or of a clip."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.config import AudioConfig, ConfigError

PER_BIN_STD_RANGE = (
    3.0  # mean ± 3 standard deviations become [-1, 1] (SpecGAN, Donahue et al. 2019, sec. 3.2)
)
LARGEST_STATISTIC = (
    50  # of compressed mels, which are logarithms; its exponential is still a number
)
SMALLEST_STD_SHARE = (
    0.1  # of the largest: a band that is nearly always silent is not blown up to noise
)


@dataclass(frozen=True)
class PerBinNormaliser:
    """Each mel bin by its mean and standard deviation over the training clips (SpecGAN, not clipped)."""

    mean: Tensor  # (n_mels,)
    std: Tensor  # (n_mels,)
    loudest: Tensor  # (n_mels,) of all training clips
    floor_value: float

    @classmethod
    def fit(cls, batches: Iterable[tuple[Tensor, Tensor]], n_classes: int, audio: AudioConfig):
        """Statistics of batches of compressed mels (B, n_mels, n_frames) and their labels (B,)."""
        count, total, total_square = (
            0,
            torch.zeros(audio.n_mels).double(),
            torch.zeros(audio.n_mels).double(),
        )
        loudest = torch.full((audio.n_mels,), audio.floor_value)
        for compressed, _ in batches:
            loudest = torch.maximum(loudest, compressed.amax(dim=(0, 2)))
            count += compressed.shape[0] * compressed.shape[2]
            total += compressed.double().sum(dim=(0, 2))
            total_square += compressed.double().square().sum(dim=(0, 2))
        mean = total / count
        std = (total_square / count - mean.square()).clamp_min(0).sqrt()
        std = std.clamp_min(max(SMALLEST_STD_SHARE * float(std.max()), 1e-3))
        return cls(mean.float(), std.float(), loudest, audio.floor_value)

    def normalise(self, compressed: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) to about [-1, 1], (B, 1, n_mels, n_frames)."""
        mean, scale = self._mean_and_scale(compressed)
        return ((compressed - mean) / scale).unsqueeze(1)  # (B, 1, n_mels, n_frames)

    def denormalise(self, normalised: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, n_mels, n_frames) to compressed mels (B, n_mels, n_frames), from silence to the loudest ever heard.

        Without the upper bound one stray value, exponentiated, drowns a sound or is no number at all.
        """
        mean, scale = self._mean_and_scale(normalised)
        compressed = (normalised.squeeze(1) * scale + mean).clamp_min(self.floor_value)
        return torch.minimum(compressed, self.loudest.to(compressed.device)[:, None])

    def silence(self) -> Tensor:
        """What silence is in each normalised bin, (n_mels,)."""
        return (self.floor_value - self.mean) / (self.std * PER_BIN_STD_RANGE)

    def tensors(self) -> dict[str, Tensor]:
        """What must be saved to build this again with `load_normaliser`."""
        return {"mean": self.mean, "std": self.std, "loudest": self.loudest}

    def _mean_and_scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.mean.to(like.device), self.std.to(like.device)
        return mean[:, None], std[:, None] * PER_BIN_STD_RANGE  # each (n_mels, 1)


@dataclass(frozen=True)
class PerClipNormaliser:
    """Each clip by its own range to [-1, 1]; a generated clip gets its class's mean range back."""

    low: Tensor  # (n_classes,) mean over the training clips of a class of a clip's minimum
    high: Tensor  # (n_classes,)

    @classmethod
    def fit(cls, batches: Iterable[tuple[Tensor, Tensor]], n_classes: int, audio: AudioConfig):
        """Mean range of each class over batches of compressed mels (B, n_mels, n_frames) and labels (B,)."""
        low, high, count = torch.zeros(n_classes), torch.zeros(n_classes), torch.zeros(n_classes)
        for compressed, labels in batches:
            low.index_add_(0, labels, compressed.amin(dim=(1, 2)))
            high.index_add_(0, labels, compressed.amax(dim=(1, 2)))
            count.index_add_(0, labels, torch.ones(len(labels)))
        return cls(low / count.clamp_min(1), high / count.clamp_min(1))

    def normalise(self, compressed: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) to [-1, 1], (B, 1, n_mels, n_frames); a constant clip to -1."""
        low, high = (
            compressed.amin(dim=(1, 2), keepdim=True),
            compressed.amax(dim=(1, 2), keepdim=True),
        )
        return (2 * (compressed - low) / (high - low).clamp_min(1e-6) - 1).unsqueeze(1)

    def denormalise(self, normalised: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, n_mels, n_frames) and labels (B,) to compressed mels (B, n_mels, n_frames)."""
        low = self.low.to(normalised.device)[labels][:, None, None]  # (B, 1, 1)
        high = self.high.to(normalised.device)[labels][:, None, None]
        return (normalised.squeeze(1) + 1) / 2 * (high - low) + low

    def silence(self) -> Tensor:
        """What silence is in a normalised clip, (1,)."""
        return torch.full((1,), -1.0)

    def tensors(self) -> dict[str, Tensor]:
        """What must be saved to build this again with `load_normaliser`."""
        return {"low": self.low, "high": self.high}


Normaliser = PerBinNormaliser | PerClipNormaliser


def fit_normaliser(
    batches: Iterable[tuple[Tensor, Tensor]], n_classes: int, audio: AudioConfig
) -> Normaliser:
    """The normaliser that the audio configuration names, fitted to compressed mels and labels."""
    kind = PerBinNormaliser if audio.normalisation == "per_bin" else PerClipNormaliser
    return kind.fit(batches, n_classes, audio)


def load_normaliser(tensors: dict[str, Tensor], audio: AudioConfig, n_classes: int) -> Normaliser:
    """The normaliser whose `tensors()` these are; ConfigError if they are no statistics of n_classes classes."""
    per_bin = audio.normalisation == "per_bin"
    names, size = (
        (("mean", "std", "loudest"), audio.n_mels) if per_bin else (("low", "high"), n_classes)
    )
    for name in names:
        value = tensors[name]
        if (
            value.shape != (size,)
            or value.dtype != torch.float32
            or not (value.abs() <= LARGEST_STATISTIC).all()
        ):
            raise ConfigError(
                f"the statistics {name} must be {size} numbers of 32 bits, none beyond {LARGEST_STATISTIC}"
            )
    if per_bin and not (tensors["std"] > 0).all():
        raise ConfigError("the statistics std must be greater than 0")
    if per_bin:
        return PerBinNormaliser(*(tensors[name] for name in names), audio.floor_value)
    return PerClipNormaliser(*(tensors[name] for name in names))
