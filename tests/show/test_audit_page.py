"""What 01_data says of a folder: in one line, by class, the odd files first, where it was cut."""

import numpy as np
import pytest

from helpers.config import DataConfig
from helpers.data.clips import prepare_clips
from helpers.show.audit_page import cut_picture, longest_cut, odd_files, rows_by_class, use_in_words
from helpers.sound.audio_files import write_wav

RATE = 8_000


@pytest.fixture
def clips(tmp_path, tiny_audio):
    """Two recordings of bursts, one of 20 s; a short one, a silent one, a cut one and a text."""
    n, burst = tiny_audio.clip_samples, np.random.default_rng(0).uniform(-0.3, 0.3, 960)
    long = np.zeros(20 * RATE, np.float32)
    for start in (3 * RATE, 9 * RATE, 15 * RATE):
        long[start : start + n] = burst[:n]
    folder = tmp_path / "sounds"
    write_wav(folder / "rain" / "long.wav", long, RATE)
    write_wav(folder / "rain" / "short.wav", 0.9 * burst[: n // 2], RATE)
    write_wav(folder / "rain" / "silent.wav", np.zeros(RATE), RATE)
    cut = write_wav(folder / "dog" / "cut.wav", 0.8 * np.tile(burst, 20), RATE)
    cut.write_bytes(cut.read_bytes()[: 44 + 2 * 10 * 960])
    (folder / "dog" / "notes.txt").write_text("no sound")
    data = DataConfig(lead_s=0.01)
    return prepare_clips(folder, tiny_audio, data, tmp_path / "data", tmp_path / "cache")


def test_how_much_is_used_is_said_in_one_line(clips):
    n_s = clips.audio.duration_s
    used = n_s / 2 + 3 * n_s + sum(row.used_s for row in clips.audit if row.path == "dog/cut.wav")
    assert sum(row.used_s for row in clips.audit) == pytest.approx(used, abs=0.05)
    words = use_in_words(clips.audit)
    assert words.startswith(f"of {21 + 1.2 + n_s / 2:.1f} seconds in 4 files {used:.1f} are used")
    assert words.endswith("; 1.0 are in files that are left out")


def test_each_class_has_a_row_with_what_was_done(clips):
    dog, rain = rows_by_class(clips.audit)
    assert (dog["class"], dog["files used"], dog["clips"]) == ("dog", "1 of 2", 10)
    assert dog["what was done"] == "1 sliced, 1 cut off, 1 not audio"
    assert (rain["files used"], rain["clips"]) == ("2 of 3", 4)
    assert rain["what was done"] == "1 sliced, 1 padded, 1 silent"


def test_the_oddest_files_come_first(clips):
    odd = odd_files(clips.audit)
    assert [row.path for row in odd] == ["rain/silent.wav", "dog/cut.wav", "dog/notes.txt"]
    assert odd[1].why == "ends early at 1.2 of 2.4 s"


def test_the_picture_shows_where_a_long_recording_was_cut(clips):
    longest = longest_cut(clips)
    assert clips.audit[longest].path == "rain/long.wav"
    (axis,) = cut_picture(clips, longest).axes
    assert axis.get_title() == "rain/long.wav: 3 clips from 20.0 s"
    starts = sorted(line.get_xdata()[0] for line in axis.lines)
    assert starts == pytest.approx([2.99, 8.99, 14.99], abs=0.002), "a hundredth before the sound"


def test_nothing_was_cut_where_all_is_short(clips, tmp_path, tiny_audio):
    write_wav(tmp_path / "few" / "a" / "1.wav", np.full(300, 0.2), RATE)
    data = DataConfig(min_duration_s=0.0)
    few = prepare_clips(tmp_path / "few", tiny_audio, data, tmp_path / "d", tmp_path / "c")
    assert longest_cut(few) == -1 and odd_files(few.audit) == []
