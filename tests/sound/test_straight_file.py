"""Decoders are silent about damaged files, and what others write to standard error arrives."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from helpers.sound.audio_files import AudioError, read_audio
from helpers.sound.straight_file import decoders_silenced


@pytest.fixture
def damaged(tmp_path):
    """Damaged files with the suffix of MP3, on each of which libmpg123 has something to say."""
    sound = (0.3 * np.sin(np.arange(160_000) / 10)).astype(np.float32)
    soundfile.write(tmp_path / "cut.mp3", sound, 16_000, format="MP3")
    whole = (tmp_path / "cut.mp3").read_bytes()
    noise = np.random.default_rng(0).bytes(9_000)
    (tmp_path / "cut.mp3").write_bytes(whole[:-700])
    (tmp_path / "hole.mp3").write_bytes(whole[:3_000] + noise + whole[3_000:])
    (tmp_path / "text.mp3").write_bytes(b"no sound " * 20_000)
    return sorted(tmp_path.glob("*.mp3"))


def read(path) -> str:
    try:
        return f"{len(read_audio(path, 16_000)[0])} samples"
    except AudioError as error:
        return str(error)


def test_a_decoder_says_nothing_of_damaged_files_and_the_reader_does(damaged, capfd):
    found = [read(path) for path in damaged]
    assert [one.endswith("samples") for one in found] == [True, True, False]
    assert int(found[1].split()[0]) < int(found[0].split()[0]), "up to the hole"
    assert "not readable" in found[2]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, damaged * 8)) == found * 8
    assert capfd.readouterr().err == ""
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_standard_error_comes_back_after_an_error_and_at_the_last_of_several(capfd):
    with pytest.raises(KeyError), decoders_silenced(), decoders_silenced():
        os.write(2, b"lost")
        raise KeyError
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
