"""Many runs, one for each combination of some parameters, by papermill: on this machine or on a cluster."""

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

import papermill
from nbclient.exceptions import DeadKernelError

from helpers.config import digest_of
from helpers.files import PROJECT
from helpers.progress import progress_bar
from helpers.run.folder import open_run, resolve_source
from helpers.run.settings import NOTEBOOKS, SettingError
from helpers.train.metrics_file import read_metrics

EXECUTED = ("01_data", "03_train", "04_listen")
FIGURES = ("step", "accuracy", "score", "frechet", "coverage", "nearest")
MAX_NAME_BYTES = 100


def main() -> int:
    """Run the combinations that the command line asks for; 0 if none failed."""
    arguments = _parse_arguments()
    grid = read_grid(arguments.parameters)
    folder = open_run(arguments.folder).root
    with open_executor(arguments.workers, arguments.dask) as executor:
        rows = sweep(grid, folder, executor, progress_bar)
    path = write_table(folder / "table.csv", rows)
    print(path.read_text(encoding="utf-8"))
    failed = [row for row in rows if row["status"] != "done"]
    print(f"{len(rows) - len(failed)} of {len(rows)} runs are done; the table: {path}")
    return 1 if failed else 0


def read_grid(words: Sequence[str]) -> dict[str, list]:
    """`name=value,value` for each parameter; SettingError names one that is unknown, of another kind or range."""
    grid = {}
    for word in words:
        name, _, text = word.partition("=")
        kind = next(
            (NOTEBOOKS[notebook][name] for notebook in EXECUTED if name in NOTEBOOKS[notebook]),
            None,
        )
        if kind is None or name == "run_dir":
            known = sorted(
                {name for notebook in EXECUTED for name in NOTEBOOKS[notebook]} - {"run_dir"}
            )
            raise SettingError(f"a sweep has no parameter {name!r}; there are {', '.join(known)}")
        grid[name] = [kind.check(name, _value(part)) for part in text.split(",")]
        if name == "data_source":
            grid[name] = [resolve_source(source, use_drive=False)[0] for source in grid[name]]
    return grid


def sweep(grid: dict[str, list], folder: Path, executor: Executor, progress=None) -> list[dict]:
    """Train, hear and measure each combination in a folder of its own; a row each, in the grid's order.

    What is done stays done when the same sweep is started again; a run that failed is named in its row, with the
    reason and the notebook it stopped in, and tried again. executor is a concurrent.futures.Executor.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    folders = [folder / run_name(combination) for combination in combinations]
    jobs = {
        executor.submit(train_one, combination, str(path)): path
        for combination, path in zip(combinations, folders, strict=True)
        if not _is_done(path)
    }
    finished = as_completed(jobs)
    for job in progress(finished, total=len(jobs), desc="runs") if progress else finished:
        error = job.exception()
        if error is not None:  # a machine that went away takes its own run with it, no other
            _note(jobs[job], {"status": f"{type(error).__name__}: {error}"})
    return [
        row_of(combination, path) for combination, path in zip(combinations, folders, strict=True)
    ]


def train_one(parameters: dict, folder: str) -> None:
    """The notebooks of one run, its outcome noted in the folder's sweep.json. Executed wherever the executor is."""
    run = open_run(folder)
    run.notebooks.mkdir(parents=True, exist_ok=True)
    for name in EXECUTED:
        own = {key: value for key, value in parameters.items() if key in NOTEBOOKS[name]}
        target = run.notebooks / f"{name}.ipynb"
        try:
            papermill.execute_notebook(
                PROJECT / "notebooks" / f"{name}.ipynb",
                target,
                {"run_dir": folder, **own},
                cwd=PROJECT / "notebooks",
                progress_bar=False,
            )
        except papermill.PapermillExecutionError as error:
            return _note(run.root, {"status": f"{name}: {error.ename}: {error.evalue}"})
        except DeadKernelError:
            return _note(run.root, {"status": f"{name}: the kernel died, often for want of memory"})
    return _note(run.root, {"status": "done"})


def row_of(parameters: dict, folder: Path) -> dict:
    """What is known of a run: its parameters, its status, its newest figures."""
    quality = (read_metrics(folder / "metrics.jsonl", "quality") or [{}])[-1]
    figures = {name: quality.get(name, "") for name in FIGURES}
    return {
        "run": folder.name,
        **parameters,
        "status": _read(folder).get("status", "not run"),
        **figures,
    }


def run_name(parameters: dict) -> str:
    """A folder's name that tells the parameters apart."""
    text = "-".join(f"{name}={value}" for name, value in parameters.items())
    name = re.sub(r"[^\w.=+-]", "_", text)
    return (
        name
        if name == text and len(name) <= MAX_NAME_BYTES
        else f"{name[:MAX_NAME_BYTES]}-{digest_of(text)[:8]}"
    )


def write_table(path: Path, rows: Sequence[dict]) -> Path:
    """The rows as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def open_executor(workers: int, dask_address: str = "") -> Executor:
    """Processes of this machine, or a dask cluster's scheduler, as in tcp://10.0.0.1:8786.

    On a cluster every worker needs this project at the same version, and the sweep's folder at the same path.
    """
    if not dask_address:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    from distributed import Client

    return Client(dask_address).get_executor()


def _value(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _is_done(folder: Path) -> bool:
    return _read(folder).get("status") == "done"


def _read(folder: Path) -> dict:
    try:
        return json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _note(folder: Path, note: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(note), encoding="utf-8")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parameters",
        nargs="+",
        help="name=value,value, as in learning_rate=0.0005,0.001 minutes=10",
    )
    parser.add_argument(
        "--folder", default="runs/sweep", help="where the runs and their table are kept"
    )
    parser.add_argument("--workers", type=int, default=1, help="runs at a time on this machine")
    parser.add_argument(
        "--dask", default="", help="address of a dask scheduler whose workers do the runs instead"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
