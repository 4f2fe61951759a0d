"""Waveforms to log-mels, and log-mels back to mels.

A mel is a mel spectrogram: STFT magnitudes to the power of `AudioConfig.power`, summed into bands
as wide as hearing resolves. A log-mel is log(mel) or log(1 + mel): see `AudioConfig.compression`.
"""

import math
import warnings
from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import MelSpectrogram

from helpers.config import AudioConfig, ConfigError


class MelExtractor(torch.nn.Module):
    """Waveforms to log-mels, by torchaudio.transforms.MelSpectrogram, on the extractor's device.

    >>> log_mels = MelExtractor(audio)(waveforms)  # (B, clip_samples) to (B, n_mels, n_frames)
    """

    def __init__(self, audio: AudioConfig):
        super().__init__()
        mel_filterbank(audio)  # raises ConfigError if a band is empty
        self.audio = audio
        options = {"n_fft": audio.n_fft, "hop_length": audio.hop_length, "power": audio.power}
        options["pad_mode"] = "constant"  # reflection would put an echo before a one-shot's onset
        self.mel = MelSpectrogram(**options, **mel_settings(audio))

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, n_samples) to log-mels (B, n_mels, 1 + n_samples // hop_length)."""
        return compress(self.mel(waveforms.to(self.mel.spectrogram.window.device)), self.audio)


def mel_settings(audio: AudioConfig) -> dict:
    """The arguments that torchaudio's MelSpectrogram and InverseMelScale share, by their names."""
    norm = None if audio.mel_norm == "none" else audio.mel_norm
    bands = {"n_mels": audio.n_mels, "f_min": audio.f_min_hz, "f_max": audio.f_max_hz}
    return bands | {"sample_rate": audio.sample_rate, "norm": norm, "mel_scale": audio.mel_scale}


@lru_cache(maxsize=8)
def mel_filterbank(audio: AudioConfig) -> Tensor:
    """The mel filter bank (n_freqs, n_mels), as torchaudio.functional.melscale_fbanks makes it.

    Raises ConfigError if a band holds no frequency: it would always be silent.
    """
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of an empty band
        bank = melscale_fbanks(audio.n_freqs, **mel_settings(audio))
    n_empty = int((bank.amax(dim=0) == 0).sum())
    if n_empty:
        raise ConfigError(
            f"{n_empty} of {audio.n_mels} mel bands hold no frequency at n_fft={audio.n_fft} and "
            f"{audio.sample_rate} Hz ({audio.mel_scale} scale): "
            "use fewer mels, a longer n_fft, or the slaney scale"
        )
    return bank


def floor_rms(audio: AudioConfig) -> float:
    """RMS of the white noise whose mel lies at the floor: a mel tells nothing quieter from silence.

    0 for log(1 + mel), which has no floor.
    """
    if audio.compression != "log":
        return 0.0
    of_one_bin = audio.floor / float(mel_filterbank(audio).sum(dim=0).mean())
    # |STFT| of noise is Rayleigh distributed: E|STFT|^p = (rms² sum(window²))^(p/2) gamma(1 + p/2)
    power = (of_one_bin / math.gamma(1 + audio.power / 2)) ** (2 / audio.power)
    return math.sqrt(power / float(torch.hann_window(audio.n_fft).square().sum()))


def compress(mel: Tensor, audio: AudioConfig) -> Tensor:
    """A mel of any shape, >= 0, to a log-mel: its logarithm above the floor, or log(1 + mel)."""
    return mel.clamp_min(audio.floor).log() if audio.compression == "log" else mel.log1p()


def expand(log_mel: Tensor, audio: AudioConfig) -> Tensor:
    """Undo `compress`; a value at the floor or below it becomes silence, exactly 0."""
    if audio.compression == "log1p":
        return log_mel.expm1().clamp_min(0.0)
    return log_mel.exp().where(log_mel > audio.floor_value + 1e-2, 0.0)
