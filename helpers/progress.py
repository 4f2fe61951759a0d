"""One progress bar for terminals, notebooks and logs, and how many threads read files."""

import os
import sys
from collections.abc import Callable, Iterable

from tqdm import tqdm


def progress_bar(iterable=None, total: float | None = None, desc: str = "", **options) -> tqdm:
    """A tqdm bar: redrawn at once in a terminal, every few seconds where output is recorded."""
    if sys.stderr.isatty():
        options |= {"mininterval": 0.5, "dynamic_ncols": True}
    else:
        options |= {"mininterval": 5.0, "ncols": 100}
    return tqdm(iterable, total=total, desc=desc, maxinterval=10.0, **options)


def say(text: str) -> None:
    """Print a line where a bar may be on the screen."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def tracked(progress: Callable | None, items: Iterable, total: int | None, desc: str) -> Iterable:
    """items, wrapped by progress(items, total=, desc=) if there is one; total None: unknown."""
    return items if progress is None else progress(items, total=total, desc=desc)


def n_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def n_workers() -> int:
    """How many threads read files: one a core, up to 16."""
    return min(16, n_cores())
