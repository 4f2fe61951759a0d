"""`make run`: the four notebooks, one after the other, into one run folder."""

import argparse
import logging
import os
import re
import sys
import time
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError

from helpers.files import PROJECT
from helpers.run.folder import RunFolder, open_run, resolve_source
from helpers.run.settings import NOTEBOOKS
from helpers.train.metrics_file import read_metrics

QUIET = (
    "Executing",
    "Ending Cell",
    "Input Notebook",
    "Output Notebook",
    "Working directory",
    "<",
    "VBox(",
    "0.00s",
)


def main() -> int:
    """Run the notebooks as the command line asks; 0 if all went well."""
    arguments = _parse_arguments()
    _stream_outputs()
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else every kernel warns of its debugger
    source, _ = resolve_source(arguments.data, use_drive=False)
    run = open_run(
        arguments.run or f"runs/{run_name(arguments.data, arguments.preset, arguments.recipe)}"
    )
    parameters = {
        "01_data": {"data_source": source, "preset": arguments.preset, "recipe": arguments.recipe},
        "03_train": {"minutes": arguments.minutes},
    }
    begun = time.monotonic()
    for notebook in NOTEBOOKS:
        if not _execute(notebook, run, parameters.get(notebook, {})):
            return 1
    print(_summary(run, time.monotonic() - begun))
    return 0


def run_name(data: str, preset: str, recipe: str) -> str:
    """The run folder's name: demo for the built-in kit, else that of the data; what is not default is added."""
    stem = re.sub(r"(\.(zip|tar|tgz|gz|bz2|xz))+$", "", Path(data).name, flags=re.IGNORECASE)
    parts = ["demo" if data == "kit" else stem or "run"]
    return "-".join(parts + [preset] * (preset != "cpu") + [recipe] * (recipe != "modern"))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--run", default="", help="run folder; the default is named for the data")
    return parser.parse_args()


def _execute(notebook: str, run: RunFolder, parameters: dict) -> bool:
    source, target = (
        PROJECT / "notebooks" / f"{notebook}.ipynb",
        run.notebooks / f"{notebook}.ipynb",
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"\n== {notebook}", flush=True)
    begun = time.monotonic()
    try:
        papermill.execute_notebook(
            source,
            target,
            {"run_dir": str(run.root), **parameters},
            cwd=PROJECT / "notebooks",
            log_output=True,
            progress_bar=False,
        )
    except papermill.PapermillExecutionError as error:
        print(
            f"\n{notebook} stopped: {error.ename}: {error.evalue}\nThe notebook so far: {target}",
            file=sys.stderr,
        )
        return False
    except (DeadKernelError, KeyboardInterrupt):
        print(
            f"\n{notebook} was ended from outside. Run the same command again: it goes on from {run.root}",
            file=sys.stderr,
        )
        return False
    print(f"== {notebook} took {time.monotonic() - begun:.0f} s", flush=True)
    return True


def _stream_outputs() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(
        lambda record: bool(_message(record)) and not _message(record).startswith(QUIET)
    )
    logger = logging.getLogger("papermill")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _message(record: logging.LogRecord) -> str:
    return record.getMessage().strip()


def _summary(run: RunFolder, seconds: float) -> str:
    lines = [f"\ndone in {seconds / 60:.1f} minutes: {run.root}"]
    quality = read_metrics(run.metrics, "quality")
    if quality:
        last = quality[-1]
        lines.append(
            f"  accuracy of generated sounds {last['accuracy']:.2f} (real {last['accuracy_real']:.2f}), "
            f"Fréchet distance {last['frechet']:.2f} (real {last['frechet_real']:.2f})"
        )
    for folder, content in (
        (run.sounds, "generated WAVs by class"),
        (run.pictures, "pictures"),
        (run.metrics, "losses and figures"),
        (run.notebooks, "the executed notebooks"),
    ):
        lines.append(f"  {folder.relative_to(run.root)!s:<16} {content}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
