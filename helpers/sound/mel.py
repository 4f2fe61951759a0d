"""Waveform to normalised log-mel and back: compression, statistics and both normalisations."""

import warnings

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, ConfigError


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
        warnings.filterwarnings(
            "ignore", message="At least one mel filterbank", category=UserWarning
        )
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
    return torch.where(
        compressed > audio.floor_value + 1e-2, compressed.exp(), torch.zeros_like(compressed)
    )
