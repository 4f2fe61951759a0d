"""The judge's picture: tones in their bands, clicks at their time, at any rate and length."""

import math

import pytest
import torch

from helpers.judge.picture import FLOOR, TIME_BANDS, TONE_BANDS, PictureMaker

RATE = 16_000


def tone(hertz: float, level: float = 1.0) -> torch.Tensor:
    return level * torch.sin(2 * torch.pi * hertz * torch.arange(RATE) / RATE)[None]


@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.01])
def test_every_rate_and_length_has_a_picture_without_an_empty_band(rate, seconds):
    maker, n = PictureMaker(rate), round(seconds * rate)
    rng = torch.Generator().manual_seed(0)
    picture = maker(torch.rand((3, n), generator=rng) - 0.5)
    n_frames = picture.tone.shape[2]
    assert picture.tone.shape == (3, TONE_BANDS, n_frames) and n_frames % 4 == 0
    assert picture.time.shape == (3, TIME_BANDS, 4 * n_frames)
    assert 0 <= n_frames * 0.01 - seconds < 0.05 + 0.02 * seconds
    assert picture.summary().shape == (3, TONE_BANDS // 2, n_frames // 2)
    for view in picture:
        assert (view.amax(dim=(0, 2)) > math.log(FLOOR) + 1).all()


def test_a_full_scale_tone_is_near_0_and_silence_at_the_floor():
    maker = PictureMaker(RATE)
    for level in (1.0, 0.01):
        loudest = maker(tone(1_000, level)).tone[0, :, 50].max()
        assert float(loudest) == pytest.approx(math.log(level), abs=1.0)
    silence = maker(torch.zeros(1, RATE))
    for view in silence:
        torch.testing.assert_close(view, torch.full_like(view, math.log(FLOOR)))


def test_close_tones_are_told_apart():
    maker = PictureMaker(RATE)
    bands = [int(maker(tone(hertz)).tone[0, :, 50].argmax()) for hertz in (220, 247, 277, 311)]
    assert bands == sorted(set(bands)), "whole tones at low pitches have bands of their own"


def test_a_click_is_seen_when_it_happens():
    clicks = torch.zeros(1, RATE)
    clicks[0, 8_000] = clicks[0, 8_160] = 1.0  # at 500 and 510 ms
    level = PictureMaker(RATE)(clicks).time[0].mean(dim=0)  # every 2.5 ms
    assert set(level.topk(2).indices.tolist()) == {200, 204}
    assert level[202] < level[200] - 1, "a gap between them"
