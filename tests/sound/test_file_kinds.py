"""Audio files are known by their first bytes, and those that were cut off by what they promise."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from helpers.sound.audio_files import read_audio, source_info
from helpers.sound.file_kinds import cut_off, kind_of, promised_seconds

RATE = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing")


@pytest.fixture
def tone(tmp_path):
    """Writes two seconds of a tone in a format and returns the file; its name says nothing."""

    def write(format: str, subtype: str | None = None, seconds: float = 2):
        waveform = 0.5 * np.sin(2 * np.pi * 523 * np.arange(seconds * RATE) / RATE)
        path = tmp_path / f"{format}-{subtype}"
        soundfile.write(path, waveform, RATE, format=format, subtype=subtype)
        return path

    return write


def cut(path, share: float = 0.6):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


@pytest.mark.parametrize(
    ("format", "subtype", "kind"),
    [
        ("WAV", "PCM_16", "wav"),
        ("RF64", "PCM_16", "rf64"),
        ("W64", "PCM_16", "w64"),
        ("AIFF", "PCM_16", "aiff"),
        ("FLAC", "PCM_16", "flac"),
        ("OGG", "VORBIS", "ogg"),
        ("OGG", "OPUS", "ogg"),
        ("MP3", "MPEG_LAYER_III", "mp3"),
        ("CAF", "PCM_16", "caf"),
        ("AU", "PCM_16", "au"),
    ],
)
def test_a_whole_file_is_known_and_is_not_said_to_be_cut(tone, format, subtype, kind):
    path = tone(format, subtype)
    assert kind_of(path) == kind
    assert cut_off(path, source_info(path), len(read_audio(path, RATE)[0]) / RATE) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        "UTF-16".encode("utf-16"),
        b"\0\0\0\x18ftypheic" + bytes(20),
        b"\xff\xff\xff\xff",
        b"RIFF" * 9,
    ],
)
def test_other_files_are_of_no_kind(tmp_path, content):
    (tmp_path / "x.wav").write_bytes(content)
    assert kind_of(tmp_path / "x.wav") == ""


@pytest.mark.parametrize("size", [10, 9_000])
def test_a_tag_before_the_sound_does_not_hide_it(tmp_path, size):
    tag = b"ID3\3\0\0\0\0" + bytes([size >> 7, size & 127]) + bytes(size)
    for kind, frame in (("mp3", b"\xff\xfb\x90\x64"), ("aac", b"\xff\xf1\x50\x40")):
        (tmp_path / "x").write_bytes(tag + frame * 500)
        assert kind_of(tmp_path / "x") == kind


@pytest.mark.parametrize(
    ("format", "subtype", "words"),
    [
        ("WAV", "PCM_16", "ends early at 1.2 of 2.0 s"),
        ("WAV", "PCM_24", "ends early at 1.2 of 2.0 s"),
        ("FLAC", "PCM_16", "ends early at 1.* of 2.0 s"),
        ("MP3", "MPEG_LAYER_III", "ends early at 1.* of 2.0 s"),
    ],
)
def test_what_is_whole_of_a_file_that_was_cut_off_is_read_and_said(tone, format, subtype, words):
    path = cut(tone(format, subtype))
    waveform, info = read_audio(path, RATE)
    assert 0.3 * RATE < len(waveform) < 1.4 * RATE
    spectrum = np.abs(np.fft.rfft(waveform[2_000:-1_000]))
    assert spectrum.argmax() * RATE / (len(waveform) - 3_000) == pytest.approx(523, abs=4)
    said = cut_off(path, info, len(waveform) / RATE)
    assert re.fullmatch(words, said)


def test_a_chunk_before_the_sound_does_not_hide_that_a_wav_was_cut_off(tone):
    path = tone("WAV", "PCM_16")
    content = path.read_bytes()
    content = content[:12] + b"JUNK" + (100).to_bytes(4, "little") + bytes(100) + content[12:]
    path.write_bytes(content[: len(content) // 2])
    waveform, info = read_audio(path, RATE)
    assert cut_off(path, info, len(waveform) / RATE) == "ends early at 1.0 of 2.0 s"


def test_an_ogg_without_its_last_page_is_said_to_end_early(tone):
    path = cut(tone("OGG", "VORBIS", 30))
    waveform, info = read_audio(path, RATE)
    assert 2 * RATE < len(waveform) < 29 * RATE
    said = cut_off(path, info, len(waveform) / RATE)
    assert re.fullmatch(r"ends early at \d+\.\d s: its last page is missing", said)


def test_a_recording_of_unknown_length_is_not_cut(tone, tmp_path):
    """As ffmpeg and sox write to a pipe: a huge number in a WAV, none in a FLAC."""
    changed = []
    for n, size in enumerate((b"\xff\xff\xff\xff", b"\0\xf0\xff\x7f", b"\0\0\0\x80")):
        content = bytearray(tone("WAV", "PCM_16").read_bytes())
        content[40:44] = size
        changed.append(tmp_path / f"{n}.wav")
        changed[-1].write_bytes(content)
    flac = tone("FLAC", "PCM_16")
    content = bytearray(flac.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    flac.write_bytes(content)
    for path in (*changed, flac):
        waveform, info = read_audio(path, RATE)
        assert len(waveform) == 2 * RATE
        assert promised_seconds(path, info) == 0 and cut_off(path, info, 2.0) == ""


@needs_ffmpeg
def test_the_content_chooses_the_decoder_not_the_name(tone, tmp_path):
    """AAC named mp3, FLAC in Ogg, a WebM named wav, and a WAV whose length was never written."""
    whole = tone("WAV", "PCM_16")
    for name, options, kind in (
        ("aac.mp3", ["-c:a", "aac", "-f", "adts"], "aac"),
        ("flac.ogg", ["-c:a", "flac", "-strict", "-2"], "flac in ogg"),
        ("webm.wav", ["-c:a", "libopus", "-f", "webm"], "webm"),
    ):
        path = tmp_path / name
        subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "error", "-i", whole, *options, path], check=True
        )
        assert kind_of(path) == kind
        assert len(read_audio(path, RATE)[0]) == pytest.approx(2 * RATE, rel=0.1)
    content = bytearray(whole.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    whole.write_bytes(content)
    assert len(read_audio(whole, RATE)[0]) == 2 * RATE


def test_an_mp3_after_zeros_is_known_by_its_suffix(tone, tmp_path):
    path = tmp_path / "zeros.mp3"
    path.write_bytes(bytes(4_096) + tone("MP3", "MPEG_LAYER_III").read_bytes())
    assert kind_of(path) == "" and len(read_audio(path, RATE)[0]) > RATE


def test_the_companion_file_of_macos_does_not_hide_an_mp3(tone):
    path = tone("MP3", "MPEG_LAYER_III")
    (path.parent / f"._{path.name}").write_bytes(bytes(40))
    assert len(read_audio(path, RATE)[0]) > RATE
