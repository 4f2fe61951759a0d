"""How long it takes until the first sound is shown by a notebook in a clone without a run.

A fresh kernel executes the cells of the notebook, with its defaults, up to the first card that
plays one. Fetching the project is not part of it, and neither is the start of a machine.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import start_new_kernel

from helpers.files import PROJECT


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebook", default="04_listen")
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    for _ in range(asked.times):
        with tempfile.TemporaryDirectory() as folder:
            copy_project(Path(folder))
            print(measure(Path(folder), asked.notebook), flush=True)


def copy_project(target: Path) -> None:
    """Copy what git keeps of this project, and nothing else."""
    command = ["git", "ls-files", "-z"]
    names = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in names.split("\0")[:-1]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, target / name)


def measure(project: Path, notebook: str) -> str:
    """The seconds from a kernel's start to its first sound, in a sentence."""
    path = project / "notebooks" / f"{notebook}.ipynb"
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    begun, shown = time.monotonic(), []

    def watch(message: dict) -> None:
        if "<audio" in message["content"].get("data", {}).get("text/html", ""):
            shown.append(time.monotonic() - begun)

    manager, client = start_new_kernel(cwd=path.parent)
    try:
        for number, cell in enumerate(cells, 1):
            reply = client.execute_interactive(cell.source, output_hook=watch)["content"]
            if reply["status"] != "ok":
                raise RuntimeError(f"cell {number} of {notebook} failed: {reply['evalue']}")
            if shown:
                return f"{notebook}: {shown[0]:.1f} s to the first sound, in cell {number}"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return f"{notebook} shows no sound"


if __name__ == "__main__":
    main()
