"""Log-mels to the numbers that networks see, and back, by statistics of a data set or of a clip."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.config import AudioConfig, ConfigError

STDS_PER_UNIT = 3.0  # mean ± 3 std become [-1, 1] (SpecGAN, Donahue et al. 2019, sec. 3.2)
MAX_STATISTIC = 50  # of log-mels: the exponential of 50 is still a number in 32 bits
MIN_STD_SHARE = 0.1  # of the largest std, so that a nearly silent band is not blown up to noise
Batches = Iterable[tuple[Tensor, Tensor]]  # log-mels (B, n_mels, n_frames) and class numbers (B,)


@dataclass(frozen=True)
class PerBinNormaliser:
    """Scales each mel bin by its mean and standard deviation in the training clips, unclipped."""

    mean: Tensor  # (n_mels,)
    std: Tensor  # (n_mels,)
    loudest: Tensor  # (n_mels,) largest value in any training clip
    floor_value: float  # the log-mel of silence

    @classmethod
    def fit(cls, batches: Batches, n_classes: int, audio: AudioConfig):
        """Take the statistics of all frames of all batches; classes make no difference."""
        count = 0
        total, total_square = torch.zeros(2, audio.n_mels).double()
        loudest = torch.full((audio.n_mels,), audio.floor_value)
        for log_mels, _ in batches:
            loudest = torch.maximum(loudest, log_mels.amax(dim=(0, 2)))
            count += log_mels.shape[0] * log_mels.shape[2]
            total += log_mels.double().sum(dim=(0, 2))
            total_square += log_mels.double().square().sum(dim=(0, 2))
        mean = total / count
        std = (total_square / count - mean.square()).clamp_min(0).sqrt()
        std = std.clamp_min(max(MIN_STD_SHARE * float(std.max()), 1e-3))
        return cls(mean.float(), std.float(), loudest, audio.floor_value)

    def normalise(self, log_mels: Tensor) -> Tensor:
        """Log-mels (B, n_mels, n_frames) to about [-1, 1], (B, 1, n_mels, n_frames)."""
        mean, std = (x.to(log_mels.device)[:, None] for x in (self.mean, self.std))
        return ((log_mels - mean) / (std * STDS_PER_UNIT)).unsqueeze(1)

    def denormalise(self, normalised: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, n_mels, n_frames) to log-mels (B, n_mels, n_frames), from silence to the loudest.

        Without the upper bound, one stray value drowns a sound or overflows in `mel.expand`.
        """
        mean, std, loudest = (x.to(normalised.device)[:, None] for x in self.tensors().values())
        log_mels = normalised.squeeze(1) * (std * STDS_PER_UNIT) + mean
        return torch.minimum(log_mels.clamp_min(self.floor_value), loudest)

    def going_on(self, fitted: "PerBinNormaliser") -> "PerBinNormaliser":
        """These statistics for a trained run whose clips are now those that `fitted` is of.

        Mean and deviation stay: they are the units in which the networks have learned. The bound
        rises to the loudest new clip: no network sees it.
        """
        return dataclasses.replace(self, loudest=torch.maximum(self.loudest, fitted.loudest))

    def silence(self) -> Tensor:
        """The normalised value of silence in each bin, (n_mels,)."""
        return (self.floor_value - self.mean) / (self.std * STDS_PER_UNIT)

    def tensors(self) -> dict[str, Tensor]:
        """The statistics to save; `load_normaliser` takes them."""
        return {"mean": self.mean, "std": self.std, "loudest": self.loudest}


@dataclass(frozen=True)
class PerClipNormaliser:
    """Scales each clip by its own range; a generated clip gets the mean range of its class."""

    low: Tensor  # (n_classes,) smallest value of a clip, mean over the training clips of a class
    high: Tensor  # (n_classes,) largest value of a clip, mean over the training clips of a class

    @classmethod
    def fit(cls, batches: Batches, n_classes: int, audio: AudioConfig):
        """Take the mean range of each class; a class without clips gets 0 to 0."""
        low, high, count = torch.zeros(3, n_classes)
        for log_mels, labels in batches:
            low.index_add_(0, labels, log_mels.amin(dim=(1, 2)))
            high.index_add_(0, labels, log_mels.amax(dim=(1, 2)))
            count.index_add_(0, labels, torch.ones(len(labels)))
        return cls(low / count.clamp_min(1), high / count.clamp_min(1))

    def normalise(self, log_mels: Tensor) -> Tensor:
        """Log-mels (B, n_mels, n_frames) to [-1, 1], (B, 1, n_mels, n_frames); -1 if constant."""
        low = log_mels.amin(dim=(1, 2), keepdim=True)  # (B, 1, 1)
        high = log_mels.amax(dim=(1, 2), keepdim=True)
        return (2 * (log_mels - low) / (high - low).clamp_min(1e-6) - 1).unsqueeze(1)

    def denormalise(self, normalised: Tensor, labels: Tensor) -> Tensor:
        """(B, 1, n_mels, n_frames) and class numbers (B,) to log-mels (B, n_mels, n_frames)."""
        low = self.low.to(normalised.device)[labels][:, None, None]  # (B, 1, 1)
        high = self.high.to(normalised.device)[labels][:, None, None]
        return (normalised.squeeze(1) + 1) / 2 * (high - low) + low

    def going_on(self, fitted: "PerClipNormaliser") -> "PerClipNormaliser":
        """The statistics for a trained run whose clips are now those that `fitted` is of.

        They are `fitted`: the networks have learned from clips that were scaled by themselves.
        """
        return fitted

    def silence(self) -> Tensor:
        """The normalised value of silence, (1,)."""
        return torch.full((1,), -1.0)

    def tensors(self) -> dict[str, Tensor]:
        """The statistics to save; `load_normaliser` takes them."""
        return {"low": self.low, "high": self.high}


Normaliser = PerBinNormaliser | PerClipNormaliser


def move_normaliser(normaliser: Normaliser, device: torch.device) -> Normaliser:
    """Copy a normaliser's statistics to a device, so that no batch there has to wait for them."""
    moved = {name: value.to(device) for name, value in normaliser.tensors().items()}
    return dataclasses.replace(normaliser, **moved)


def fit_normaliser(batches: Batches, n_classes: int, audio: AudioConfig) -> Normaliser:
    """Fit the normaliser that `audio.normalisation` names."""
    kind = PerBinNormaliser if audio.normalisation == "per_bin" else PerClipNormaliser
    return kind.fit(batches, n_classes, audio)


def load_normaliser(tensors: dict[str, Tensor], audio: AudioConfig, n_classes: int) -> Normaliser:
    """Build a normaliser from its `tensors()`; raises ConfigError if size or values are wrong."""
    per_bin = audio.normalisation == "per_bin"
    names = ("mean", "std", "loudest") if per_bin else ("low", "high")
    size = audio.n_mels if per_bin else n_classes
    values = [tensors[name] for name in names]
    for name, value in zip(names, values, strict=True):
        is_vector = value.shape == (size,) and value.dtype == torch.float32
        if not is_vector or not (value.abs() <= MAX_STATISTIC).all():
            raise ConfigError(
                f"the statistics {name} must be {size} float32 numbers, none beyond {MAX_STATISTIC}"
            )
    if not per_bin:
        return PerClipNormaliser(*values)
    if not (tensors["std"] > 0).all():
        raise ConfigError("the statistics std must be greater than 0")
    return PerBinNormaliser(*values, audio.floor_value)
