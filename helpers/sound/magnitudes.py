"""Mel to linear magnitudes without training: least squares, non-negative least squares, and the gain of each bin."""

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from helpers.config import AudioConfig
from helpers.sound.mel import mel_filterbank, mel_settings

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
    inverse = torchaudio.transforms.InverseMelScale(
        audio.n_freqs, driver="gelsd", **mel_settings(audio)
    )
    return inverse(mel.cpu()).to(mel.device)


WIDTH, N_BLOCKS, KERNEL = 128, 4, 7
START_STEPS = 6  # of the estimate that the network corrects
LOG_CENTRE, LOG_SCALE = (
    5.0,
    3.0,
)  # of log-magnitudes below a clip's loudest, to numbers near [-1, 1]


class MagnitudeNet(nn.Module):
    """Mels to linear spectrograms of one geometry: `likely_spectrogram`, each bin times a factor, the mel kept.

    The factors come from residual blocks over time (ConvNeXt, Liu et al. 2022) that see the log-mel relative to its
    loudest value: how loud a sound is changes nothing else.
    """

    def __init__(self, audio: AudioConfig):
        super().__init__()
        self.audio = audio
        self.register_buffer("bank", mel_filterbank(audio), persistent=False)
        self.stem = nn.Conv1d(audio.n_mels, WIDTH, 5, padding=2)
        self.blocks = nn.Sequential(*[TimeBlock(WIDTH) for _ in range(N_BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, audio.n_freqs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, n_frames), not compressed, to spectrograms (B, n_freqs, n_frames) of the same power."""
        power = self.audio.power
        log = mel.clamp_min(self.audio.floor**power).log() / power
        x = (log - log.amax(dim=(1, 2), keepdim=True) + LOG_CENTRE) / LOG_SCALE
        h = self.norm(self.blocks(self.stem(x)).transpose(1, 2))  # (B, n_frames, WIDTH)
        factors = (power * self.head(h).float()).exp()  # (B, n_frames, n_freqs)
        linear = likely_spectrogram(mel, self.bank, START_STEPS).transpose(1, 2) * factors
        return (linear * band_gains(linear, mel.transpose(1, 2), self.bank)).transpose(1, 2)


class TimeBlock(nn.Module):
    """A depthwise convolution over time and two layers on each frame, added to the input; nothing at first."""

    def __init__(self, width: int):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand, self.reduce = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.reduce.weight)
        nn.init.zeros_(self.reduce.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, n_frames) to the same."""
        h = self.norm(self.depthwise(x).transpose(1, 2))
        return x + self.reduce(F.gelu(self.expand(h))).transpose(1, 2)
