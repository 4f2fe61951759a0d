"""A sound to look for is read from its beginning, in the length and rate of the generator."""

import numpy as np
import pytest

from helpers.run.colab import RunError
from helpers.run.sound_to_find import open_own_sound
from helpers.sound.audio_files import AudioError, write_wav


def test_no_choice_is_no_sound(tiny_audio):
    assert open_own_sound("", tiny_audio) is None


def test_a_file_is_read_from_where_its_sound_begins(tmp_path, tiny_audio):
    rate = 2 * tiny_audio.sample_rate
    tone = 0.5 * np.sin(np.arange(rate) * 0.2)
    path = write_wav(tmp_path / "my dog.wav", np.concatenate([np.zeros(rate), tone]), rate)
    name, waveform = open_own_sound(str(path), tiny_audio)
    assert name == "my dog.wav" and waveform.shape == (tiny_audio.clip_samples,)
    loud = np.abs(waveform) > 0.1
    assert loud.any() and loud.argmax() < 0.1 * tiny_audio.sample_rate


def test_a_file_that_is_not_there_is_said(tmp_path, tiny_audio):
    with pytest.raises(RunError, match="there is no file .*gone.wav: give the path"):
        open_own_sound(str(tmp_path / "gone.wav"), tiny_audio)


def test_silence_and_texts_are_said(tmp_path, tiny_audio):
    silent = write_wav(tmp_path / "silent.wav", np.zeros(4_000), 8_000)
    with pytest.raises(AudioError, match="nothing but silence"):
        open_own_sound(str(silent), tiny_audio)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError):
        open_own_sound(str(tmp_path / "text.wav"), tiny_audio)


@pytest.mark.parametrize("choice", ["upload", "record"])
def test_elsewhere_than_in_colab_nothing_comes_and_it_is_said(tiny_audio, choice, capsys):
    with pytest.raises(RunError, match=f"no sound has come: run this cell again to {choice} one"):
        open_own_sound(choice, tiny_audio)
    assert "Colab" in capsys.readouterr().out
