"""Mel back to sound: linear magnitudes, then phase, at one geometry."""

import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, ConfigError
from helpers.sound.magnitudes import MagnitudeNet, least_squares, likely_spectrogram, nnls
from helpers.sound.mel import expand, mel_filterbank
from helpers.sound.phase import griffin_lim, modulus, phase_start, raised, spectrum

METHODS = ("learned", "joint", "nnls", "inverse_mel_scale")
ITERATIONS = 12  # some 50 times real time at the longest preset, on one CPU core
CLIPS_AT_ONCE = 64  # bounds the memory, whatever the number of sounds
BINS_AT_ONCE = (
    2**19
)  # of the spectrograms that Griffin-Lim works on: on a CPU they stay in its cache
EDGE_FADE_S = 0.005
LOUDER_AT_MOST = 2.0


class MelInverter:
    """Compressed mels to waveforms at one geometry.

    Linear magnitudes come from a network that was trained on the recordings ("learned"), from `likely_spectrogram`
    ("joint"), from non-negative least squares ("nnls") or from torchaudio.transforms.InverseMelScale; the phase from
    `phase_start` and `griffin_lim`, which with "learned" and "joint" keeps the mel rather than the magnitudes.
    "inverse_mel_scale" is torchaudio throughout, torchaudio.transforms.GriffinLim from random phases included.
    Without a network "learned" is "joint": `method` says which it is.

    A sound has the loudness of its mel, no offset, and is the same whatever other sounds are made with it, and for
    the same seed. Raises ConfigError for a geometry whose filter bank cannot be inverted, an unknown method, or a
    network of another geometry.
    """

    def __init__(
        self,
        audio: AudioConfig,
        method: str = "learned",
        n_iterations: int = ITERATIONS,
        seed: int = 0,
        network: MagnitudeNet | None = None,
    ):
        if method not in METHODS:
            raise ConfigError(f"inversion must be one of {', '.join(METHODS)}; got {method!r}")
        if method == "learned" and network is not None and network.audio != audio:
            raise ConfigError(
                f"the inversion was trained for {network.audio}, the mels are of {audio}: train it anew"
            )
        self.audio, self.n_iterations, self.seed = audio, n_iterations, seed
        self.method = "joint" if method == "learned" and network is None else method
        self.network = network if self.method == "learned" else None
        self.bank = mel_filterbank(audio)  # (n_freqs, n_mels)

    @torch.no_grad()
    def __call__(self, compressed: Tensor) -> Tensor:
        """Compressed mels (B, n_mels, n_frames) to waveforms (B, clip_samples) on the same device."""
        if not torch.isfinite(compressed).all():
            raise ValueError(
                "the spectrogram holds values that are not numbers: the generator has diverged"
            )
        n_clips = 1 if self.method == "inverse_mel_scale" else CLIPS_AT_ONCE
        return torch.cat([self._invert(chunk) for chunk in compressed.split(n_clips)])

    def _invert(self, compressed: Tensor) -> Tensor:
        mel, bank = expand(compressed.float(), self.audio), self.bank.to(compressed.device)
        linear = self.linear_spectrogram(mel)  # (B, n_freqs, n_frames)
        if self.method == "inverse_mel_scale":
            waveforms = _griffin_lim_of_torchaudio(linear, self.audio, self.n_iterations, self.seed)
        else:
            waveforms = self._griffin_lim(linear, mel)
        waveforms = match_loudness(waveforms, mel, bank, self.audio)
        return fade_end(waveforms, round(EDGE_FADE_S * self.audio.sample_rate))

    def _griffin_lim(self, linear: Tensor, mel: Tensor) -> Tensor:
        bank, phase = self.bank.to(mel.device), phase_start(linear, self.audio, self.seed)
        n = max(1, BINS_AT_ONCE // linear[0].numel()) if mel.device.type == "cpu" else CLIPS_AT_ONCE
        parts = zip(linear.split(n), phase.split(n), mel.split(n), strict=True)
        fixed = self.method == "nnls"
        return torch.cat(
            [
                griffin_lim(a, b, self.audio, self.n_iterations, None if fixed else c, bank)
                for a, b, c in parts
            ]
        )

    def linear_spectrogram(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames) to linear spectrograms (B, n_freqs, n_frames) of the same power, >= 0."""
        if self.method == "inverse_mel_scale":
            return least_squares(mel, self.audio)
        if self.method == "nnls":
            return nnls(mel, self.bank.to(mel.device))
        if self.network is not None:
            return self.network.to(mel.device)(mel)
        return likely_spectrogram(mel, self.bank.to(mel.device))


def match_loudness(waveforms: Tensor, mel: Tensor, bank: Tensor, audio: AudioConfig) -> Tensor:
    """Waveforms (B, clip_samples) scaled, each as a whole, until the sum of their mels is that of mel.

    mel (B, n_mels, n_frames), bank (n_freqs, n_mels). Never by more than LOUDER_AT_MOST: what the phase has cancelled
    is not to be shouted.
    """
    own = raised(modulus(spectrum(waveforms, audio)), audio.power) @ bank  # (B, n_frames, n_mels)
    ratio = mel.sum(dim=(1, 2)) / own.sum(dim=(1, 2)).clamp_min(1e-12)
    return waveforms * raised(ratio, 1 / audio.power).clamp_max(LOUDER_AT_MOST)[:, None]


def fade_end(waveforms: Tensor, n_samples: int) -> Tensor:
    """Raised-cosine fade over the last n_samples of waveforms (B, n): no click where a clip was cut.

    The start is left as it is: there is the onset of a one-shot, and half a millisecond of fade is heard by its mel.
    """
    fade = 0.5 + 0.5 * torch.cos(torch.linspace(0, torch.pi, n_samples, device=waveforms.device))
    waveforms = waveforms.clone()
    waveforms[..., waveforms.shape[-1] - n_samples :] *= fade
    return waveforms


def _griffin_lim_of_torchaudio(
    linear: Tensor, audio: AudioConfig, n_iterations: int, seed: int
) -> Tensor:
    transform = torchaudio.transforms.GriffinLim(
        audio.n_fft,
        n_iterations,
        hop_length=audio.hop_length,
        power=audio.power,
        length=audio.clip_samples,
    ).to(linear.device)
    devices = [linear.device] if linear.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return transform(linear)
