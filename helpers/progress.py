"""One progress bar for terminals, notebooks and logs."""

import sys

from tqdm import tqdm


def progress_bar(iterable=None, total: float | None = None, desc: str = "", unit: str = "it", **options) -> tqdm:
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
