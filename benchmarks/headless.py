"""Notebooks without a browser, beside a busy process: `python -m benchmarks.headless`.

04_listen is executed many times, and notebooks of many cells that each fill a panel or an
ipywidgets.Output, with processes beside them that keep the cores busy. The table counts which
ended, and which had to be started once more because kernel and client lost each other.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

from benchmarks.common import markdown_table
from helpers.files import PROJECT
from helpers.run.headless import NotHeardError, WatchedClient, execute_notebook

SMALL = {
    "01_data": {"kit_clips": 48, "n_mels": 32, "n_frames": 32, "inversion_steps": 2},
    "03_train": {"minutes": 0, "steps": 4, "batch_size": 4, "judge_steps": 2},
    "04_listen": {"sounds_per_class": 1, "griffin_lim_iterations": 2, "judge_steps": 2},
}
SET_UP = f"""
import sys
sys.path[:0] = [{str(PROJECT)!r}]
import ipywidgets, numpy
from IPython.display import HTML, display
from matplotlib.figure import Figure
from helpers.show.panels import SoundView
"""
FILL = {
    "panel": "view = SoundView()\nview.show(Figure(), numpy.zeros(16_000), 16_000)\nview",
    "Output": "view = ipywidgets.Output()\nwith view:\n"
    "    for letter in 'ab': display(HTML(100_000 * letter))\nview",
}


def main() -> int:
    """Execute what the command line asks for and print a table; 0 if all of it ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="of 04_listen")
    parser.add_argument("--stress", type=int, default=0, help="runs of a notebook of many cells")
    parser.add_argument("--cells", type=int, default=200, help="of that notebook")
    parser.add_argument("--fill", choices=FILL, default="panel", help="what each of them fills")
    parser.add_argument("--busy", type=int, default=1, help="processes beside it")
    by = "with papermill's own client: what it overlooks is counted, but not found"
    parser.add_argument("--no-wake", action="store_true", help=by)
    asked = parser.parse_args()
    if asked.no_wake:
        WatchedClient.wake = lambda self: None
    rows = []
    with tempfile.TemporaryDirectory() as name, _busy(asked.busy):
        folder = Path(name)
        if asked.runs:
            settings = {"run_dir": str(folder / "run")}
            for notebook in ("01_data", "03_train"):
                path = PROJECT / "notebooks" / f"{notebook}.ipynb"
                execute_notebook(path, folder / "made.ipynb", settings | SMALL[notebook])
            path = PROJECT / "notebooks" / "04_listen.ipynb"
            rows.append(_count(path, settings | SMALL["04_listen"], asked.runs))
        if asked.stress:
            path = folder / f"{asked.cells} times {asked.fill}.ipynb"
            nbformat.write(_stress_notebook(asked.fill, asked.cells), path)
            rows.append(_count(path, {}, asked.stress))
    print(markdown_table(rows))
    return int(any(row["ended"] != row["runs"] for row in rows))


@contextlib.contextmanager
def _busy(n_processes: int) -> Iterator[None]:
    """So many processes that never rest."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(n_processes)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _count(source: Path, settings: dict, n_runs: int) -> dict[str, str]:
    """Execute a notebook so many times; a row of the table."""
    told, n_ended, begun = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, n_runs + 1):
            try:
                execute_notebook(source, Path(folder) / "executed.ipynb", settings, told.append)
                n_ended += 1
            except NotHeardError as error:
                print(error, file=sys.stderr)
            print(f"{source.stem}: {n_ended} of {number} ended", file=sys.stderr, flush=True)
    return {
        "notebook": source.stem,
        "runs": str(n_runs),
        "ended": str(n_ended),
        "started once more": str(len(told)),
        "seconds each": str(round((time.monotonic() - begun) / n_runs)),
    }


def _stress_notebook(fill: str, n_cells: int) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(code) for code in (SET_UP, *n_cells * [FILL[fill]])]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


if __name__ == "__main__":
    sys.exit(main())
