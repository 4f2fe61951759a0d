"""Mel back to sound by Griffin-Lim, batched: the magnitudes searched along with the phase, or fixed before it."""

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, ConfigError
from helpers.features import expand, mel_filterbank, torchaudio_norm

METHODS = ("joint", "nnls", "inverse_mel_scale")
MOMENTUM = 0.99  # of the phase (Perraudin et al. 2013, Fast Griffin-Lim)
LARGEST_GAIN = 10.0  # of a magnitude in one iteration
CLIPS_AT_ONCE = 64  # bounds the memory, whatever the number of sounds
EDGE_FADE_S = 0.005


class MelInverter:
    """Compressed mels to waveforms at one geometry.

    The linear magnitudes are the solution of non-negative least squares ("joint", "nnls": Lee and Seung 2001, the
    Euclidean update of H) or torchaudio.transforms.InverseMelScale's; the phase is found by `griffin_lim`. With
    "joint", what it is given is the mel: magnitudes are free within a band as long as the band's mel is kept.
    A sound is the same whatever other sounds are made with it, and for the same seed. Raises ConfigError for a
    geometry whose filter bank cannot be inverted, or an unknown method.
    """

    def __init__(
        self, audio: AudioConfig, method: str = "joint", n_iterations: int = 32, nnls_steps: int = 50, seed: int = 0
    ):
        if method not in METHODS:
            raise ConfigError(f"inversion must be one of {', '.join(METHODS)}; got {method!r}")
        self.audio, self.method, self.n_iterations, self.nnls_steps = audio, method, n_iterations, nnls_steps
        self.bank = mel_filterbank(audio)  # (n_freqs, n_mels)
        size, rng = (audio.n_freqs, audio.n_frames), torch.Generator().manual_seed(seed)
        self.phase = 2 * torch.pi * torch.rand(size, generator=rng)  # to start from

    @torch.no_grad()
    def __call__(self, compressed: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) to waveforms (B, clip_samples) on the same device."""
        if not torch.isfinite(compressed).all():
            raise ValueError("the spectrogram holds values that are not numbers: the generator has diverged")
        waveforms = [self._invert(chunk) for chunk in compressed.split(CLIPS_AT_ONCE)]
        return fade_edges(torch.cat(waveforms), round(EDGE_FADE_S * self.audio.sample_rate))

    def _invert(self, compressed: Tensor) -> Tensor:
        mel = expand(compressed.float(), self.audio)
        linear = self.linear_spectrogram(mel)  # (B, n_freqs, n_frames)
        kept = mel if self.method == "joint" else None
        phase, bank = self.phase.to(mel.device), self.bank.to(mel.device)
        return griffin_lim(linear, phase, self.audio, self.n_iterations, kept, bank)

    def linear_spectrogram(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames) to linear spectrograms (B, n_freqs, n_frames) of the same power, >= 0."""
        if self.method == "inverse_mel_scale":
            return self._least_squares(mel)
        return nnls(mel, self.bank.to(mel.device), self.nnls_steps)

    def _least_squares(self, mel: Tensor) -> Tensor:
        # On the CPU, by SVD: the default driver gels wants full rank, fails here or is silently wrong on CUDA.
        inverse = torchaudio.transforms.InverseMelScale(
            n_stft=self.audio.n_freqs,
            n_mels=self.audio.n_mels,
            sample_rate=self.audio.sample_rate,
            f_min=self.audio.f_min_hz,
            f_max=self.audio.f_max_hz,
            norm=torchaudio_norm(self.audio),
            mel_scale=self.audio.mel_scale,
            driver="gelsd",
        )
        return inverse(mel.cpu()).to(mel.device)


def griffin_lim(
    linear: Tensor,
    phase: Tensor,
    audio: AudioConfig,
    n_iterations: int,
    mel: Tensor | None = None,
    bank: Tensor | None = None,
) -> Tensor:
    """A waveform (B, clip_samples) whose spectrogram is near `linear` (B, n_freqs, n_frames), or keeps `mel`.

    Fast Griffin-Lim (Perraudin et al. 2013) from a phase (n_freqs, n_frames) in radians. Around the clip is silence,
    as in MelExtractor; torchaudio.transforms.GriffinLim mirrors the clip there, which smears an onset at its start.
    Given mel (B, n_mels, n_frames) and bank (n_freqs, n_mels), magnitudes are not fixed: each iteration takes those
    of the waveform so far, scaled by what each band lacks.
    """
    window = torch.hann_window(audio.n_fft, device=linear.device)
    frames = {"n_fft": audio.n_fft, "hop_length": audio.hop_length, "window": window}
    target = linear.pow(1 / audio.power).to(torch.complex64) * torch.exp(1j * phase)
    before = torch.zeros_like(target)
    for _ in range(n_iterations):
        waveform = torch.istft(target, length=audio.clip_samples, **frames)
        found = torch.stft(waveform, pad_mode="constant", return_complex=True, **frames)
        ahead = found + MOMENTUM * (found - before)
        before = found
        if mel is None:
            magnitude = target.abs()
        else:
            own = found.abs()
            magnitude = own * band_gains(own.pow(audio.power), mel, bank).pow(1 / audio.power)
        target = magnitude * ahead / (ahead.abs() + 1e-12)
    return torch.istft(target, length=audio.clip_samples, **frames)


def band_gains(linear: Tensor, mel: Tensor, bank: Tensor) -> Tensor:
    """What each bin of `linear` (B, n_freqs, n_frames) lacks of `mel`, as a factor: its bands' mean, by weight.

    mel (B, n_mels, n_frames), bank (n_freqs, n_mels). Bins that no band hears keep what they have.
    """
    lacking = mel / (bank.T @ linear + 1e-8)  # (B, n_mels, n_frames)
    weight = bank.sum(dim=1, keepdim=True)  # (n_freqs, 1)
    gains = (bank @ lacking) / weight.clamp_min(1e-12)
    return torch.where(weight > 0, gains.clamp_max(LARGEST_GAIN), torch.ones_like(gains))


def nnls(mel: Tensor, bank: Tensor, n_steps: int = 50) -> Tensor:
    """Minimise |bank.T @ X - mel| over X >= 0 by multiplicative updates from the clamped pseudo-inverse.

    mel (B, n_mels, n_frames), bank (n_freqs, n_mels) to X (B, n_freqs, n_frames). Silent frames stay silent.
    """
    start = torch.linalg.pinv(bank.T) @ mel  # (B, n_freqs, n_frames)
    x = start.clamp_min(1e-6)
    numerator = bank @ mel
    for _ in range(n_steps):
        x = x * (numerator / (bank @ (bank.T @ x) + 1e-10))
    return x


def fade_edges(waveforms: Tensor, n_samples: int) -> Tensor:
    """Raised-cosine fade over the last n_samples of waveforms (B, n): no click where a clip was cut."""
    fade = 0.5 + 0.5 * torch.cos(torch.linspace(0, torch.pi, n_samples, device=waveforms.device))
    waveforms = waveforms.clone()
    waveforms[..., waveforms.shape[-1] - n_samples :] *= fade
    return waveforms
