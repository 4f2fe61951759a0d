"""What becomes of one recording: its channels, its level, and what is odd about it."""

import dataclasses
import re

import numpy as np
import pytest
import soundfile

from helpers.config import DataConfig
from helpers.data.audit import AuditRow
from helpers.data.cut_clips import window_levels_db
from helpers.data.recording import read_recording

ROW = AuditRow("x", "a", "")
RATE = 8_000


def tone(hertz: float = 523, seconds: float = 0.1, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def read(tmp_path, tiny_audio):
    """The row and the clips of a waveform (n,) or (n, channels) that is written and read."""
    data = DataConfig(min_duration_s=0.0)

    def read(waveform, name="x.wav", subtype="FLOAT", most=1, **changes):
        soundfile.write(tmp_path / name, waveform, RATE, subtype=subtype)
        clips = []
        asked = dataclasses.replace(data, **changes)
        recording = read_recording(tmp_path / name, tiny_audio, asked, most, clips.append)
        kept = clips[-len(recording.starts) :]
        return recording.complete(ROW, asked), kept

    return read


def test_channels_that_cancel_each_other_are_not_mixed(read):
    row, clips = read(np.stack([tone(), -0.9 * tone()], axis=1))
    assert (row.status, row.channel) == ("kept", 0)
    assert "one channel taken" in row.changes and "mixed" not in row.changes
    assert row.why == "its channels cancel each other: channel 1 is taken"
    assert np.abs(clips[-1]).max() == pytest.approx(0.5, abs=0.01)


def test_the_loudest_channel_is_taken_where_that_is_asked_for(read):
    both = np.stack([0.1 * tone(300), tone(900)], axis=1)
    mixed, clips = read(both)
    assert "mixed to mono" in mixed.changes and mixed.channel == -1
    assert np.abs(clips[0]).max() == pytest.approx(0.27, abs=0.02)
    row, clips = read(both, channels="loudest")
    assert row.channel == 1 and "one channel taken" in row.changes and row.why == ""
    assert np.abs(clips[0]).max() == pytest.approx(0.5, abs=0.01)
    mono, _ = read(tone(), channels="loudest")
    assert mono.channel == -1 and "channel" not in mono.changes


def test_levels_stay_or_become_even(read):
    for level, expected in (("as is", 20 * np.log10(0.05 / 2**0.5)), ("even", -20)):
        _, clips = read(tone(peak=0.05), level=level)
        assert window_levels_db(clips[0], len(clips[0]) // 8).max() == pytest.approx(
            expected, abs=0.2
        )


@pytest.mark.parametrize(
    ("waveform", "how", "why"),
    [
        (32_767 * tone(), {}, "samples reach 1.64e\\+04 times full scale"),
        (np.r_[tone(), [1e29]], {}, "samples reach 1e\\+29 times full scale"),
    ],
)
def test_samples_that_no_recording_has_are_suspect(read, waveform, how, why):
    row, _ = read(waveform, **how)
    assert row.status == "suspect" and re.match(why, row.why)


def test_a_file_with_hardly_any_of_its_sound_is_suspect_and_one_with_half_is_kept(
    tmp_path, tiny_audio
):
    data = DataConfig(min_duration_s=0.0)
    rows = []
    for share in (0.05, 0.5):
        path = tmp_path / "x.wav"
        soundfile.write(path, tone(seconds=2), RATE)
        path.write_bytes(path.read_bytes()[: 44 + int(share * 2 * 2 * RATE)])
        rows.append(read_recording(path, tiny_audio, data, 1, lambda _: None).complete(ROW, data))
    assert rows[0].status == "suspect"
    assert rows[0].why == "only 0.10 s of the 2.00 s in its header are there"
    assert (rows[1].status, rows[1].why) == ("kept", "ends early at 1.0 of 2.0 s")
    assert "cut off" in rows[1].changes
