"""Class labels in the form that networks take."""

from torch import Tensor, nn


def one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Labels (B,) from 0 to n_classes - 1 as float one-hot rows (B, n_classes)."""
    return nn.functional.one_hot(labels, n_classes).float()
