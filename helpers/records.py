"""`metrics.jsonl`: one JSON object a line, added to and read back."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from helpers.files import write_atomically


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
    """Steps after the checkpoint are trained again, so their lines are not kept."""
    if path.exists():
        _write_lines(path, [line for line, values in _whole_lines(path) if values.get("step", 0) <= step])


def merge_metrics(path: Path, other: Path) -> None:
    """Add to the lines of a file those of another that it lacks: of a step of training it has its own."""
    merged = {}
    for line, values in _whole_lines(other) + _whole_lines(path):
        merged[(values["kind"], values.get("step")) if values["kind"] != "quality" else line] = line
    if merged:
        _write_lines(path, merged.values())


def _whole_lines(path: Path) -> list[tuple[str, dict]]:
    """The lines of a file that were written by `append_metrics`, whole, and what they hold; none without the file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [(line, values) for line in lines if (values := _parse_line(line)) is not None]


def _parse_line(line: str) -> dict | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(values, dict) and isinstance(values.get("kind"), str)
    return values if known and isinstance(values.get("step", 0), int | float) else None


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, lambda partial: partial.write_text("".join(f"{line}\n" for line in lines), "utf-8"))
