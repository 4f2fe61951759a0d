"""Shared by the benchmarks: recordings, their configurations, one judge, turns, tables."""

import dataclasses
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from helpers.config import DataConfig, RunConfig, make_config
from helpers.data.audit import common_sample_rate
from helpers.data.clips import ClipCache, prepare_clips
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.learn_inversion import open_magnitude_net
from helpers.data.sources import Source, open_source
from helpers.device import pick_device
from helpers.files import PROJECT
from helpers.judge.classifier import Judge, open_judge
from helpers.judge.evaluation import Evaluator, JudgedSounds
from helpers.progress import progress_bar
from helpers.run.folder import resolve_source, run_name
from helpers.sound.magnitudes import MagnitudeNet

N_RESAMPLES = 200
CRITICAL = 1.96  # of the normal distribution, for 95 %
Rows = TypeVar("Rows", JudgedSounds, Tensor)


class Bench:
    """Recordings opened once, with the judge that hears every system trained on them.

    data is the kit, a known name, a folder or an archive. Runs are kept in root/<its name>.
    """

    def __init__(self, data: str, preset: str, root: Path, n_frames: int = 0, holdout: str = ""):
        path = resolve_source(data)[0]
        self.source: Source = open_source(path, PROJECT / "data", progress=progress_bar)
        self.preset, self.n_frames = preset, n_frames
        self.holdout = holdout or self.source.holdout
        self.folder = root / run_name(data, preset, "modern")
        self.name = self.folder.name

    @cached_property
    def evaluator(self) -> Evaluator:
        """The judge, and what it hears of the recordings."""
        clips = self.clips(self.configure("modern"))
        return Evaluator(self.judge(clips, pick_device()), clips)

    def judge(self, clips: ClipCache, device: torch.device | str) -> Judge:
        """The judge of these clips on a device, trained once."""
        path = self.folder / "judge.safetensors"
        return open_judge(path, clips, device=device, progress=progress_bar)

    def configure(self, recipe: str, seed: int = 0) -> RunConfig:
        """A recipe's configuration, with the geometry fitted to the recordings."""
        config = make_config(
            self.preset, recipe, **({"n_frames": self.n_frames} if self.n_frames else {})
        )
        return dataclasses.replace(
            config,
            audio=config.audio.fit_sample_rate(
                common_sample_rate(self.source.folder) or config.audio.sample_rate
            ),
            data=DataConfig(source=self.source.name, holdout=self.holdout),
            train=dataclasses.replace(config.train, seed=seed),
        )

    def clips(self, config: RunConfig) -> ClipCache:
        """The recordings in the features of a configuration."""
        return prepare_clips(
            self.source.folder,
            config.audio,
            config.data,
            self.folder,
            self.folder / "cache",
            progress_bar,
        )

    def dataset(self, config: RunConfig) -> tuple[TrainAudioSpectrogramDataset, RunConfig]:
        """The training split of a configuration, and the configuration with its classes."""
        clips = self.clips(config)
        return TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips)), dataclasses.replace(
            config, classes=clips.classes
        )

    def inversion(self, config: RunConfig) -> MagnitudeNet | None:
        """The inversion's network, trained on the training clips of a configuration."""
        path = self.folder / f"inversion-{config.model.recipe}.safetensors"
        return open_magnitude_net(path, self.clips(config), progress=progress_bar)


def bootstrap_interval(
    statistic: Callable[[Rows], dict[str, float]], sets: Sequence[Rows], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """A 95 % interval for each mean figure over several sets of sounds, one set a training seed.

    It is the mean ± 1.96 standard errors, by the bootstrap (Efron and Tibshirani 1993, sec. 12.8)
    over seeds and over the sounds of each. Percentiles of the draws would not do: distances and
    coverage shift when rows repeat.
    """
    rng = np.random.default_rng(seed)
    estimate, draws = mean_figures([statistic(rows) for rows in sets]), []
    for _ in range(N_RESAMPLES):
        chosen = [sets[index] for index in rng.integers(len(sets), size=len(sets))]
        resampled = [
            rows[torch.from_numpy(rng.integers(len(rows), size=len(rows)))] for rows in chosen
        ]
        draws.append(mean_figures([statistic(rows) for rows in resampled]))
    interval = {}
    for name, value in estimate.items():
        reach = CRITICAL * float(np.std([draw[name] for draw in draws], ddof=1))
        interval[name] = (value - reach, value + reach)
    return interval


def mean_figures(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over several measurements."""
    return {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def first_of_each(labels: Tensor, most: int) -> Tensor:
    """The rows of the first sounds, so many at most, of each class among labels (N,)."""
    return torch.cat([(labels == label).nonzero()[:most, 0] for label in labels.unique()])


def take_turns(
    functions: dict[str, Callable], rounds: int, calls: int = 1, wait: Callable = lambda: None
) -> dict[str, list[float]]:
    """Seconds a call of each function: `rounds` numbers, each the mean of so many calls in a row.

    The functions take turns, so that a slow moment of the machine meets all of them. wait is
    called before the clock is read.
    """
    seconds = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            wait()
            begun = time.perf_counter()
            for _ in range(calls):
                function()
            wait()
            seconds[name].append((time.perf_counter() - begun) / calls)
    return seconds


def in_fresh_process(function: Callable, *arguments):
    """Call a function of a module in a process of its own, whose memory is the function's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_mib(of_children: bool = False) -> float:
    """The most memory that this process has had, or any that it started and that ended, in MiB."""
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    return resource.getrusage(who).ru_maxrss / 1024


def markdown_table(rows: Sequence[dict[str, str]]) -> str:
    """Dictionaries with the same keys as a table."""
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    return "\n".join(lines + [f"| {' | '.join(row.values())} |" for row in rows])
