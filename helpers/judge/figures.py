"""Measures of how good sounds are, of log-mels or of the features that `Judge.classify` gives."""

import torch
from torch import Tensor

NEIGHBOURS = 5  # the k of density and coverage (Naeem et al. 2020, sec. 4)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of the predicted classes (B,) that equal the labels (B,)."""
    return float((predicted == labels).float().mean())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of two sets of features, (N, D) and (M, D), each taken for a Gaussian.

    |mean a - mean b|² + trace(Ca + Cb - 2 (Ca Cb)^½), where Ca and Cb are their covariances (Heusel
    et al. 2017, eq. 6), as in torchmetrics' FrechetInceptionDistance. It grows as the sets get
    smaller: compare equal sizes. Raises ValueError if a set has fewer than two rows or holds NaN.
    """
    a, b = _checked("a Fréchet distance", a, b)
    shift = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    cov_a, cov_b = (torch.cov(x.T).reshape(x.shape[1], x.shape[1]) for x in (a, b))  # (D, D)
    roots = torch.linalg.eigvals(cov_a @ cov_b).sqrt().real.sum()
    distance = shift + (cov_a.trace() + cov_b.trace()) - 2 * roots
    return float(distance.clamp_min(0))  # NaN stays NaN


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D), with (x·y / D + 1)³.

    It is 0 on average where both have one source, whatever their sizes (Bińkowski et al. 2018,
    sec. 4). Raises ValueError if a set has fewer than two rows or holds NaN.
    """
    a, b = _checked("a kernel distance", a, b)
    within = 0
    for x in (a, b):
        kernel = _kernel(x, x)
        within += (kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))  # off the diagonal
    return float(within - 2 * _kernel(a, b).mean())


def density_and_coverage(
    generated: Tensor, real: Tensor, k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Density and coverage of generated features (N, D) among real ones (M, D).

    Each real clip has a ball that reaches to its k-th nearest real neighbour, or to the farthest.
    Density: the mean number of balls that a generated clip lies in, over k; 1 where both are alike.
    Coverage: the share of balls that hold a generated clip (Naeem et al. 2020, eqs. 3 and 4).
    """
    generated, real = generated.double(), real.double()
    k = min(k, len(real) - 1)
    reach = torch.cdist(real, real).kthvalue(k + 1, dim=1).values  # (M,): the first is itself
    inside = torch.cdist(generated, real) <= reach  # (N, M)
    density = float(inside.sum()) / (k * len(generated))
    return density, float(inside.any(dim=0).double().mean())


def spread_within(x: Tensor, labels: Tensor) -> float:
    """Mean distance of two different rows (N, ...) of a class, averaged over classes; labels (N,).

    0 where all sounds of a class are one; NaN where no class has two.
    """
    groups = [x[labels == label] for label in labels.unique() if int((labels == label).sum()) > 1]
    means = [torch.pdist(group.flatten(1).float()).mean() for group in groups]
    return float(torch.stack(means).mean()) if means else float("nan")


def nearest_clips(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest of real (M, ...) to each generated (N, ...): RMS difference (N,) and row (N,)."""
    distances = torch.cdist(generated.flatten(1).float(), real.flatten(1).float())  # (N, M)
    nearest, index = distances.min(dim=1)
    return nearest / generated[0].numel() ** 0.5, index


def share_of_copies(nearest: Tensor, nearest_of_held_out: Tensor) -> float:
    """Share of generated clips that lie suspiciously near to a training clip.

    nearest (N,) and nearest_of_held_out (M,) are distances of `nearest_clips`. Near is below 99 %
    of the latter: chance gives 0.01, a generator that repeats its training clips gives 1.
    """
    return float((nearest < torch.quantile(nearest_of_held_out, 0.01)).float().mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3  # (N, M)


def _checked(what: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{what} needs two sets of at least 2 clips, got {len(a)} and {len(b)}")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError(f"{what} needs features that are numbers: some sounds are not finite")
    return a.double(), b.double()
