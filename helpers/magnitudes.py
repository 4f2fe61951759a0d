"""Mel to linear magnitudes without training: least squares, non-negative least squares, and the gain of each bin."""

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig
from helpers.features import mel_settings

SMALLEST = 1e-8  # in place of a mel of 0 under a fraction
LARGEST_GAIN = 10.0  # of a bin in one step


def band_gains(linear: Tensor, mel: Tensor, bank: Tensor) -> Tensor:
    """What each bin of `linear` (..., n_freqs) lacks of `mel` (..., n_mels), as a factor: its bands' mean, by weight.

    bank (n_freqs, n_mels). Bins that no band hears get 0: nothing is known of them, and no offset is made up.
    """
    lacking = mel / (linear @ bank + SMALLEST)  # (..., n_mels)
    share = bank / bank.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return (lacking @ share.T).clamp_max_(LARGEST_GAIN)


def likely_spectrogram(mel: Tensor, bank: Tensor, n_steps: int = 8) -> Tensor:
    """X >= 0 (B, n_freqs, n_frames) whose mels are near mel (B, n_mels, n_frames), bank (n_freqs, n_mels).

    Multiplicative updates for the generalised Kullback-Leibler divergence (Lee and Seung 2001, theorem 2), that is
    Richardson-Lucy, from the mels spread over their bands. Nearer to real spectra than `nnls`, in a third of the
    steps. Silent frames stay silent.
    """
    mel = mel.transpose(1, 2).contiguous()  # (B, n_frames, n_mels)
    x = (mel / bank.sum(dim=0)) @ (bank / bank.amax(dim=0)).T
    for _ in range(n_steps):
        x = x * band_gains(x, mel, bank)
    return x.transpose(1, 2)


def nnls(mel: Tensor, bank: Tensor, n_steps: int = 50) -> Tensor:
    """Minimise |bank.T @ X - mel| over X >= 0 by multiplicative updates from the clamped pseudo-inverse.

    mel (B, n_mels, n_frames), bank (n_freqs, n_mels) to X (B, n_freqs, n_frames): Lee and Seung 2001, theorem 1.
    Silent frames stay silent.
    """
    start = torch.linalg.pinv(bank.T) @ mel  # (B, n_freqs, n_frames)
    x = start.clamp_min(1e-6)
    numerator = bank @ mel
    for _ in range(n_steps):
        x = x * (numerator / (bank @ (bank.T @ x) + 1e-10))
    return x


def least_squares(mel: Tensor, audio: AudioConfig) -> Tensor:
    """torchaudio.transforms.InverseMelScale of mels (B, n_mels, n_frames): (B, n_freqs, n_frames), clamped at 0.

    On the CPU, by SVD: the default driver gels wants full rank, fails here or is silently wrong on CUDA.
    """
    inverse = torchaudio.transforms.InverseMelScale(audio.n_freqs, driver="gelsd", **mel_settings(audio))
    return inverse(mel.cpu()).to(mel.device)
