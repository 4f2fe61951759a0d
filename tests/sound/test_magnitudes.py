"""Linear spectrograms from mels: never negative, silent where the mel is, nearer with every step.

The network: untrained it is the estimate that it corrects; it keeps the mel, and a louder mel gives
the same sound, louder.
"""

import dataclasses

import pytest
import torch

from helpers.config import AudioConfig
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import (
    MAX_GAIN,
    START_STEPS,
    MagnitudeNet,
    band_gains,
    nnls,
    richardson_lucy,
)
from helpers.sound.mel import mel_filterbank

MODERN = AudioConfig(sample_rate=16_000, n_mels=128, n_frames=32)
BASELINE = dataclasses.replace(
    MODERN, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip"
)
SETTINGS = pytest.mark.parametrize("audio", [MODERN, BASELINE], ids=["modern", "baseline"])
ITERATIVE = pytest.mark.parametrize("method", [nnls, richardson_lucy])


def sparse_mixtures(audio: AudioConfig, n_frames: int = 16) -> torch.Tensor:
    return torch.rand(2, audio.n_freqs, n_frames, generator=torch.Generator().manual_seed(0)) ** 8


@SETTINGS
def test_non_negative_solutions_are_nearer_than_inverse_mel_scale(audio):
    bank, linear = mel_filterbank(audio), sparse_mixtures(audio)
    mel, inverse_mel_scale = bank.T @ linear, MelInverter(audio, "inverse_mel_scale")
    errors = {}
    for name, found in (
        ("least squares", inverse_mel_scale.linear_spectrogram(mel)),
        ("nnls", nnls(mel, bank)),
        ("richardson-lucy", richardson_lucy(mel, bank, 30)),
    ):
        assert found.shape == linear.shape
        assert bool((found >= 0).all())
        errors[name] = float((bank.T @ found - mel).norm() / mel.norm())
    assert max(errors["nnls"], errors["richardson-lucy"]) < 0.02 < errors["least squares"]


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
        found = bank.T @ richardson_lucy(mel, bank, n_steps)
        return float((mel * (mel / found).log() - mel + found).sum())

    values = [divergence(n) for n in (0, 1, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)


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
    assert bool((band_gains(linear, 1000 * mel, bank)[..., heard] == MAX_GAIN).all())


def test_nothing_is_made_up_where_no_band_hears():
    bank = mel_filterbank(MODERN)
    unheard = bank.sum(dim=1) == 0
    assert unheard[0]  # 0 Hz: an offset is no sound
    linear = torch.ones(1, 4, MODERN.n_freqs)
    assert not band_gains(linear, linear @ bank, bank)[..., unheard].any()
    assert not richardson_lucy(torch.ones(1, MODERN.n_mels, 4), bank)[:, unheard].any()


SMALL, SMALL_BASELINE = (dataclasses.replace(audio, n_mels=64) for audio in (MODERN, BASELINE))
NET_SETTINGS = pytest.mark.parametrize("audio", [SMALL, SMALL_BASELINE], ids=["modern", "baseline"])


def mels(audio: AudioConfig, n_frames: int = 32) -> torch.Tensor:
    linear = torch.rand(2, audio.n_freqs, n_frames, generator=torch.Generator().manual_seed(0)) ** 4
    return mel_filterbank(audio).T @ linear.pow(audio.power)


def disturbed(audio: AudioConfig) -> MagnitudeNet:
    """A network whose weights are no longer those it starts with."""
    network, rng = MagnitudeNet(audio), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=rng)
    return network.eval()


@NET_SETTINGS
def test_untrained_it_is_the_estimate_it_corrects(audio):
    mel = mels(audio)
    expected = richardson_lucy(mel, mel_filterbank(audio), START_STEPS + 1)
    torch.testing.assert_close(MagnitudeNet(audio)(mel), expected)


@NET_SETTINGS
@torch.no_grad()
def test_what_it_gives_has_the_mel_and_is_not_negative(audio):
    mel, network = mels(audio), disturbed(audio)
    found = network(mel)
    assert found.shape == (2, audio.n_freqs, 32)
    assert bool((found >= 0).all())
    assert not torch.allclose(found, MagnitudeNet(audio)(mel), rtol=0.05)
    kept = mel_filterbank(audio).T @ found
    assert float((kept - mel).norm() / mel.norm()) < 0.15


@torch.no_grad()
def test_a_louder_sound_is_the_same_sound_louder():
    mel, network = mels(SMALL), disturbed(SMALL)
    torch.testing.assert_close(network(10 * mel), 10 * network(mel), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_silence_stays_silent_and_any_length_will_do():
    network = disturbed(SMALL)
    assert not network(torch.zeros(1, SMALL.n_mels, 20)).any()
    assert network(mels(SMALL, 5)).shape == (2, SMALL.n_freqs, 5)
