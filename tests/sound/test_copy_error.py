"""Figures of a copy: nothing for a true one, known answers for known damage."""

import math

import pytest
import torch

from helpers.config import AudioConfig
from helpers.sound.copy_error import (
    COPY_ERRORS,
    copy_errors,
    log_spectral_distance,
    spectral_convergence,
)

AUDIO = AudioConfig(sample_rate=16_000, n_mels=64, n_frames=32)


def sounds() -> torch.Tensor:
    return 0.1 * torch.randn(3, AUDIO.clip_samples, generator=torch.Generator().manual_seed(0))


def test_a_true_copy_has_no_distance():
    figures = copy_errors(sounds(), sounds(), AUDIO)
    assert tuple(figures) == COPY_ERRORS
    assert all(value == pytest.approx(0, abs=1e-6) for value in figures.values())


def test_a_copy_of_half_the_size_has_known_distances():
    figures = copy_errors(sounds() / 2, sounds(), AUDIO)
    assert figures["spectral convergence"] == pytest.approx(0.5, abs=1e-4)
    assert figures["log-mel error"] == pytest.approx(math.log(2), abs=1e-2)
    assert figures["log-spectral distance"] == pytest.approx(6.02, abs=0.1)
    assert figures["multi-resolution distance"] == pytest.approx(0.5 + math.log(2), abs=0.02)


def test_magnitudes_alone_count():
    figures = copy_errors(-sounds(), sounds(), AUDIO)
    assert all(value == pytest.approx(0, abs=1e-5) for value in figures.values())


def test_each_sound_is_measured_by_its_own_loudness():
    found, wanted = torch.ones(2, 4, 3), torch.tensor([2.0, 4.0])[:, None, None].expand(2, 4, 3)
    torch.testing.assert_close(spectral_convergence(found, wanted), torch.tensor([0.5, 0.75]))
    decibels = 20 * torch.log10(torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(log_spectral_distance(found, wanted), decibels)


def test_more_damage_is_more_distance():
    noise = torch.randn(3, AUDIO.clip_samples, generator=torch.Generator().manual_seed(1))
    little, much = (
        copy_errors(sounds() + amount * noise, sounds(), AUDIO) for amount in (0.01, 0.1)
    )
    assert all(little[name] < much[name] for name in COPY_ERRORS)


def test_silent_originals_are_left_out_and_nothing_but_silence_is_refused():
    originals = sounds()
    originals[1] = 0
    copies = originals / 2
    copies[1] = 1
    assert copy_errors(copies, originals, AUDIO)["spectral convergence"] == pytest.approx(
        0.5, abs=1e-4
    )
    with pytest.raises(ValueError, match="every original is silent"):
        copy_errors(copies, torch.zeros_like(copies), AUDIO)
