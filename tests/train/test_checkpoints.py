"""Checkpoints and exported generators: never half written, never executed, damage told in words."""

import dataclasses
import errno
import functools
import hashlib
import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers.config import ConfigError, to_json
from helpers.files import UnusableFileError, drop_folder, write_in_place
from helpers.gan.generator_file import describe_origin, load_generator, save_generator
from helpers.sound.magnitudes import MagnitudeNet
from helpers.train.checkpoints import (
    load_newest_checkpoint,
    newest_whole,
    save_checkpoint,
    saved_in,
    write_note,
)

RECIPES = ("baseline", "modern")


def state(step: int) -> dict:
    return {"step": step, "weights": torch.full((50, 50), float(step)), "identity": "{}"}


def steps_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_is_loaded_and_two_are_kept(tmp_path):
    for step in (5, 10, 200):
        assert save_checkpoint(state(step), tmp_path, step).exists()
    names = [f"step-{step:08d}.{end}" for step in (10, 200) for end in ("pt", "sha256")]
    assert steps_in(tmp_path) == names
    (tmp_path / "step-00000300.pt.partial").write_bytes(b"of a run that was killed")
    save_checkpoint(state(200), tmp_path, 200)
    assert steps_in(tmp_path) == names
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded["step"] == 200 and problems == []
    assert torch.equal(loaded["weights"], state(200)["weights"])


def test_an_absent_or_empty_folder_is_a_new_run(tmp_path):
    assert load_newest_checkpoint(tmp_path / "none") == (None, [])
    assert load_newest_checkpoint(tmp_path) == (None, [])


@pytest.mark.parametrize("where", ["replace", "save"])
def test_a_kill_while_writing_leaves_the_older_one_whole(tmp_path, monkeypatch, where):
    save_checkpoint(state(1), tmp_path, 1)

    def die(*args):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if where == "replace" else torch, where, die)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(state(2), tmp_path, 2)
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded["step"] == 1 and problems == []
    save_checkpoint(state(3), tmp_path, 3)
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "random", "text", "pickle", "bit", "foreign"])
def test_a_damaged_newest_gives_way_to_the_one_before_with_a_message(tmp_path, damage):
    save_checkpoint(state(1), tmp_path, 1)
    newest = save_checkpoint(state(2), tmp_path, 2)
    whole = newest.read_bytes()
    middle = len(whole) // 2
    foreign = io.BytesIO()
    torch.save({"epoch": 3, "model": torch.zeros(3)}, foreign)
    if damage == "foreign":  # nobody noted its digest
        newest.with_suffix(".sha256").unlink()
    newest.write_bytes(
        {
            "foreign": foreign.getvalue(),
            "cut": whole[:middle],
            "empty": b"",
            "random": np.random.default_rng(0).bytes(4096),
            "text": b"this is no checkpoint\n" * 10,
            "pickle": pickle.dumps({"step": os.getpid}),
            "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],  # in a weight
        }[damage]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded["step"] == 1
    assert len(problems) == 1 and newest.name in problems[0] and "cannot be read" in problems[0]


def test_no_damage_to_a_checkpoint_escapes(tmp_path):
    rng, newest = np.random.default_rng(1), tmp_path / "step-00000002.pt"
    save_checkpoint(state(1), tmp_path, 1)
    whole = np.frombuffer(save_checkpoint(state(2), tmp_path, 2).read_bytes(), np.uint8)
    for trial in range(60):
        if trial % 2:
            damaged = rng.integers(0, 256, int(rng.integers(1, 300)), dtype=np.uint8)
        else:  # anywhere in the file; its directory and its pickle are the small ends of it
            damaged = whole.copy()
            at = rng.integers(0, 600, 5) if trial % 4 else len(whole) - 1 - rng.integers(0, 600, 5)
            damaged[at] = rng.integers(0, 256, 5)
        newest.write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded, problems = load_newest_checkpoint(tmp_path)
        assert (loaded["step"], len(problems)) == (1, 1)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.EACCES])
@pytest.mark.parametrize("failing", ["read_bytes", "listdir"])
def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(tmp_path, monkeypatch, number, failing):
    for step in (1, 2):
        save_checkpoint(state(step), tmp_path, step)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path if failing == "read_bytes" else os, failing, fail)
        for read in (load_newest_checkpoint, newest_whole, saved_in):
            with pytest.raises(OSError, match=os.strerror(number)):
                read(tmp_path)
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 2


def test_memory_that_is_short_is_not_taken_for_damage(tmp_path, monkeypatch):
    save_checkpoint(state(1), tmp_path, 1)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(MemoryError):
        load_newest_checkpoint(tmp_path)


def test_what_is_whole_but_cannot_be_used_is_refused_and_kept(tmp_path):
    """To begin anew beside it would end in its removal."""
    save_checkpoint(state(1), tmp_path, 1)
    save_checkpoint(state(2) | {"step": "of a later version"}, tmp_path, 2)
    with pytest.raises(
        UnusableFileError, match="00002.pt is whole, but this version cannot use it .*restart=True"
    ):
        load_newest_checkpoint(tmp_path)
    assert newest_whole(tmp_path)[0].step == 2


def test_a_class_may_have_any_name_also_in_a_checkpoint(tmp_path):
    save_checkpoint(
        state(1) | {"identity": json.dumps({"classes": ["bytearray", "_codecs encode"]})},
        tmp_path,
        1,
    )
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 1


def growing(how: str):
    """A state that is small in its file and large where it is used."""
    if how == "a tensor of one number":
        return torch.zeros(1).expand(10**6)
    return functools.reduce(lambda inside, _: [inside] * 10, range(8), [0])


@pytest.mark.parametrize("how", ["a tensor of one number", "lists of lists"])
def test_a_state_that_grows_when_it_is_used_is_passed_over(tmp_path, how):
    save_checkpoint(state(1), tmp_path, 1)
    path = save_checkpoint(state(2) | {"players": growing(how)}, tmp_path, 2)
    assert path.stat().st_size < 20_000
    path.with_suffix(".sha256").unlink()
    found, (problem,) = load_newest_checkpoint(tmp_path)
    assert (
        found["step"] == 1
        and "step-00000002.pt cannot be read (it is of another program)" in problem
    )


def taking_memory(how: str) -> bytes:
    """A small file that would take much memory."""
    n = 2 * 10**9
    if how in ("bytearray", "capitals"):
        pickled = b"\x80\x02c__builtin__\nbytearray\n\x8a\x08" + n.to_bytes(8, "little") + b"\x85R."
    elif how == "codecs":
        pickled = (
            b"\x80\x02"
            + 40 * b"c_codecs\nencode\n("
            + b"X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1tR"
        )
        pickled += 39 * b"X\x03\x00\x00\x00hextR" + b"."
    else:
        pickled = b"\x80\x02X" + (10**8).to_bytes(4, "little") + b"a" * 10**8 + b"."
    content = io.BytesIO()
    with zipfile.ZipFile(
        content, "w", zipfile.ZIP_DEFLATED if how == "deflated" else zipfile.ZIP_STORED
    ) as opened:
        first = "DATA.PKL" if how == "capitals" else "data.pkl"
        for name, member in ((first, pickled), ("version", b"3\n"), ("byteorder", b"little")):
            opened.writestr(f"archive/{name}", member)
    return content.getvalue() if how != "no zip" else pickle.dumps(bytearray(9))


@pytest.mark.parametrize("how", ["bytearray", "capitals", "codecs", "deflated", "no zip"])
def test_a_small_file_that_takes_much_memory_is_passed_over_before_it_does(
    tmp_path, monkeypatch, how
):
    save_checkpoint(state(1), tmp_path, 1)
    (tmp_path / "step-00000002.pt").write_bytes(taking_memory(how))
    loaded, sizes = torch.load, []
    monkeypatch.setattr(
        torch,
        "load",
        lambda file, **words: (sizes.append(len(file.getvalue())), loaded(file, **words))[1],
    )
    found, (problem,) = load_newest_checkpoint(tmp_path)
    assert found["step"] == 1 and "step-00000002.pt cannot be read" in problem
    assert len(sizes) == 1, "only the other was given to torch"


@pytest.mark.parametrize("step", [float("inf"), -7, 10**12, 2.0, True, "2", None, 3])
def test_a_checkpoint_with_a_step_that_is_none_or_not_its_own_is_passed_over(tmp_path, step):
    save_checkpoint(state(1), tmp_path, 1)
    save_checkpoint(state(2) | {"step": step}, tmp_path, 2).with_suffix(".sha256").unlink()
    found, (problem,) = load_newest_checkpoint(tmp_path)
    assert found["step"] == 1 and "step-00000002.pt cannot be read (it is of another" in problem


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"step": 1e999}',
        '{"step": -5}',
        '{"step": 9, "sha256": [1], "check": ""}',
        "digit",
    ],
)
def test_a_note_that_is_damaged_or_a_strangers_makes_its_checkpoint_give_way(tmp_path, note):
    for name, step in (("a", 1), ("b", 20)):
        saved = newest_whole(save_checkpoint(state(step), tmp_path / name, step).parent)[0]
        (tmp_path / f"{name}.pt").write_bytes(saved.path.read_bytes())
        write_note(saved._replace(path=tmp_path / f"{name}.pt"))
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 20
    whole = (tmp_path / "b.json").read_text()
    (tmp_path / "b.json").write_text(whole.replace("20", "21") if note == "digit" else note)
    found, problems = load_newest_checkpoint(tmp_path)
    assert found["step"] == 1
    assert len(problems) == bool(note) and all(
        "b.pt cannot be read" in problem for problem in problems
    )


def test_no_link_is_followed(tmp_path):
    (tmp_path / "precious.txt").write_text("not ours")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("step-x.partial", "step-00000001.pt.partial", "step-00000001.sha256"):
        (run / name).symlink_to(tmp_path / "precious.txt")
    save_checkpoint(state(1), run, 1)
    (run / "a.pt").symlink_to(tmp_path / "precious.txt")
    write_in_place(run / "a.pt", b"ours")
    assert (run / "a.pt").read_bytes() == b"ours"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious.txt").write_text("not ours")
    (run / "samples").symlink_to(tmp_path / "folder")
    drop_folder(run / "samples")
    (run / "inner").mkdir()
    (run / "inner" / "samples").symlink_to(tmp_path / "folder")
    drop_folder(run)
    assert not run.exists()
    assert [path.read_text() for path in tmp_path.rglob("precious.txt")] == ["not ours", "not ours"]


def test_a_checkpoint_without_a_digest_is_taken_at_its_word(tmp_path):
    save_checkpoint(state(4), tmp_path, 4).with_suffix(".sha256").unlink()
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 4


def test_all_damaged_is_none_with_a_message_each_and_a_new_checkpoint_is_then_kept(tmp_path):
    for step in (100, 200):
        save_checkpoint(state(step), tmp_path, step).write_bytes(b"PK gone")
    loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded is None
    assert len(problems) == 2 and "step-00000200" in problems[0] and "step-00000100" in problems[1]
    for step in (3, 6):  # training begins again, before the damaged steps
        assert save_checkpoint(state(step), tmp_path, step).exists()
        assert load_newest_checkpoint(tmp_path)[0]["step"] == step


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "write", [lambda bomb, path: path.write_bytes(pickle.dumps(bomb)), torch.save]
)
def test_a_checkpoint_that_would_run_code_does_not(tmp_path, write):
    write(Bomb(tmp_path / "executed"), tmp_path / "step-00000001.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded, problems = load_newest_checkpoint(tmp_path)
    assert loaded is None and len(problems) == 1
    assert not (tmp_path / "executed").exists()


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


def test_classes_are_found_by_name_and_listed_when_they_are_not(sound_generator):
    assert sound_generator().class_index("noise") == 2
    with pytest.raises(ConfigError, match="no class 'bell'.*high, low, noise"):
        sound_generator().class_index("bell")


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
        save_file(
            {"weight": torch.zeros(3)},
            path,
            {"audio": "{}", "model": '{"depth": 9}', "classes": "a"},
        )
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
    """The file with other tensors and metadata (None: without), as another version or a stranger would write it."""
    with safe_open(path, "pt") as file:
        before = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
    after = {name: value for name, value in (before | metadata).items() if value is not None}
    save_file(tensors | (others or {}), path, after)


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
    rewritten(path, {name: value}, digest=None)
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


def test_a_generator_of_half_precision_is_loaded(tmp_path, sound_generator):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    name = "network.to_spectrogram.bias"
    rewritten(path, {name: torch.full((1,), 0.5, dtype=torch.bfloat16)}, digest=None)
    assert load_generator(path).network.to_spectrogram.bias.item() == 0.5


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


def test_what_made_a_generator_is_told_and_a_strangers_words_are_escaped(tmp_path, sound_generator):
    path = tmp_path / "g.safetensors"
    note = {"step": 7, "seed": 3, "recordings": "0123456789ab", "versions": {"torch": "2.11.0"}}
    save_generator(path, sound_generator(), note)
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
        told = describe_origin(path)
        assert "\x1b" not in told and len(told) < 500 and len(told.splitlines()) == 2
