"""Each fault of a generator provokes its message, and good output none."""

import math

import pytest
import torch

from helpers.diagnosis import find_faults

SILENCE = torch.tensor([-1.0])
LABELS = torch.arange(4).repeat_interleave(4)


def sounds(seed: int) -> torch.Tensor:
    """Sixteen spectrograms of four classes: a band of its own each, at varying levels, over silence."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.full((16, 1, 16, 16), -1.0)
    for clip, label in enumerate(LABELS):
        x[clip, 0, 4 * label : 4 * label + 4] = torch.rand(4, 16, generator=rng)
    return x


def faults_of(generated: torch.Tensor, labels=LABELS) -> list[str]:
    return find_faults(generated, labels, sounds(0), LABELS, SILENCE)


def test_real_sounds_have_no_fault():
    assert faults_of(sounds(0)) == faults_of(sounds(1)) == []


def test_the_recordings_of_a_folder_have_no_fault(dataset):
    real, y = dataset.batch(torch.arange(len(dataset)))
    labels = y.argmax(dim=1)
    assert find_faults(real[::2], labels[::2], real, labels, dataset.normaliser.silence()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_is_divergence_alone(value):
    generated = sounds(1)
    generated[3, 0, 2, 2] = value
    (fault,) = faults_of(generated)
    assert "not a number" in fault and "learning rate" in fault


@pytest.mark.parametrize("level", [-1.0, -1.2, -0.95])
def test_silence_is_named(level):
    (fault,) = faults_of(torch.full((16, 1, 16, 16), level))
    assert "silence" in fault


def test_silence_may_differ_from_bin_to_bin():
    silence = torch.linspace(-2, 0, 16)
    (fault,) = find_faults(silence[None, None, :, None].expand(16, 1, 16, 16), LABELS, sounds(0) + 2, LABELS, silence)
    assert "silence" in fault


def test_one_sound_for_all_is_named():
    (fault,) = faults_of(sounds(1)[:1].expand(16, -1, -1, -1) + 0.001 * torch.randn(16, 1, 16, 16))
    assert "whatever class is asked for" in fault


def test_one_sound_a_class_is_named():
    one_each = sounds(1)[::4].repeat_interleave(4, dim=0)
    (fault,) = faults_of(one_each)
    assert "noise is ignored" in fault


def test_varied_sounds_are_no_fault_where_each_class_has_one_recording():
    real, labels = sounds(0)[::4], torch.arange(4)
    assert find_faults(sounds(1), LABELS, real, labels, SILENCE) == []
