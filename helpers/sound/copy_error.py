"""How near a copy of a sound is to the sound: what the way through the mel and back loses."""

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
FLOOR = 1e-3  # of a sound's loudest bin: 60 dB below it is silence


@torch.no_grad()
def copy_errors(copies: Tensor, originals: Tensor, audio: AudioConfig) -> dict[str, float]:
    """Each of COPY_ERRORS for waveforms (B, clip_samples) and what they are copies of, mean over B; 0 is a true copy.

    Log-mel error in nepers, log-spectral distance in decibels, the others as shares. Originals that are all silence
    are left out: nothing can be a share of them. Raises ValueError if all are.
    """
    heard = originals.abs().amax(dim=1) > 0
    if not heard.any():
        raise ValueError("every original is silent: there is nothing to be near to")
    copies, originals, extractor = copies[heard], originals[heard], MelExtractor(audio)
    pairs = [
        _magnitudes(copies, originals, n_fft)
        for n_fft in (audio.n_fft // 2, audio.n_fft, 2 * audio.n_fft)
    ]
    values = (
        spectral_convergence(*pairs[1]),
        (extractor(copies) - extractor(originals)).abs().mean(dim=(1, 2)),
        log_spectral_distance(*pairs[1]),
        sum(_distance(*pair) for pair in pairs) / len(pairs),
    )
    return {name: float(value.mean()) for name, value in zip(COPY_ERRORS, values, strict=True)}


def spectral_convergence(found: Tensor, wanted: Tensor) -> Tensor:
    """(B,) ‖found - wanted‖ / ‖wanted‖ of magnitudes (B, n_freqs, n_frames) (Arık et al. 2018, eq. 2)."""
    return (found - wanted).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)


def log_spectral_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """(B,) decibels: root mean square over frequencies, mean over frames, of magnitudes (B, n_freqs, n_frames)."""
    return (
        20
        * _log_difference(found, wanted).square().mean(dim=1).sqrt().mean(dim=1)
        / torch.tensor(10.0).log()
    )


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    """(B,) one resolution's part of the multi-resolution STFT distance (Yamamoto et al. 2020, eq. 4-6)."""
    return spectral_convergence(found, wanted) + _log_difference(found, wanted).abs().mean(
        dim=(1, 2)
    )


def _log_difference(found: Tensor, wanted: Tensor) -> Tensor:
    floor = FLOOR * wanted.amax(dim=(1, 2), keepdim=True)
    return found.clamp_min(floor).log() - wanted.clamp_min(floor).log()


def _magnitudes(copies: Tensor, originals: Tensor, n_fft: int) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(n_fft)
    return tuple(
        torch.stft(
            x, n_fft, n_fft // 4, window=window, pad_mode="constant", return_complex=True
        ).abs()
        for x in (copies, originals)
    )
