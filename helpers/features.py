"""Waveform to normalised log-mel and back: compression, statistics and both normalisations."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, ConfigError

PER_BIN_STD_RANGE = 3.0  # mean ± 3 standard deviations become [-1, 1] (SpecGAN, Donahue et al. 2019, sec. 3.2)
LARGEST_STATISTIC = 50  # of compressed mels, which are logarithms; its exponential is still a number
SMALLEST_STD_SHARE = 0.1  # of the largest: a band that is nearly always silent is not blown up to noise


class MelExtractor(torch.nn.Module):
    """Waveforms to compressed mel spectrograms, by torchaudio.transforms.MelSpectrogram."""

    def __init__(self, audio: AudioConfig):
        super().__init__()
        mel_filterbank(audio)  # raises on a bank that cannot be inverted
        self.audio = audio
        self.mel = torchaudio.transforms.MelSpectrogram(
            n_fft=audio.n_fft,
            hop_length=audio.hop_length,
            power=audio.power,
            pad_mode="constant",  # reflection would put an echo before the onset of a one-shot
            **mel_settings(audio),
        )

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, n_samples) to compressed mels (B, n_mels, 1 + n_samples // hop_length)."""
        return compress(self.mel(waveforms), self.audio)


def mel_settings(audio: AudioConfig) -> dict:
    """What torchaudio's MelSpectrogram and InverseMelScale must have in common, by its names."""
    return {
        "sample_rate": audio.sample_rate,
        "n_mels": audio.n_mels,
        "f_min": audio.f_min_hz,
        "f_max": audio.f_max_hz,
        "norm": None if audio.mel_norm == "none" else audio.mel_norm,
        "mel_scale": audio.mel_scale,
    }


def mel_filterbank(audio: AudioConfig) -> Tensor:
    """The mel filter bank (n_freqs, n_mels), as torchaudio.functional.melscale_fbanks makes it.

    Raises ConfigError if a band holds no frequency: it would always be silent and could not be inverted.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank", category=UserWarning)
        bank = torchaudio.functional.melscale_fbanks(audio.n_freqs, **mel_settings(audio))
    n_empty = int((bank.amax(dim=0) == 0).sum())
    if n_empty:
        raise ConfigError(
            f"{n_empty} of {audio.n_mels} mel bands hold no frequency at n_fft={audio.n_fft} and "
            f"{audio.sample_rate} Hz ({audio.mel_scale} scale): use fewer mels, a longer n_fft, or the slaney scale"
        )
    return bank


def compress(mel: Tensor, audio: AudioConfig) -> Tensor:
    """Mel of any shape to its logarithm above the floor, or log(1 + mel)."""
    return mel.clamp_min(audio.floor).log() if audio.compression == "log" else mel.log1p()


def expand(compressed: Tensor, audio: AudioConfig) -> Tensor:
    """The inverse of `compress`; what lies at the floor or below becomes silence, exactly 0."""
    if audio.compression == "log1p":
        return compressed.expm1().clamp_min(0.0)
    return torch.where(compressed > audio.floor_value + 1e-2, compressed.exp(), torch.zeros_like(compressed))


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
        count, total, total_square = 0, torch.zeros(audio.n_mels).double(), torch.zeros(audio.n_mels).double()
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
        low, high = compressed.amin(dim=(1, 2), keepdim=True), compressed.amax(dim=(1, 2), keepdim=True)
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


def fit_normaliser(batches: Iterable[tuple[Tensor, Tensor]], n_classes: int, audio: AudioConfig) -> Normaliser:
    """The normaliser that the audio configuration names, fitted to compressed mels and labels."""
    kind = PerBinNormaliser if audio.normalisation == "per_bin" else PerClipNormaliser
    return kind.fit(batches, n_classes, audio)


def load_normaliser(tensors: dict[str, Tensor], audio: AudioConfig, n_classes: int) -> Normaliser:
    """The normaliser whose `tensors()` these are; ConfigError if they are no statistics of n_classes classes."""
    per_bin = audio.normalisation == "per_bin"
    names, size = (("mean", "std", "loudest"), audio.n_mels) if per_bin else (("low", "high"), n_classes)
    for name in names:
        value = tensors[name]
        if value.shape != (size,) or value.dtype != torch.float32 or not (value.abs() <= LARGEST_STATISTIC).all():
            raise ConfigError(
                f"the statistics {name} must be {size} numbers of 32 bits, none beyond {LARGEST_STATISTIC}"
            )
    if per_bin and not (tensors["std"] > 0).all():
        raise ConfigError("the statistics std must be greater than 0")
    if per_bin:
        return PerBinNormaliser(*(tensors[name] for name in names), audio.floor_value)
    return PerClipNormaliser(*(tensors[name] for name in names))
