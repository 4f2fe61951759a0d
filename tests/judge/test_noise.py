"""The flutter of noise: as Rayleigh says, less in a smooth picture's, more in a tone's."""

import pytest
import torch
import torch.nn.functional as F

from helpers.config import PRESETS
from helpers.judge.noise import NOISE, measure_flutter
from helpers.sound.inversion import MelInverter
from helpers.sound.mel import MelExtractor

AUDIO = PRESETS["cpu"]
TIME = torch.arange(AUDIO.clip_samples) / AUDIO.sample_rate


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn((4, AUDIO.clip_samples), generator=rng)


def flutter_of(sounds: torch.Tensor) -> float:
    return float(measure_flutter(sounds, AUDIO.sample_rate)[0].mean())


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_noise_flutters_as_rayleigh_says_at_every_rate(noise, rate):
    flutter, lag = measure_flutter(noise, rate)
    torch.testing.assert_close(flutter, torch.ones(4), atol=0.15, rtol=0)
    torch.testing.assert_close(lag, torch.zeros(4), atol=0.1, rtol=0)


def test_dying_noise_is_still_noise(noise):
    assert flutter_of(noise * torch.exp(-8 * TIME)) == pytest.approx(1, abs=0.15)


def test_noise_from_a_smooth_mel_is_steadier_and_that_from_its_own_mel_less_so(noise):
    mels, invert = MelExtractor(AUDIO)(noise), MelInverter(AUDIO)
    padded = F.pad(mels[:, None], (4, 4, 1, 1), mode="replicate")
    smooth = F.avg_pool2d(padded, (3, 9), 1)[:, 0]
    assert flutter_of(invert(smooth)) < 0.7 < flutter_of(invert(mels)) < 0.95


def test_tones_are_no_noise():
    tones = torch.sin(2 * torch.pi * torch.tensor([[440.0], [1_000.0]]) * TIME)
    assert not NOISE[0] <= flutter_of(tones) <= NOISE[1]


@pytest.mark.parametrize("n_samples", [50, 16_000])
def test_silence_has_no_flutter(n_samples):
    for found in measure_flutter(torch.zeros(2, n_samples), AUDIO.sample_rate):
        assert found.isnan().all()
