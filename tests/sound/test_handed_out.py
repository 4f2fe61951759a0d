"""Sounds as they are handed out: finite, around 0, from the sound's start to its end, no clicks."""

import numpy as np
import pytest

from helpers.sound.audio_files import level_db
from helpers.sound.handed_out import FADE_OUT_S, LEAD_S, hand_out, without_offset

RATE = 16_000
TIME = np.arange(RATE) / RATE
KICK = 0.9 * np.sin(2 * np.pi * 60 * TIME) * np.exp(-20 * TIME)
TONE = 0.3 * np.sin(2 * np.pi * 440 * TIME)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("sound", [KICK, TONE, TONE[:800], TONE[:3]])
def test_a_sound_starts_and_ends_at_0_at_any_rate(sound, rate):
    handed = hand_out(sound, RATE, rate)
    assert handed.dtype == np.float32 and 0 < len(handed) <= np.ceil(len(sound) * rate / RATE)
    n = min(round(FADE_OUT_S * rate), len(handed) // 4)
    if n > 20:
        assert handed[0] == 0 and abs(handed[-1]) < 1e-3
        assert np.abs(np.diff(handed[-n:])).max() <= np.abs(np.diff(handed)).max()


@pytest.mark.parametrize("sound", [KICK, TONE, TONE[:3_000]])
def test_an_offset_is_taken_away_and_a_sound_without_one_stays(sound):
    assert without_offset(sound) is sound
    left = without_offset(sound + 0.2) - sound
    assert level_db(left) < -60 and np.ptp(left) < 1e-6


def test_a_plain_mean_would_leave_a_step_behind_a_kick():
    assert abs(KICK.mean()) > 0.002, "of full scale, where the kick has ended"


def test_silence_before_and_after_the_sound_is_cut_off():
    sound = np.concatenate([np.zeros(1_600), TONE[:4_000], np.zeros(8_000)])
    handed = hand_out(sound, RATE, RATE)
    assert len(handed) == pytest.approx(4_000 + LEAD_S * RATE, abs=0.02 * RATE)
    start = round(LEAD_S * RATE) - 1  # the first sample of a sine is 0
    middle = slice(500, 3_500)
    np.testing.assert_allclose(handed[start:][middle], TONE[:4_000][middle], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_become_silence(value):
    broken = TONE.copy()
    broken[5_000:5_010] = value
    handed = hand_out(broken, RATE, RATE)
    assert np.isfinite(handed).all() and np.abs(handed).max() < 0.31


@pytest.mark.parametrize("n", [1, 800, 16_000])
def test_silence_stays_silence(n):
    handed = hand_out(np.zeros(n), RATE, RATE)
    assert len(handed) == n and not handed.any()
