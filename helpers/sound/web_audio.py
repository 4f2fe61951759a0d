"""Waveforms as files so small that a web page can hold many, in formats that all browsers play.

FLAC and MP3 are such; Ogg with Vorbis or Opus is played by Safari only since version 18.4.
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from helpers.sound.audio_files import ONE_STEP

MP3_LEVELS = (0.2, 0.6, 0.87)  # of libsndfile's compression: up to 19, 17 and 11 kHz are kept
ENCODING_ERRORS = (soundfile.SoundFileError, ValueError)  # no such encoder, or not at this rate


@dataclass(frozen=True)
class WebAudio:
    """A sound file for a web page: its media type and its bytes."""

    media_type: str
    content: bytes

    @property
    def is_lossless(self) -> bool:
        """Whether the page plays the very samples, in steps of 16 bits."""
        return self.media_type != "audio/mpeg"

    @property
    def base64(self) -> str:
        """The bytes as text."""
        return b64encode(self.content).decode()

    @property
    def address(self) -> str:
        """The file as an address that holds its data."""
        return f"data:{self.media_type};base64,{self.base64}"


def playable(samples: np.ndarray) -> np.ndarray:
    """Finite samples (n,) of at least one, within full scale; zeros if 16 bits hold no more."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    peak = float(np.abs(finite).max(initial=0.0))
    if is_silent(peak):
        return np.zeros(max(1, len(finite)), np.float32)
    return finite / max(1.0, peak)


def is_silent(peak: float) -> bool:
    """Whether a sound of this peak is rounded to 0 in 16 bits."""
    return peak < ONE_STEP / 2


def encode_for_page(
    waveforms: Sequence[np.ndarray], sample_rate: int, most_bytes: int
) -> list[WebAudio]:
    """Waveforms (n,), n >= 1, in [-1, 1] as files that keep their level and their onset.

    They are FLAC, which loses nothing, if all together have at most so many bytes. Else each is
    MP3 of variable bit rate, or FLAC where that is smaller, in the best of MP3_LEVELS that fits;
    the last one is taken in any case. Where libsndfile has no MP3, or none at this sample rate,
    the files stay FLAC; where it has no FLAC, they are WAV.
    """
    lossless = [_encode_lossless(waveform, sample_rate) for waveform in waveforms]
    files = lossless
    for level in MP3_LEVELS:
        if sum(len(file.content) for file in files) <= most_bytes:
            break
        try:
            mp3 = [_encode_mp3(waveform, sample_rate, level) for waveform in waveforms]
        except ENCODING_ERRORS:
            break
        pairs = zip(lossless, mp3, strict=True)
        files = [min(pair, key=lambda file: len(file.content)) for pair in pairs]
    return files


def _encode_lossless(waveform: np.ndarray, sample_rate: int) -> WebAudio:
    try:
        return WebAudio("audio/flac", _encode(waveform, sample_rate, "FLAC", "PCM_16"))
    except ENCODING_ERRORS:
        return WebAudio("audio/wav", _encode(waveform, sample_rate, "WAV", "PCM_16"))


def _encode_mp3(waveform: np.ndarray, sample_rate: int, level: float) -> WebAudio:
    # of a constant bit rate it is half a decibel quieter, and in small files the delay is not noted
    how = {"compression_level": level, "bitrate_mode": "VARIABLE"}
    content = _encode(waveform, sample_rate, "MP3", "MPEG_LAYER_III", **how)
    return WebAudio("audio/mpeg", content)


def _encode(waveform: np.ndarray, sample_rate: int, kind: str, subtype: str, **how) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate, format=kind, subtype=subtype, **how)
    return file.getvalue()
