"""The network of the inversion: untrained it is what it corrects; the mel is kept, loudness changes nothing else."""

import dataclasses

import pytest
import torch

from helpers.config import AudioConfig
from helpers.sound.magnitudes import START_STEPS, MagnitudeNet, likely_spectrogram
from helpers.sound.mel import mel_filterbank

MODERN = AudioConfig(sample_rate=16_000, n_mels=64, n_frames=32)
BASELINE = dataclasses.replace(
    MODERN, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip"
)
SETTINGS = pytest.mark.parametrize("audio", [MODERN, BASELINE], ids=["modern", "baseline"])


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


@SETTINGS
def test_untrained_it_is_the_estimate_it_corrects(audio):
    mel = mels(audio)
    expected = likely_spectrogram(mel, mel_filterbank(audio), START_STEPS + 1)
    torch.testing.assert_close(MagnitudeNet(audio)(mel), expected)


@SETTINGS
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
    mel, network = mels(MODERN), disturbed(MODERN)
    torch.testing.assert_close(network(10 * mel), 10 * network(mel), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_silence_stays_silent_and_any_length_will_do():
    network = disturbed(MODERN)
    assert not network(torch.zeros(1, MODERN.n_mels, 20)).any()
    assert network(mels(MODERN, 5)).shape == (2, MODERN.n_freqs, 5)
