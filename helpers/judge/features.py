"""Whitening: measurements of sounds to the few numbers in which distances are taken."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_SCALE = 1e-3  # of a measurement; what varies less is not blown up
ROWS_AT_ONCE = 1024  # bounds the memory of distances
SMALLEST_SHARE = 1e-6  # of the largest variance: below this, a component is rounding


@dataclass(frozen=True)
class Whitener:
    """Principal components of some rows, each scaled to unit variance there."""

    mean: Tensor  # (S,)
    components: Tensor  # (S, n)

    @classmethod
    def fit(cls, rows: Tensor, n: int) -> "Whitener":
        """Take the first n components of rows (N, S); if there are fewer, the rest gives 0.

        They are found on the CPU, in 64 bits, which not every device has.
        """
        x = rows.cpu().double()
        scale = x.std(dim=0, correction=0) + SMALLEST_SCALE
        covariance = torch.atleast_2d(torch.cov((x / scale).T, correction=0))
        variances, axes = (part[..., -n:] for part in torch.linalg.eigh(covariance))  # rising
        kept = variances > SMALLEST_SHARE * variances[-1].clamp_min(SMALLEST_SHARE)
        inverse = torch.where(kept, variances.clamp_min(1e-12).rsqrt(), 0)
        components = F.pad(axes * inverse / scale[:, None], (0, n - len(inverse)))
        found = (x.mean(dim=0), components)
        return cls(*(part.float().contiguous().to(rows.device) for part in found))

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (B, S) to (B, n)."""
        return (rows - self.mean) @ self.components


def reach_of(rows: Tensor, sources: Tensor, share: float) -> Tensor:
    """The distance, a scalar, within which a share of rows (N, D) have one of another source (N,).

    Infinite where there is one source.
    """
    nearest = nearest_distance(rows, rows, sources)
    return nearest.kthvalue(math.ceil(share * len(nearest))).values  # a quantile; of inf, too


def nearest_distance(a: Tensor, b: Tensor, sources: Tensor | None = None) -> Tensor:
    """The distance (N,) of each row of a (N, D) to its nearest row of b (M, D).

    With sources (N,), a is b, and rows of one source are no neighbours.
    """
    found = []
    for first in range(0, len(a), ROWS_AT_ONCE):
        distances = torch.cdist(a[first : first + ROWS_AT_ONCE], b)
        if sources is not None:
            own = sources[first : first + ROWS_AT_ONCE, None] == sources
            distances = distances.masked_fill(own, torch.inf)
        found.append(distances.amin(dim=1))
    return torch.cat(found)
