"""A verdict on a page: sentences first, then a row with bars for each class, all escaped."""

import math

import pytest

from helpers.judge.verdict import ClassVerdict
from helpers.show.verdict_table import MOST_ROWS, bar, verdict_table

WEAK = ClassVerdict("<dog>", "weak", "6 of 100 pass", 0.06, math.nan, 0.5)


def test_sentences_come_before_the_table_and_everything_is_escaped():
    page = verdict_table(["Few sounds pass & so on."], [WEAK]).data
    assert page.index("pass &amp; so on") < page.index("<table>")
    assert "&lt;dog&gt;" in page and "<dog>" not in page


def test_without_classes_there_are_sentences_only():
    assert "<table>" not in verdict_table(["One."], []).data


def test_of_many_classes_the_weakest_are_shown():
    page = verdict_table([], [WEAK] * (MOST_ROWS + 3)).data
    assert page.count("<tr>") == MOST_ROWS + 1 and "and 3 more" in page


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "░" * 10 + " 0 %"), (0.5, "█" * 5 + "░" * 5 + " 50 %"), (1.0, "█" * 10 + " 100 %")],
)
def test_a_bar_is_filled_by_its_share(share, shown):
    assert bar(share) == shown


def test_a_bar_of_nothing_known_is_a_dash():
    assert bar(math.nan) == "–"
