"""The command line around the notebooks."""

import nbformat
import pytest

from helpers.run import make_run as pipeline
from helpers.run.folder import open_run
from helpers.run.make_run import run_name


@pytest.mark.parametrize(
    ("data", "preset", "recipe", "expected"),
    [
        ("kit", "cpu", "modern", "demo"),
        ("kit", "cpu", "baseline", "demo-baseline"),
        ("/data/fsdd.zip", "cpu", "modern", "fsdd"),
        ("my sounds.tar.gz", "short", "modern", "my sounds-short"),
        ("/data/Sounds.ZIP", "long", "baseline", "Sounds-long-baseline"),
        ("/data/v1.2 kit/", "cpu", "modern", "v1.2 kit"),
    ],
)
def test_run_is_named_for_what_made_it(data, preset, recipe, expected):
    assert run_name(data, preset, recipe) == expected


def test_a_dead_kernel_is_told_in_a_sentence(monkeypatch, capsys, tmp_path):
    """A real kernel that is killed from its first cell, as by a machine that runs out of memory."""
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("run_dir = ''", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    nbformat.write(notebook, tmp_path / "notebooks" / "01_data.ipynb")
    monkeypatch.setattr(pipeline, "PROJECT", tmp_path)
    assert not pipeline._execute("01_data", open_run(str(tmp_path / "run")), {})
    assert "01_data was ended from outside. Run the same command again" in capsys.readouterr().err
