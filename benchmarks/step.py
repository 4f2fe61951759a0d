"""One training step beside a plain loop of the same networks, losses and batch."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import Bench, markdown_table, take_turns
from benchmarks.template import Loop
from helpers.config import PRESETS, RECIPES
from helpers.data.dataset import draw_items
from helpers.device import describe, pick_device, pick_precision
from helpers.gan.augment import Augmenter
from helpers.gan.players import (
    PRECISIONS,
    Players,
    can_compile,
    n_augmented,
    update_average,
    update_discriminator,
    update_generator,
)
from helpers.show.fixed_batch import FixedBatchView
from helpers.train.loop import draw_batch, train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

PEAK_SIZE = 2048  # of the square matrices whose product is the peak


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    device = pick_device()
    precision = pick_precision("auto", device)
    peak = peak_flops(device, PRECISIONS[precision])
    print(
        f"peak, a product of {PEAK_SIZE} x {PEAK_SIZE} matrices in {precision}: "
        f"{peak / 1e12:.2f} TFLOP/s"
    )
    rows, parts = [], []
    for preset in arguments.presets:
        bench = Bench(arguments.data, preset, Path(arguments.runs))
        for recipe in arguments.recipes:
            measured = Measured(bench, recipe, device, precision)
            rows.append(measured.compare(arguments.rounds, peak))
            parts.append(measured.parts(arguments.rounds))
            print(rows[-1])
    print(f"\n{markdown_table(rows)}\n\nParts of a step, ms:\n\n{markdown_table(parts)}")
    if arguments.minutes:
        bench = Bench(arguments.data, arguments.presets[0], Path(arguments.runs))
        print(f"\n{stalls(bench, arguments.minutes)}")


class Measured:
    """A recipe's step and the plain loop's, on the same batches."""

    def __init__(self, bench: Bench, recipe: str, device: torch.device, precision: str):
        self.dataset, self.config = bench.dataset(bench.configure(recipe))
        self.name, self.device = f"{bench.preset}, {recipe}", device
        n_classes = self.dataset.n_classes
        compiled = can_compile(device)
        self.players = Players(self.config, n_classes, device, precision, compiled)
        self.loop = Loop(self.config, n_classes, device)
        self.rng, self.silence, self.step = (
            torch.Generator().manual_seed(0),
            self.dataset.normaliser.silence(),
            0,
        )
        names = self.config.train.augmentations
        self.augmented = Augmenter(names, self.silence, self.rng, device)
        self.clock = dict.fromkeys(
            ("data", "generator makes", "D", "G", "optimisers", "average"), 0.0
        )

    def ours(self) -> None:
        """One step as training does it."""
        train, players = self.config.train, self.players
        with self._time("data"):
            batch = draw_batch(self.dataset, self.config, self.step, self.rng, self.device)
            self.augmented.draw(n_augmented(train, self.step), len(batch.y))
        with self._time("generator makes"):
            made = players.make(batch.z, batch.y)
        with self._time("D"):
            update_discriminator(players, batch.real, made, batch.y, self.augmented, self.step)
        with self._time("G"):
            update_generator(players, made, batch.y, self.augmented)
        with self._time("average"):
            if train.ema_half_life_images:
                update_average(players.average, players.generator, 0.99)
        self.step += 1

    def theirs(self) -> None:
        """One step of the plain loop, its batch read from the same cache."""
        real, y = self.dataset.batch(
            draw_items(self.dataset, self.config.train, self.step, self.rng)
        )
        self.loop.step(real, y, self.silence, self.step, self.rng)
        self.step += 1

    def compare(self, rounds: int, peak: float) -> dict[str, str]:
        """Mean milliseconds of both, taken in turns, as a row of the table."""
        every = self.config.train.r1_every
        for _ in range(2):
            self.ours(), self.theirs()
        counter = FlopCounterMode(display=False)
        with counter:
            self.loop.step(*self._batch(), self.silence, 1, self.rng)
        self.step = 0
        seconds = take_turns({"ours": self.ours, "plain": self.theirs}, rounds, every, self._wait)
        ours, theirs = (statistics.median(seconds[name]) for name in ("ours", "plain"))
        return {
            "preset, recipe": self.name,
            "plain loop, ms": f"{1e3 * theirs:.1f}",
            "ours, ms": f"{1e3 * ours:.1f}",
            "ratio": f"{theirs / ours:.2f}",
            "of the peak": f"{counter.get_total_flops() / ours / peak:.2f}",
        }

    def parts(self, rounds: int) -> dict[str, str]:
        """Mean milliseconds of each part of our step; D and G include the optimisers' time."""
        for optimiser in (self.players.optimiser_d, self.players.optimiser_g):
            optimiser.step = self._timed(optimiser.step, "optimisers")
        self.clock = dict.fromkeys(self.clock, 0.0)
        n_steps = rounds * self.config.train.r1_every
        for _ in range(n_steps):
            self.ours()
        return {"preset, recipe": self.name} | {
            name: f"{1e3 * seconds / n_steps:.1f}" for name, seconds in self.clock.items()
        }

    def _batch(self):
        return self.dataset.batch(draw_items(self.dataset, self.config.train, 0, self.rng))

    def _timed(self, function: Callable, name: str) -> Callable:
        def timed(*arguments, **options):
            with self._time(name):
                return function(*arguments, **options)

        return timed

    def _time(self, name: str):
        return _Timer(self.clock, name, self._wait)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class _Timer:
    def __init__(self, clock: dict[str, float], name: str, wait: Callable):
        self.clock, self.name, self.wait = clock, name, wait

    def __enter__(self):
        self.wait()
        self.begun = time.perf_counter()

    def __exit__(self, *_):
        self.wait()
        self.clock[self.name] += time.perf_counter() - self.begun


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second in the largest of ten products of square matrices."""
    a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE, device=device).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(11):
        begun = time.perf_counter()
        (a @ b)[0, 0].item()
        fastest = min(fastest, time.perf_counter() - begun)
    return 2 * PEAK_SIZE**3 / fastest


def stalls(bench: Bench, minutes: float) -> str:
    """Train as 03_train does, with a look and a checkpoint every 15 s; the slowest step."""
    dataset, config = bench.dataset(bench.configure("modern"))
    times, batch = [], dataset.batch

    def timed(items):
        times.append(time.perf_counter())
        return batch(items)

    dataset.batch = timed
    device = pick_device()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        view = FixedBatchView(config.classes, config.audio)
        inversion = bench.inversion(config)
        watch = Watch(config, dataset, run, bench.evaluator, view, inversion, device)
        precision = pick_precision("auto", device)
        train_gan(
            dataset,
            config,
            run,
            device,
            Limits(minutes),
            Intervals(0.25, 0.25),
            precision,
            watch,
            compiled=can_compile(device),
        )
    steps = [
        later - earlier for earlier, later in zip(times[20:], times[21:], strict=False)
    ]  # 20: compiled by then
    median = statistics.median(steps)
    slow = sorted(steps)[-3:]
    return (
        f"{len(steps)} steps of real training, a picture, figures and a checkpoint every 15 s: "
        f"median {1e3 * median:.0f} ms, the slowest three "
        f"{', '.join(f'{1e3 * step:.0f}' for step in slow)} ms, "
        f"{slow[-1] / median:.1f} times the median"
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--presets", nargs="+", default=["cpu"], choices=list(PRESETS))
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument(
        "--rounds", type=int, default=6, help="turns of as many steps as lie between two penalties"
    )
    parser.add_argument(
        "--minutes", type=float, default=2.0, help="of training to look for stalls in; 0: none"
    )
    parser.add_argument("--runs", default="runs/quality")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
