"""Many runs, one for each combination of some settings: on this machine or on a dask cluster.

The notebooks are executed for each run; its file sweep.json says how that ended.
"""

import argparse
import ast
import csv
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from helpers.config import digest_of
from helpers.files import RunFiles
from helpers.progress import progress_bar, tracked
from helpers.run.folder import open_run, resolve_source
from helpers.run.headless import execute
from helpers.run.settings import NOTEBOOKS, SettingError
from helpers.train.metrics_file import read_metrics

EXECUTED = ("01_data", "03_train", "04_listen")
SETTINGS = NOTEBOOKS["01_data"] | NOTEBOOKS["03_train"] | NOTEBOOKS["04_listen"]
TABLE = "table.csv"
FIGURES = ("step", "judge", "accuracy", "score", "frechet", "coverage", "nearest")
LONGEST_NAME = 100  # characters of a run folder's name, before its digest


def main() -> int:
    """Run the combinations that the command line asks for; 0 if none failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="+", help="as in learning_rate=0.0005,0.001 minutes=10")
    parser.add_argument("--folder", default="runs/sweep", help="for the runs and their table")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time on this machine")
    parser.add_argument("--dask", default="", help="a scheduler's address: its workers do the runs")
    asked = parser.parse_args()
    grid = read_grid(asked.settings)
    folder = open_run(asked.folder).root
    with open_executor(asked.workers, asked.dask) as executor:
        rows = sweep(grid, folder, executor, progress_bar)
    path = folder / TABLE
    print(path.read_text(encoding="utf-8"))
    n_done = sum(row["status"] == "done" for row in rows)
    print(f"{n_done} of {len(rows)} runs are done; the table: {path}")
    return 0 if n_done == len(rows) else 1


def read_grid(words: Sequence[str]) -> dict[str, list]:
    """The values of each setting from words like name=value,value.

    Raises SettingError for a setting that no notebook has, or a value of a wrong kind or range.
    """
    grid = {}
    for word in words:
        name, _, text = word.partition("=")
        known = sorted(SETTINGS.keys() - {"run_dir"})
        if name not in known:
            raise SettingError(f"a sweep has no parameter {name!r}; there are {', '.join(known)}")
        grid[name] = [SETTINGS[name].check(name, _read_value(part)) for part in text.split(",")]
        if name == "data_source":
            grid[name] = [resolve_source(source)[0] for source in grid[name]]
    return grid


def sweep(grid: dict[str, list], folder: Path, executor: Executor, progress=None) -> list[dict]:
    """Execute the notebooks for each combination in a folder of its own; a row each, in order.

    Runs that are done stay as they are when the same sweep is started again; runs that failed are
    tried again. The row of a failed run says why, and in which notebook. folder/table.csv holds
    the rows, too.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    runs = {folder / run_name(combination): combination for combination in combinations}
    jobs = {
        executor.submit(train_one, combination, str(path)): path
        for path, combination in runs.items()
        if _read_status(path) != "done"
    }
    for job in tracked(progress, as_completed(jobs), len(jobs), "runs"):
        error = job.exception()
        if error is not None:  # a machine that went away takes its own run with it, no other
            _write_status(jobs[job], f"{type(error).__name__}: {error}")
    rows = []
    for path, combination in runs.items():
        lines = read_metrics(RunFiles(path).metrics, "quality") if path.is_dir() else []
        figures = {name: lines[-1].get(name, "") if lines else "" for name in FIGURES}
        rows.append({"run": path.name, **combination, "status": _read_status(path), **figures})
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def train_one(settings: dict, folder: str) -> None:
    """Execute the notebooks of one run, wherever the executor is, and write the run's outcome."""
    run, status = open_run(folder), "done"
    for name in EXECUTED:
        own = {key: value for key, value in settings.items() if key in NOTEBOOKS[name]}
        if problem := execute(name, run, own):
            status = f"{name}: {problem}"
            break
    _write_status(run.root, status)


def run_name(settings: dict) -> str:
    """A folder's name that tells these settings from others."""
    text = "-".join(f"{name}={value}" for name, value in settings.items())
    name = re.sub(r"[^\w.=+-]", "_", text)[:LONGEST_NAME]
    return name if name == text else f"{name}-{digest_of(text)[:8]}"


def open_executor(workers: int, dask_address: str = "") -> Executor:
    """Processes of this machine, or a dask cluster's scheduler, as in tcp://10.0.0.1:8786.

    Every worker of a cluster needs this project at the same version, and the sweep's folder at
    the same path.
    """
    if not dask_address:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    from distributed import Client

    return Client(dask_address).get_executor()


def _read_value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _read_status(folder: Path) -> str:
    """The outcome of a run: "done", why it failed, or "not run" without an outcome."""
    try:
        return json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return "not run"


def _write_status(folder: Path, status: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"status": status}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
