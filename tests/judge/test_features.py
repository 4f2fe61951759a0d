"""Whitened features: unit variance, nothing blown up, neighbours found; the grain of a picture."""

import pytest
import torch

from helpers.judge.features import Whitener, nearest_distance, reach_of
from helpers.judge.grain import measure_grain
from helpers.judge.picture import TIME_BANDS, TONE_BANDS, Picture


def rows(n: int, seed: int = 0) -> torch.Tensor:
    """Rows (n, 6) of three independent sources at very different scales."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn((n, 3), generator=rng) @ torch.tensor(
        [[100.0, 50, 0, 0, 0, 3], [0, 2, 1, 0, 0, 0], [0, 0, 0, 0.1, 0.2, 0]]
    )


def test_whitened_rows_have_unit_variance_and_no_correlation():
    found = Whitener.fit(rows(500), 3)(rows(500))
    torch.testing.assert_close(torch.cov(found.T, correction=0), torch.eye(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_components_that_the_rows_do_not_have_give_0(n):
    whitener = Whitener.fit(rows(n), 8)
    found = whitener(rows(20, seed=1))
    assert found.shape == (20, 8) and torch.isfinite(found).all()
    assert int((found != 0).any(dim=0).sum()) == min(n - 1, 3)


def test_a_share_of_rows_has_one_of_another_source_within_reach():
    x, each = torch.randn((400, 4), generator=torch.Generator().manual_seed(0)), torch.arange(400)
    nearest = nearest_distance(x, x, each)
    reach = reach_of(x, each, 0.9)
    assert float((nearest <= reach).float().mean()) == pytest.approx(0.9, abs=0.01)
    twice = torch.cat([x, x + 1e-4])  # two clips of each file are alike
    assert reach_of(twice, torch.arange(800), 0.9) < 0.01 * reach
    torch.testing.assert_close(reach_of(twice, each.repeat(2), 0.9), reach, rtol=0.01, atol=0)
    assert reach_of(x, torch.zeros(400), 0.9) == torch.inf, "of one source"


def test_nearest_distances_are_the_smallest_whatever_the_number():
    a, b = (torch.randn((n, 3), generator=torch.Generator().manual_seed(n)) for n in (2_100, 70))
    torch.testing.assert_close(nearest_distance(a, b), torch.cdist(a, b).amin(dim=1))
    alone = nearest_distance(a, a, torch.arange(2_100))
    assert (alone > 0).all() and len(alone) == 2_100


def picture_of(seed: int = 0) -> Picture:
    """Smooth noise: neighbours are alike, rises are steeper than falls."""
    rng = torch.Generator().manual_seed(seed)
    decay = torch.exp(-torch.linspace(0, 4, 64) % 1 * 5)
    tone = decay + 0.1 * torch.rand((2, TONE_BANDS, 64), generator=rng)
    time = decay.repeat_interleave(4) + 0.1 * torch.rand((2, TIME_BANDS, 256), generator=rng)
    return Picture(tone, time)


def test_the_grain_tells_of_smearing_noise_and_reversal():
    picture = picture_of()
    grain = measure_grain(picture)
    again = measure_grain(picture_of(seed=1))
    chance = (again - grain).abs().mean()
    blurred = Picture(*(torch.nn.functional.avg_pool1d(x, 5, 1, 2) for x in picture))
    rough = Picture(*(x + 0.5 * torch.randn(x.shape) for x in picture))
    turned = Picture(*(x.flip(2) for x in picture))
    for damaged in (blurred, rough, turned):
        assert (measure_grain(damaged) - grain).abs().mean() > 5 * chance


def test_the_grain_does_not_tell_when_a_sound_comes():
    tone, time = torch.full((1, TONE_BANDS, 64), -9.0), torch.full((1, TIME_BANDS, 256), -9.0)
    early, late = (Picture(tone.clone(), time.clone()) for _ in range(2))
    for picture, first in ((early, 20), (late, 28)):
        picture.tone[:, 30:40, first : first + 10] = -1.0
        picture.time[:, 8:10, 4 * first : 4 * first + 40] = -1.0
    torch.testing.assert_close(measure_grain(early), measure_grain(late), rtol=1e-3, atol=1e-4)
