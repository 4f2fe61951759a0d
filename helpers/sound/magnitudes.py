"""Mels to linear spectrograms: two ways without training, and a network that corrects one.

A linear spectrogram holds STFT magnitudes to the power of `AudioConfig.power`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import AudioConfig
from helpers.sound.mel import mel_filterbank

MIN_MEL = 1e-8  # added to a mel that divides
MAX_GAIN = 10.0  # of a bin in one step
WIDTH, N_BLOCKS, KERNEL = 128, 4, 7  # of MagnitudeNet: channels, blocks, frames a block sees
START_STEPS = 6  # of the estimate that the network corrects
LOG_CENTRE, LOG_SCALE = 5.0, 3.0  # log-mels less a clip's largest, to about [-1, 1]


def band_gains(linear: Tensor, mel: Tensor, bank: Tensor) -> Tensor:
    """Factors (..., n_freqs) that bring linear spectrograms (..., n_freqs) to mel (..., n_mels).

    bank is (n_freqs, n_mels). A band's factor is the wanted mel over the present one; a bin takes
    the weighted mean of its bands. Bins outside every band get 0: no offset is made up.
    """
    band_factors = mel / (linear @ bank + MIN_MEL)  # (..., n_mels)
    share = bank / bank.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return (band_factors @ share.T).clamp_max_(MAX_GAIN)


def richardson_lucy(mel: Tensor, bank: Tensor, n_steps: int = 8) -> Tensor:
    """X >= 0 (B, n_freqs, n_frames) with bank.T @ X near mel (B, n_mels, n_frames).

    bank is (n_freqs, n_mels). Multiplicative updates for the generalised Kullback-Leibler
    divergence (Lee and Seung 2001, theorem 2), from the mel spread over its bands. Nearer to real
    spectra than `nnls`, in a third of the steps. Silent frames stay silent.
    """
    mel = mel.transpose(1, 2).contiguous()  # (B, n_frames, n_mels)
    linear = (mel / bank.sum(dim=0)) @ (bank / bank.amax(dim=0)).T
    for _ in range(n_steps):
        linear = linear * band_gains(linear, mel, bank)
    return linear.transpose(1, 2)


def nnls(mel: Tensor, bank: Tensor, n_steps: int = 50) -> Tensor:
    """Non-negative least squares: X >= 0 (B, n_freqs, n_frames) that minimises |bank.T @ X - mel|.

    mel is (B, n_mels, n_frames), bank (n_freqs, n_mels). Multiplicative updates (Lee and Seung
    2001, theorem 1) from the clamped pseudo-inverse. Silent frames stay silent.
    """
    linear = (torch.linalg.pinv(bank.T) @ mel).clamp_min(1e-6)  # (B, n_freqs, n_frames)
    numerator = bank @ mel
    for _ in range(n_steps):
        linear = linear * (numerator / (bank @ (bank.T @ linear) + 1e-10))
    return linear


class MagnitudeNet(nn.Module):
    """Mels to linear spectrograms of one geometry: `richardson_lucy`, then a factor for each bin.

    The factors, 1 at first, come from residual blocks over time (ConvNeXt, Liu et al. 2022) that
    see the log-mel relative to its largest value: a louder mel gives the same sound, louder.
    """

    def __init__(self, audio: AudioConfig):
        super().__init__()
        self.audio = audio
        self.register_buffer("bank", mel_filterbank(audio), persistent=False)
        self.stem = nn.Conv1d(audio.n_mels, WIDTH, 5, padding=2)
        self.blocks = nn.Sequential(*[_TimeBlock() for _ in range(N_BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, audio.n_freqs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames), >= 0, to linear spectrograms (B, n_freqs, n_frames), >= 0."""
        power = self.audio.power
        log = mel.clamp_min(self.audio.floor**power).log() / power
        x = (log - log.amax(dim=(1, 2), keepdim=True) + LOG_CENTRE) / LOG_SCALE
        h = self.norm(self.blocks(self.stem(x)).transpose(1, 2))  # (B, n_frames, WIDTH)
        factors = (power * self.head(h).float()).exp()  # (B, n_frames, n_freqs)
        linear = richardson_lucy(mel, self.bank, START_STEPS).transpose(1, 2) * factors
        return (linear * band_gains(linear, mel.transpose(1, 2), self.bank)).transpose(1, 2)


class _TimeBlock(nn.Module):
    """Adds to (B, WIDTH, n_frames) a depthwise convolution and two layers a frame; 0 at first."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.expand, self.reduce = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        nn.init.zeros_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.depthwise(x).transpose(1, 2))  # (B, n_frames, WIDTH)
        return x + self.reduce(F.gelu(self.expand(h))).transpose(1, 2)  # (B, WIDTH, n_frames)
