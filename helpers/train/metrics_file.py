"""`metrics.jsonl`: one JSON object a line, added to and read back."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from helpers.files import read_if_there, write_atomically

ALWAYS = {
    "training": {"step"},
    "progress": {"step", "minutes", "accuracy", "frechet"},
}  # in lines of these kinds
LARGEST_FIGURE = 1e300


def append_metrics(path: Path, line: dict) -> None:
    """Add one JSON object as a line of its own, also after one that was torn by a full disk."""
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def read_metrics(path: Path, kind: str) -> list[dict]:
    """The lines of one kind ("training" or "quality"), in order; a torn last line is left out."""
    return [values for _, values in _whole_lines(path) if values["kind"] == kind]


def compare_runs(folder: Path, source: str) -> list[dict]:
    """The newest quality line of every run in `folder` that was trained on the recordings `source`."""
    newest = []
    for path in sorted(folder.glob("*/metrics.jsonl")):
        lines = [line for line in read_metrics(path, "quality") if line.get("source") == source]
        newest += [{"run": path.parent.name} | lines[-1]] if lines else []
    return newest


def drop_lines_after(path: Path, step: int) -> None:
    """Steps after the checkpoint are trained again, so their lines are not kept; what a generator was measured at is.

    Nothing is written where nothing is to be dropped: a full disk may need no room.
    """
    lines = _whole_lines(path)
    kept = [
        line
        for line, values in lines
        if values.get("step", 0) <= step or values["kind"] == "quality"
    ]
    if len(kept) < len(lines):
        _write_lines(path, kept)


def add_quality(path: Path, other: bytes | None) -> None:
    """Add to a file the lines that it lacks of what generators were measured at, from the content of another."""
    own = dict.fromkeys(line for line, _ in _whole_lines(path))
    added = [
        line
        for line, values in _parse_lines(other)
        if values["kind"] == "quality" and line not in own
    ]
    if added:
        _write_lines(path, [*own, *added])


def _whole_lines(path: Path) -> list[tuple[str, dict]]:
    """The lines of a file that were written by `append_metrics`, whole, and what they hold; none without the file."""
    return _parse_lines(read_if_there(path))


def _parse_lines(content: bytes | None) -> list[tuple[str, dict]]:
    lines = (content or b"").decode(errors="replace").splitlines()
    return [(line, values) for line in lines if (values := _parse_line(line)) is not None]


def _parse_line(line: str) -> dict | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (
        isinstance(values, dict)
        and isinstance(values.get("kind"), str)
        and _is_number(values.get("step", 0))
    ):
        return None
    figures = {name: value for name, value in values.items() if name != "kind"}
    if values["kind"] in ALWAYS and not all(_is_number(value) for value in figures.values()):
        return None
    return values if ALWAYS.get(values["kind"], set()) <= figures.keys() else None


def _is_number(value) -> bool:
    return (
        type(value) in (int, float) and not abs(value) > LARGEST_FIGURE
    )  # a loss may be no number


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(
        path, lambda partial: partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    )
