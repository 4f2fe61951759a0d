"""The exported generator: one safetensors file with everything needed to make sounds.

The file may come from a stranger: nothing in it is executed, no absurd size takes memory.
"""

import hashlib
import json
import reprlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers import __version__
from helpers.config import AudioConfig, ConfigError, ModelConfig, check_classes
from helpers.config_json import from_json, to_json
from helpers.files import UnusableFileError, read_if_there, write_atomically
from helpers.gan.networks import make_generator
from helpers.network_file import pack, read_metadata, unpack, with_prefix, without_prefix
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.normalisation import Normaliser, load_normaliser

MAX_DIFFERENCES, MAX_REASON = 3, 500  # weights and characters in a message


@dataclass(frozen=True)
class SoundGenerator:
    """A generator with everything needed to turn its output into sound."""

    network: nn.Module
    audio: AudioConfig
    model: ModelConfig
    classes: tuple[str, ...]
    normaliser: Normaliser
    inversion: MagnitudeNet | None = None  # learned from the same recordings


def save_generator(
    path: Path, generator: SoundGenerator, origin: dict | None = None, half: bool = False
) -> Path:
    """Write a generator as safetensors. `origin` says what made it: step, seed, recordings, …

    half: weights in 16 bits, for a file half as large whose sounds differ by rounding.
    """
    tensors = with_prefix("network", generator.network.state_dict())
    if generator.inversion is not None:
        tensors |= with_prefix("inversion", generator.inversion.state_dict())
    if half:  # loading brings them back to 32 bits
        counts = {name: value for name, value in tensors.items() if not value.is_floating_point()}
        tensors = {name: value.half() for name, value in tensors.items()} | counts
    tensors |= with_prefix("normaliser", generator.normaliser.tensors())
    metadata = {
        "version": __version__,
        "audio": to_json(generator.audio),
        "model": to_json(generator.model),
        "classes": "\n".join(name.encode("unicode_escape").decode() for name in generator.classes),
        "note": json.dumps(origin or {}),
    }
    write_atomically(path, pack(tensors, metadata))
    return path


def read_origin(path: Path) -> dict:
    """The origin that `save_generator` wrote; empty if the file is absent or damaged."""
    try:
        origin = json.loads(read_metadata(read_if_there(path) or b"")["note"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}
    return origin if isinstance(origin, dict) else {}


def describe_origin(path: Path) -> str:
    """Two lines: step, seed, recordings and digest of a generator's file; the versions it is of."""
    origin = read_origin(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    names = [name for name in ("step", "seed", "recordings") if name in origin]
    made = ", ".join(f"{name} {_escape(origin[name])}" for name in names) or "an unknown step"
    versions = origin.get("versions")
    pairs = list(versions.items())[:20] if isinstance(versions, dict) else []
    packages = "  ".join(f"{_escape(name)} {_escape(number)}" for name, number in pairs)
    return f"made at {made}; SHA-256 {digest}\nwith {packages or 'unknown versions'}"


def load_generator(path: Path, device: torch.device | str = "cpu") -> SoundGenerator:
    """Read what `save_generator` wrote, ready to generate on `device`.

    Raises UnusableFileError if the file is absent, unreadable, damaged or of another make.

    >>> generator = load_generator(Path("runs/rain/generator.safetensors"))
    """
    try:
        content = read_if_there(path)
    except OSError as error:
        advice = "see that its disk or Drive is there"
        raise UnusableFileError(f"{path} cannot be read ({error}): {advice}") from error
    if content is None:
        advice = "run 03_train first, with the same run folder"
        raise UnusableFileError(f"no generator at {path}: {advice}")
    generator = _parse_generator(content, path)
    generator.network.to(device)
    return generator


def is_whole_generator(content: bytes | None) -> bool:
    """Whether `_parse_generator` accepts the content of a file; None: there is no file."""
    try:
        return content is not None and bool(_parse_generator(content, Path()))
    except UnusableFileError:
        return False


def _parse_generator(content: bytes, path: Path) -> SoundGenerator:
    """The generator in the content of the file `path`, on the CPU.

    Raises UnusableFileError if it is damaged or of another make. It takes bytes because a file that
    is mapped to memory ends the process when its drive goes away.
    """
    metadata = {}
    try:
        tensors, metadata = unpack(content)
        return _build(tensors, metadata)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        version = metadata.get("version", __version__)
        made = f" (made by version {_escape(version)}, this is {__version__})"
        what = f"no generator of this project, or damaged{made if version != __version__ else ''}"
        raise UnusableFileError(f"{path} is {what}: {_escape(str(error), MAX_REASON)}") from error


def _build(tensors: dict[str, Tensor], metadata: dict[str, str]) -> SoundGenerator:
    audio = from_json(AudioConfig, metadata["audio"])
    model = from_json(ModelConfig, metadata["model"])
    names = metadata["classes"].split("\n")
    classes = check_classes([name.encode().decode("unicode_escape") for name in names])
    weights = without_prefix("network", tensors)
    with torch.device("meta"):  # takes no memory, whatever sizes the file asks for
        _check_shapes(make_generator(model, audio, len(classes)), weights)
    network = make_generator(model, audio, len(classes)).eval()
    network.load_state_dict(weights)
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ConfigError("the generator has weights that are no finite numbers")
    normaliser = load_normaliser(without_prefix("normaliser", tensors), audio, len(classes))
    inversion = None
    if weights := without_prefix("inversion", tensors):
        inversion = MagnitudeNet(audio).eval()
        inversion.load_state_dict(weights)
    return SoundGenerator(network, audio, model, classes, normaliser, inversion)


def _check_shapes(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Raise ConfigError unless names and shapes of the weights are those of the network."""
    wanted = {name: list(value.shape) for name, value in network.state_dict().items()}
    given = {name: list(value.shape) for name, value in weights.items()}
    found = [
        f"{name} is {given.get(name, 'missing')} and should be {wanted.get(name, 'absent')}"
        for name in wanted | given
        if wanted.get(name) != given.get(name)
    ]
    if found:
        shown = "; ".join(found[:MAX_DIFFERENCES])
        raise ConfigError(f"the generator has other weights: {shown} ({len(found)} in all)")


def _escape(value, most: int = 60) -> str:
    """A stranger's value as short, printable text."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    return text[:most].encode("unicode_escape").decode()
