"""Networks as safetensors files: weights, metadata on what they were trained on, and digests."""

import hashlib
import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from helpers.files import write_atomically


def save_network(path: Path, network: nn.Module, note: dict[str, str]) -> None:
    """Write a network's weights with a note of what it was trained on."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_atomically(path, lambda partial: save_file(tensors, partial, note))


def load_network(
    path: Path, network: nn.Module, note: dict[str, str] | None = None
) -> nn.Module | None:
    """The network, ready to use, with the weights that `save_network` wrote, with the same note if one is given.

    None where there is no such file, or it is damaged or of another network.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            if note is not None and file.metadata() != note:
                return None
        network.load_state_dict(load_file(path))
    except (OSError, safetensors.SafetensorError, RuntimeError):
        return None
    return network.eval()


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata in the bytes of a safetensors file: eight bytes of a length, then JSON of that length."""
    return (
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
    )


def digest_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names and numbers."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
