"""Settings are refused by name, kind and range, with words a person can act on."""

import ast

import nbformat
import pytest
import torch

from helpers.config import LARGEST_BATCH, SMALLEST_BATCH, DataConfig, TrainConfig, make_config
from helpers.data import learn_inversion
from helpers.device import pick_preset
from helpers.files import PROJECT
from helpers.judge.classifier import JUDGE_STEPS
from helpers.run.prepare import DEFAULT_RUN_DIR
from helpers.run.settings import NOTEBOOKS, SettingError, read_settings
from helpers.train.schedule import Intervals

GOOD = {
    "run_dir": "runs/x",
    "use_drive": False,
    "minutes": 5,
    "epochs": 0,
    "steps": 10,
    "batch_size": 0,
    "learning_rate": 0.0,
    "precision": "auto",
    "checkpoint_minutes": 2.0,
    "sample_minutes": 1.0,
    "judge_steps": 800,
    "num_processes": 1,
    "restart": False,
}


def test_good_values_come_back_in_their_kind():
    parameters = read_settings("03_train", GOOD)
    assert parameters.minutes == 5.0
    assert isinstance(parameters.minutes, float)
    assert parameters.steps == 10


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("use_drive", "false", "True or False, with a capital"),
        ("use_drive", 1, "must be True or False; got int 1"),
        ("learning_rate", "1e-4", "1e-4 is read as text"),
        ("learning_rate", float("nan"), "number from 0 to 0.1"),
        ("minutes", -1, "number from 0 to 100000; got int -1"),
        ("minutes", True, "got bool True"),
        ("steps", 2.5, "whole number"),
        ("precision", "fp8", "one of auto, fp32, bf16, fp16; got str 'fp8'"),
        ("run_dir", 7, "text in quotes; got int 7"),
        ("checkpoint_minutes", 0, "from 0.01"),
    ],
)
def test_wrong_kind_or_range_is_refused(name, value, words):
    with pytest.raises(SettingError, match=f"parameter {name}") as error:
        read_settings("03_train", GOOD | {name: value})
    assert words in str(error.value)


def test_injected_name_that_does_not_exist_is_refused():
    history = ["", "import x", "# Parameters\nminuts = 3\nsteps = 4\n"]
    with pytest.raises(
        SettingError, match="no parameter minuts; it has run_dir, use_drive, minutes"
    ):
        read_settings("03_train", GOOD | {"In": history})


def test_variables_of_later_cells_are_no_parameters():
    history = ["", "# Parameters\nsteps = 4\n", "minuts = 3"]
    assert read_settings("03_train", GOOD | {"In": history, "minuts": 3}).steps == 10


def test_a_batch_may_be_as_large_in_a_notebook_as_in_a_configuration():
    assert NOTEBOOKS["03_train"]["batch_size"].high == LARGEST_BATCH
    assert TrainConfig(batch_size=LARGEST_BATCH).batch_size == LARGEST_BATCH
    with pytest.raises(SettingError, match=f"parameter batch_size .* from 2 to {LARGEST_BATCH}"):
        read_settings("03_train", GOOD | {"batch_size": LARGEST_BATCH + 1})


def test_a_batch_of_one_is_refused_before_anything_runs_and_0_is_the_recipes():
    with pytest.raises(SettingError, match="batch_size must be 0, or a whole number from 2 to"):
        read_settings("03_train", GOOD | {"batch_size": 1})
    assert read_settings("03_train", GOOD | {"batch_size": 0}).batch_size == 0
    assert read_settings("03_train", GOOD | {"batch_size": 2}).batch_size == SMALLEST_BATCH


def test_the_forms_of_the_notebooks_begin_with_the_defaults_of_the_code():
    shown = {}
    for name in NOTEBOOKS:
        cells = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        (cell,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
        for line in ast.parse(cell.source).body:
            shown[name, line.targets[0].id] = ast.literal_eval(line.value)
    preset, recipe = shown["01_data", "preset"], shown["01_data", "recipe"]
    assert preset == "auto"
    assert make_config(pick_preset(preset, torch.device("cpu")), recipe) == make_config()
    assert shown["01_data", "kit_clips"] == DataConfig().kit_clips
    assert shown["01_data", "inversion_steps"] == learn_inversion.STEPS
    assert shown["03_train", "precision"] == TrainConfig().precision
    assert shown["03_train", "checkpoint_minutes"] == Intervals().checkpoint
    assert shown["03_train", "sample_minutes"] == Intervals().samples
    for name in NOTEBOOKS:
        assert shown[name, "run_dir"] == DEFAULT_RUN_DIR and shown[name, "use_drive"]
    for name in ("03_train", "04_listen"):
        assert shown[name, "judge_steps"] == JUDGE_STEPS


def test_every_notebook_has_the_common_parameters():
    assert all({"run_dir", "use_drive"} <= set(known) for known in NOTEBOOKS.values())
