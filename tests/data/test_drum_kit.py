"""The built-in drum kit: repeatable, clean, varied, and a folder that is finished or made again."""

import numpy as np
import pytest
import soundfile

from helpers.data import drum_kit as drums
from helpers.sound.audio_files import level_db

RATE = 22_050
N_EACH = 24


@pytest.fixture(scope="module")
def clips() -> dict[str, list[np.ndarray]]:
    return {
        voice: [drums.make_clip(voice, i, 0, RATE) for i in range(N_EACH)] for voice in drums.VOICES
    }


def centroid_hz(clip: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(clip)) ** 2
    return float((np.fft.rfftfreq(len(clip), 1 / RATE) * power).sum() / power.sum())


def duration_20_db_s(clip: np.ndarray) -> float:
    return float(np.flatnonzero(np.abs(clip) > 0.1 * np.abs(clip).max())[-1]) / RATE


def wav_files(folder) -> dict:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.wav")
    }


def test_a_clip_depends_on_its_seed_voice_and_index_alone(clips):
    again = {v: [drums.make_clip(v, i, 0, RATE) for i in (5, 2)] for v in reversed(drums.VOICES)}
    for voice, (fifth, second) in again.items():
        np.testing.assert_array_equal(fifth, clips[voice][5])
        np.testing.assert_array_equal(second, clips[voice][2])
        assert not np.array_equal(drums.make_clip(voice, 5, 1, RATE), clips[voice][5])


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("voice", drums.VOICES)
def test_clips_are_clean_at_every_rate(voice, rate):
    for index in range(5):
        clip = drums.make_clip(voice, index, 3, rate)
        peak = np.abs(clip).max()
        assert clip.dtype == np.float32 and clip.ndim == 1
        assert np.isfinite(clip).all()
        assert 0.1 <= peak <= 0.99
        assert 0.099 <= len(clip) / rate <= 0.951
        assert abs(clip.mean()) < 1e-5
        assert np.abs(clip[-round(0.001 * rate) :]).max() < 0.001 * peak
        assert np.abs(clip[: round(0.002 * rate)]).max() > 0.1 * peak


def test_levels_spread_over_some_twelve_decibels(clips):
    for voice, group in clips.items():
        peaks_db = [20 * np.log10(np.abs(clip).max()) for clip in group]
        assert 9 < max(peaks_db) - min(peaks_db) <= 13.5, voice
    assert all(level_db(clip) > -45 for group in clips.values() for clip in group)


def test_a_kick_is_far_below_a_closed_hat(clips):
    highest_kick = max(centroid_hz(clip) for clip in clips["kick"])
    assert 8 * highest_kick < min(centroid_hz(clip) for clip in clips["closed_hat"])


def test_an_open_hat_rings_longer_than_a_closed_one(clips):
    longest_closed = max(duration_20_db_s(clip) for clip in clips["closed_hat"])
    assert 1.5 * longest_closed < min(duration_20_db_s(clip) for clip in clips["open_hat"])


@pytest.mark.parametrize("voice", drums.VOICES)
def test_clips_of_a_class_differ_in_more_than_level(clips, voice):
    n_samples = min(len(clip) for clip in clips[voice])
    spectra = np.stack([np.abs(np.fft.rfft(clip[:n_samples])) for clip in clips[voice]])
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    likeness = (spectra @ spectra.T)[np.triu_indices(N_EACH, 1)]
    assert np.median(likeness) < 0.95
    assert likeness.max() < 0.999


def test_a_kit_is_split_evenly_and_holds_the_clips(tmp_path):
    folder = drums.make_kit(tmp_path / "kit", n_clips=19, sample_rate=8_000)
    counts = [len(list((folder / voice).glob("*.wav"))) for voice in drums.VOICES]
    assert counts == [3, 3, 3, 2, 2, 2, 2, 2]
    samples, rate = soundfile.read(folder / "tom" / "tom_0001.wav")
    assert rate == 8_000
    np.testing.assert_allclose(samples, drums.make_clip("tom", 1, 0, 8_000), atol=1e-4)


def test_progress_sees_every_clip(tmp_path):
    seen = []

    def progress(items, total, desc):
        for item in items:
            seen.append(total)
            yield item

    drums.make_kit(tmp_path, n_clips=9, sample_rate=8_000, progress=progress)
    assert seen == [9] * 9


def test_a_finished_kit_is_left_alone(tmp_path, monkeypatch):
    drums.make_kit(tmp_path, n_clips=8, sample_rate=8_000)
    before = wav_files(tmp_path)
    monkeypatch.setattr(drums, "make_clip", lambda *_: pytest.fail("made again"))
    assert drums.make_kit(tmp_path, n_clips=8, sample_rate=8_000) == tmp_path
    assert wav_files(tmp_path) == before


@pytest.mark.parametrize("damage", ["no_kit_file", "torn_kit_file", "clip_missing"])
def test_an_unfinished_kit_is_made_again(tmp_path, damage):
    drums.make_kit(tmp_path, n_clips=16, sample_rate=8_000)
    before = wav_files(tmp_path)
    (tmp_path / "rim" / "rim_0001.wav").unlink()
    if damage == "no_kit_file":
        (tmp_path / drums.KIT_FILE).unlink()
        (tmp_path / "kick" / "kick_0000.wav").write_bytes(b"torn")
    elif damage == "torn_kit_file":
        (tmp_path / drums.KIT_FILE).write_text('{"version"')
    drums.make_kit(tmp_path, n_clips=16, sample_rate=8_000)
    assert wav_files(tmp_path) == before


def test_a_kit_of_other_settings_is_replaced_and_foreign_files_stay(tmp_path):
    drums.make_kit(tmp_path, n_clips=24, sample_rate=8_000)
    foreign = [
        tmp_path / "kick" / "kick_mine.wav",
        tmp_path / "kick" / "snare_0000.wav",
        tmp_path / "a.wav",
    ]
    for path in foreign:
        path.write_bytes(b"mine")
    drums.make_kit(tmp_path, n_clips=8, seed=1, sample_rate=8_000)
    assert all(path.read_bytes() == b"mine" for path in foreign)
    assert len(wav_files(tmp_path)) == 8 + len(foreign)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"n_clips": 7}, "n_clips must be .* at least 8, got 7"),
        ({"n_clips": 16.0}, "n_clips must be a whole number"),
        ({"sample_rate": 7_999}, "sample_rate must be .* at least 8000, got 7999"),
        ({"seed": -1}, "seed must be .* at least 0, got -1"),
    ],
)
def test_bad_settings_of_a_kit_are_refused(tmp_path, setting, expected):
    with pytest.raises(ValueError, match=expected):
        drums.make_kit(tmp_path / "kit", **setting)
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("gong", 0, 0, RATE), "voice must be one of kick, .*'gong'"),
        (("kick", -1, 0, RATE), "index must be"),
        (("kick", 0, 0, 4_000), "sample_rate must be"),
    ],
)
def test_bad_values_of_a_clip_are_refused(values, expected):
    with pytest.raises(ValueError, match=expected):
        drums.make_clip(*values)
