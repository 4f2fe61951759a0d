"""How near a copy of a sound is to the sound: what the way through the mel and back loses."""

import math

import torch
from torch import Tensor

from helpers.config import AudioConfig
from helpers.sound.mel import MelExtractor

COPY_ERRORS = (
    "spectral convergence",
    "log-mel error",
    "log-spectral distance",
    "multi-resolution distance",
)
FLOOR_SHARE = 1e-3  # of a sound's loudest bin: all below it, 60 dB down, counts as silence


@torch.no_grad()
def copy_errors(copies: Tensor, originals: Tensor, audio: AudioConfig) -> dict[str, float]:
    """Each of COPY_ERRORS between waveforms (B, clip_samples), as the mean over B; 0 is perfect.

    Log-mel error in nepers, log-spectral distance in decibels, the others as shares (the last by
    Yamamoto et al. 2020, eq. 4-6). Silent originals are left out; ValueError if all are silent.
    """
    audible = originals.abs().amax(dim=1) > 0
    if not audible.any():
        raise ValueError("every original is silent: there is nothing to be near to")
    log_mel = MelExtractor(audio).to(originals.device)
    copies, originals = copies.to(originals.device)[audible], originals[audible]
    log_mel_error = (log_mel(copies) - log_mel(originals)).abs().mean(dim=(1, 2))
    sizes = (audio.n_fft // 2, audio.n_fft, 2 * audio.n_fft)
    pairs = [(_magnitudes(copies, n), _magnitudes(originals, n)) for n in sizes]
    parts = [spectral_convergence(*p) + _log_difference(*p).abs().mean(dim=(1, 2)) for p in pairs]
    distance = log_spectral_distance(*pairs[1])
    values = (spectral_convergence(*pairs[1]), log_mel_error, distance, sum(parts) / len(parts))
    return {name: float(value.mean()) for name, value in zip(COPY_ERRORS, values, strict=True)}


def spectral_convergence(copy: Tensor, original: Tensor) -> Tensor:
    """(B,) ‖copy - original‖ / ‖original‖ of magnitudes (B, n_freqs, n_frames), Arık 2018 eq. 2."""
    return (copy - original).flatten(1).norm(dim=1) / original.flatten(1).norm(dim=1)


def log_spectral_distance(copy: Tensor, original: Tensor) -> Tensor:
    """(B,) dB of magnitudes (B, n_freqs, n_frames): RMS over frequencies, mean over frames."""
    nepers = _log_difference(copy, original).square().mean(dim=1).sqrt().mean(dim=1)
    return 20 * nepers / math.log(10)


def _log_difference(copy: Tensor, original: Tensor) -> Tensor:
    floor = FLOOR_SHARE * original.amax(dim=(1, 2), keepdim=True)
    return copy.clamp_min(floor).log() - original.clamp_min(floor).log()


def _magnitudes(waveforms: Tensor, n_fft: int) -> Tensor:
    """STFT magnitudes (B, n_fft // 2 + 1, n_frames) of waveforms (B, n)."""
    window, hop = torch.hann_window(n_fft, device=waveforms.device), n_fft // 4
    z = torch.stft(waveforms, n_fft, hop, None, window, pad_mode="constant", return_complex=True)
    return z.abs()
