"""What the benchmarks share: intervals that hold the truth."""

import torch

from benchmarks.common import bootstrap_interval, mean_figures


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng, inside = torch.Generator().manual_seed(0), 0
    for trial in range(40):
        sets = [torch.randn(30, generator=rng) for _ in range(3)]
        low, high = bootstrap_interval(lambda x: {"mean": float(x.mean())}, sets, seed=trial)[
            "mean"
        ]
        inside += low < 0 < high
    assert 32 <= inside <= 40


def test_an_interval_is_narrow_where_all_seeds_agree_and_wide_where_they_differ():
    agree, differ = [torch.ones(20)] * 3, [torch.zeros(20), torch.ones(20), 2 * torch.ones(20)]
    narrow, wide = (
        bootstrap_interval(lambda x: {"mean": float(x.mean())}, sets)["mean"]
        for sets in (agree, differ)
    )
    assert narrow == (1, 1)
    assert wide[1] - wide[0] > 1
    assert mean_figures([{"a": 1.0}, {"a": 3.0}]) == {"a": 2.0}
