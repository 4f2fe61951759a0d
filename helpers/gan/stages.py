"""The stages of a network as a table: in which order they work, and what each gives."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


@torch.no_grad()
def list_stages(network: nn.Module, *inputs: Tensor) -> list[dict]:
    """A row for each stage that works when a network gets these inputs, in that order.

    Each names the stage, the kind of its layer, the shape of what it gives for one clip, and how
    many numbers it has learned. A stage that works twice is in the table twice.
    """
    rows, hooks = [], []
    for name, layer in _stages(network):

        def note(layer, _, output: Tensor, name=name) -> None:
            rows.append(
                {
                    "stage": name,
                    "layer": type(layer).__name__.strip("_"),
                    "gives": " × ".join(map(str, output.shape[1:])),
                    "parameters": sum(parameter.numel() for parameter in layer.parameters()),
                }
            )

        hooks.append(layer.register_forward_hook(note))
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def _stages(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a network by name. Of lists and sequences of layers, each one counts."""
    for name, layer in network.named_children():
        if isinstance(layer, nn.ModuleList | nn.Sequential):
            yield from ((f"{name} {number}", one) for number, one in enumerate(layer, 1))
        else:
            yield name, layer
