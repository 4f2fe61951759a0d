"""The notebooks: well formed, executed small by nbval in a real kernel, refusing what they should."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

from helpers.parameters import NOTEBOOKS, read_parameters
from helpers.records import read_metrics
from helpers.runtime import PROJECT

FOLDER = PROJECT / "notebooks"
SMALL = {
    "01_data": {"kit_clips": 48, "n_mels": 32, "n_frames": 32, "inversion_steps": 2},
    "02_models": {"timed_steps": 2},
    "03_train": {"minutes": 0, "steps": 4, "batch_size": 4, "judge_steps": 2},
    "04_listen": {"sounds_per_class": 1, "griffin_lim_iterations": 2, "judge_steps": 2},
}


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def cells_tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", NOTEBOOKS)
class TestForm:
    def test_one_parameters_cell_with_the_known_names_and_good_defaults(self, name):
        (cell,) = cells_tagged(read(name), "parameters")
        values = {}
        for statement in ast.parse(cell.source).body:
            values[statement.targets[0].id] = ast.literal_eval(statement.value)
        assert list(values) == list(NOTEBOOKS[name])
        read_parameters(name, values)
        assert all("# @param" in line for line in cell.source.splitlines())

    def test_asks_colab_for_a_t4_and_has_its_badge(self, name):
        notebook = read(name)
        assert notebook.metadata.accelerator == "GPU"
        assert notebook.metadata.colab.gpuType == "T4"
        assert f"blob/main/notebooks/{name}.ipynb" in notebook.cells[0].source
        assert notebook.metadata.kernelspec.language == "python"

    def test_is_stripped_short_and_defines_little(self, name):
        notebook = read(name)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert not cell.outputs
                assert cell.execution_count is None
                assert len(cell.source.splitlines()) <= 20
        source = "\n".join(code_of(notebook))
        assert source.count("\ndef ") <= 1
        assert "class " not in [line[:6] for line in source.splitlines()]

    def test_set_up_is_the_same_everywhere_and_checks_end_it(self, name):
        assert code_of(read(name))[0] == code_of(read("01_data"))[0]
        assert "assert " in code_of(read(name))[-1]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs") / "small run"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_executes_under_nbval(name, run_dir):
    """In order, into one run folder, as the next test needs them."""
    copy = FOLDER / f".small-{run_dir.parent.name}-{name}.ipynb"
    try:
        parameters = {"run_dir": str(run_dir), **SMALL[name]}
        papermill.execute_notebook(FOLDER / f"{name}.ipynb", copy, parameters, prepare_only=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", copy],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        copy.unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout[-4000:]
    n_code = len(code_of(read(name))) + 1  # and the cell that holds the injected parameters
    assert f"{n_code} passed" in done.stdout


def test_the_run_folder_is_complete(run_dir):
    for path in ("config.json", "data/audit.csv", "generator.safetensors", "metrics.jsonl", "pictures/classes.png"):
        assert (run_dir / path).stat().st_size > 0, path
    assert len(list((run_dir / "sounds").rglob("*.wav"))) == 8
    assert len(list((run_dir / "samples" / "00000004").glob("*.wav"))) == 8
    (quality,) = read_metrics(run_dir / "metrics.jsonl", "quality")
    assert 0 <= quality["accuracy"] <= 1
    assert quality["step"] == 4


def execute(name: str, target: Path, **parameters) -> nbformat.NotebookNode:
    return papermill.execute_notebook(
        FOLDER / f"{name}.ipynb", target, parameters, cwd=FOLDER, progress_bar=False, kernel_name="python3"
    )


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_training_again_continues(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 6}
    done = execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings)
    assert "continuing from step 4" in printed(done)
    assert "stopped by steps at step 6" in printed(done)


def test_training_in_two_processes_goes_on_from_one_and_is_taken_up(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 8, "num_processes": 2}
    done = printed(execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings))
    assert "2 processes, 40 clips, device cpu" in done
    assert done.count("continuing from step") == 2  # by the two, and by the notebook when they are done
    assert "stopped by steps at step 8" in done
    assert len(list((run_dir / "samples" / "00000008").glob("*.wav"))) == 8
    assert read_metrics(run_dir / "metrics.jsonl", "progress")[-1]["step"] == 8


def test_processes_that_fail_stop_the_notebook(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 9, "num_processes": 3}
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings)
    assert "training in 3 processes failed" in error.value.evalue
    assert "batch_size 4 cannot be shared by 3 processes" in printed(nbformat.read(tmp_path / "03.ipynb", 4))


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("03_train", {"minuts": 3}, "has no parameter minuts"),
        ("03_train", {"restart": "false"}, "parameter restart must be True or False"),
        ("04_listen", {"run_dir": "runs/none"}, "run 03_train first"),
    ],
)
def test_mistakes_stop_a_notebook_with_clear_words(name, parameters, words, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(name, tmp_path / "out.ipynb", **parameters)
    assert words in error.value.evalue


def test_set_up_fetches_the_project_when_it_is_not_there(tmp_path):
    """Twice: fetching must be idempotent. The project is served from a local git repository."""
    origin, away = tmp_path / "origin", tmp_path / "away"
    (origin / "helpers").mkdir(parents=True)
    away.mkdir()
    (origin / "helpers" / "__init__.py").write_text("")
    (origin / "helpers" / "runtime.py").write_text("def describe():\n    return 'the fetched one'\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "made"]):
        subprocess.run(["git", *words], cwd=origin, check=True)
    url = json.dumps(origin.as_uri())
    lines = code_of(read("01_data"))[0].splitlines()
    set_up = "\n".join(f'URL, REF = {url}, "main"' if line.startswith("URL, REF") else line for line in lines)
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", set_up], cwd=away, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "the fetched one"
