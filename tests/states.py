"""Whether two checkpoints are the same, to the last bit."""

import torch


def tensors(state, prefix="") -> dict:
    """Every tensor of a nested state by its path."""
    found = {}
    items = (
        state.items()
        if isinstance(state, dict)
        else enumerate(state)
        if isinstance(state, list | tuple)
        else ()
    )
    for key, value in items:
        found |= (
            {f"{prefix}{key}": value}
            if torch.is_tensor(value)
            else tensors(value, f"{prefix}{key}.")
        )
    return found


def assert_same(one: dict, other: dict) -> None:
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys() and len(one) > 20
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
