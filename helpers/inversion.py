"""Mel back to sound: linear magnitude by least squares or NNLS, phase by Griffin-Lim, both batched."""

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, ConfigError
from helpers.features import expand, mel_filterbank, torchaudio_norm

METHODS = ("nnls", "inverse_mel_scale")
CLIPS_AT_ONCE = 64  # bounds the memory, whatever the number of sounds
EDGE_FADE_S = 0.005


class MelInverter:
    """Compressed mels to waveforms at one geometry.

    method "nnls": multiplicative non-negative least squares (Lee and Seung 2001, the Euclidean update of H);
    method "inverse_mel_scale": torchaudio.transforms.InverseMelScale. Then torchaudio.transforms.GriffinLim
    with momentum (Perraudin et al. 2013). The same seed gives the same waveform. Raises ConfigError for a
    geometry whose filter bank cannot be inverted, or an unknown method.
    """

    def __init__(
        self, audio: AudioConfig, method: str = "nnls", n_iterations: int = 32, nnls_steps: int = 50, seed: int = 0
    ):
        if method not in METHODS:
            raise ConfigError(f"inversion must be one of {', '.join(METHODS)}; got {method!r}")
        self.audio, self.method, self.nnls_steps, self.seed = audio, method, nnls_steps, seed
        self.bank = mel_filterbank(audio)  # (n_freqs, n_mels)
        self.griffin_lim = torchaudio.transforms.GriffinLim(
            n_fft=audio.n_fft,
            hop_length=audio.hop_length,
            n_iter=n_iterations,
            power=audio.power,
            momentum=0.99,
            length=audio.clip_samples,
        )

    @torch.no_grad()
    def __call__(self, compressed: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) to waveforms (B, clip_samples) on the same device."""
        if not torch.isfinite(compressed).all():
            raise ValueError("the spectrogram holds values that are not numbers: the generator has diverged")
        self.griffin_lim.to(compressed.device)
        waveforms = [self._invert(chunk) for chunk in compressed.split(CLIPS_AT_ONCE)]
        return fade_edges(torch.cat(waveforms), round(EDGE_FADE_S * self.audio.sample_rate))

    def _invert(self, compressed: Tensor) -> Tensor:
        linear = self.linear_spectrogram(expand(compressed.float(), self.audio))  # (B, n_freqs, n_frames)
        with torch.random.fork_rng(devices=_cuda_devices(linear)):
            torch.manual_seed(self.seed)
            return self.griffin_lim(linear)  # (B, clip_samples)

    def linear_spectrogram(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames) to linear spectrograms (B, n_freqs, n_frames) of the same power, >= 0."""
        if self.method == "nnls":
            return nnls(mel, self.bank.to(mel.device), self.nnls_steps)
        return self._least_squares(mel)

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


def _cuda_devices(tensor: Tensor) -> list[torch.device]:
    return [tensor.device] if tensor.is_cuda else []
