"""Patterns of file names that hold a class, such as {label}_{index}."""

import re
from collections import Counter
from pathlib import Path

PART = r"[^_\-. ]+"  # of a file's name
FEWEST_OF_LABEL = 2  # files, on average, before a part of their names is taken for the class


def plain_pattern(paths: list[str]) -> str:
    """The pattern of the files' names, if one part of them is plainly the class; else ""."""
    stems = [Path(path).stem for path in paths]
    parts = [re.split(f"({PART})", stem) for stem in stems]  # separators and parts, by turns
    counts = Counter(map(len, parts))
    length = counts.most_common(1)[0][0] if counts else 0
    if length >= 5 and counts[length] >= 0.9 * len(stems):  # two parts, with what stands around
        alike = [one for one in parts if len(one) == length]
        columns = list(zip(*(one[1::2] for one in alike), strict=True))
        are_numbers = [all(map(str.isdecimal, column)) for column in columns]
        for number, column in enumerate(columns):
            is_first_of_words = number == 0 and not all(are_numbers)
            if could_be_labels(column) and (is_first_of_words or not are_numbers[number]):
                words = [f"{{part{n + 1}}}" for n in range(len(columns))]
                words[-1] = "{index}" if are_numbers[-1] else words[-1]
                words[number] = "{label}"
                alike[0][1::2] = words
                return "".join(alike[0])
    numbered = [re.fullmatch(r"(.*?[^\d_\-. ])[_\-. ]*\d+", stem) for stem in stems]
    if all(numbered) and could_be_labels([match[1] for match in numbered]):
        return "{label}{index}"
    return ""


def could_be_labels(values) -> bool:
    """Whether these are few names for many files."""
    n_values = len(set(values))
    return n_values >= 2 and n_values * FEWEST_OF_LABEL < len(values)


def compile_pattern(pattern: str) -> re.Pattern:
    """A pattern with {label}, {index} and other names in braces, as a regular expression."""
    kinds = {"label": "(?P<label>.+?)", "split": f"(?P<split>{PART})", "index": r"\d+"}
    pieces = re.split(r"\{(\w+)\}", pattern)
    text = re.escape(pieces[0])
    for name, between in zip(pieces[1::2], pieces[2::2], strict=True):
        text += kinds.pop(name, r"\d+" if name == "index" else PART)
        text += re.escape(between)
    return re.compile(text)
