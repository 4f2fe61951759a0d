"""Log-mels to waveforms at one geometry: linear spectrograms first, then their phases."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchaudio.transforms import GriffinLim, InverseMelScale

from helpers.config import AudioConfig, ConfigError
from helpers.sound.magnitudes import MagnitudeNet, nnls, richardson_lucy
from helpers.sound.mel import expand, mel_filterbank, mel_settings
from helpers.sound.phase import griffin_lim, magnitude_of, phase_start, stft

METHODS = ("learned", "joint", "nnls", "inverse_mel_scale")
ITERATIONS = 12  # some 50 times real time at the longest preset, on one CPU core
CLIPS_AT_ONCE = 64  # bounds the memory, whatever the number of sounds
BINS_AT_ONCE = 2**19  # of the spectrograms in Griffin-Lim: on a CPU they stay in its cache
EDGE_FADE_S = 0.005
MAX_LOUDNESS_FACTOR = 2.0  # where phases cancel each other, noise is not to be blown up


@dataclass(eq=False)
class MelInverter:
    """Turns log-mels of one geometry into waveforms.

    The method finds linear spectrograms: "learned" by a network, "joint" by `richardson_lucy`,
    "nnls" by non-negative least squares, "inverse_mel_scale" by torchaudio's InverseMelScale, with
    phases from its GriffinLim. With the others they come from `griffin_lim`, which keeps the mel
    or, with "nnls", the spectrogram. "learned" without a network becomes "joint". A sound has its
    mel's loudness and no offset; the same seed gives the same sound, whatever others are made with
    it. Raises ConfigError for an unknown method, empty mel bands, or another geometry's network.

    >>> waveforms = MelInverter(audio, "joint")(log_mels)  # (B, clip_samples)
    """

    audio: AudioConfig
    method: str = "learned"
    n_iterations: int = ITERATIONS  # of Griffin-Lim
    seed: int = 0  # of the phases
    network: MagnitudeNet | None = None  # trained on the recordings

    def __post_init__(self):
        if self.method not in METHODS:
            raise ConfigError(f"inversion must be one of {', '.join(METHODS)}; got {self.method!r}")
        if self.method != "learned":
            self.network = None
        elif self.network is None:
            self.method = "joint"
        elif self.network.audio != self.audio:
            raise ConfigError(
                f"the network was trained for {self.network.audio}, not {self.audio}: train it anew"
            )
        self.bank = mel_filterbank(self.audio)  # (n_freqs, n_mels)

    @torch.no_grad()
    def __call__(self, log_mels: Tensor) -> Tensor:
        """Log-mels (B, n_mels, n_frames) to waveforms (B, clip_samples); ValueError on NaN."""
        if not torch.isfinite(log_mels).all():
            raise ValueError(
                "the mel holds values that are not numbers: the generator has diverged"
            )
        n_clips = 1 if self.method == "inverse_mel_scale" else CLIPS_AT_ONCE
        return torch.cat([self._invert(chunk) for chunk in log_mels.split(n_clips)])

    def linear_spectrogram(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames), >= 0, to linear spectrograms (B, n_freqs, n_frames), >= 0."""
        if self.network is not None:
            return self.network.to(mel.device)(mel)
        if self.method == "inverse_mel_scale":  # by SVD: the default driver needs full rank, fails
            settings = mel_settings(self.audio)  # on the CPU without, and is wrong on CUDA
            inverse = InverseMelScale(self.audio.n_freqs, driver="gelsd", **settings)
            return inverse(mel.cpu()).to(mel.device)
        return (nnls if self.method == "nnls" else richardson_lucy)(mel, self.bank.to(mel.device))

    def _invert(self, log_mels: Tensor) -> Tensor:
        audio, mel = self.audio, expand(log_mels.float(), self.audio)
        linear = self.linear_spectrogram(mel)  # (B, n_freqs, n_frames)
        if self.method == "inverse_mel_scale":
            waveforms = self._torchaudio_griffin_lim(linear)
        else:
            n = max(1, BINS_AT_ONCE // linear[0].numel()) if mel.is_cpu else CLIPS_AT_ONCE
            phase = phase_start(linear, audio, self.seed)
            kept = [None] * len(mel) if self.method == "nnls" else mel.split(n)
            parts = zip(linear.split(n), phase.split(n), kept, strict=False)
            found = [griffin_lim(x, p, audio, self.n_iterations, m) for x, p, m in parts]
            waveforms = torch.cat(found)
        waveforms = match_loudness(waveforms, mel, audio)
        return fade_end(waveforms, round(EDGE_FADE_S * audio.sample_rate))

    def _torchaudio_griffin_lim(self, linear: Tensor) -> Tensor:
        audio, length = self.audio, self.audio.clip_samples
        options = {"hop_length": audio.hop_length, "power": audio.power, "length": length}
        transform = GriffinLim(audio.n_fft, self.n_iterations, **options).to(linear.device)
        with torch.random.fork_rng(devices=[linear.device] if linear.is_cuda else []):
            torch.manual_seed(self.seed)  # of its random phases
            return transform(linear)


def match_loudness(waveforms: Tensor, mel: Tensor, audio: AudioConfig) -> Tensor:
    """Scale waveforms (B, clip_samples) until their mels sum to mel (B, n_mels, n_frames)."""
    linear = magnitude_of(stft(waveforms, audio)) ** audio.power
    own = linear @ mel_filterbank(audio).to(linear.device)  # (B, n_frames, n_mels)
    ratio = mel.sum(dim=(1, 2)) / own.sum(dim=(1, 2)).clamp_min(1e-12)
    return waveforms * (ratio ** (1 / audio.power)).clamp_max(MAX_LOUDNESS_FACTOR)[:, None]


def fade_end(waveforms: Tensor, n_samples: int) -> Tensor:
    """Fade out the last n_samples of waveforms (B, n); the start, an onset, stays as it is."""
    fade = 0.5 + 0.5 * torch.cos(torch.linspace(0, torch.pi, n_samples, device=waveforms.device))
    waveforms = waveforms.clone()
    waveforms[..., waveforms.shape[-1] - n_samples :] *= fade
    return waveforms
