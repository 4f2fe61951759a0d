"""What the judge hears of a sound: two log-mel views of its waveform, finer than any preset's.

A long window tells close pitches apart, a short one shows when things happen. Neither depends on
the settings of a run, so no generator draws what the judge sees.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

TONE_BANDS, TIME_BANDS = 128, 32
VIEWS = {"tone": TONE_BANDS, "time": TIME_BANDS}
TONE_WINDOW_S, TIME_WINDOW_S = 0.064, 0.010
FINE_HOP_S = 0.0025
FINE_PER_FRAME = 4  # frames of the short window in one of the long window
FRAMES_TOGETHER = 4  # the number of frames is divisible by this
FLOOR = 1e-4  # of a full-scale sine: 80 dB below
SUMMARY = 2  # bands and frames in one value of a summary


class Picture(NamedTuple):
    """Two log-mel views of the same sounds, in nepers."""

    tone: Tensor  # (B, TONE_BANDS, T), a frame every 10 ms
    time: Tensor  # (B, TIME_BANDS, 4 T), a frame every 2.5 ms

    def of(self, rows: Tensor | slice) -> "Picture":
        """The picture of some of the sounds, in 32 bits."""
        return Picture(self.tone[rows].float(), self.time[rows].float())

    def summary(self) -> Tensor:
        """The tone view at half its fineness, (B, TONE_BANDS / 2, T / 2): to compare two sounds."""
        return F.avg_pool2d(self.tone[:, None], SUMMARY)[:, 0]


class PictureMaker(nn.Module):
    """Waveforms (B, n_samples) to a `Picture`, on the maker's device.

    Magnitudes of STFTs with padded windows are summed by triangular mel filters (Slaney's scale).
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        self.fine_hop = max(1, round(FINE_HOP_S * sample_rate))
        for view, seconds, bands in (
            ("tone", TONE_WINDOW_S, TONE_BANDS),
            ("time", TIME_WINDOW_S, TIME_BANDS),
        ):
            size = 2 ** max(5, round(math.log2(seconds * sample_rate)))
            n_fft = 4 * size if view == "time" else 2 * size  # so that no band is empty
            bank = melscale_fbanks(
                n_fft // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, None, "slaney"
            )
            window = torch.hann_window(size)
            self.register_buffer(f"{view}_bank", bank * (2 / window.sum()), persistent=False)
            self.register_buffer(f"{view}_window", window, persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Picture:
        """Waveforms (B, n_samples) of full scale 1 to two views; short ones are padded."""
        hop = FINE_PER_FRAME * self.fine_hop
        n_frames = math.ceil(waveforms.shape[1] / (hop * FRAMES_TOGETHER)) * FRAMES_TOGETHER
        x = waveforms.to(self.tone_window).float()
        x = F.pad(x, (0, n_frames * hop - x.shape[1]))
        tone = self._view(x, self.tone_window, hop, self.tone_bank)
        time = self._view(x, self.time_window, self.fine_hop, self.time_bank)
        return Picture(tone[..., :n_frames], time[..., : FINE_PER_FRAME * n_frames])

    def _view(self, x: Tensor, window: Tensor, hop: int, bank: Tensor) -> Tensor:
        n_fft = 2 * (len(bank) - 1)
        options = {"center": True, "pad_mode": "constant", "return_complex": True}
        spectrum = torch.stft(x, n_fft, hop, len(window), window, **options)
        return (bank.T @ spectrum.abs() + FLOOR).log()
