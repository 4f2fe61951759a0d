"""Networks as safetensors files: weights, metadata on what they were trained on, and a digest."""

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from helpers.files import UnusableFileError, write_atomically


def pack(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file that holds copies of the tensors, the metadata and a digest.

    The digest is the metadata's entry "digest". It covers names and numbers, not the metadata.
    """
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    content = safetensors.torch.save(copies, metadata | {"digest": digest_tensors(copies)})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))  # comes in any order
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def unpack(content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the metadata in what `pack` wrote.

    Raises UnusableFileError, which says why but names no file, if the content is not whole.
    """
    try:
        tensors = safetensors.torch.load(content)
        metadata = read_metadata(content)
    except MemoryError:  # the machine's fault, not the file's
        raise
    except Exception as error:  # damage can make the library fail in any way
        raise UnusableFileError(f"it is no whole safetensors file ({error})") from error
    if "digest" not in metadata:
        raise UnusableFileError("it has no digest of its numbers")
    if metadata["digest"] != digest_tensors(tensors):
        raise UnusableFileError("its numbers are not those that were written")
    return tensors, metadata


def save_network(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Write a network's weights, with metadata on what it was trained on."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def load_network(
    path: Path, network: nn.Module, metadata: dict[str, str] | None = None
) -> nn.Module | None:
    """The network with the weights that `save_network` wrote, in evaluation mode.

    None if the file is absent, damaged, of another network, or has other metadata than is given.
    """
    try:
        content = path.read_bytes()
        weights = safetensors.torch.load(content)
        if metadata is not None and read_metadata(content) != metadata:
            return None
        network.load_state_dict(weights)
    except (OSError, safetensors.SafetensorError, RuntimeError):
        return None
    return network.eval()


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata in a safetensors file: eight bytes of a length, then JSON of that length."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def digest_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the tensors' names and numbers, however they lie in memory."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        numbers = tensors[name].detach().cpu().reshape(-1)
        digest.update(numbers.view(torch.uint8).numpy())
    return digest.hexdigest()


def with_prefix(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part, under names that begin with the part's."""
    return {f"{name}.{key}": value for key, value in tensors.items()}


def without_prefix(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part of a file, under their own names."""
    start = f"{name}."
    return {k.removeprefix(start): value for k, value in tensors.items() if k.startswith(start)}
