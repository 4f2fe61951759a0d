"""A verdict as a page shows it: sentences, then a row with bars for each class."""

import math
from collections.abc import Sequence

from IPython.display import HTML

from helpers.judge.verdict import ClassVerdict
from helpers.show.plots import escaped, table

BAR_CELLS = 10
MOST_ROWS = 24


def verdict_table(sentences: Sequence[str], classes: Sequence[ClassVerdict]) -> HTML:
    """Sentences above a table of classes, the weakest first.

    Every bar is empty at noise or at none, and full where held-out recordings are.
    """
    rows = [
        {
            "class": one.name,
            "verdict": one.grade,
            "like a recording": bar(one.likeness),
            "varied": bar(one.variety),
            "close to the recordings": bar(one.closeness),
            "why": one.why,
        }
        for one in classes
    ]
    words = "".join(f"<p>{escaped(sentence)}</p>" for sentence in sentences)
    caption = "Each class, the weakest first. A full bar is what real recordings reach."
    return HTML(words + (table(rows, caption, MOST_ROWS).data if rows else ""))


def bar(share: float) -> str:
    """A share of 0 to 1 as ten cells of text, which every viewer shows; a dash for NaN."""
    if math.isnan(share):
        return "–"
    full = round(BAR_CELLS * share)
    return "█" * full + "░" * (BAR_CELLS - full) + f" {100 * share:.0f} %"
