"""A bar is one line of a notebook, whatever is printed meanwhile; elsewhere it goes to stderr."""

import subprocess
import sys

import nbformat
from nbclient import NotebookClient

from helpers.files import PROJECT

READING = """
import time
from helpers.progress import progress_bar, say

for item in progress_bar(range(3), desc="reading"):
    say(f"read {item}")
    time.sleep(1.1)
"""


def test_a_bar_is_one_line_of_an_executed_notebook():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(READING)],
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "3"}},
    )
    where = {"metadata": {"path": str(PROJECT)}}
    (cell,) = NotebookClient(notebook, timeout=180, resources=where).execute().cells
    bars = [one for one in cell.outputs if one.output_type == "display_data"]
    printed = [(one.name, one.text) for one in cell.outputs if one.output_type == "stream"]
    assert len(bars) == 1
    shown = bars[0].data["text/plain"]
    assert shown.startswith("reading: 100%") and "3/3" in shown and "\r" not in shown
    assert {name for name, _ in printed} == {"stdout"}
    assert "".join(text for _, text in printed) == "read 0\nread 1\nread 2\n"


def test_outside_a_notebook_a_bar_goes_to_stderr():
    words = [sys.executable, "-c", READING.replace("1.1", "0.01")]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "read 0\nread 1\nread 2\n"
    assert "reading: 100%" in done.stderr and "3/3" in done.stderr
