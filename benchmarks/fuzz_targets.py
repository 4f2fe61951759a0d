"""The targets of `benchmarks.fuzz`: for each a function that reads bytes, and whole files."""

import functools
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load

from helpers.config import AudioConfig, ConfigError, ModelConfig, RunConfig, make_config
from helpers.data.archives import SourceError, extract_archive
from helpers.files import UnusableFileError, stamped_name
from helpers.gan.generator_file import (
    SoundGenerator,
    describe_origin,
    load_generator,
    save_generator,
)
from helpers.gan.networks import make_generator
from helpers.network_file import pack
from helpers.sound import audio_files as audio
from helpers.sound.normalisation import fit_normaliser
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.metrics_file import drop_lines_after, read_metrics

REFUSALS = (audio.AudioError, SourceError, ConfigError, UnusableFileError)
FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "aiff": "AIFF"}
ARCHIVES = ("zip", "tar", "tar.gz")
SMALL = AudioConfig(sample_rate=8_000, n_fft=256, hop_length=64, n_mels=16, n_frames=16)


def read_audio(content: bytes, work: Path) -> None:
    """The first byte says which suffix the rest has."""
    path = _written(
        content[1:], work, list(FORMATS)[content[0] % len(FORMATS)] if content else "wav"
    )
    waveform, info = audio.read_audio(path, 8_000)
    assert np.isfinite(waveform).all() and info.sample_rate > 0


def read_archive(content: bytes, work: Path) -> None:
    """The first byte says which suffix the rest has."""
    path = _written(content[1:], work, ARCHIVES[content[0] % len(ARCHIVES)] if content else "zip")
    target = extract_archive(path, work)
    assert not any(entry.is_symlink() for entry in target.rglob("*"))


def read_config(content: bytes, work: Path) -> None:
    """As RunFolder.read_config reads it."""
    config = RunConfig.from_json(content.decode("utf-8", "replace"))
    assert RunConfig.from_json(config.to_json()) == config


def read_checkpoint(content: bytes, work: Path) -> None:
    """Under the name that belongs to it, so that what is in it is looked at."""
    (work / stamped_name("step", 1, content, ".safetensors")).write_bytes(content)
    loaded, problems = load_newest_checkpoint(work)
    assert loaded.step == 1 and not problems


def read_generator_note(content: bytes, work: Path) -> None:
    """Beside a whole checkpoint, as a drive has it."""
    (work / "a.pt").write_bytes(_checkpoint())
    (work / "a.json").write_bytes(content)
    state, problems = load_newest_checkpoint(work)
    assert state is None or (state["step"] == 1 and not problems)


def read_generator(content: bytes, work: Path) -> None:
    """As 04_listen reads it. A first byte tells the file from texts beside whole weights."""
    path = _written(content[1:], work, "safetensors")
    if content[:1] != b"\0":
        texts = content[1:].decode("utf-8", "replace").split("\0")
        names = ("audio", "model", "classes", "note", "version")
        path.write_bytes(pack(weights(), dict(zip(names, texts, strict=False))))
    assert len(describe_origin(path)) < 10_000
    assert load_generator(path).classes


def read_metrics_file(content: bytes, work: Path) -> None:
    """As training and the tables read it."""
    path = _written(content, work, "jsonl")
    (work / stamped_name("metrics", 1, content, ".jsonl")).write_bytes(content)
    drop_lines_after(path, 3)
    assert all(isinstance(line, dict) for line in read_metrics(path, "training"))


READ: dict[str, Callable[[bytes, Path], None]] = {
    "audio": read_audio,
    "archive": read_archive,
    "config": read_config,
    "checkpoint": read_checkpoint,
    "note": read_generator_note,
    "generator": read_generator,
    "metrics": read_metrics_file,
}


def seeds(target: str) -> list[bytes]:
    """Whole files of a target's kind, small."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            "audio": lambda: [
                bytes([n]) + _sound(format) for n, format in enumerate(FORMATS.values())
            ],
            "archive": lambda: [bytes([n]) + content for n, content in enumerate(_archives())],
            "config": lambda: [
                make_config("cpu", recipe).to_json().encode() for recipe in ("modern", "baseline")
            ],
            "checkpoint": lambda: [_checkpoint()],
            "generator": lambda: [
                b"\0" + _generator(Path(folder)),
                b"\1" + _description(Path(folder)),
            ],
            "metrics": lambda: [
                b'{"kind": "training", "step": 1}\n{"kind": "quality", "step": 4}\n'
            ],
        }[target]()


@functools.lru_cache
def weights() -> dict[str, torch.Tensor]:
    """Those of the small generator."""
    with tempfile.TemporaryDirectory() as folder:
        return load(_generator(Path(folder)))


@functools.lru_cache
def _checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        saved = Checkpoint(1, {"w": torch.ones(9)}, {})
        return save_checkpoint(Path(folder), saved).read_bytes()


def _description(folder: Path) -> bytes:
    (folder / "g.safetensors").write_bytes(_generator(folder))
    with safe_open(folder / "g.safetensors", "pt") as file:
        metadata = file.metadata()
    return "\0".join(
        metadata[name] for name in ("audio", "model", "classes", "note", "version")
    ).encode()


def _written(content: bytes, work: Path, suffix: str) -> Path:
    path = work / f"x.{suffix}"
    path.write_bytes(content)
    return path


def _sound(format: str) -> bytes:
    content = io.BytesIO()
    waveform = np.random.default_rng(0).uniform(-0.3, 0.3, (900, 2)).astype(np.float32)
    soundfile.write(content, waveform, 16_000, format=format)
    return content.getvalue()


def _archives() -> list[bytes]:
    zipped, tarred = io.BytesIO(), {"w": io.BytesIO(), "w:gz": io.BytesIO()}
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.wav", _sound("WAV")[:300])
    for mode, content in tarred.items():
        with tarfile.open(fileobj=content, mode=mode) as archive:
            member = tarfile.TarInfo("a/x.wav")
            member.size = 300
            archive.addfile(member, io.BytesIO(_sound("WAV")[:300]))
    return [zipped.getvalue(), *(content.getvalue() for content in tarred.values())]


def _generator(folder: Path) -> bytes:
    model = ModelConfig(z_dim=1, generator_width=1, discriminator_width=1, embedding_dim=1)
    mels = torch.randn(8, SMALL.n_mels, SMALL.n_frames, generator=torch.Generator().manual_seed(0))
    normaliser = fit_normaliser([(mels, torch.arange(8) % 2)], 2, SMALL)
    network = make_generator(model, SMALL, 2)
    generator = SoundGenerator(network, SMALL, model, ("a", "b"), normaliser)
    return save_generator(folder / "g.safetensors", generator, {"step": 1}).read_bytes()
