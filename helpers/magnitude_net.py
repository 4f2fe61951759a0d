"""Mel to linear magnitudes by a small network over time; `inversion_training` trains it."""

import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import AudioConfig
from helpers.features import mel_filterbank
from helpers.magnitudes import band_gains, likely_spectrogram

WIDTH, N_BLOCKS, KERNEL = 128, 4, 7
START_STEPS = 6  # of the estimate that the network corrects
LOG_CENTRE, LOG_SCALE = 5.0, 3.0  # of log-magnitudes below a clip's loudest, to numbers near [-1, 1]


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
