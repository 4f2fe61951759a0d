"""Does noise sound like noise? How the level of a sound's bands flutters, beside white noise.

In a narrow band of noise the level is Rayleigh distributed: its deviation is half of its mean (Rice
1944). A smooth picture, or phases that are too orderly, give a steadier hiss, which one hears as
water or as a tone.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_S = 0.032  # a frame every quarter of it
AROUND = (5, 25)  # bands and frames in which a band's own level is taken: 150 Hz, 0.2 s
EDGE_BINS = 2  # at 0 Hz and at half the rate a level is not Rayleigh distributed
LOUD_DB = 40  # below the loudest moment of a sound: what is quieter does not count
FEWEST_CELLS = 200  # of band and frame that must be loud, or nothing is known
RAYLEIGH = 4 / math.pi - 1  # the variance of a level of mean 1
NOISE = (0.6, 1.4)  # the flutter of sounds that are noise; tones have less or much more


def measure_flutter(waveforms: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """The flutter and the lag, each (N,), of the bands of sounds (N, n_samples).

    Flutter is the variance of a band's level around its mean nearby, as a share of Rayleigh's: near
    1 for noise. Lag is the correlation of levels half a window apart: near 0 for noise. NaN where
    too little of a sound is loud.
    """
    size = 2 ** max(5, round(math.log2(WINDOW_S * sample_rate)))
    half = [n // 2 for n in AROUND]
    x = F.pad(waveforms.float(), (0, max(0, size - waveforms.shape[1])))
    window = torch.hann_window(size, device=x.device)
    spectrum = torch.stft(x, size, size // 4, window=window, center=False, return_complex=True)
    level = spectrum.abs()[:, EDGE_BINS:-EDGE_BINS]  # (N, bands, frames)
    nearby = F.avg_pool2d(level[:, None], AROUND, 1, half, count_include_pad=False)[:, 0]
    loud = nearby > nearby.amax(dim=(1, 2), keepdim=True) * 10 ** (-LOUD_DB / 20)
    around = torch.where(loud, level / nearby.clamp_min(1e-12) - 1, 0)
    n_loud, step = loud.sum(dim=(1, 2)), 2
    variance = around.square().sum(dim=(1, 2)) / n_loud
    both = loud[..., step:] & loud[..., :-step]
    product = torch.where(both, around[..., step:] * around[..., :-step], 0).sum(dim=(1, 2))
    lag = product / both.sum(dim=(1, 2)) / variance
    known = n_loud >= FEWEST_CELLS
    return (variance / RAYLEIGH).where(known, math.nan), lag.where(known, math.nan)
