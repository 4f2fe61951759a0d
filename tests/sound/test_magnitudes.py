"""Linear magnitudes from mels: never negative, silent where the mel is, nearer with every step, the mel kept."""

import dataclasses

import pytest
import torch

from helpers.config import AudioConfig
from helpers.sound.magnitudes import (
    LARGEST_GAIN,
    band_gains,
    least_squares,
    likely_spectrogram,
    nnls,
)
from helpers.sound.mel import mel_filterbank

MODERN = AudioConfig(sample_rate=16_000, n_mels=128, n_frames=32)
BASELINE = dataclasses.replace(
    MODERN, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip"
)
SETTINGS = pytest.mark.parametrize("audio", [MODERN, BASELINE], ids=["modern", "baseline"])
ITERATIVE = pytest.mark.parametrize("method", [nnls, likely_spectrogram])


def sparse_mixtures(audio: AudioConfig, n_frames: int = 16) -> torch.Tensor:
    return torch.rand(2, audio.n_freqs, n_frames, generator=torch.Generator().manual_seed(0)) ** 8


@SETTINGS
def test_non_negative_solutions_are_nearer_than_inverse_mel_scale(audio):
    bank, linear = mel_filterbank(audio), sparse_mixtures(audio)
    mel = bank.T @ linear
    errors = {}
    for name, found in (
        ("least squares", least_squares(mel, audio)),
        ("nnls", nnls(mel, bank)),
        ("likely", likely_spectrogram(mel, bank, 30)),
    ):
        assert found.shape == linear.shape
        assert bool((found >= 0).all())
        errors[name] = float((bank.T @ found - mel).norm() / mel.norm())
    assert max(errors["nnls"], errors["likely"]) < 0.02 < errors["least squares"]


@ITERATIVE
def test_every_step_comes_closer_and_silence_stays_silent(method):
    bank = mel_filterbank(MODERN)
    mel = bank.T @ sparse_mixtures(MODERN, 8)
    mel[..., 3] = 0
    errors = [float((bank.T @ method(mel, bank, n) - mel).norm()) for n in (1, 5, 25, 100)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    assert not method(mel, bank)[..., 3].any()


@SETTINGS
def test_a_divergence_falls_with_every_step_as_its_source_proves(audio):
    bank = mel_filterbank(audio)
    mel = bank.T @ sparse_mixtures(audio)

    def divergence(
        n_steps: int,
    ) -> float:  # generalised Kullback-Leibler, Lee and Seung 2001, eq. 3
        found = bank.T @ likely_spectrogram(mel, bank, n_steps)
        return float((mel * (mel / found).log() - mel + found).sum())

    values = [divergence(n) for n in (0, 1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)


def test_least_squares_takes_a_bank_that_torchaudios_default_driver_refuses():
    audio = AudioConfig(
        sample_rate=22_050,
        n_frames=16,
        mel_norm="none",
        power=2.0,
        compression="log1p",
        normalisation="per_clip",
    )
    mel = mel_filterbank(audio).T @ torch.rand(1, audio.n_freqs, 4)
    found = least_squares(mel, audio)
    assert bool(torch.isfinite(found).all()) and float(found.mean()) > 0.1


def test_gains_are_one_where_the_mel_is_right_and_what_is_missing_elsewhere():
    bank = mel_filterbank(MODERN)
    linear = torch.rand(1, 4, MODERN.n_freqs, generator=torch.Generator().manual_seed(0)) + 0.1
    mel = linear @ bank
    heard = bank.sum(dim=1) > 0
    torch.testing.assert_close(
        band_gains(linear, mel, bank)[..., heard], torch.ones_like(linear)[..., heard]
    )
    torch.testing.assert_close(
        band_gains(linear, 3 * mel, bank)[..., heard], 3 * torch.ones_like(linear)[..., heard]
    )
    assert not band_gains(linear, 0 * mel, bank).any()
    assert bool((band_gains(linear, 1000 * mel, bank)[..., heard] == LARGEST_GAIN).all())


def test_nothing_is_made_up_where_no_band_hears():
    bank = mel_filterbank(MODERN)
    unheard = bank.sum(dim=1) == 0
    assert unheard[0]  # 0 Hz: an offset is no sound
    linear = torch.ones(1, 4, MODERN.n_freqs)
    assert not band_gains(linear, linear @ bank, bank)[..., unheard].any()
    assert not likely_spectrogram(torch.ones(1, MODERN.n_mels, 4), bank)[:, unheard].any()
