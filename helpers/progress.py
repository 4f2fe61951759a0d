"""One progress bar for terminals, notebooks and logs."""

import os
import sys
from collections.abc import Callable, Iterable

from tqdm import tqdm


def progress_bar(
    iterable=None, total: float | None = None, desc: str = "", unit: str = "it", **options
) -> tqdm:
    """A tqdm bar: lively in a terminal, a line every few seconds where output is recorded."""
    lively = sys.stderr.isatty()
    return tqdm(
        iterable,
        total=total,
        desc=desc,
        unit=unit,
        mininterval=0.5 if lively else 5.0,
        maxinterval=10.0,
        dynamic_ncols=lively,
        ncols=None if lively else 100,
        **options,
    )


def tracked(progress: Callable | None, items: Iterable, total: int | None, desc: str) -> Iterable:
    """items, wrapped by progress(items, total=, desc=) if there is one; total None: not known beforehand."""
    return items if progress is None else progress(items, total=total, desc=desc)


def n_workers() -> int:
    """Threads for reading files: one a core, up to 16."""
    return min(16, os.cpu_count() or 1)
