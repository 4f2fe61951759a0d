"""Sweeps: a run for each combination, failures named, done runs kept, on processes or dask."""

import csv
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import LocalCluster

from helpers.run import sweep as sweeps
from helpers.run.settings import SettingError
from helpers.run.sweep import open_executor, read_grid, run_name, sweep
from helpers.train.metrics_file import append_metrics

SMALL = "kit_clips=48 n_frames=32 inversion_steps=2 minutes=0 judge_steps=2 sounds_per_class=1"


def test_a_grid_is_read_with_the_kinds_of_the_notebooks(tmp_path, monkeypatch):
    grid = read_grid(
        [
            "learning_rate=0.0005,0.001",
            "recipe=modern,baseline",
            "minutes=5",
            "slice_long=yes",
            "seed=1",
        ]
    )
    assert grid == {
        "learning_rate": [0.0005, 0.001],
        "recipe": ["modern", "baseline"],
        "minutes": [5.0],
        "slice_long": ["yes"],
        "seed": [1],
    }
    (tmp_path / "sounds").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_grid(["data_source=kit,sounds"])["data_source"] == [
        "kit",
        str((tmp_path / "sounds").resolve()),
    ]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("minuts=3", "no parameter 'minuts'; there are batch_size,"),
        ("run_dir=x", "no parameter 'run_dir'"),
        ("recipe=best", "recipe must be one of"),
        ("steps=1.5", "steps must be a whole number"),
        ("seed=-1", "seed must be a whole number from 0"),
    ],
)
def test_a_mistake_in_a_grid_is_told_before_anything_runs(word, says):
    with pytest.raises(SettingError, match=says):
        read_grid([word])


def test_names_tell_the_runs_apart_and_are_names_of_folders():
    assert run_name({"seed": 1, "recipe": "modern"}) == "seed=1-recipe=modern"
    paths = [run_name({"data_source": source}) for source in ("/a/b c", "/a/b_c", "x" * 300)]
    assert len(set(paths)) == 3
    assert all("/" not in path and " " not in path and len(path) < 120 for path in paths)


def test_every_combination_is_run_and_a_failure_keeps_the_others(tmp_path):
    """Real notebooks in real kernels: one run trains, one has a geometry that cannot be."""
    grid = read_grid([*SMALL.split(), "steps=2", "n_mels=32,33"])
    with ThreadPoolExecutor(2) as executor:
        rows = sweep(grid, tmp_path, executor)
    done, failed = rows
    assert (done["n_mels"], done["status"], done["step"]) == (32, "done", 2)
    assert 0 <= done["accuracy"] <= 1 and done["frechet"] > 0
    assert failed["status"].startswith("01_data: ConfigError: n_mels must be divisible by 16")
    assert (tmp_path / failed["run"] / "notebooks" / "01_data.ipynb").exists()
    table = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    assert [line["n_mels"] for line in table] == ["32", "33"]
    assert [line["status"] for line in table] == [row["status"] for row in rows]


class Recorded:
    """In place of a training: keeps what was asked for, and ends well or, for seed 2, badly."""

    def __init__(self, monkeypatch):
        self.asked = []
        monkeypatch.setattr(sweeps, "train_one", self)

    def __call__(self, parameters, folder):
        self.asked.append(parameters["seed"])
        path = sweeps.Path(folder)
        if parameters["seed"] == 2:
            raise MemoryError("the machine is gone")
        sweeps._write_status(path, "done")
        append_metrics(
            path / "metrics.jsonl",
            {"kind": "quality", "step": 7, "frechet": parameters["seed"], "judge": "0a1b2c3d"},
        )


def test_a_sweep_begun_again_does_only_what_is_not_done(tmp_path, monkeypatch):
    trainings = Recorded(monkeypatch)
    for expected in ([0, 1, 2], [2]):
        trainings.asked.clear()
        with ThreadPoolExecutor(1) as executor:
            rows = sweep({"seed": [0, 1, 2]}, tmp_path, executor)
        assert trainings.asked == expected
        assert [row["status"] for row in rows] == [
            "done",
            "done",
            "MemoryError: the machine is gone",
        ]
        assert [row["frechet"] for row in rows] == [0, 1, ""]
        assert [row["judge"] for row in rows] == ["0a1b2c3d", "0a1b2c3d", ""]


def test_a_dask_cluster_does_the_runs(tmp_path):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        open_executor(1, cluster.scheduler_address) as executor,
    ):
        (row,) = sweep(read_grid(["seed=0", "n_mels=33"]), tmp_path, executor)
    assert row["status"].startswith("01_data: ConfigError: n_mels must be divisible by 16")


def test_the_processes_of_this_machine_are_the_default(tmp_path):
    with open_executor(1) as executor:
        assert executor.submit(run_name, {"seed": 3}).result(timeout=60) == "seed=3"
