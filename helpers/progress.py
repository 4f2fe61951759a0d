"""One progress bar for terminals, notebooks and logs, and how many threads read files."""

import os
import sys
from collections.abc import Callable, Iterable

from tqdm import tqdm


class _CellLine:
    """A stream for tqdm in a notebook: what is written replaces the line written before.

    So an executed notebook holds one line for a bar, in every viewer.
    """

    encoding = "utf-8"

    def __init__(self):
        self.shown = None  # the handle of the line in the notebook

    def write(self, text: str) -> None:
        """Show the text, if it is more than the blanks and returns that tqdm writes between."""
        from IPython.display import display  # here, so that processes which read files need none

        line = {"text/plain": text.strip()}
        if not line["text/plain"]:
            return
        if self.shown is None:
            self.shown = display(line, raw=True, display_id=True)
        else:
            self.shown.update(line, raw=True)

    def flush(self) -> None:
        """Nothing is held back."""


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def progress_bar(iterable=None, total: float | None = None, desc: str = "", **options) -> tqdm:
    """A tqdm bar on one line of a terminal or a notebook; elsewhere a line every few seconds."""
    if in_notebook():
        options |= {"file": _CellLine(), "mininterval": 1.0, "ncols": 100}
    elif sys.stderr.isatty():
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
