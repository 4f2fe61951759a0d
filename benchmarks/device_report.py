"""What each part of `benchmarks.device` is given: the device, recordings, and a report."""

import gc
import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.common import Bench, markdown_table, take_turns
from helpers.data.source_names import KIT
from helpers.data.sources import open_source
from helpers.files import PROJECT

TINY_KIT = 200  # clips
SHOWN_FRAMES = 4  # of an error's traceback


@dataclass
class DeviceReport:
    """Prints what parts find, keeps it in a file, and counts checks. A failure ends one part."""

    file: Path
    device: torch.device
    data: str  # the kit, a known name, a folder or an archive
    runs: Path  # where the judge and the cache are kept
    minutes: float  # of the short training
    limit_s: float
    tiny: bool  # small settings, to try the benchmark itself
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    columns: tuple[str, ...] = ()  # of the table that was begun last

    on_cuda = property(lambda self: self.device.type == "cuda")
    seconds = property(lambda self: time.monotonic() - self.begun)
    seconds_left = property(lambda self: self.limit_s - self.seconds)

    @cached_property
    def bench(self) -> Bench:
        """The recordings at preset cpu, with their judge."""
        data = self.data
        if self.tiny and data == KIT:
            data = str(open_source(KIT, PROJECT / "data", kit_clips=TINY_KIT).folder)
        return Bench(data, "cpu", self.runs)

    def say(self, text: str) -> None:
        """Print lines, and add them to the file."""
        print(text, flush=True)
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    def row(self, **values: str) -> None:
        """Say a row of a table as soon as it is known; other columns begin another table."""
        lines = markdown_table([values]).splitlines()
        is_new, self.columns = tuple(values) != self.columns, tuple(values)
        self.say("\n".join(lines if is_new else lines[-1:]))

    def check(self, name: str, good: bool, found: str = "") -> None:
        """Count a check, and say what was found."""
        (self.passed if good else self.failed).append(name)
        self.say(f"- {'ok' if good else 'FAILED'}: {name}{found and f': {found}'}")

    def part(self, function: Callable[["DeviceReport"], None], needs_cuda: bool) -> None:
        """Run a part, if it can run here and there is time."""
        name = function.__name__.replace("_", " ")
        self.say(f"\n## {name.capitalize()}, at {self.seconds:.0f} s\n")
        self.columns = ()
        if needs_cuda and not self.on_cuda:
            self.skip(name, "it needs CUDA")
        elif self.seconds_left < 0:
            self.skip(name, "no time is left")
        else:
            self.attempt(name, function, self)

    def skip(self, name: str, reason: str) -> None:
        """Say that something is not done, and why."""
        self.skipped.append(name)
        self.say(f"- skipped: {name}: {reason}")

    def attempt(self, name: str, function: Callable, *arguments) -> None:
        """Call a function; an error is a failed check, and what follows goes on."""
        try:
            gc.collect()
            if self.on_cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            function(*arguments)
        except Exception:
            self.check(name, False, f"\n\n```\n{traceback.format_exc(-SHOWN_FRAMES)}```\n")

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.on_cuda:
            torch.cuda.synchronize()

    def time(self, function: Callable, rounds: int = 5, calls: int = 1) -> float:
        """Median seconds of a call over rounds of calls in a row, after one round to warm up."""
        return statistics.median(take_turns({"": function}, rounds + 1, calls, self.wait)[""][1:])

    def summary(self) -> str:
        """One line: how many checks passed, and which failed or were skipped."""
        failed, skipped = (
            f"{len(names)} {word}" + f" ({', '.join(names)})" * bool(names)
            for word, names in (("failed", self.failed), ("skipped", self.skipped))
        )
        return f"{len(self.passed)} checks passed, {failed}, {skipped}; {self.seconds:.0f} s"
