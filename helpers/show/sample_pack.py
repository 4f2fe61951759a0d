"""Sounds to take away: one zip with WAV files, instruments for samplers, and a page that says how.

The same sounds give the same bytes.
"""

import math
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.config import ConfigError
from helpers.data.cut_clips import EVEN_DB, even_level
from helpers.files import open_atomically
from helpers.show.instrument_files import PlayedClass, PlayedTake, dspreset_text, in_line, sfz_text
from helpers.show.pack_names import MOST_KEYS, key_name, keys_of, safe_name, safe_names
from helpers.show.plots import printable
from helpers.sound.audio_files import wav_bytes
from helpers.sound.handed_out import hand_out
from helpers.sound.loops import Loop, add_loop, make_loop

Takes = Mapping[str, Iterable[np.ndarray]] | Iterable[tuple[str, np.ndarray]]
BITS, LEVELS = (16, 24), ("as is", "even")
MIN_RATE, MAX_RATE = 4_000, 192_000  # hertz
DATE = (1980, 1, 1, 0, 0, 0)  # of every file in a zip
README = "README.txt"
SUFFIXES = {"sfz": sfz_text, "dspreset": dspreset_text}  # of instruments, and what writes them


@dataclass
class WrittenSounds:
    """WAV files one after the other in a file, and where each take of each class is."""

    file: BinaryIO
    bits: int
    takes: dict[str, list[tuple[int, int, Loop | None]]] = field(default_factory=dict)
    n_scaled = 0  # because their peak exceeded full scale

    def add(self, class_name: str, waveform: np.ndarray, sample_rate: int) -> None:
        """Write a waveform (n,), with a loop if it is sustained."""
        looped, loop = make_loop(waveform, sample_rate)
        self.n_scaled += bool(np.abs(looped).max(initial=0.0) > 1)
        content = wav_bytes(looped, sample_rate, self.bits)
        content = add_loop(content, sample_rate, loop) if loop else content
        place = self.file.tell(), len(content), loop
        self.file.write(content)
        self.takes.setdefault(class_name, []).append(place)

    def read(self, start: int, n_bytes: int) -> bytes:
        """The content of the WAV file that starts there."""
        self.file.seek(start)
        return self.file.read(n_bytes)


def write_sample_pack(
    path: str | Path,
    takes: Takes,
    sample_rate: int,
    *,
    target_rate: int = 0,
    bits: int = 24,
    level: str = "as is",
    note: str = "",
    licence: str = "",
) -> Path:
    """Write a zip with sounds as WAV, an SFZ instrument, a DecentSampler preset and a README.

    takes: waveforms (n,) by class, or any number of pairs of a class and a waveform, of which one
    at a time is in memory. sample_rate: theirs, in hertz; target_rate: that of the files, 0 for the
    same. level "even" makes all equally loud. note and licence: lines for the README.
    WAV files are not dithered: in 24 bits a step is inaudible, and in 16 bits it is far below the
    noise of made sounds, while dither would go on where a sound has ended.
    Raises ConfigError for settings out of range and for a waveform that is none.

    >>> path = write_sample_pack("dogs.zip", {"dog": waveforms}, 22_050, target_rate=44_100)
    """
    path, rate = Path(path), target_rate or sample_rate
    _check(sample_rate, rate, bits, level)
    with tempfile.TemporaryFile() as file:
        sounds = WrittenSounds(file, bits)
        for class_name, waveform in _checked_pairs(takes):
            ready = hand_out(waveform, sample_rate, rate)
            sounds.add(class_name, even_level(ready) if level == "even" else ready, rate)
        if not sounds.takes:
            raise ConfigError("a sample pack needs at least one sound, got none")
        files = f"{rate} Hz, {bits} bits, mono, {_level_words(level, sounds.n_scaled)}"
        with open_atomically(path) as target, zipfile.ZipFile(target, "w") as pack:
            _fill(pack, safe_name(path.stem), sounds, [note, licence], files)
    return path


def _fill(
    pack: zipfile.ZipFile, name: str, sounds: WrittenSounds, lines: list[str], files: str
) -> None:
    """Write all members of a pack: what is read first comes first."""
    titles = _titles(name, len(sounds.takes))
    paths = _paths(sounds, [README, *(f"{title}.{s}" for title in titles for s in SUFFIXES)])
    takes = {
        class_name: [PlayedTake(path, loop) for path, (*_, loop) in zip(own, places, strict=True)]
        for own, (class_name, places) in zip(paths, sounds.takes.items(), strict=True)
    }
    instruments = _instruments(titles, takes)
    _put(pack, README, _readme(name, instruments, lines, files).encode())
    for title, classes in instruments.items():
        for suffix, text_of in SUFFIXES.items():
            _put(pack, f"{title}.{suffix}", text_of(classes).encode())
    for own, places in zip(paths, sounds.takes.values(), strict=True):
        for path, (start, n_bytes, _) in zip(own, places, strict=True):
            _put(pack, path, sounds.read(start, n_bytes))


def _put(pack: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member that is the same on every machine and at every time.

    It is stored: deflating WAV of 24 bits saves a ninth, and each version of zlib does it its own
    way.
    """
    member = zipfile.ZipInfo(name, DATE)
    member.create_system, member.external_attr = 3, 0o100644 << 16  # a plain file that all may read
    pack.writestr(member, content)


def _titles(name: str, n_classes: int) -> list[str]:
    """The names of the instruments: with more classes than keys there are several."""
    n_parts = math.ceil(n_classes / MOST_KEYS)
    if n_parts == 1:
        return [name]
    n_digits = len(str(n_parts))
    return [f"{name} {number:0{n_digits}d} of {n_parts}" for number in range(1, n_parts + 1)]


def _paths(sounds: WrittenSounds, taken: list[str]) -> list[list[str]]:
    """The paths of the takes of each class in the zip, such as dog/dog_01.wav."""
    paths = []
    for folder, places in zip(safe_names(sounds.takes, taken), sounds.takes.values(), strict=True):
        n_digits = max(2, len(str(len(places))))
        numbers = range(1, len(places) + 1)
        paths.append([f"{folder}/{folder}_{number:0{n_digits}d}.wav" for number in numbers])
    return paths


def _instruments(
    titles: list[str], takes: dict[str, list[PlayedTake]]
) -> dict[str, list[PlayedClass]]:
    """Instruments by their titles, each with as many classes as there are keys."""
    names, instruments = list(takes), {}
    for number, title in enumerate(titles):
        part = names[number * MOST_KEYS : (number + 1) * MOST_KEYS]
        keys = zip(part, keys_of(part), strict=True)
        instruments[title] = [PlayedClass(one, key, takes[one]) for one, key in keys]
    return instruments


def _readme(
    name: str, instruments: dict[str, list[PlayedClass]], lines: list[str], files: str
) -> str:
    """The text of the page: what this is, how to open it, which key plays what."""
    played = [one for classes in instruments.values() for one in classes]
    n_sounds = sum(len(one.takes) for one in played)
    n_loops = sum(take.loop is not None for one in played for take in one.takes)
    first, n = next(iter(instruments)), len(instruments)
    others = f" (or another of {n}: each has other classes)" if n > 1 else ""
    text = [
        f"{name}: {n_sounds} sounds of {len(played)} classes",
        *(printable(line) for line in lines if line),
        f"Files: {files}; {n_loops} with a loop.",
        "",
        "How to play it: extract the zip, then",
        f"- DecentSampler: open {first}.dspreset{others}",
        f"- sforando, sfizz or any SFZ player: open {first}.sfz{others}",
        "- any other sampler: drop the WAV files on its keys or pads",
        "",
        "Press a key again for the next take. A looped sound lasts as long as its key is held; "
        "every other one plays to its end.",
    ]
    for title, classes in instruments.items():
        text += ["", f"Keys of {title} (middle C, key 60, is C3):"]
        text += [_key_line(one) for one in sorted(classes, key=lambda one: one.key)]
    return "\n".join(text) + "\n"


def _key_line(one: PlayedClass) -> str:
    n, folder = len(one.takes), one.takes[0].path.split("/")[0]
    words = f"{n} take{'s' if n > 1 else ''} in {folder}/"
    return f"{one.key:3d} {key_name(one.key):4s} {in_line(one.name)}: {words}"


def _level_words(level: str, n_scaled: int) -> str:
    words = "levels as they were made"
    if level == "even":
        words = f"made equally loud ({EVEN_DB:g} dB at the loudest part, less where peaks are high)"
    return f"{words}, {n_scaled} made quieter to fit full scale" if n_scaled else words


def _checked_pairs(takes: Takes) -> Iterator[tuple[str, np.ndarray]]:
    """Each class and waveform (n,); ConfigError that says which one is no waveform."""
    pairs = takes
    if isinstance(takes, Mapping):
        pairs = ((name, waveform) for name, several in takes.items() for waveform in several)
    for number, (name, waveform) in enumerate(pairs, start=1):
        shape = np.shape(waveform)
        if len(shape) != 1 or not shape[0]:
            raise ConfigError(
                f"sound {number} of the pack, of class {printable(name)!r}, must be a waveform "
                f"(n_samples,) with at least one sample, got the shape {shape}"
            )
        yield name, waveform


def _check(sample_rate: int, rate: int, bits: int, level: str) -> None:
    for name, value in (("sample_rate", sample_rate), ("target_rate", rate)):
        if not MIN_RATE <= value <= MAX_RATE:
            raise ConfigError(f"{name} must be {MIN_RATE} to {MAX_RATE} hertz, got {value!r}")
    for name, value, choices in (("bits", bits, BITS), ("level", level, LEVELS)):
        if value not in choices:
            words = " or ".join(map(repr, choices))
            raise ConfigError(f"{name} must be {words}, got {value!r}")
