"""Anything in place of a file: refused in words or read, never a crash or a file outside.

FUZZ_EXAMPLES says how many inputs are tried of each kind.
"""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.config import ConfigError, RunConfig
from helpers.data.archives import SourceError, extract_archive
from helpers.files import UnusableFileError, stamped_name
from helpers.gan.generator_file import load_generator, save_generator
from helpers.sound.audio_files import AudioError, read_audio
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FORMATS = {
    "wav": "PCM_16",
    "flac": "PCM_16",
    "ogg": "VORBIS",
    "mp3": "MPEG_LAYER_III",
    "aiff": "PCM_24",
}
EVIL_NAMES = (
    "../out.wav",
    "/tmp/out.wav",
    "a/../../out.wav",
    "C:\\out.wav",
    "a\\..\\..\\out.wav",
    "." * 300,
)
ANY_NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40
)
NAMES = ANY_NAMES | st.sampled_from(EVIL_NAMES)
MEMBERS = st.sampled_from(
    [tarfile.REGTYPE] * 4 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE]
)
fuzzed = settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def sound(suffix: str) -> bytes:
    content = io.BytesIO()
    waveform = np.random.default_rng(0).uniform(-0.3, 0.3, (900, 2)).astype(np.float32)
    format = {"mp3": "MP3", "aiff": "AIFF"}.get(suffix, suffix.upper())
    soundfile.write(content, waveform, 16_000, format=format, subtype=FORMATS[suffix])
    return content.getvalue()


SOUNDS = {suffix: sound(suffix) for suffix in FORMATS}


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """A file with some bytes changed, most at its beginning; cut, doubled, or nothing of it."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 8))):
        place = draw(st.integers(0, min(120, len(content) - 1)) | st.integers(0, len(content) - 1))
        content[place] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    kept = draw(st.just(len(content)) | st.integers(0, len(content)))
    return bytes(content[:kept]) * draw(st.sampled_from([1, 1, 1, 2])) or draw(
        st.binary(max_size=300)
    )


@pytest.mark.parametrize("suffix", FORMATS)
@fuzzed
@given(data=st.data())
def test_any_bytes_are_a_sound_or_refused(suffix, tmp_path, data):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data.draw(damaged(SOUNDS[suffix])))
    try:
        waveform, info = read_audio(path, 8_000)
    except AudioError as error:
        assert str(error)
    else:
        assert np.isfinite(waveform).all() and waveform.ndim == 1
        assert info.sample_rate > 0 and len(waveform) < 10_000_000


def entries_outside(folder: Path, work: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_relative_to(work)}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@fuzzed
@given(data=st.data())
def test_any_archive_is_extracted_inside_or_refused_whole(kind, tmp_path, data):
    work, archive = tmp_path / "deep" / "work", tmp_path / f"x.{kind}"
    names = data.draw(st.lists(NAMES, max_size=4))
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for name in names:
                opened.writestr(zipfile.ZipInfo(name), SOUNDS["wav"][:200])
    else:
        with tarfile.open(archive, "w") as opened:
            for name in names:
                member = tarfile.TarInfo(name)
                member.type = data.draw(MEMBERS)
                member.linkname, member.size = (
                    "../../..",
                    200 if member.type == tarfile.REGTYPE else 0,
                )
                opened.addfile(member, io.BytesIO(SOUNDS["wav"][:200]))
    if data.draw(st.booleans()):
        archive.write_bytes(data.draw(damaged(archive.read_bytes())))
    before = entries_outside(tmp_path, work)
    try:
        target = extract_archive(archive, work)
    except SourceError as error:
        assert str(error) and not list(work.iterdir())
    else:
        assert target.parent == work and not any(path.is_symlink() for path in target.rglob("*"))
        for path in sorted(target.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        target.rmdir()
    assert entries_outside(tmp_path, work) - {work.parent} == before - {work.parent}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["audio", "model", "train", "data", "classes", "versions", "sample_rate", "n_mels", "seed"]
)


@fuzzed
@given(
    content=st.dictionaries(
        FIELDS, VALUES | st.dictionaries(FIELDS, VALUES, max_size=3), max_size=4
    )
    | VALUES
)
def test_any_configuration_is_read_or_refused(content):
    try:
        config = RunConfig.from_json(json.dumps(content))
    except ConfigError as error:
        assert str(error)
    else:
        assert RunConfig.from_json(config.to_json()) == config


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    saved = Checkpoint(2, {"weights": torch.ones(40, 40)}, {"seconds": 1.5})
    return save_checkpoint(folder, saved).read_bytes()


@fuzzed
@given(data=st.data())
def test_any_bytes_are_a_checkpoint_or_refused(checkpoint, tmp_path, data):
    """Under the name that belongs to them, so that what is in them is looked at."""
    content = data.draw(damaged(checkpoint))
    path = tmp_path / stamped_name("step", 2, content, ".safetensors")
    path.write_bytes(content)
    try:
        loaded, problems = load_newest_checkpoint(tmp_path)
    except UnusableFileError as error:
        assert path.name in str(error)
    else:
        assert loaded.step == 2 and problems == []
    path.unlink()


@fuzzed
@given(data=st.data())
def test_any_bytes_are_this_generator_or_refused(sound_generator, tmp_path, data):
    path = save_generator(tmp_path / "g.safetensors", sound_generator())
    whole = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole)))
    try:
        loaded = load_generator(path)
    except UnusableFileError as error:
        assert "g.safetensors" in str(error)
    else:
        assert loaded.classes and path.read_bytes()[:8] == whole[:8]
