"""The command line around the notebooks."""

import nbformat
import pytest

from helpers.run import headless, make_run
from helpers.run.folder import open_run
from helpers.run.headless import KERNEL_DIED, execute


@pytest.fixture
def run_of(monkeypatch, tmp_path):
    """A function: a run in a project whose notebook 01_data has one cell with this code."""

    def make(code: str):
        cells = [nbformat.v4.new_code_cell("run_dir = ''", metadata={"tags": ["parameters"]})]
        cells.append(nbformat.v4.new_code_cell(code))
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        (tmp_path / "notebooks").mkdir()
        nbformat.write(notebook, tmp_path / "notebooks" / "01_data.ipynb")
        monkeypatch.setattr(headless, "PROJECT", tmp_path)
        return open_run(str(tmp_path / "run"))

    return make


def test_a_dead_kernel_is_told_in_a_sentence(run_of, capsys):
    """A real kernel that is killed from its first cell, as by a machine that runs out of memory."""
    run = run_of("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert execute("01_data", run, {}) == KERNEL_DIED
    assert not make_run._execute_aloud("01_data", run, {})
    assert "01_data was ended from outside. Run the same command again" in capsys.readouterr().err


def test_what_a_notebook_prints_is_shown_and_the_error_of_a_cell_is_named(run_of, capsys):
    run = run_of("print('half a cup'); raise ValueError('no tea')")
    assert not make_run._execute_aloud("01_data", run, {})
    shown = capsys.readouterr()
    assert "half a cup" in shown.out
    assert "01_data stopped: ValueError: no tea" in shown.err
    assert f"The notebook so far: {run.notebooks / '01_data.ipynb'}" in shown.err


def test_an_interruption_is_told_from_a_failure(run_of, capsys, monkeypatch):
    run = run_of("1 + 1")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(headless.papermill, "execute_notebook", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute("01_data", run, {})
    assert not make_run._execute_aloud("01_data", run, {})
    assert "01_data was ended from outside" in capsys.readouterr().err
