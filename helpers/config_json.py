"""Configurations as JSON text: written, read with every mistake named, and compared."""

import dataclasses
import json
import reprlib
from typing import get_type_hints

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class ConfigError(ValueError):
    """A setting that cannot work; the message says which, what was expected and what to do."""


def to_json(config) -> str:
    """A dataclass as one line of JSON with sorted keys."""
    return json.dumps(dataclasses.asdict(config), sort_keys=True)


def from_json(kind: type, text: str):
    """A dataclass of this kind from what `to_json` wrote.

    Raises ConfigError that names what is damaged, unknown or out of range.
    """
    return from_dict(kind, read_object(text, f"the {kind.__name__}"))


def read_object(text: str, what: str) -> dict:
    """The JSON object in a text; ConfigError, which begins with `what`, if there is none."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{what} is not valid JSON ({error}); restore it or start a new run folder"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must hold one JSON object, got {type(values).__name__}")
    return values


def from_dict(kind: type, values: dict):
    """A dataclass of this kind from a dictionary; a field that is missing takes its default.

    Raises ConfigError for a field that the dataclass does not have or a value of another type.
    """
    title = kind.__name__
    if not isinstance(values, dict):
        got = reprlib.repr(values)
        raise ConfigError(f"{title} must be written as an object of fields, got {got}")
    known = get_type_hints(kind)
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        shown = ", ".join(unknown)[:60].encode("unicode_escape").decode()
        raise ConfigError(f"{title} has no field {shown}; it has {', '.join(sorted(known))}")
    for name, value in values.items():
        if not _has_type(value, known[name]):
            expected = KINDS.get(known[name], "a list of texts")
            got = reprlib.repr(value)
            raise ConfigError(f"{title} must hold {expected} as {name}, got {got}")
    return kind(**values)


def differences(before: dict, now: dict) -> list[str]:
    """In words, which fields of two dictionaries of configurations differ."""
    found = []
    for part, new in now.items():
        old = before.get(part)
        if isinstance(new, dict) and isinstance(old, dict):
            changed = [name for name in new if old.get(name) != new[name]]
            found += [f"{part}.{name} {old.get(name)!r}, not {new[name]!r}" for name in changed]
        elif old != new:
            found.append(f"{part} {old}, not {new}")
    return found


def _has_type(value, wanted: type) -> bool:
    """Whether a value from JSON may stand in a field of this type."""
    if wanted is float:  # JSON in Python knows NaN and Infinity, which no field can use
        return type(value) in (int, float) and -1e300 < value < 1e300
    if wanted in KINDS:
        return type(value) is wanted
    return isinstance(value, list | tuple) and all(type(part) is str for part in value)
