"""Killed at any moment: the next run goes on from a whole checkpoint, and nothing differs."""

import os
import random
import signal
import time
import warnings

import torch
from failing import in_a_child
from states import assert_same

from helpers.judge.faults import TrainingWarning
from helpers.train.checkpoints import load_newest_checkpoint
from helpers.train.loop import train_gan
from helpers.train.metrics_file import read_metrics
from helpers.train.schedule import Intervals, Limits

N_KILLS = 50
MOST_STEPS, LONGEST_S = 10, 0.1  # of a training before its death: so many begun, and then a moment


class Announced:
    """A data set that writes a byte whenever a batch is asked for."""

    def __init__(self, dataset, pipe: int):
        self.dataset, self.pipe = dataset, pipe

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, items):
        os.write(self.pipe, b"!")
        return self.dataset.batch(items)


def test_a_run_killed_fifty_times_is_the_run_that_was_never_killed(dataset, tiny_run, tmp_path):
    config, moments = tiny_run(), random.Random(0)

    def train(folder, steps: int, checkpoint_minutes: float, data=dataset) -> None:
        limits, intervals = Limits(steps=steps), Intervals(checkpoint_minutes, 1e6)
        train_gan(data, config, folder, torch.device("cpu"), limits, intervals, compiled=False)

    train(
        tmp_path / "first", 1, 1e6
    )  # what is loaded at the first step is loaded once, not by every child
    reached = []
    for _ in range(N_KILLS):
        reading, writing = os.pipe()
        child = in_a_child(
            lambda pipe=writing: train(tmp_path / "killed", 10**6, 0, Announced(dataset, pipe))
        )
        os.close(writing)
        for _ in range(moments.randrange(MOST_STEPS)):
            os.read(reading, 1)
        time.sleep(moments.uniform(0, LONGEST_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            state, problems = load_newest_checkpoint(tmp_path / "killed" / "checkpoints")
        assert problems == []
        reached.append(state.step if state else 0)
    assert reached == sorted(reached) and len(set(reached)) > N_KILLS // 4
    n_steps = reached[-1] + 3
    for folder in ("killed", "whole"):
        child = in_a_child(
            lambda folder=folder: train(
                tmp_path / folder, n_steps, 0 if folder == "killed" else 1e6
            )
        )
        assert os.waitpid(child, 0)[1] == 0
    killed, whole = (
        load_newest_checkpoint(tmp_path / name / "checkpoints")[0] for name in ("killed", "whole")
    )
    assert killed.step == whole.step == n_steps
    assert_same(killed.tensors, whole.tensors)  # weights, averages, optimisers, random state
    steps = [
        line["step"] for line in read_metrics(tmp_path / "killed" / "metrics.jsonl", "training")
    ]
    assert steps == sorted(set(steps)) and steps[-1] == n_steps
    assert set(reached) - {0} <= set(steps)
