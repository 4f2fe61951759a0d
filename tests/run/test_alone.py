"""Each notebook by itself, as a fresh machine runs it: a clone with no run and no recordings."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from making import zip_folder
from test_notebooks import SMALL, code_of, printed, read

from benchmarks.first_sound import copy_project
from helpers.config import RunConfig
from helpers.run.headless import execute_notebook
from helpers.run.settings import NOTEBOOKS
from helpers.train.metrics_file import read_metrics

GENERATOR_OF_THE_KIT = "the generator that comes with the project"
NOT_MEASURED = "the sounds cannot be measured without the recordings: the generator that comes"


@pytest.fixture
def clone(tmp_path):
    """A function: a new folder with what git keeps of this project, and nothing else."""

    def make(name: str = "clone") -> Path:
        copy_project(tmp_path / name)
        return tmp_path / name

    return make


def execute(
    project: Path, name: str, first: str = "", whole: bool = True, **parameters: bool
) -> str:
    """Execute a notebook with small settings and these, and return what it prints.

    first: code that runs before the run is opened. whole: execute all cells; else only those up to
    the cell that opens the run.
    """
    path = project / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    number = next(n for n, cell in enumerate(notebook.cells) if "open_run(" in cell.source)
    notebook.cells[number].source = first + notebook.cells[number].source
    notebook.cells = notebook.cells if whole else notebook.cells[: number + 1]
    nbformat.write(notebook, path)
    done = execute_notebook(path, project / "done.ipynb", SMALL[name] | parameters)
    return printed(done)


def as_in_colab(folder: Path, **how: bool) -> str:
    """Code that makes a kernel think that it is in Colab, with Drive at folder/drive."""
    return (
        f"sys.path.append({str(Path(__file__).parent)!r})\n"
        "from colab_stand_in import install\n"
        f"install(Path({str(folder)!r}), **{how})\n"
    )


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_by_itself_in_an_empty_clone(name, clone):
    project = clone()
    run = project / "runs" / "demo"
    told = execute(project, name)
    assert f"project at {project}" in told and f"run folder: {run}" in told
    assert "Drive" not in told
    prepared = f"no run in {run} yet: the built-in drum kit is prepared"
    assert (prepared in told) == (name in ("02_models", "03_train"))
    if name == "04_listen":
        assert f"no generator in {run} yet" in told and GENERATOR_OF_THE_KIT in told
        assert NOT_MEASURED in told
        assert len(list((run / "sounds").rglob("*.wav"))) == 9
        assert not (run / "metrics.jsonl").exists()
    else:
        config = RunConfig.from_json((run / "config.json").read_text())
        assert len(config.classes) == 8 and config.data.digest
        assert (run / "data" / f"clips-{config.data.digest}.f16").exists()
    assert (run / "generator.safetensors").exists() == (name == "03_train")


def test_in_colab_each_notebook_finds_on_drive_what_the_one_before_left(
    clone, tmp_path, write_sounds
):
    """Three machines, one after the other, with the Drive of one person, who uploads sounds."""
    run = tmp_path / "drive" / "MyDrive" / "class-sounds" / "runs" / "demo"
    write_sounds(tmp_path / "sounds", 14, seed=0)
    archive = zip_folder(tmp_path / "sounds", tmp_path / "mine.zip")
    chosen = f"{{'mine.zip': Path({str(archive)!r}).read_bytes()}}"
    first = f"{as_in_colab(tmp_path)}sys.modules['google.colab'].files.chosen = {chosen}\n"
    told = {}
    for name in ("01_data", "03_train", "04_listen"):
        parameters = {"upload": True} if name == "01_data" else {}
        told[name] = execute(clone(name), name, first, **parameters)
        assert f"run folder: {run}" in told[name], name
        assert "yet:" not in told[name] and "not mounted" not in told[name], name
        (tmp_path / "drive").rename(tmp_path / "google")  # the machine goes away
        assert not (tmp_path / name / "runs").exists(), name
    assert f"your own sounds in {run / 'recordings'} are used" in told["01_data"]
    assert f"sent to {run} at every checkpoint" in told["03_train"]
    assert "36 clips of 3 classes" in told["03_train"]
    assert re.search("made at step [14],", told["04_listen"])  # the better of both looks
    assert NOT_MEASURED not in told["04_listen"]
    kept = tmp_path / "google" / "MyDrive" / "class-sounds" / "runs" / "demo"
    assert [line["step"] for line in read_metrics(kept / "metrics.jsonl", "quality")] == [4]


@pytest.mark.parametrize(
    ("how", "why"),
    [({"refused": True}, "mount failed"), ({"person": False}, "no person is there to allow it")],
)
def test_in_colab_without_drive_a_run_is_kept_here_and_nothing_waits(clone, tmp_path, how, why):
    """Refused by a person; and as papermill runs a notebook, in a kernel that takes no answers."""
    project = clone()
    told = execute(project, "03_train", as_in_colab(tmp_path, **how), whole=False)
    assert told.count(f"Drive was not mounted ({why}): the run is kept on this machine") == 1
    assert f"run folder: {project / 'runs' / 'demo'}" in told


class TestSetUp:
    """The first cell, in a folder without the project, which is served from a local repository."""

    @pytest.fixture
    def fetch(self, tmp_path):
        """A function: run the cell, and what came of it; `url` in place of the local one."""
        origin, away = tmp_path / "origin", tmp_path / "away"
        (origin / "helpers").mkdir(parents=True)
        away.mkdir()
        (origin / "helpers" / "__init__.py").write_text("")
        code = "def describe():\n    return 'the fetched one'\n"
        (origin / "helpers" / "device.py").write_text(code)
        source = code_of(read("01_data"))[0]
        words = source.split("URL, REF = ")[1].split("\n")[0].split(", ")
        url, ref = map(json.loads, words)
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        for words in (
            ["init", "-q", "-b", "main"],
            ["add", "."],
            [*identity, "commit", "-q", "-m", "made"],
            ["tag", ref],
            ["rm", "-q", "helpers/device.py"],
            [*identity, "commit", "-q", "-m", "a later version has other helpers"],
        ):
            subprocess.run(["git", *words], cwd=origin, check=True)

        def run(served: str = origin.as_uri()) -> subprocess.CompletedProcess:
            command = [sys.executable, "-c", source.replace(url, served)]
            return subprocess.run(command, cwd=away, capture_output=True, text=True, check=False)

        return run

    def test_it_fetches_the_version_of_the_notebook(self, fetch, tmp_path):
        done = fetch()
        assert done.stdout.strip() == "the fetched one" and done.stderr == ""
        assert (tmp_path / "away" / "class-sounds" / "helpers" / "device.py").exists()

    def test_what_a_learner_changed_in_the_copy_stays(self, fetch, tmp_path):
        fetch()
        code = "def describe():\n    return 'my own'\n"
        (tmp_path / "away" / "class-sounds" / "helpers" / "device.py").write_text(code)
        for done in (fetch(), fetch("file:///nowhere")):
            assert done.stdout.strip() == "my own", done.stderr

    def test_without_the_network_it_says_so_in_a_sentence(self, fetch, tmp_path):
        done = fetch("file:///nowhere")
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode and "CalledProcessError" not in done.stderr
        assert "could not be fetched" in done.stderr and "run this cell again" in last
        assert fetch().stdout.strip() == "the fetched one", "run again, with the network there"
