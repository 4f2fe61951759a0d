"""Figures of how good sounds are, each a pure function of features or spectrograms with a known answer."""

import torch
from torch import Tensor

NEIGHBOURS = 5  # the k of density and coverage (Naeem et al. 2020, sec. 4)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of predictions (B,) that are the label (B,)."""
    return float((predicted == labels).float().mean())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of two sets of features (N, D) and (M, D) taken as Gaussian (Heusel et al. 2017, eq. 6).

    |mean difference|² + trace(Ca + Cb - 2 (Ca Cb)^½), as torchmetrics' FrechetInceptionDistance has it. It grows as
    the sets get smaller: compare equal sizes. Raises ValueError if a set has fewer than two rows or holds NaN.
    """
    _check_sets("a Fréchet distance", a, b)
    a, b = a.double(), b.double()
    covariances = [torch.cov(x.T).reshape(x.shape[1], x.shape[1]) for x in (a, b)]
    roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return float(
        ((a.mean(dim=0) - b.mean(dim=0)).square().sum() + traces - 2 * roots).clamp_min(0)
    )  # NaN stays NaN


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D), unbiased: 0 on average for equal sources.

    The kernel is (x·y / D + 1)³ (Bińkowski et al. 2018, sec. 4), as in torchmetrics' poly_kernel; sizes may differ.
    Raises ValueError if a set has fewer than two rows or holds NaN.
    """
    _check_sets("a kernel distance", a, b)
    a, b = a.double(), b.double()
    within = [_mean_off_diagonal(_kernel(x, x)) for x in (a, b)]
    return float(sum(within) - 2 * _kernel(a, b).mean())


def density_and_coverage(
    generated: Tensor, real: Tensor, k: int = NEIGHBOURS
) -> tuple[float, float]:
    """Density and coverage of generated features (N, D) over real ones (M, D) (Naeem et al. 2020, eqs. 3 and 4).

    Around each real clip lies a ball that reaches to its k-th nearest real neighbour. Density: in how many balls
    a generated clip lies, over k; 1 where both are alike. Coverage: the share of balls with a generated clip in
    them. With fewer than k + 1 real clips the farthest neighbour is taken.
    """
    inside = torch.cdist(generated.double(), real.double()) <= _reach(real.double(), k)  # (N, M)
    return float(inside.sum()) / (min(k, len(real) - 1) * len(generated)), float(
        inside.any(dim=0).double().mean()
    )


def spread_within(x: Tensor, labels: Tensor) -> float:
    """Mean distance between two different rows (N, D) of one class, averaged over classes; labels (N,).

    0 where every class is one sound; NaN where no class has two.
    """
    groups = [x[labels == label] for label in labels.unique() if int((labels == label).sum()) > 1]
    means = [torch.pdist(group.flatten(1).float()).mean() for group in groups]
    return float(torch.stack(means).mean()) if means else float("nan")


def nearest_clips(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """For each of (N, ...) the nearest of (M, ...): root-mean-square difference (N,) and index (N,)."""
    distances = torch.cdist(generated.flatten(1).float(), real.flatten(1).float())  # (N, M)
    nearest, index = distances.min(dim=1)
    return nearest / generated[0].numel() ** 0.5, index


def share_of_copies(nearest: Tensor, nearest_of_held_out: Tensor) -> float:
    """Share of generated clips nearer to a training clip than all but the nearest hundredth of held-out clips.

    Distances (N,) and (M,) of `nearest_clips`. 0.01 is what chance gives; near 1 the training set is repeated.
    """
    return float((nearest < torch.quantile(nearest_of_held_out, 0.01)).float().mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))


def _reach(real: Tensor, k: int) -> Tensor:
    return (
        torch.cdist(real, real).kthvalue(min(k, len(real) - 1) + 1, dim=1).values
    )  # the first is itself, at 0


def _check_sets(what: str, a: Tensor, b: Tensor) -> None:
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{what} needs two sets of at least 2 clips, got {len(a)} and {len(b)}")
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        raise ValueError(f"{what} needs features that are numbers: some sounds are not finite")
