"""`metrics.jsonl`: one JSON object a line, added to and read back.

Lines of kind "training" hold losses, of kind "progress" figures during training, and of kind
"quality" what 04_listen has measured. Figures name their judge. A run on Drive has the file in
parts that never change: metrics-<step>.<digest>.jsonl, of which the newest counts, and
quality-<number>.<digest>.jsonl, one for each measurement.
"""

import json
import os
from pathlib import Path

from helpers import files

ALWAYS = {"training": {"step"}, "progress": {"step", "minutes", "accuracy", "frechet"}}
LARGEST_FIGURE = 1e300
STEM = "metrics"
QUALITY_STEM = "quality"
SUFFIX = ".jsonl"


def append_metrics(path: Path, line: dict) -> None:
    """Add one JSON object as a line of its own, also after one that a full disk has torn."""
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def add_quality_file(folder: Path, line: dict) -> None:
    """Add a measurement to a run on Drive, as a new file."""
    files.add_stamped_file(folder, QUALITY_STEM, SUFFIX, json.dumps(line).encode() + b"\n")


def read_metrics(path: Path, kind: str) -> list[dict]:
    """The lines of one kind, in order. A line that is torn or not a run's own is left out.

    path is a run's metrics.jsonl; parts beside it, as on Drive, count too. Raises OSError if the
    disk cannot be read.
    """
    return [values for _, values in _parse(read_parts(path)) if values["kind"] == kind]


def read_parts(path: Path) -> bytes:
    """The content of a run's metrics: its newest part, metrics.jsonl itself, all measurements.

    A line of one that is in those before it is left out. Raises OSError if one that is listed is
    not there.
    """
    folder, names = path.parent, os.listdir(path.parent)
    _, newest, _ = files.read_newest(files.stamped_files(folder, STEM, SUFFIX, names))
    others = [path] if path.name in names else []
    others += [file.path for file in files.stamped_files(folder, QUALITY_STEM, SUFFIX, names)]
    lines = newest.splitlines()
    for other in others:
        known = set(lines)
        lines += [line for line in other.read_bytes().splitlines() if line not in known]
    return b"".join(line + b"\n" for line in lines)


def compare_runs(folder: Path, source: str, judge: str) -> tuple[list[dict], list[str]]:
    """The newest quality line by this judge of every run in `folder` trained on `source`.

    judge is a digest. Also the names of the runs that only other judges have measured.
    """
    newest, others = [], []
    for run in [folder / name for name in files.names_in(folder) if (folder / name).is_dir()]:
        lines = read_metrics(files.RunFiles(run).metrics, "quality")
        lines = [line for line in lines if line.get("source") == source]
        own = [line for line in lines if line.get("judge") == judge]
        newest += [{"run": run.name} | own[-1]] if own else []
        others += [run.name] if lines and not own else []
    return newest, others


def drop_lines_after(path: Path, step: int) -> None:
    """Drop the lines of steps after a checkpoint, because these steps are trained again.

    Measurements stay. Nothing is written where nothing is dropped: a full disk may need no room.
    """
    lines = _parse(files.read_if_there(path) or b"")
    kept = [
        line
        for line, values in lines
        if values.get("step", 0) <= step or values["kind"] == "quality"
    ]
    if len(kept) < len(lines):
        files.write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _parse(content: bytes) -> list[tuple[str, dict]]:
    """The lines that `append_metrics` has written, each with what it holds."""
    lines = content.decode(errors="replace").splitlines()
    return [(line, values) for line in lines if (values := _parse_line(line)) is not None]


def _parse_line(line: str) -> dict | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(values, dict) and isinstance(values.get("kind"), str)):
        return None
    if not _is_number(values.get("step", 0)):
        return None
    figures = {name: value for name, value in values.items() if name not in ("kind", "judge")}
    if values["kind"] in ALWAYS and not all(_is_number(value) for value in figures.values()):
        return None
    if not isinstance(values.get("judge", ""), str):
        return None
    return values if ALWAYS.get(values["kind"], set()) <= figures.keys() else None


def _is_number(value) -> bool:
    return type(value) in (int, float) and not abs(value) > LARGEST_FIGURE  # a loss may be NaN
