"""How many threads compute: fewer while other processes use the cores."""

import math
import os
import time
from typing import NamedTuple

import psutil
import torch

from helpers.progress import n_cores

SHORTEST_READING_S = 2.0  # the system counts in hundredths of a second
ENOUGH_TO_GIVE_UP, ENOUGH_TO_TAKE = 0.35, 0.15  # of a core, used by others


class Usage(NamedTuple):
    """Seconds since some moment: of the clock, of all cores, and of this process's threads."""

    clock: float
    all_cores: float
    own: float


class ThreadsThatFollow:
    """Gives torch a thread for each core that no other process uses, at least one.

    The threads that share a layer wait for the slowest. With one of two cores in use elsewhere,
    two threads are many times slower than one. Compiled networks are compiled for a number of
    threads; with another one they run as they were written.

    Sums of another number of threads have other last digits: with `may_change` False the number
    stays. compiled: whether networks are compiled. Call `follow` after each step, inside of `with`.
    """

    def __init__(self, compiled: bool, may_change: bool = True):
        self.compiled, self.may_change = compiled, may_change
        self.most = self.n = torch.get_num_threads()
        self.before: Usage | None = None  # at the last choice; the first step may have compiled

    def __enter__(self) -> "ThreadsThatFollow":
        return self

    def __exit__(self, *_) -> None:
        self._set(self.most)

    def follow(self) -> None:
        """Choose by what others have used since the last choice, if that is long enough ago."""
        if not self.may_change or self.most == 1:
            return
        if self.before is None:
            self.before = read_usage()
        if time.monotonic() - self.before.clock < SHORTEST_READING_S:
            return
        now = read_usage()
        clock, all_cores, own = (new - old for new, old in zip(now, self.before, strict=True))
        self.before = now
        others = max(0.0, all_cores - own) / clock
        self._set(choose_threads(self.n, self.most, n_cores(), others))

    def _set(self, n: int) -> None:
        if n != self.n:
            self.n = n
            torch.set_num_threads(n)
            if self.compiled:
                torch.compiler.set_stance("default" if n == self.most else "eager_on_recompile")


def choose_threads(now: int, most: int, cores: int, others: float) -> int:
    """From 1 to `most` threads beside other processes that use `others` cores of so many.

    Between two limits the number stays as it is, so that it does not change to and fro.
    """
    free = cores - others
    fewest, at_best = (math.floor(free + part) for part in (ENOUGH_TO_TAKE, ENOUGH_TO_GIVE_UP))
    return max(1, min(most, max(fewest, min(now, at_best))))


def read_usage() -> Usage:
    """Read how long this process's cores have computed, for everybody and for this process."""
    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        cores = [cores[index] for index in os.sched_getaffinity(0) if index < len(cores)]
    used = sum(core.user + core.system + getattr(core, "nice", 0.0) for core in cores)
    return Usage(time.monotonic(), used, time.process_time())
