"""What an audio file is by its first bytes, whatever its name says; and whether it was cut off."""

import struct
from pathlib import Path
from typing import NamedTuple

HEAD_BYTES = 4_096
BY_SUFFIX = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aiff", ".aif", ".aifc")
BY_SUFFIX += (".au", ".caf", ".w64")
MARKS = (  # kind, and where in the file which bytes stand
    ("wav", ((0, b"RIFF"), (8, b"WAVE"))),
    ("rf64", ((0, b"RF64"), (8, b"WAVE"))),
    ("w64", ((0, b"riff\x2e\x91\xcf\x11"),)),
    ("aiff", ((0, b"FORM"), (8, b"AIF"))),
    ("flac", ((0, b"fLaC"),)),
    ("flac in ogg", ((0, b"OggS"), (28, b"\x7fFLAC"))),
    ("speex", ((0, b"OggS"), (28, b"Speex"))),
    ("ogg", ((0, b"OggS"),)),
    ("caf", ((0, b"caff"),)),
    ("au", ((0, b".snd"),)),
    ("mp4", ((4, b"ftyp"),)),
    ("webm", ((0, b"\x1a\x45\xdf\xa3"),)),
    ("wma", ((0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),)),
    ("amr", ((0, b"#!AMR"),)),
)
LOSSY = ("mp3", "ogg", "aac", "mp4", "webm", "wma", "amr", "speex")
NEED_FFMPEG = ("flac in ogg", "speex", "mp4", "webm", "wma", "amr", "aac")
UNKNOWN_SIZE = 0x7FFF0000  # of a WAV's samples: from here on, and 0, it was written to a pipe
NOT_SOUND = (b"heic", b"heix", b"mif1", b"msf1", b"avif")  # pictures, in a file like mp4
ONE_PAGE = 65_307  # bytes, the most that a page of Ogg has
CUT_S, CUT_SHARE = 0.06, 0.01  # less than that is missing at the end of whole files, too


class SourceInfo(NamedTuple):
    """The header of a file: rate in hertz, number of channels, length in seconds (0: unknown)."""

    sample_rate: int
    n_channels: int
    duration_s: float


def kind_of(path: Path) -> str:
    """The kind of an audio file by its first bytes: "wav", "mp3", "mp4", …; "" for anything else.

    Raises OSError if the file cannot be read.
    """
    return kind_of_head(_head(path))


def kind_of_head(head: bytes) -> str:
    """The kind of an audio file whose first HEAD_BYTES bytes are these, as `kind_of` names it."""
    for kind, marks in MARKS:
        if all(head[at : at + len(mark)] == mark for at, mark in marks):
            return "" if kind == "mp4" and head[8:12] in NOT_SOUND else kind
    if head[:3] == b"ID3":  # a tag: mostly of MP3, and rarely of AAC
        return _frame_kind(head[10 + _tag_size(head) :]) or "mp3"
    return _frame_kind(head)


def promised_seconds(path: Path, info: SourceInfo) -> float:
    """How long a file says it is, in seconds, if it says so; else 0.

    info is what the decoder took from its header; of some formats it guesses the length.
    """
    return _promise(_head(path), info)


def _promise(head: bytes, info: SourceInfo) -> float:
    kind = kind_of_head(head)
    if kind == "wav":
        return _wav_seconds(head, info.sample_rate)
    says = kind == "flac" or (
        kind == "mp3" and any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
    )
    return info.duration_s if says else 0.0


def cut_off(path: Path, info: SourceInfo, read_s: float) -> str:
    """In words, that a file of read_s seconds ends before it should; "" if it seems whole.

    As in "ends early at 1.2 of 2.0 s".
    """
    head = _head(path)
    promised = _promise(head, info)
    if promised - read_s > max(CUT_S, CUT_SHARE * promised):
        return f"ends early at {read_s:.1f} of {promised:.1f} s"
    if kind_of_head(head) == "ogg" and not _has_last_page(path):
        return f"ends early at {read_s:.1f} s: its last page is missing"
    return ""


def _head(path: Path) -> bytes:
    """The first bytes of a file; where a long tag comes first, what follows the tag."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
        if head[:3] == b"ID3" and _tag_size(head) + 10 > len(head):
            file.seek(_tag_size(head) + 10)
            head = file.read(HEAD_BYTES)
    return head


def _tag_size(head: bytes) -> int:
    return sum((byte & 127) << (7 * (3 - n)) for n, byte in enumerate(head[6:10]))


def _frame_kind(head: bytes) -> str:
    """MPEG audio begins with eleven set bits; the two bits of the layer are 0 in AAC alone."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ""
    if head[1] & 0x06 == 0:
        return "aac" if head[1] & 0xF0 == 0xF0 else ""
    version, layer, bitrate, rate = (
        head[1] >> 3 & 3,
        head[1] >> 1 & 3,
        head[2] >> 4,
        head[2] >> 2 & 3,
    )
    is_text = layer == 3  # UTF-16 begins like layer I, which nobody uses
    return "" if is_text or version == 1 or bitrate == 15 or rate == 3 else "mp3"


def _wav_seconds(head: bytes, sample_rate: int) -> float:
    """The length by the size of the chunk "data", as the chunks before it are small."""
    at, bytes_per_frame, is_pcm = 12, 0, False
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        if name == b"fmt " and at + 22 <= len(head):
            is_pcm = struct.unpack_from("<H", head, at + 8)[0] in (1, 3, 0xFFFE)
            bytes_per_frame = struct.unpack_from("<H", head, at + 20)[0]
        if name == b"data":
            known = bytes_per_frame and 0 < size < UNKNOWN_SIZE
            return size / bytes_per_frame / sample_rate if known and is_pcm else 0.0
        at += 8 + size + size % 2
    return 0.0


def _has_last_page(path: Path) -> bool:
    """Whether the last page that begins in an Ogg file is marked as the last."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - ONE_PAGE))
        tail = file.read()
    at = tail.rfind(b"OggS")
    return at >= 0 and len(tail) > at + 5 and bool(tail[at + 5] & 4)
