"""The judge and its figures: distances with known answers, an easy set learned, real better than noise."""

import dataclasses

import pytest
import torch

from helpers.features import MelExtractor
from helpers.inversion import MelInverter
from helpers.metrics import FEATURE_DIM, accuracy, enough_to_measure, frechet_distance, measure, train_judge


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
    assert frechet_distance(whitened(50, 3) * a, whitened(70, 3, 1) * b) == pytest.approx(1 + 0 + 6.25, rel=1e-6)


def test_covariances_that_do_not_commute_follow_the_formula():
    mix_a, mix_b = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
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


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1), (0, 5)])
def test_fewer_than_two_rows_are_an_error(n, m):
    with pytest.raises(ValueError, match=f"at least 2 clips, got {n} and {m}"):
        frechet_distance(torch.zeros(n, 3), torch.zeros(m, 3))


def test_accuracy_is_a_share():
    assert accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0])) == 0.75


def easy_mels(audio, n_each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Waveforms, compressed mels and labels: tones in one of three octaves at any level and phase."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(n_each)
    hertz = 300 * 2.5 ** (labels + 0.4 * torch.rand(3 * n_each, generator=rng))
    time = torch.arange(audio.clip_samples) / audio.sample_rate
    level, phase = 0.1 + 0.5 * torch.rand(2, 3 * n_each, generator=rng)
    waveforms = level[:, None] * torch.sin(2 * torch.pi * hertz[:, None] * time + 6 * phase[:, None])
    return waveforms, MelExtractor(audio)(waveforms), labels


@pytest.fixture(scope="module")
def judged(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 40, 0)
    return train_judge(train, labels, 3, tiny_audio, dataset.normaliser, epochs=12)


def test_an_easy_set_is_learned(tiny_audio, judged):
    waveforms, compressed, labels = easy_mels(tiny_audio, 20, 1)
    features, predicted = judged.look(compressed)
    assert features.shape == (60, FEATURE_DIM) and not features.requires_grad
    assert accuracy(predicted, labels) > 0.9
    heard, heard_predicted = judged.hear(waveforms.numpy())
    torch.testing.assert_close(heard, features)
    assert torch.equal(heard_predicted, predicted)


def test_the_same_seed_trains_the_same_judge_and_leaves_global_numbers_alone(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 12, 0)
    torch.manual_seed(4)
    state, found = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        judge = train_judge(train, labels, 3, tiny_audio, dataset.normaliser, epochs=2, seed=seed)
        assert not judge.network.training
        found.append(judge.look(train)[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_judge_can_be_trained_on_a_handful(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 1, 0)
    judge = train_judge(train, labels, 3, tiny_audio, dataset.normaliser, epochs=2)
    assert bool(torch.isfinite(judge.look(train)[0]).all())


@pytest.mark.parametrize("recipe", ["baseline", "modern"])
def test_all_figures_are_there_and_real_clips_beat_noise(tiny_audio, judged, sound_generator, recipe):
    _, *train = easy_mels(tiny_audio, 40, 0)
    _, *test = easy_mels(tiny_audio, 15, 1)
    generator = sound_generator(recipe)
    found = measure(judged, generator, tuple(train), tuple(test), MelInverter(generator.audio, n_iterations=8))
    assert found["n_sounds"] == 45
    assert found["accuracy_real"] > 0.9 >= found["accuracy"]  # an untrained generator knows no class
    assert 0 <= found["frechet_real"] < 0.5 * found["frechet_noise"]
    assert found["frechet_real"] < found["frechet"]
    assert list(found["accuracy_per_class"]) == ["high", "low", "noise"]
    mean = sum(found["accuracy_per_class"].values()) / 3
    assert mean == pytest.approx(found["accuracy"], abs=1e-3)
    again = measure(judged, generator, tuple(train), tuple(test), MelInverter(generator.audio, n_iterations=8))
    assert again == found


def test_a_class_without_held_out_clips_has_no_figure(tiny_audio, judged, sound_generator):
    _, *train = easy_mels(tiny_audio, 40, 0)
    _, mels, labels = easy_mels(tiny_audio, 5, 1)
    two = labels < 2
    generator = sound_generator()
    found = measure(judged, generator, tuple(train), (mels[two], labels[two]), MelInverter(generator.audio))
    assert list(found["accuracy_per_class"]) == ["high", "low"]


def test_what_is_enough_to_measure(clips):
    assert enough_to_measure(clips)
    rows = tuple(dataclasses.replace(row, split="train") for row in clips.audit)
    assert not enough_to_measure(dataclasses.replace(clips, audit=rows))
