"""Class labels: in the form that networks take, and a few of many."""

import torch
from torch import Tensor, nn


def one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Labels (B,) from 0 to n_classes - 1 as float one-hot rows (B, n_classes)."""
    return nn.functional.one_hot(labels, n_classes).float()


def choose_evenly(n: int, most: int) -> Tensor:
    """At most so many of the numbers from 0 to n - 1, spread evenly, (min(n, most),).

    >>> choose_evenly(9, 3).tolist()
    [0, 4, 8]
    """
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()
