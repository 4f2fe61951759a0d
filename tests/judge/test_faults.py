"""Each fault of generated sounds has its message, good ones none."""

import math

import pytest
import torch

from helpers.judge.faults import find_faults
from helpers.sound.mel import MelExtractor

LABELS = torch.arange(4).repeat_interleave(4)


@pytest.fixture
def faults_of(tiny_audio):
    """A function: the faults of waveforms beside good sounds."""
    extractor = MelExtractor(tiny_audio)

    def find(waveforms: torch.Tensor, labels=LABELS, real=None, real_labels=LABELS) -> list[str]:
        real = sounds(0) if real is None else real
        return find_faults(waveforms, extractor(waveforms), labels, extractor(real), real_labels)

    return find


def sounds(seed: int) -> torch.Tensor:
    """Sixteen tones (16, 960) of four classes, an octave each; pitch, level and decay vary."""
    rng = torch.Generator().manual_seed(seed)
    hertz = 200 * 2.0 ** (LABELS + 0.9 * torch.rand(16, generator=rng))
    time = torch.arange(960) / 8000
    level, decay = 0.1 + 0.6 * torch.rand(2, 16, 1, generator=rng)
    return level * torch.exp(-time * 20 * decay) * torch.sin(2 * torch.pi * hertz[:, None] * time)


def test_good_sounds_have_no_fault(faults_of):
    assert faults_of(sounds(0)) == faults_of(sounds(1)) == []


def test_the_recordings_of_a_folder_have_no_fault(clips):
    waveforms = torch.stack(
        [torch.from_numpy(clips.waveform(clip)) for clip in range(len(clips.labels))]
    )
    mels, labels = MelExtractor(clips.audio)(waveforms), torch.from_numpy(clips.labels)
    assert find_faults(waveforms[::2], mels[::2], labels[::2], mels, labels) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_is_divergence_alone(faults_of, value):
    generated = sounds(1)
    generated[3, 200] = value
    (fault,) = faults_of(generated)
    assert "not a number" in fault and "learning rate" in fault


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_named(faults_of, level):
    (fault,) = faults_of(level * sounds(1))
    assert "every generated sound is silence" in fault


def test_silence_of_some_is_counted(faults_of):
    generated = sounds(1)
    generated[::4] = 0
    (fault,) = faults_of(generated)
    assert fault.startswith("4 of 16 generated sounds are silent")


def test_clipping_is_counted_but_a_single_peak_is_not(faults_of):
    generated = sounds(1)
    generated[:, 5] = 1.5
    assert faults_of(generated) == []
    generated[:3] *= 20
    (fault,) = faults_of(generated)
    assert fault.startswith("3 of 16 generated sounds are louder than full scale")


def test_one_sound_for_all_is_named(faults_of):
    (fault,) = faults_of(sounds(1)[:1] * (1 + 0.01 * torch.rand(16, 1)))
    assert "whatever class is asked for" in fault


def test_one_sound_a_class_is_named(faults_of):
    (fault,) = faults_of(sounds(1)[::4].repeat_interleave(4, dim=0))
    assert "noise is ignored" in fault


def test_varied_sounds_are_no_fault_where_each_class_has_one_recording(faults_of):
    assert faults_of(sounds(1), real=sounds(0)[::4], real_labels=torch.arange(4)) == []
