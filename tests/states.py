"""Whether two checkpoints are the same, to the last bit."""

import torch


def assert_same(one: dict, other: dict) -> None:
    """Compare the tensors of two checkpoints by their names."""
    assert one.keys() == other.keys() and len(one) > 20
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
