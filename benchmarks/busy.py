"""Training alone and beside a process that keeps one core busy: its pace, and when looks come."""

import argparse
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import Bench, markdown_table
from helpers.data.learn_inversion import read_waveforms, train_magnitude_net
from helpers.device import describe, pick_device, pick_precision
from helpers.show.fixed_batch import FixedBatchView
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

WARM_UP_STEPS = 20  # compiled by then
INVERSION_STEPS = 100
WHAT = ("eager", "compiled", "inversion")


@dataclasses.dataclass
class Pace:
    """When steps began, and when looks began and ended, in seconds after the first steps."""

    steps: list[float]
    looks: list[tuple[float, float]]

    @property
    def steps_per_second(self) -> float:
        """From the first to the last."""
        return (len(self.steps) - 1) / (self.steps[-1] - self.steps[0])

    @property
    def spans(self) -> str:
        """When each look began and ended."""
        return ", ".join(f"{begun:.0f} to {ended:.0f}" for begun, ended in self.looks) or "none"


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    print("GOMP_SPINCOUNT", os.environ.get("GOMP_SPINCOUNT", "not set"))
    bench, rows = Bench(arguments.data, arguments.preset, Path(arguments.runs)), []
    for what in arguments.what:
        alone = measure(bench, arguments, what)
        with a_busy_process():
            beside = measure(bench, arguments, what)
        rows.append(
            {
                "what": what,
                "alone, steps a second": f"{alone.steps_per_second:.2f}",
                "beside": f"{beside.steps_per_second:.2f}",
                "ratio": f"{beside.steps_per_second / alone.steps_per_second:.2f}",
                "looks alone, s": alone.spans,
                "looks beside, s": beside.spans,
            }
        )
        print(f"\n{markdown_table(rows)}", flush=True)


def measure(bench: Bench, arguments: argparse.Namespace, what: str) -> Pace:
    """One of WHAT, on the machine as it is."""
    if what == "inversion":
        return train_inversion(bench)
    return train(bench, arguments, what == "compiled")


@contextlib.contextmanager
def a_busy_process() -> Iterator[None]:
    """A process in a session of its own, as another user's, that never waits; it ends with ours."""
    busy = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"
    command = [sys.executable, "-c", busy]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield
        finally:
            process.kill()


def train(bench: Bench, arguments: argparse.Namespace, compiled: bool) -> Pace:
    """Train as 03_train does, for so many seconds after the first steps."""
    dataset, config = bench.dataset(bench.configure("modern"))
    began, looks, batch = [], [], dataset.batch

    def timed_batch(items):
        began.append(time.monotonic())
        if len(began) > WARM_UP_STEPS and began[-1] - began[WARM_UP_STEPS] > arguments.seconds:
            signal.raise_signal(signal.SIGINT)  # as the stop button does
        return batch(items)

    with tempfile.TemporaryDirectory() as folder:
        view, device = FixedBatchView(config.classes, config.audio), pick_device()
        heard = bench.evaluator, view, bench.inversion(config), device
        watch = Watch(config, dataset, Path(folder), *heard)

        def timed_watch(*look):
            begun = time.monotonic()
            watch(*look)
            looks.append((begun, time.monotonic()))

        dataset.batch = timed_batch
        intervals = Intervals(2.0, arguments.sample_minutes)
        precision, limits = pick_precision("auto", device), Limits(minutes=1e6)
        train_gan(
            dataset,
            config,
            Path(folder),
            device,
            limits,
            intervals,
            precision,
            timed_watch,
            compiled=compiled,
        )
    zero, last = began[WARM_UP_STEPS], began[-1]
    steps = [at - zero for at in began[WARM_UP_STEPS:]]
    looks = [(begun - zero, ended - zero) for begun, ended in looks if begun < last]
    return Pace(steps, looks)


def train_inversion(bench: Bench) -> Pace:
    """Train the inversion's network for some steps."""
    began, config = [], bench.configure("modern")

    def clock(items, **_):
        for item in items:
            began.append(time.monotonic())
            yield item

    steps = WARM_UP_STEPS + INVERSION_STEPS
    train_magnitude_net(read_waveforms(bench.clips(config)), config.audio, steps, progress=clock)
    return Pace(began[WARM_UP_STEPS:], [])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--seconds", type=float, default=40, help="of each training")
    parser.add_argument("--sample-minutes", type=float, default=0.25)
    parser.add_argument("--what", nargs="+", default=WHAT, choices=WHAT)
    parser.add_argument("--runs", default="runs/quality")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
