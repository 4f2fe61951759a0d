"""Names of files that every system, zip and sampler takes, and the keys that play classes."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

FIRST_KEY, LAST_KEY = 36, 127  # C1, the lowest key of most keyboards, and the highest of MIDI
MOST_KEYS = LAST_KEY - FIRST_KEY + 1
MOST_NAME_BYTES = 60  # the name of a class is in a path twice, and Windows takes 260 letters
FORBIDDEN = '<>:"/\\|?*=$#'  # the last three mean something in an SFZ file
RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"}  # Windows's names of devices
RESERVED |= {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
DRUM_KEYS = {  # of General MIDI
    **dict.fromkeys(("kick", "kick drum", "bass drum"), 36),
    **dict.fromkeys(("rim", "rim shot", "rimshot", "side stick"), 37),
    **dict.fromkeys(("snare", "snare drum"), 38),
    **dict.fromkeys(("clap", "hand clap", "handclap"), 39),
    **dict.fromkeys(("closed hat", "hat closed"), 42),
    **dict.fromkeys(("pedal hat", "hat pedal"), 44),
    **dict.fromkeys(("low tom", "tom", "tom tom"), 45),
    **dict.fromkeys(("open hat", "hat open"), 46),
    **dict.fromkeys(("mid tom", "middle tom"), 47),
    **dict.fromkeys(("high tom", "hi tom"), 50),
    **dict.fromkeys(("floor tom",), 41),
    **dict.fromkeys(("crash", "crash cymbal"), 49),
    **dict.fromkeys(("ride", "ride cymbal"), 51),
    **dict.fromkeys(("tambourine",), 54),
    **dict.fromkeys(("splash", "splash cymbal"), 55),
    **dict.fromkeys(("cowbell", "cow bell"), 56),
}


def safe_name(text: str) -> str:
    """A text as the name of a file or folder: what some system or sampler refuses becomes `_`.

    >>> safe_name("AC/DC?"), safe_name("con"), safe_name("...")
    ('AC_DC_', 'con_', '_')
    """
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    kept = "".join("_" if _is_refused(c) else c for c in composed)
    name = _shorten(" ".join(kept.split()), MOST_NAME_BYTES).strip(". ") or "_"
    is_reserved = name.split(".")[0].rstrip().casefold() in RESERVED
    return re.sub(r"^[^.]*", r"\g<0>_", name) if is_reserved else name


def safe_names(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """`safe_name` of each text, numbered where two, or one of `taken`, differ only in their case.

    >>> safe_names(["dog", "Dog", "d?g"])
    ['dog', 'Dog-2', 'd_g']
    """
    used, names = {_folded(name) for name in taken}, []
    for text in texts:
        name = tried = safe_name(text)
        number = 1
        while _folded(tried) in used:
            number += 1
            ending = f"-{number}"
            tried = _shorten(name, MOST_NAME_BYTES - len(ending)) + ending
        used.add(_folded(tried))
        names.append(tried)
    return names


def keys_of(class_names: Sequence[str]) -> list[int]:
    """The MIDI key of each of up to MOST_KEYS classes: a drum's own, or else the next free one.

    >>> keys_of(["rain", "snare", "dog"])
    [36, 38, 37]
    """
    keys: dict[int, int] = {}  # the key of each class, by its place
    for place, name in enumerate(class_names):
        key = DRUM_KEYS.get(_drum_words(name))
        if key is not None and key not in keys.values():
            keys[place] = key
    used = set(keys.values())
    free = (key for key in range(FIRST_KEY, LAST_KEY + 1) if key not in used)
    return [keys[place] if place in keys else next(free) for place in range(len(class_names))]


def key_name(key: int) -> str:
    """The note of a MIDI key, where key 60 is C3.

    >>> key_name(36), key_name(61)
    ('C1', 'C#3')
    """
    return f"{NOTES[key % 12]}{key // 12 - 2}"


def _drum_words(class_name: str) -> str:
    """The words of a class's name, as DRUM_KEYS has them: Hi-Hat_Closed is "hat closed"."""
    words = " ".join(re.findall(r"[^\W\d_]+", class_name.casefold()))
    return re.sub(r"\b(hi hat|hihat|hh)\b", "hat", words)


def _is_refused(c: str) -> bool:
    """Control, invisible and unassigned characters, and those with a meaning somewhere."""
    return c in FORBIDDEN or c == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(c)[0] == "C"


def _shorten(text: str, most_bytes: int) -> str:
    return text.encode("utf-8")[:most_bytes].decode("utf-8", "ignore").rstrip(". ")


def _folded(name: str) -> str:
    """A name in a form that is equal for names which some system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
