"""The grain of a sound: how rough its picture is, and how its bands rise and fall.

Statistics of a texture, not of a place: they are blind to which sound it is, and they change at
once where a sound is smeared, roughened or turned round (after McDermott and Simoncelli 2011).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.judge.picture import Picture

GROUPS = {"tone": 8, "time": 4}  # of neighbouring bands in which each is measured
LAGS = (1, 4, 16)  # frames over which a band's rise is taken
TINY = 1e-3  # nepers, or their square, that nobody hears


def measure_grain(picture: Picture) -> Tensor:
    """The statistics (B, S) of the two views, log-mels in nepers; see GROUPS and LAGS for S.

    Of each group of bands: mean level, deviation over time and over bands, roughness over bands
    (first and second differences), and for each lag the mean rise or fall and whether rises are
    steeper than falls.
    """
    return torch.cat([_of_view(getattr(picture, view), n) for view, n in GROUPS.items()], dim=1)


def _of_view(x: Tensor, n_groups: int) -> Tensor:
    """The statistics of log-mels (B, bands, frames): (B, S)."""
    groups = x.unflatten(1, (n_groups, -1))  # (B, n_groups, bands of a group, frames)
    found = [groups.mean(dim=(2, 3)), groups.std(dim=3).mean(dim=2), groups.mean(dim=2).std(dim=2)]
    for order in (1, 2):
        rough = x.diff(n=order, dim=1).abs().mean(dim=2)  # (B, bands - order)
        found.append(F.adaptive_avg_pool1d(rough, n_groups))
    for lag in (lag for lag in LAGS if lag < x.shape[2]):
        change = groups[..., lag:] - groups[..., :-lag]
        rise, fall = (part.square().mean(dim=(2, 3)) for part in (change.relu(), (-change).relu()))
        found += [
            (change.abs().mean(dim=(2, 3)) + TINY).log(),
            ((rise + TINY) / (fall + TINY)).log(),
        ]
    return torch.cat(found, dim=1)
