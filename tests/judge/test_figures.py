"""Every figure on distributions with a known answer."""

import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import maximum_mean_discrepancy, poly_kernel

from helpers.judge.figures import (
    accuracy,
    density_and_coverage,
    frechet_distance,
    kernel_distance,
    nearest_clips,
    share_of_copies,
    spread_within,
)


def whitened(n: int, d: int, seed: int = 0) -> torch.Tensor:
    """Rows whose sample mean is exactly 0 and whose sample covariance is exactly the identity."""
    x = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x - x.mean(dim=0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_the_same_set_is_at_distance_0():
    x = torch.randn(40, 5)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, x[torch.randperm(40)]) == pytest.approx(0, abs=1e-6)


def test_a_shifted_mean_is_its_squared_length():
    x, shift = torch.randn(40, 4), torch.tensor([1.0, -2.0, 0.0, 0.5])
    assert frechet_distance(x, x + shift) == pytest.approx(5.25, rel=1e-4)


def test_scaled_axes_are_the_squared_differences_of_deviations():
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.5])
    assert frechet_distance(whitened(50, 3) * a, whitened(70, 3, 1) * b) == pytest.approx(
        1 + 0 + 6.25, rel=1e-6
    )


def test_covariances_that_do_not_commute_follow_the_formula():
    mix_a, mix_b = torch.randn(
        2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    a, b = whitened(50, 3) @ mix_a.T, whitened(50, 3, 1) @ mix_b.T
    cov_a, cov_b = mix_a @ mix_a.T, mix_b @ mix_b.T
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.sqrt().sum()
    expected = float(cov_a.trace() + cov_b.trace() - 2 * roots)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_fewer_rows_than_features_and_dead_features_give_a_number():
    x, y = torch.randn(2, 64), torch.randn(5, 64)
    x[:, 10:] = 0
    assert 0 < frechet_distance(x, y) < 1e4
    assert frechet_distance(torch.zeros(3, 8), torch.zeros(4, 8)) == 0


class AsTheyAre(torch.nn.Identity):
    """A feature network for torchmetrics where the features are there already."""

    num_features = 12


def test_distances_are_those_of_torchmetrics():
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(60, 12, generator=rng) @ torch.randn(12, 12, generator=rng)
    b = torch.randn(45, 12, generator=rng) + 0.5
    reference = FrechetInceptionDistance(AsTheyAre())
    reference.update(a, real=True)
    reference.update(b, real=False)
    assert frechet_distance(a, b) == pytest.approx(float(reference.compute()), rel=1e-5)
    a = a[:45]  # it takes equal sizes only
    kernels = [poly_kernel(x.double(), y.double()) for x, y in ((a, a), (a, b), (b, b))]
    assert kernel_distance(a, b) == pytest.approx(
        float(maximum_mean_discrepancy(*kernels)), rel=1e-9
    )


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1), (0, 5)])
def test_fewer_than_two_rows_are_an_error(n, m):
    with pytest.raises(ValueError, match=f"at least 2 clips, got {n} and {m}"):
        frechet_distance(torch.zeros(n, 3), torch.zeros(m, 3))


def test_accuracy_is_a_share():
    assert accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0])) == 0.75


def normal(n: int, d: int, seed: int, mean: float = 0.0) -> torch.Tensor:
    return mean + torch.randn(
        n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def test_the_frechet_distance_of_equal_sources_shrinks_with_their_size():
    small, large = (frechet_distance(normal(n, 8, 0), normal(n, 8, 1)) for n in (50, 2000))
    assert 0 < large < 0.05 < small < 3


def test_the_kernel_distance_of_two_pairs_of_numbers_is_worked_out_by_hand():
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [1.0]])
    # off the diagonal of (x y + 1)^3: a gives 1, b gives 27; between them 1, 1, 27, 8
    assert kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 27 + 8) / 4)


def test_the_kernel_distance_of_equal_sources_is_0_on_average_whatever_their_sizes():
    found = torch.tensor(
        [kernel_distance(normal(20, 4, 2 * k), normal(60, 4, 2 * k + 1)) for k in range(200)]
    )
    assert abs(float(found.mean())) < 3 * float(found.std()) / 200**0.5
    assert kernel_distance(normal(40, 4, 0), normal(40, 4, 1, mean=2)) > 10 * float(found.std())


def test_density_and_coverage_of_equal_sources():
    k, n = 5, 1000
    density, coverage = density_and_coverage(normal(n, 4, 0), normal(n, 4, 1), k)
    assert density == pytest.approx(1, abs=0.1)  # Naeem et al. 2020, sec. 3.3: its expectation is 1
    expected = 1 - torch.arange(k).add(n).div(torch.arange(k).add(2 * n)).prod()  # and eq. 7 there
    assert coverage == pytest.approx(float(expected), abs=0.03)


def test_density_and_coverage_of_far_sources_are_0():
    assert density_and_coverage(normal(50, 4, 0), normal(50, 4, 1, mean=100)) == (0, 0)


def test_one_generated_clip_in_the_middle_has_density_without_coverage():
    real = torch.cat([normal(100, 2, 0), normal(100, 2, 1, mean=50)])
    density, coverage = density_and_coverage(real[:1].expand(200, -1), real)
    assert 0 < coverage < 0.1
    assert density == pytest.approx(coverage * 200 / 5)


def test_coverage_of_a_few_real_clips_takes_the_farthest_neighbour():
    real = torch.tensor([[0.0], [1.0], [5.0]])  # balls reach 5, 4 and 5
    assert density_and_coverage(torch.tensor([[0.5], [9.5]]), real, k=5) == ((3 + 1) / (2 * 2), 1)


def test_spread_within_is_the_mean_distance_of_two_of_a_class():
    x, labels = torch.tensor([[0.0], [2.0], [10.0], [14.0], [99.0]]), torch.tensor([0, 0, 1, 1, 2])
    assert spread_within(x, labels) == pytest.approx((2 + 4) / 2)
    assert spread_within(torch.ones(4, 3, 2), torch.tensor([0, 0, 1, 1])) == 0
    assert torch.tensor(spread_within(x, torch.arange(5))).isnan()


def test_spread_within_of_normal_numbers():
    x = normal(400, 1, 0)
    assert spread_within(x, torch.zeros(400)) == pytest.approx(2 / torch.pi**0.5, rel=0.05)


def test_the_nearest_clip_and_its_distance():
    real = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]])
    distance, index = nearest_clips(torch.tensor([[[3.0, 2.0]], [[0.0, 0.0]]]), real)
    torch.testing.assert_close(distance, torch.tensor([2.0 / 2**0.5, 0.0]))
    assert index.tolist() == [1, 0]


def test_copies_are_counted():
    train, held_out, fresh = (normal(n, 8, seed) for n, seed in ((500, 0), (1000, 1), (1000, 2)))
    of_held_out, of_fresh, of_copies = (
        nearest_clips(x, train)[0] for x in (held_out, fresh, train[:90] + 1e-3)
    )
    assert share_of_copies(of_fresh, of_held_out) == pytest.approx(0.01, abs=0.01)
    assert share_of_copies(of_copies, of_held_out) == 1
    assert share_of_copies(torch.cat([of_copies, of_fresh[:810]]), of_held_out) == pytest.approx(
        0.1, abs=0.02
    )


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1)])
def test_a_kernel_distance_needs_two_rows(n, m):
    with pytest.raises(ValueError, match=f"at least 2 clips, got {n} and {m}"):
        kernel_distance(torch.zeros(n, 3), torch.zeros(m, 3))


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_features_that_are_no_numbers_are_an_error_not_a_perfect_distance(distance):
    x, broken = torch.randn(9, 3), torch.randn(9, 3)
    broken[4, 1] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        distance(x, broken)


def test_a_distance_that_overflows_does_not_read_as_perfect():
    assert frechet_distance(1e200 * normal(9, 3, 0), normal(9, 3, 1)) != 0
