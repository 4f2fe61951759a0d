"""`metrics.jsonl`: one JSON object a line, added to and read back."""

import json
import os
from pathlib import Path


def append_metrics(path: Path, line: dict) -> None:
    """Add one JSON object as a line of its own, also after one that was torn by a full disk."""
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def read_metrics(path: Path, kind: str) -> list[dict]:
    """The lines of one kind ("training" or "quality"), in order; a torn last line is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [values for values in map(_parse_line, lines) if values.get("kind") == kind]


def compare_runs(folder: Path, source: str) -> list[dict]:
    """The newest quality line of every run in `folder` that was trained on the recordings `source`."""
    newest = []
    for path in sorted(folder.glob("*/metrics.jsonl")):
        lines = [line for line in read_metrics(path, "quality") if line.get("source") == source]
        newest += [{"run": path.parent.name} | lines[-1]] if lines else []
    return newest


def _parse_line(line: str) -> dict:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return {}


def drop_lines_after(path: Path, step: int) -> None:
    """Steps after the checkpoint are trained again, so their lines are not kept."""
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _parse_line(line)]
        kept = [line for line in lines if _parse_line(line).get("step", 0) <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
