"""Networks as safetensors: the exported generator, all that listening needs, and the small ones beside it."""

import hashlib
import json
import reprlib
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn

from helpers import __version__
from helpers.config import (
    AudioConfig,
    ConfigError,
    ModelConfig,
    audio_from_json,
    check_classes,
    model_from_json,
    to_json,
)
from helpers.files import UnusableFileError, read_if_there, write_atomically
from helpers.gan.networks import make_generator
from helpers.network_file import digest_tensors, read_metadata
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.normalisation import Normaliser, load_normaliser

DIFFERENCES_TOLD, LONGEST_REASON = 3, 500


@dataclass(frozen=True)
class SoundGenerator:
    """A generator with everything needed to turn its output into sound."""

    network: nn.Module
    audio: AudioConfig
    model: ModelConfig
    classes: tuple[str, ...]
    normaliser: Normaliser
    inversion: MagnitudeNet | None = None  # learned from the same recordings

    def class_index(self, name: str) -> int:
        """The number of a class; ConfigError lists the classes there are."""
        if name not in self.classes:
            raise ConfigError(f"no class {name!r}; this generator knows {', '.join(self.classes)}")
        return self.classes.index(name)


def save_generator(path: Path, generator: SoundGenerator, note: dict | None = None) -> Path:
    """Write weights and statistics as safetensors, with configuration, classes and a note as metadata."""
    tensors = {f"network.{name}": value for name, value in generator.network.state_dict().items()}
    tensors |= {
        f"normaliser.{name}": value for name, value in generator.normaliser.tensors().items()
    }
    if generator.inversion is not None:
        tensors |= {
            f"inversion.{name}": value for name, value in generator.inversion.state_dict().items()
        }
    metadata = {
        "version": __version__,
        "audio": to_json(generator.audio),
        "model": to_json(generator.model),
        "classes": "\n".join(name.encode("unicode_escape").decode() for name in generator.classes),
        "note": json.dumps(note or {}),
    }
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata["digest"] = digest_tensors(whole)
    write_atomically(path, lambda partial: save_file(whole, partial, metadata))
    return path


def read_generator_note(path: Path) -> dict:
    """The note that `save_generator` was given; empty where there is no such file or it is damaged."""
    try:
        note = json.loads(read_metadata(read_if_there(path) or b"")["note"])
        return note if isinstance(note, dict) else {}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}


def is_whole_generator(content: bytes | None) -> bool:
    """Whether `load_generator` would load what was read from a file; None: there was none."""
    try:
        return content is not None and bool(parse_generator(content, Path()))
    except UnusableFileError:
        return False


def describe_origin(path: Path) -> str:
    """What made an exported generator, in two lines: step, seed and recordings, and its digest; the versions."""
    note, digest = read_generator_note(path), hashlib.sha256(path.read_bytes()).hexdigest()
    made = ", ".join(
        f"{name} {_shown(note[name])}" for name in ("step", "seed", "recordings") if name in note
    )
    versions = note.get("versions") if isinstance(note.get("versions"), dict) else {}
    by = "  ".join(
        f"{_shown(name)} {_shown(number)}" for name, number in list(versions.items())[:20]
    )
    return f"made at {made or 'an unknown step'}; SHA-256 {digest}\nwith {by or 'unknown versions'}"


def load_generator(path: Path, device: torch.device | str = "cpu") -> SoundGenerator:
    """Read what `save_generator` wrote, ready to generate on `device`.

    Raises UnusableFileError if the file is absent, damaged, of another make, or cannot be read.
    """
    try:
        content = read_if_there(path)
    except OSError as error:
        raise UnusableFileError(
            f"{path} cannot be read ({error}): see that its disk or Drive is there"
        ) from error
    if content is None:
        raise UnusableFileError(
            f"no generator at {path}: run 03_train first, with the same run folder"
        )
    return parse_generator(content, path, device)


def parse_generator(
    content: bytes, path: Path, device: torch.device | str = "cpu"
) -> SoundGenerator:
    """The generator in what was read from the file `path`; UnusableFileError if it is damaged or of another make.

    Bytes instead of the file: a drive that goes away while a file of it is mapped to memory ends the process.
    """
    metadata = {}
    try:
        tensors = load(content)
        metadata = read_metadata(content)
        if metadata.get("digest") not in (
            None,
            digest_tensors(tensors),
        ):  # None: of an older version
            raise ConfigError("its numbers are not those that were written")
        audio, model = audio_from_json(metadata["audio"]), model_from_json(metadata["model"])
        names = [name.encode().decode("unicode_escape") for name in metadata["classes"].split("\n")]
        classes = check_classes(names)
        weights = _with_prefix(tensors, "network.")
        with torch.device("meta"):  # takes no memory, whatever sizes a stranger's file asks for
            _require_same(make_generator(model, audio, len(classes)), weights, "generator")
        network = make_generator(model, audio, len(classes))
        network.load_state_dict(weights)
        if not all(value.isfinite().all() for value in network.state_dict().values()):
            raise ConfigError("the generator holds what is no number")
        normaliser = load_normaliser(_with_prefix(tensors, "normaliser."), audio, len(classes))
        inversion = _load_inversion(_with_prefix(tensors, "inversion."), audio)
    except (
        safetensors.SafetensorError,
        KeyError,
        TypeError,
        RuntimeError,
        ConfigError,
        UnicodeError,
    ) as error:
        made = metadata.get("version", __version__)
        versions = (
            f" (made by version {_shown(made)}, this is {__version__})"
            if made != __version__
            else ""
        )
        why = (
            str(error)[:LONGEST_REASON].encode("unicode_escape").decode()
        )  # with a stranger's words in it
        raise UnusableFileError(
            f"{path} is no generator of this project, or damaged{versions}: {why}"
        ) from error
    return SoundGenerator(network.to(device).eval(), audio, model, classes, normaliser, inversion)


def _load_inversion(tensors: dict[str, Tensor], audio: AudioConfig) -> MagnitudeNet | None:
    if not tensors:
        return None
    network = MagnitudeNet(audio)
    _require_same(network, tensors, "inversion")
    network.load_state_dict(tensors)
    return network.eval()


def _require_same(network: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Raise ConfigError if tensors are not the weights of such a network: what is missing, too many, other."""
    wanted = {name: list(value.shape) for name, value in network.state_dict().items()}
    given = {name: list(value.shape) for name, value in tensors.items()}
    found = [f"{name} is missing" for name in wanted if name not in given]
    found += [f"{name} is not known" for name in given if name not in wanted]
    other = [name for name in wanted if name in given and wanted[name] != given[name]]
    found += [f"{name} is {given[name]} and should be {wanted[name]}" for name in other]
    if found:
        more = (
            f", and {len(found) - DIFFERENCES_TOLD} more" if len(found) > DIFFERENCES_TOLD else ""
        )
        raise ConfigError(
            f"the {what} has other weights: {'; '.join(found[:DIFFERENCES_TOLD])}{more}"
        )


def _shown(value) -> str:
    """A stranger's words in a line: short, and escaped."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    return text[:60].encode("unicode_escape").decode()


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
