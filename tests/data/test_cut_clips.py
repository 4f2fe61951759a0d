"""Clips from recordings of any length: where they lie, whatever the blocks; the loudest window."""

import math

import numpy as np
import pytest

from helpers.data.cut_clips import ClipCutter, choose_clips, even_level, window_levels_db
from helpers.sound.audio_files import SILENT_DB


def cut(waveform: np.ndarray, size: int = 10**6, every: bool = True, lead: int = 0):
    """Clips of 800 samples by their first sample, of a waveform in blocks; and the cutter."""
    cutter = ClipCutter(800, -60, every, lead)
    clips = list(cutter.cut(waveform[n : n + size] for n in range(0, len(waveform), size)))
    assert len(dict(clips)) == len(clips)
    return dict(clips), cutter


def loud(n_samples: int, *spans: tuple[int, int]) -> np.ndarray:
    waveform, values = (
        np.zeros(n_samples, np.float32),
        np.random.default_rng(0).uniform(0.2, 0.4, n_samples),
    )
    for start, end in spans:
        waveform[start:end] = values[start:end]
    return waveform


@pytest.mark.parametrize("size", [1, 99, 100, 801, 10**6])
@pytest.mark.parametrize(
    ("waveform", "starts"),
    [
        (loud(10_000, (1_600, 2_400), (6_000, 7_600)), [1_600, 6_000, 6_800]),
        (loud(10_000), [0]),
        (loud(2_000, (0, 2_000)), [0, 800, 1_600]),
        (loud(1_900, (0, 1_900)), [0, 800]),  # 300 left: under half a clip
        (loud(700, (300, 700)), [0]),  # no longer than a clip: from its beginning
        (loud(2_000, (1_950, 2_000)), [1_948]),  # the only one, however short
    ],
)
def test_clips_leave_silence_out_and_do_not_overlap(waveform, starts, size):
    clips, cutter = cut(waveform, size)
    assert list(clips) == starts and cutter.n_samples == len(waveform)
    padded = np.pad(waveform, (0, 800))
    for start, clip in clips.items():
        np.testing.assert_array_equal(clip, padded[start : start + 800])


@pytest.mark.parametrize("size", [100, 801, 10**6])
def test_one_clip_is_the_first_sound_whatever_follows(size):
    waveform = loud(9_000, (0, 200), (5_000, 9_000))
    clips, _ = cut(waveform, size, every=False)
    assert list(clips) == [0]
    np.testing.assert_array_equal(clips[0], waveform[:800])


@pytest.mark.parametrize("size", [1, 99, 801, 10**6])
@pytest.mark.parametrize(
    ("waveform", "start"),
    [
        (loud(9_000, (3_050, 4_000), (6_000, 9_000)), 3_048),  # to a 25th of a window
        (loud(9_000, (8_950, 9_000)), 8_948),  # however short
        (loud(9_000), 0),
        (loud(800, (400, 800)), 0),  # no longer than a clip
    ],
)
def test_one_clip_begins_where_the_sound_does(waveform, start, size):
    clips, cutter = cut(waveform, size, every=False)
    assert list(clips) == [start] and cutter.n_samples == len(waveform)
    np.testing.assert_array_equal(clips[start], np.pad(waveform, (0, 800))[start : start + 800])


@pytest.mark.parametrize("every", [True, False])
def test_what_is_held_does_not_grow_with_the_recording(every):
    cutter, block = ClipCutter(800, -60, every), loud(3_000, (0, 3_000))
    held = []

    def blocks():
        for _ in range(50):
            yield block
            held.append(len(cutter.pending) + len(cutter.head))

    for _ in cutter.cut(blocks()):
        pass
    assert len(held) == 50
    assert max(held) <= 3_000 + 2 * 800


def test_a_click_in_a_long_silence_is_loud_somewhere():
    waveform = np.zeros(16_000, np.float32)
    waveform[9_000:9_100] = 0.5
    assert cut(waveform, 777)[1].loudest_db == pytest.approx(20 * math.log10(0.5), abs=0.01)
    assert cut(np.zeros(50, np.float32))[1].loudest_db == pytest.approx(SILENT_DB)


def test_a_short_last_window_is_not_diluted_by_padding():
    assert cut(np.full(10, 0.5, np.float32))[1].loudest_db == pytest.approx(
        20 * math.log10(0.5), abs=0.01
    )


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("size", [1, 99, 801, 10**6])
def test_a_sound_after_quiet_background_begins_the_clip_anew(every, size):
    background = 0.003 * loud(9_000, (0, 9_000)) / 0.3  # some 50 dB below full scale
    waveform = background + loud(9_000, (5_250, 5_900))
    cutter = ClipCutter(800, -60, every, 30)
    clips = list(cutter.cut(waveform[n : n + size] for n in range(0, len(waveform), size)))
    levels = [window_levels_db(clip, 100).max() for _, clip in clips]
    kept = [clips[n] for n in choose_clips(levels, 100)]
    assert len(kept) == 1 and 5_215 <= kept[0][0] <= 5_220, "a little before the sound"
    np.testing.assert_array_equal(kept[0][1], waveform[kept[0][0] : kept[0][0] + 800])


def test_the_end_of_a_sound_that_fades_is_no_clip_of_its_own():
    fading = loud(8_000, (0, 8_000)) * np.exp(-np.arange(8_000) / 600).astype(np.float32)
    clips, _ = cut(fading)
    assert list(clips) == [0, 800], "20 dB are gone after 1 400 samples"


def test_clips_begin_with_each_sound_and_not_in_the_noise_between():
    noise = 0.004 * loud(20_000, (0, 20_000))  # 57 dB below full scale: louder than silence
    waveform = noise + loud(20_000, (0, 500), (6_000, 6_500), (14_001, 14_400))
    for size in (1, 333, 10**6):
        starts = list(cut(waveform, size)[0])
        assert starts == pytest.approx([0, 6_000, 14_000], abs=4)


def test_a_sound_a_little_longer_than_a_clip_gives_one_and_much_longer_several():
    assert list(cut(loud(4_000, (1_000, 2_000)))[0]) == [1_000]
    assert list(cut(loud(4_000, (1_000, 2_000)), lead=40)[0]) == [960]
    assert list(cut(loud(4_000, (1_000, 2_200)))[0]) == [1_000, 1_800]
    assert list(cut(loud(4_000, (1_000, 2_000), (2_300, 2_500)))[0]) == [1_000, 2_300]


def test_a_hit_at_the_end_of_a_clip_and_one_at_the_end_of_all_are_not_lost():
    hits = [n * 820 for n in range(11)]  # each falls into the last window of a clip, or behind it
    waveform = loud(8_500, *[(hit, hit + 200) for hit in hits])
    for size in (1, 777, 10**6):
        assert list(cut(waveform, size)[0]) == pytest.approx(hits, abs=4)
    late = [n * 790 for n in range(11)]
    waveform = loud(8_150, *[(hit, hit + 200) for hit in late])
    assert list(cut(waveform, lead=5)[0]) == pytest.approx(
        [0, *[hit - 5 for hit in late[1:]]], abs=4
    )


def test_few_clips_of_many_are_spread_over_the_recording():
    assert choose_clips([-20.0] * 10, 100) == list(range(10))
    assert choose_clips([-20.0] * 10, 3) == [0, 3, 6]
    assert choose_clips([-70.0, -20.0, -25.0, -50.0, -20.0], 1) == [1]
    assert choose_clips([], 3) == []


def test_clips_made_equally_loud_have_one_level_and_no_peak_beyond_full_scale():
    quiet, hot = (gain * loud(800, (100, 700)) for gain in (0.001, 3.0))
    for clip in map(even_level, (quiet, hot)):
        assert window_levels_db(clip, 100).max() == pytest.approx(-20, abs=0.01)
    click = np.zeros(800, np.float32)
    click[5] = 0.2
    assert np.abs(even_level(click)).max() == pytest.approx(0.99)
    assert not even_level(np.zeros(800, np.float32)).any()
