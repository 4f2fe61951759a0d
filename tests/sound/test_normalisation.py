"""Normalisation: both normalisers' statistics, and the way there and back."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.config import AudioConfig, make_config
from helpers.sound.mel import compress, expand
from helpers.sound.normalisation import (
    PerBinNormaliser,
    PerClipNormaliser,
    fit_normaliser,
    load_normaliser,
)

LOG = AudioConfig(sample_rate=16_000, n_mels=64, n_frames=32)
LOG1P = dataclasses.replace(make_config("cpu", "baseline").audio, n_frames=32)


def random_mels(audio: AudioConfig, n_clips: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    loudness = torch.rand(n_clips, 1, 1, generator=rng) + 0.5
    return compress(
        torch.rand(n_clips, audio.n_mels, audio.n_frames, generator=rng) ** 4 * 5 * loudness, audio
    )


def test_per_bin_statistics_are_those_of_all_frames_of_all_batches():
    mels = random_mels(LOG, 9)
    normaliser = fit_normaliser([(mels[:4], None), (mels[4:], None)], 1, LOG)
    by_bin = mels.numpy().transpose(1, 0, 2).reshape(LOG.n_mels, -1).astype(np.float64)
    assert isinstance(normaliser, PerBinNormaliser)
    np.testing.assert_allclose(normaliser.mean, by_bin.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(normaliser.std, by_bin.std(axis=1), rtol=1e-5)
    x = normaliser.normalise(mels)
    assert x.shape == (9, 1, LOG.n_mels, LOG.n_frames)
    np.testing.assert_allclose(x.mean(dim=(0, 1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(dim=(0, 1, 3), unbiased=False), 1 / 3, atol=1e-4)


def test_a_band_that_is_always_silent_is_not_blown_up():
    mels = random_mels(LOG, 4)
    mels[:, 3] = LOG.floor_value
    normaliser = fit_normaliser([(mels, None)], 1, LOG)
    assert float(normaliser.std[3]) == pytest.approx(0.1 * float(normaliser.std.max()))
    nothing = fit_normaliser([(torch.full_like(mels, LOG.floor_value), None)], 1, LOG)
    assert bool(torch.isfinite(nothing.normalise(mels)).all())


def test_per_bin_and_back_is_the_same_and_never_below_silence():
    mels = random_mels(LOG, 5)
    normaliser = fit_normaliser([(mels, None)], 1, LOG)
    back = normaliser.denormalise(normaliser.normalise(mels), torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(back, mels, rtol=0, atol=1e-5)
    lowest = normaliser.denormalise(
        torch.full((1, 1, LOG.n_mels, 16), -50.0), torch.zeros(1, dtype=torch.long)
    )
    assert bool((lowest == LOG.floor_value).all())


def test_a_stray_value_is_no_louder_than_the_loudest_clip():
    mels = random_mels(LOG, 5)
    normaliser = fit_normaliser([(mels[:2], None), (mels[2:], None)], 1, LOG)
    stray = torch.full((1, 1, LOG.n_mels, 16), 1e6)
    made = normaliser.denormalise(stray, torch.zeros(1, dtype=torch.long))
    torch.testing.assert_close(made[0], mels.amax(dim=(0, 2))[:, None].expand(-1, 16))
    assert bool(torch.isfinite(expand(made, LOG)).all())


def test_per_clip_statistics_are_the_mean_ranges_of_each_class():
    mels, labels = random_mels(LOG1P, 7), torch.tensor([0, 2, 0, 2, 2, 0, 2])
    normaliser = fit_normaliser([(mels[:3], labels[:3]), (mels[3:], labels[3:])], 3, LOG1P)
    assert isinstance(normaliser, PerClipNormaliser)
    for label in (0, 2):
        members = [mel for mel, of in zip(mels, labels, strict=True) if of == label]
        assert float(normaliser.low[label]) == pytest.approx(
            np.mean([float(m.min()) for m in members]), rel=1e-5
        )
        assert float(normaliser.high[label]) == pytest.approx(
            np.mean([float(m.max()) for m in members]), rel=1e-5
        )
    assert bool(
        torch.isfinite(normaliser.denormalise(torch.zeros(1, 1, 64, 32), torch.tensor([1]))).all()
    )


def test_per_clip_fills_minus_1_to_1_and_the_level_comes_back_on_the_class_average():
    mels, labels = random_mels(LOG1P, 8), torch.tensor([0, 1] * 4)
    mels[labels == 1] *= 0.3
    normaliser = fit_normaliser([(mels, labels)], 2, LOG1P)
    x = normaliser.normalise(mels)
    torch.testing.assert_close(x.amin(dim=(1, 2, 3)), torch.full((8,), -1.0))
    torch.testing.assert_close(x.amax(dim=(1, 2, 3)), torch.full((8,), 1.0))
    back = normaliser.denormalise(x, labels)
    for label in (0, 1):
        of = labels == label
        mean_peak = float(mels[of].amax(dim=(1, 2)).mean())
        torch.testing.assert_close(back[of].amax(dim=(1, 2)), torch.full((4,), mean_peak))
        for clip, ours in zip(
            mels[of], back[of], strict=True
        ):  # the same picture at the class's level
            assert (
                float(torch.corrcoef(torch.stack([clip.flatten(), ours.flatten()]))[0, 1]) > 0.99999
            )


def test_per_clip_and_back_is_the_same_for_a_class_of_one_clip():
    mels, labels = random_mels(LOG1P, 3), torch.arange(3)
    normaliser = fit_normaliser([(mels, labels)], 3, LOG1P)
    torch.testing.assert_close(
        normaliser.denormalise(normaliser.normalise(mels), labels), mels, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("audio", [LOG, LOG1P])
def test_silence_is_what_a_silent_clip_is_normalised_to(audio):
    mels, labels = random_mels(audio, 4), torch.zeros(4, dtype=torch.long)
    normaliser = fit_normaliser([(mels, labels)], 1, audio)
    silent = normaliser.normalise(torch.full((1, audio.n_mels, audio.n_frames), audio.floor_value))[
        0, 0, :, 0
    ]
    torch.testing.assert_close(silent, normaliser.silence().expand(audio.n_mels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("audio", [LOG, LOG1P])
def test_a_normaliser_is_built_again_from_its_tensors(audio):
    mels, labels = random_mels(audio, 4), torch.tensor([0, 1, 0, 1])
    normaliser = fit_normaliser([(mels, labels)], 2, audio)
    again = load_normaliser(normaliser.tensors(), audio, 2)
    assert type(again) is type(normaliser)
    assert torch.equal(again.normalise(mels), normaliser.normalise(mels))
    x = torch.rand(4, 1, audio.n_mels, audio.n_frames) * 2 - 1
    assert torch.equal(again.denormalise(x, labels), normaliser.denormalise(x, labels))


@pytest.mark.parametrize("audio", [LOG, LOG1P])
def test_silence_stays_exactly_0_through_the_normaliser(audio):
    mels = random_mels(audio, 6)
    mels[:, :, 20:] = audio.floor_value
    normaliser = fit_normaliser([(mels.half().float(), torch.zeros(6, dtype=torch.long))], 1, audio)
    back = normaliser.denormalise(
        normaliser.normalise(mels.half().float()), torch.zeros(6, dtype=torch.long)
    )
    assert bool((expand(back, audio)[:, :, 20:] == 0).all())
