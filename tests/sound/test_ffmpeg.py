"""Files of telephones: read where ffmpeg is, and where it is not, a row says what to install."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from helpers.sound import ffmpeg
from helpers.sound.audio_files import AudioError, read_audio, read_clip

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing")
CODECS = {".m4a": "aac", ".aac": "aac", ".mp4": "aac", ".wma": "wmav2"}  # every ffmpeg has them


@pytest.fixture(autouse=True)
def decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(ffmpeg, "DECODED", tmp_path / "decoded")
    return tmp_path / "decoded"


@pytest.fixture
def tone(tmp_path):
    """A WAV of two seconds: 523 Hz, and in the second one 1 046 Hz."""
    time = np.arange(2 * 44_100) / 44_100
    waveform = 0.5 * np.sin(2 * np.pi * np.where(time < 1, 523, 1_046) * time)
    soundfile.write(tmp_path / "tone.wav", waveform, 44_100)
    return tmp_path / "tone.wav"


def encode(tone, path, *options):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(tone), *options, f"file:{path}"]
    subprocess.run(command, check=True)
    return path


def pitch(waveform) -> float:
    return np.abs(np.fft.rfft(waveform)).argmax() * 16_000 / len(waveform)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", CODECS)
def test_a_file_of_a_telephone_is_read_at_its_length_pitch_and_level(
    tone, tmp_path, decoded, suffix
):
    path = encode(tone, tmp_path / f"-i memo é{suffix.upper()}", "-c:a", CODECS[suffix])
    waveform, info = read_audio(path, 16_000)
    assert (info.sample_rate, info.n_channels) == (44_100, 1)
    assert len(waveform) / 16_000 == pytest.approx(2, abs=0.1)
    assert pitch(waveform[2_000:14_000]) == pytest.approx(523, abs=3)
    assert np.sqrt(np.mean(waveform[2_000:14_000] ** 2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)
    clip = read_clip(path, 16_000, 20_000, 8_000, len(waveform) / 16_000)
    np.testing.assert_allclose(clip, waveform[20_000:28_000], atol=1e-4)
    assert len(list(decoded.iterdir())) == 1, "it is decoded once"


@needs_ffmpeg
def test_the_sound_of_a_video_is_read_and_a_video_without_is_named(tone, tmp_path, decoded):
    pictures = ["-f", "lavfi", "-i", "color=size=64x64:duration=2", "-c:v", "mpeg4"]
    path = encode(tone, tmp_path / "video.mp4", *pictures, "-map", "1:v", "-map", "0:a")
    assert pitch(read_audio(path, 16_000)[0][18_000:30_000]) == pytest.approx(1_046, abs=3)
    path = encode(tone, tmp_path / "silent.mp4", *pictures, "-map", "1:v")
    with pytest.raises(AudioError, match="cannot be decoded by ffmpeg: .*matches no streams"):
        read_audio(path, 16_000)
    assert [file.suffix for file in decoded.iterdir()] == [".wav"]


@needs_ffmpeg
def test_a_file_that_has_changed_is_decoded_anew(tone, tmp_path):
    path = encode(tone, tmp_path / "memo.m4a", "-c:a", "aac")
    assert len(read_audio(path, 16_000)[0]) > 30_000
    encode(tone, path, "-c:a", "aac", "-t", "1", "-y")
    assert len(read_audio(path, 16_000)[0]) < 20_000


def test_without_ffmpeg_it_is_said_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "memo.M4A").write_bytes(b"any")
    monkeypatch.setattr(ffmpeg.shutil, "which", lambda _: None)
    with pytest.raises(AudioError, match=r"^\.m4a needs ffmpeg: install it \(apt install ffmpeg"):
        read_audio(tmp_path / "memo.M4A", 16_000)
