"""Exported generators: they come back exactly, are never half written, and damage is refused."""

import dataclasses
import errno
import functools
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from helpers.config_json import to_json
from helpers.files import UnusableFileError
from helpers.gan.generator_file import (
    describe_origin,
    is_whole_generator,
    load_generator,
    read_origin,
    save_generator,
)
from helpers.network_file import pack, unpack
from helpers.sound.magnitudes import MagnitudeNet

RECIPES = ("baseline", "modern")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_generator_comes_back_exactly(tmp_path, sound_generator, recipe):
    classes = ("two\nlines", "🥁 <b>", "back\\slash \\n", "caf\udce9", "ünï")
    generator = sound_generator(recipe, classes)
    with torch.no_grad():
        for _ in range(3):  # so that batch statistics are not those of the start
            generator.network.train()(torch.randn(8, 8), torch.eye(5)[torch.arange(8) % 5])
    generator.network.eval()
    path = save_generator(tmp_path / "new" / "generator.safetensors", generator)
    loaded = load_generator(path)
    assert loaded.classes == classes
    assert (loaded.audio, loaded.model) == (generator.audio, generator.model)
    assert not loaded.network.training
    for name, weight in generator.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], weight), name
    for name, values in generator.normaliser.tensors().items():
        assert torch.equal(loaded.normaliser.tensors()[name], values)
    z, y = torch.randn(3, 8), torch.eye(5)[:3]
    with torch.no_grad():
        assert torch.equal(loaded.network(z, y), generator.network(z, y))
    assert os.listdir(path.parent) == [path.name]


def test_the_inversion_travels_with_the_generator(tmp_path, sound_generator):
    inversion = MagnitudeNet(sound_generator().audio)
    with torch.no_grad():
        inversion.head.bias.fill_(0.5)
    path = save_generator(
        tmp_path / "g.safetensors", dataclasses.replace(sound_generator(), inversion=inversion)
    )
    loaded = load_generator(path)
    assert loaded.inversion.audio == loaded.audio
    for name, value in inversion.state_dict().items():
        assert torch.equal(loaded.inversion.state_dict()[name], value)
    assert load_generator(save_generator(path, sound_generator())).inversion is None


def test_exporting_again_replaces_whole_or_not_at_all(tmp_path, sound_generator, monkeypatch):
    path = save_generator(tmp_path / "g.safetensors", sound_generator(seed=1))
    before = path.read_bytes()

    def die(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(OSError, match="killed"):
            save_generator(path, sound_generator(seed=2))
    assert path.read_bytes() == before
    save_generator(path, sound_generator(seed=2))
    assert path.read_bytes() != before


def test_a_missing_generator_says_what_to_run(tmp_path):
    with pytest.raises(
        UnusableFileError, match="no generator at .*x.safetensors: run 03_train first"
    ):
        load_generator(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "damage", ["foreign", "named", "random", "empty", "cut", "pickle", "classes", "text", "bit"]
)
def test_a_foreign_or_damaged_generator_is_refused_in_words(tmp_path, sound_generator, damage):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    whole = path.read_bytes()
    if damage == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif damage == "named":
        metadata = {"audio": "{}", "model": '{"depth": 9}', "classes": "a"}
        path.write_bytes(pack({"weight": torch.zeros(3)}, metadata))
    elif damage == "classes":  # one class less than its weights were made for
        path.write_bytes(whole.replace(b"high\\nlow\\nnoise", b"high\\nlow__noise"))
        assert path.read_bytes() != whole
    else:
        made = {
            "random": np.random.default_rng(0).bytes(999),
            "empty": b"",
            "cut": whole[: len(whole) // 2],
        }
        made["bit"] = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]  # in a weight
        made |= {
            "pickle": pickle.dumps(Bomb(tmp_path / "executed")),
            "text": b"<html>404</html>" * 20,
        }
        path.write_bytes(made[damage])
    with pytest.raises(
        UnusableFileError, match="g.safetensors is no generator of this project, or damaged"
    ):
        load_generator(path)
    assert not (tmp_path / "executed").exists()


def rewritten(path, others=None, **metadata) -> None:
    """Replace tensors and metadata of the file, as another version or a stranger would write it."""
    tensors, before = unpack(path.read_bytes())
    path.write_bytes(pack(tensors | (others or {}), before | metadata))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("normaliser.mean", torch.zeros(3)),
        ("normaliser.mean", torch.zeros(())),
        ("normaliser.std", torch.full((16,), float("nan"))),
        ("normaliser.loudest", torch.full((16,), 1e30)),
        ("normaliser.mean", torch.zeros(16, dtype=torch.int64)),
        ("normaliser.mean", torch.zeros(16, dtype=torch.bfloat16)),
        ("network.to_spectrogram.bias", torch.full((1,), float("inf"))),
        ("network.to_spectrogram.bias", torch.full((1,), 1e300, dtype=torch.float64)),
        ("normaliser.std", torch.full((16,), -1.0)),
    ],
)
def test_a_generator_with_numbers_that_cannot_be_is_refused(tmp_path, sound_generator, name, value):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    rewritten(path, {name: value})
    with pytest.raises(
        UnusableFileError, match="g.safetensors is no generator of this project, or damaged"
    ):
        load_generator(path)


@pytest.mark.parametrize(
    "classes",
    [
        "../../evil\nlow\nnoise",
        "/abs\nlow\nnoise",
        "a\\x00b\nlow\nnoise",
        "\\ud800\nlow\nnoise",
        "a\na\nb",
    ],
)
def test_classes_that_are_no_folders_names_are_refused(tmp_path, sound_generator, classes):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    rewritten(path, classes=classes)
    with pytest.raises(UnusableFileError, match="class.* name"):
        load_generator(path)


def test_a_generator_without_a_digest_is_refused(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    tensors, metadata = unpack(path.read_bytes())
    del metadata["digest"]
    save_file(tensors, path, metadata)
    with pytest.raises(UnusableFileError, match="damaged: it has no digest of its numbers"):
        load_generator(path)


def test_a_generator_of_half_precision_is_loaded(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    name = "network.to_spectrogram.bias"
    rewritten(path, {name: torch.full((1,), 0.5, dtype=torch.bfloat16)})
    assert load_generator(path).network.to_spectrogram.bias.item() == 0.5


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_generator_in_half_precision_takes_half_the_room(tmp_path, sound_generator, recipe):
    inversion = MagnitudeNet(sound_generator(recipe).audio)
    generator = dataclasses.replace(sound_generator(recipe), inversion=inversion)
    for name, value in generator.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(123_457)  # 16 bits cannot hold it
    whole = save_generator(tmp_path / "whole.safetensors", generator, {"step": 7})
    path = save_generator(tmp_path / "half.safetensors", generator, {"step": 7}, half=True)
    assert path.stat().st_size < 0.6 * whole.stat().st_size and read_origin(path) == {"step": 7}
    loaded = load_generator(path)
    for before, after in (
        (generator.network, loaded.network),
        (generator.inversion, loaded.inversion),
    ):
        for name, value in before.state_dict().items():
            found = after.state_dict()[name]
            assert found.dtype == value.dtype, name
            assert torch.allclose(found, value, rtol=1e-3, atol=1e-6), name
    for name, values in generator.normaliser.tensors().items():
        assert torch.equal(loaded.normaliser.tensors()[name], values)


def test_a_generator_that_cannot_be_read_says_so(tmp_path, sound_generator, monkeypatch):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())

    def fail(*_):
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(
        UnusableFileError,
        match="g.safetensors cannot be read .*see that its disk or Drive is there",
    ):
        load_generator(path)


def test_a_generator_of_another_version_or_geometry_says_what_differs(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    rewritten(path, version="0.0.1", classes="a\nb")
    with pytest.raises(
        UnusableFileError,
        match=r"made by version 0\.0\.1, this is .*\): the generator has other weights: ",
    ):
        load_generator(path)
    audio = json.loads(to_json(sound_generator().audio))
    for other, words in (
        ({"n_frames": 32}, "should be"),
        ({"n_mels": 32}, "should be"),
        ({"n_mels": 40}, "n_mels must"),
    ):
        rewritten(path, classes="high\nlow\nnoise", audio=json.dumps(audio | other))
        with pytest.raises(UnusableFileError, match=words) as caught:
            load_generator(path)
        assert "Error(s) in loading" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("model", "z_dim", 4096),
        ("model", "generator_width", 4096),
        ("model", "z_dim", 10**12),
        ("model", "embedding_dim", 10**12),
        ("audio", "n_fft", 10**12),
        ("audio", "n_frames", 8192),
        ("audio", "sample_rate", 10**12),
    ],
)
def test_a_generator_that_asks_for_absurd_sizes_is_refused_before_memory_is_taken(
    tmp_path, sound_generator, part, field, value
):
    generator = sound_generator()
    path = save_generator(tmp_path / "g.safetensors", generator)
    values = json.loads(to_json(getattr(generator, part)))
    rewritten(path, **{part: json.dumps(values | {field: value})})
    with pytest.raises(
        UnusableFileError, match="g.safetensors is no generator of this project, or damaged"
    ):
        load_generator(path)


def test_classes_without_end_are_refused_before_memory_is_taken(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    rewritten(path, classes="\n".join(f"{n}" for n in range(1_000_000)))
    with pytest.raises(UnusableFileError, match="there can be 10000 classes, got 1000000"):
        load_generator(path)


def test_a_header_without_metadata_is_refused(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length]) | {"__metadata__": None}
    written = json.dumps(header).encode()
    path.write_bytes(len(written).to_bytes(8, "little") + written + content[8 + length :])
    with pytest.raises(UnusableFileError, match="g.safetensors is no generator"):
        load_generator(path)


@pytest.mark.parametrize("size", [2**63 - 1, 2**40, 0])
def test_a_header_of_absurd_size_is_refused(tmp_path, sound_generator, size):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    path.write_bytes(size.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(UnusableFileError, match="g.safetensors is no generator"):
        load_generator(path)


def test_what_made_a_generator_is_told_and_words_of_others_are_escaped(tmp_path, sound_generator):
    path = tmp_path / "g.safetensors"
    origin = {"step": 7, "seed": 3, "recordings": "0123456789ab", "versions": {"torch": "2.11.0"}}
    save_generator(path, sound_generator(), origin)
    assert read_origin(path) == origin
    lines = describe_origin(path).splitlines()
    assert lines[0].startswith("made at step 7, seed 3, recordings 0123456789ab; SHA-256 ")
    assert (
        lines[0].endswith(hashlib.sha256(path.read_bytes()).hexdigest())
        and lines[1] == "with torch 2.11.0"
    )
    evil = "\x1b[31m\n" + "x" * 10_000
    deep = functools.reduce(lambda inside, _: [inside], range(900), [])
    strangers = (
        {"step": evil, "versions": {evil: evil}},
        {"step": deep},
        {"versions": [1]},
        [1],
        "text",
        None,
    )
    for stranger in strangers:
        save_generator(path, sound_generator(), stranger)
        described = describe_origin(path)
        assert "\x1b" not in described and len(described) < 500
        assert len(described.splitlines()) == 2


def test_only_whole_content_is_a_whole_generator_and_damage_leaves_no_origin(
    tmp_path, sound_generator
):
    path = save_generator(tmp_path / "g.safetensors", sound_generator(), {"step": 7})
    whole = path.read_bytes()
    assert is_whole_generator(whole)
    assert not is_whole_generator(None) and not is_whole_generator(whole[:-1])
    for content in (b"", b"<html>", whole[:20]):
        path.write_bytes(content)
        assert read_origin(path) == {}
    assert read_origin(tmp_path / "absent") == {}
