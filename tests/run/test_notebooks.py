"""The notebooks: well formed, executed small in a real kernel, refusing what they should."""

import ast
import dataclasses
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient

from helpers import __version__
from helpers.config import DataConfig
from helpers.data.clips import prepare_clips
from helpers.data.dataset import fit_clip_normaliser
from helpers.files import PROJECT
from helpers.gan.generator_file import SoundGenerator, save_generator
from helpers.gan.networks import make_generator
from helpers.run import colab, folder
from helpers.run.headless import execute_notebook
from helpers.run.settings import FORMS, NOTEBOOKS, read_settings
from helpers.train.checkpoints import load_newest_checkpoint
from helpers.train.metrics_file import read_metrics

FOLDER = PROJECT / "notebooks"
LONGEST_CELL_S = (
    180  # a message that a kernel lost ends a test, not the patience of whoever runs it
)
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


@pytest.mark.parametrize("name", FORMS)
class TestForm:
    def test_one_parameters_cell_with_the_known_names_and_good_defaults(self, name):
        (cell,) = cells_tagged(read(name), "parameters")
        values = {}
        for statement in ast.parse(cell.source).body:
            values[statement.targets[0].id] = ast.literal_eval(statement.value)
        assert list(values) == list(FORMS[name])
        read_settings(name, values)
        assert cell.source.startswith("# @title Settings\n")
        lines = [line for line in cell.source.splitlines()[1:] if "# @param" not in line]
        assert all(line.startswith("# @markdown ") for line in lines)
        fields = re.findall(r"^(?:# @markdown .*\n)+\w+ = ", cell.source, re.MULTILINE)
        assert len(fields) == len(values)  # each with a line of help above it

    def test_asks_colab_for_a_t4_and_has_its_badge(self, name):
        notebook = read(name)
        assert notebook.metadata.accelerator == "GPU"
        assert notebook.metadata.colab.gpuType == "T4"
        assert f"blob/v{__version__}/notebooks/{name}.ipynb" in notebook.cells[0].source
        assert notebook.metadata.kernelspec.language == "python"

    def test_is_stripped_short_and_defines_little(self, name):
        notebook = read(name)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert not cell.outputs
                assert cell.execution_count is None
                is_form = "parameters" in cell.metadata.get("tags", ())
                lines = [line for line in cell.source.splitlines() if line[:8] != "# @title"]
                assert is_form or len(lines) <= 20
                is_titled = len(lines) < len(cell.source.splitlines())
                assert is_titled == (cell.metadata.get("cellView") == "form")
        source = "\n".join(code_of(notebook))
        assert source.count("\ndef ") <= 1
        assert "class " not in [line[:6] for line in source.splitlines()]

    def test_set_up_is_the_same_everywhere_and_checks_end_it(self, name):
        assert code_of(read(name))[0] == code_of(read("01_data"))[0]
        assert f'"v{__version__}"\n' in code_of(read(name))[0]
        assert "assert " in code_of(read(name))[-1]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs") / "small run"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_executes_twice_over_under_nbval(name, run_dir):
    """All cells in order and then all again, in one kernel, into the next test's run folder."""
    copy = FOLDER / f".small-{run_dir.parent.name}-{name}.ipynb"
    try:
        parameters = {"run_dir": str(run_dir), **SMALL[name]}
        papermill.execute_notebook(FOLDER / f"{name}.ipynb", copy, parameters, prepare_only=True)
        notebook = nbformat.read(copy, as_version=4)
        again = [nbformat.v4.new_code_cell(source) for source in code_of(notebook)]
        notebook.cells += again
        nbformat.write(notebook, copy)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "--nbval-lax",
                "--nbval-current-env",
                "-p",
                "no:cacheprovider",
                copy,
            ],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        copy.unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{2 * len(again)} passed" in done.stdout


def test_the_run_folder_is_complete(run_dir):
    for path in (
        "config.json",
        "data/audit.csv",
        "generator.safetensors",
        "metrics.jsonl",
        "pictures/classes.png",
    ):
        assert (run_dir / path).stat().st_size > 0, path
    assert len(list((run_dir / "sounds").rglob("*.wav"))) == 9  # one of each class, and one more
    assert len(list((run_dir / "samples" / "00000004").glob("*.wav"))) == 8
    quality, again = read_metrics(run_dir / "metrics.jsonl", "quality")
    assert 0 <= quality["accuracy"] <= 1
    assert quality["step"] == 4
    assert again == quality, "measured twice, the same"
    assert [line["step"] for line in read_metrics(run_dir / "metrics.jsonl", "training")] == [4]


def execute(name: str, target: Path, folder: Path = FOLDER, **parameters) -> nbformat.NotebookNode:
    return execute_notebook(folder / f"{name}.ipynb", target, parameters, cwd=FOLDER)


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_a_training_that_is_refused_leaves_the_run_as_it_was(run_dir, tmp_path):
    before = (run_dir / "config.json").read_bytes()
    for other in ({"batch_size": 6}, {"learning_rate": 0.002}):
        with pytest.raises(papermill.PapermillExecutionError) as error:
            execute(
                "03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **SMALL["03_train"] | other
            )
        assert "was trained with other settings" in error.value.evalue
        assert (run_dir / "config.json").read_bytes() == before


def test_training_again_continues(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 6}
    done = execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings)
    assert "continuing from step 4" in printed(done)
    assert "stopped by steps at step 6" in printed(done)


def test_training_in_two_processes_goes_on_from_one_and_is_taken_up(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 8, "num_processes": 2}
    done = printed(execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings))
    assert "2 processes, 40 clips, device cpu" in done
    assert (
        done.count("continuing from step") == 2
    )  # by the two, and by the notebook when they are done
    assert "stopped by steps at step 8" in done
    assert "Figure(" not in done, "the processes have no notebook to show one in"
    assert len(list((run_dir / "samples" / "00000008").glob("*.wav"))) == 8
    assert read_metrics(run_dir / "metrics.jsonl", "progress")[-1]["step"] == 8


def test_processes_that_fail_stop_the_notebook(run_dir, tmp_path):
    settings = SMALL["03_train"] | {"steps": 9, "num_processes": 3}
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute("03_train", tmp_path / "03.ipynb", run_dir=str(run_dir), **settings)
    assert "training in 3 processes failed" in error.value.evalue
    assert "batch_size 4 cannot be shared by 3 processes" in printed(
        nbformat.read(tmp_path / "03.ipynb", 4)
    )


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("03_train", {"minuts": 3}, "has no parameter minuts"),
        ("03_train", {"restart": "false"}, "parameter restart must be True or False"),
        ("04_listen", {"run_dir": "runs/none"}, "run 03_train first"),
        ("03_train", {"run_dir": "runs/none"}, "run 01_data first"),
        ("01_data", {"run_dir": "/content/drive/MyDrive/x"}, "Drive was not mounted (this machine"),
    ],
)
def test_mistakes_stop_a_notebook_with_clear_words(name, parameters, words, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(name, tmp_path / "out.ipynb", **parameters)
    assert words in error.value.evalue


@pytest.fixture(scope="module")
def moved(run_dir):
    """The run folder, moved into the project's, by its relative path."""
    folder = PROJECT / "runs" / f".moved-{run_dir.parent.name}"
    folder.parent.mkdir(exist_ok=True)
    shutil.move(run_dir, folder)
    yield str(folder.relative_to(PROJECT))
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("04_listen", "made at step"),
        ("03_train", "continuing from step 8"),
        ("02_models", "classes"),
    ],
)
def test_a_moved_run_is_taken_up_by_any_notebook_by_a_relative_path(moved, tmp_path, name, words):
    more = {"steps": 10} if name == "03_train" else {}
    done = printed(execute(name, tmp_path / "out.ipynb", run_dir=moved, **SMALL[name] | more))
    assert words in done, done
    assert name != "02_models" or "Warning" not in done, done


def test_the_stop_button_saves_and_leaves_a_usable_run(tmp_path):
    """Pressed while the training cell of a real kernel runs; the cells after it run as ever."""
    run_dir = tmp_path / "run"
    execute("01_data", tmp_path / "01.ipynb", run_dir=str(run_dir), **SMALL["01_data"])
    copy = tmp_path / "03.ipynb"
    endless = {"run_dir": str(run_dir), **SMALL["03_train"], "steps": 999, "sample_minutes": 0.01}
    papermill.execute_notebook(FOLDER / "03_train.ipynb", copy, endless, prepare_only=True)
    manager = KernelManager(kernel_name="python3")

    def press() -> None:
        while not list(run_dir.glob("samples/*/spectrograms.png")):
            time.sleep(0.05)
        manager.interrupt_kernel()

    finger = threading.Thread(target=press, daemon=True)
    finger.start()
    notebook = nbformat.read(copy, as_version=4)
    where = {"metadata": {"path": str(FOLDER)}}
    try:
        NotebookClient(notebook, km=manager, timeout=LONGEST_CELL_S, resources=where).execute()
    finally:
        manager.shutdown_kernel(now=True)
    assert "stopped by you at step" in printed(notebook)
    step = load_newest_checkpoint(run_dir / "checkpoints")[0].step
    assert f"stopped by you at step {step}," in printed(notebook)
    assert "classes: clap" in printed(
        execute("04_listen", tmp_path / "04.ipynb", run_dir=str(run_dir), **SMALL["04_listen"])
    )


def test_a_run_on_drive_is_trained_on_a_copy_and_goes_on_on_another_machine(tmp_path, monkeypatch):
    """With a folder in the place of the mounted Drive."""
    drive = tmp_path / "drive"
    run_dir = drive / "MyDrive" / "rain"
    run_dir.parent.mkdir(parents=True)
    monkeypatch.setattr(colab, "DRIVE", drive)
    local = folder.open_run(str(run_dir)).here

    def execute_there(name: str, **parameters) -> str:
        notebook = read(name)
        cell = next(cell for cell in notebook.cells if "open_run(" in cell.source)
        cell.source = (
            f"from helpers.run import colab\ncolab.DRIVE = Path({str(drive)!r})\n{cell.source}"
        )
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        parameters = {"run_dir": str(run_dir), **SMALL[name], **parameters}
        return printed(execute(name, tmp_path / f"{name}-done.ipynb", tmp_path, **parameters))

    try:
        execute_there("01_data")
        told = execute_there("03_train")
        assert (
            f"a new run: step 0 of {local}" in told
            and f"working in {local}, sent to {run_dir}" in told
        )
        names = {path.name.split(".")[0] for path in run_dir.rglob("*-*.*.*")}
        assert names == {
            "beginning-00000001",
            "generator-00000004",
            "metrics-00000004",
            "step-00000004",
        }
        shutil.rmtree(local)  # the machine went away
        assert "continuing from step 4" in execute_there("03_train", steps=6)
        assert "made at step" in execute_there("04_listen")
        lines = read_metrics(run_dir / "metrics.jsonl", "training")
        assert [line["step"] for line in lines] == [4, 6]
        assert len(read_metrics(run_dir / "metrics.jsonl", "quality")) == 1
    finally:
        shutil.rmtree(local, ignore_errors=True)


def test_classes_with_a_single_held_out_clip_are_told_of(tmp_path, write_sounds, tiny_run):
    """Nobody has trained it, so an untrained generator is listened to; no table holds a NaN."""
    run = folder.open_run(str(tmp_path / "runs" / "gaps"))
    write_sounds(tmp_path / "sounds", 5, seed=0)
    for path in [*tmp_path.glob("sounds/low/[1-4].wav"), *tmp_path.glob("sounds/[hn]*/0.wav")]:
        path.rename(path.with_name(f"held-{path.name}"))
    data = DataConfig(source=str(tmp_path / "sounds"), holdout="held-*")
    clips = prepare_clips(tmp_path / "sounds", tiny_run().audio, data, run.data, run.cache)
    assert set(clips.labels[clips.indices("train")]) == {0, 1, 2}
    data = dataclasses.replace(data, digest=clips.key)
    config = dataclasses.replace(tiny_run(), data=data, classes=clips.classes)
    run.write_config(config)
    network = make_generator(config.model, config.audio, 3).eval()
    normaliser = fit_clip_normaliser(clips)
    generator = SoundGenerator(network, config.audio, config.model, clips.classes, normaliser)
    save_generator(run.generator, generator)
    done = execute("04_listen", tmp_path / "04.ipynb", run_dir=str(run.root), **SMALL["04_listen"])
    told = printed(done)
    assert "'high', 'noise' have fewer than two held-out clips" in told
    assert "The judge names only" in told and "judge_steps above 2" in told
    shown = "".join(
        output["data"].get("text/html", "")
        for cell in done.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )
    assert "sounds of each kind, heard by judge" in shown
    assert "<td>nan</td>" not in shown and "<td>-0</td>" not in shown
    assert not [
        output
        for cell in done.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr" and "Warning" in output["text"]
    ]
