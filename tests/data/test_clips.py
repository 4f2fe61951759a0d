"""The audit of messy folders, the split, and a cache that is right or made again."""

import csv
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from failing import files_of_at_most

from helpers.config import AudioConfig, DataConfig, RunConfig, TrainConfig
from helpers.data import clips as clips_of
from helpers.data import make_clips as extraction
from helpers.data import recording
from helpers.data.audit import DatasetError, common_sample_rate, summarise_audit
from helpers.data.clips import CACHE_SUFFIXES, open_clips, prepare_clips, remove_older_caches
from helpers.data.layouts import list_files
from helpers.judge.advice import class_advice
from helpers.sound.mel import MelExtractor

RATE = 8_000
AUDIO = AudioConfig(
    sample_rate=RATE, n_fft=256, hop_length=64, n_mels=16, n_frames=16
)  # 960 samples, 0.12 s
LONGEST = "x" * 251 + ".wav"
NOT_UTF8 = os.fsdecode(b"caf\xe9.wav")


def tone(hertz: float, n_samples: int = 960, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(n_samples) / rate)).astype(np.float32)


def write(path, samples, rate=RATE, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:  # soundfile itself takes no name that is not valid UTF-8
        soundfile.write(file, samples, rate, **{"format": "WAV", **options})


def fill(folder, label: str, n: int, first_hz: float = 300, **options):
    for index in range(n):
        write(folder / label / f"{index:02d}.wav", tone(first_hz + 10 * index, **options))
    return folder


def prepare(folder, tmp_path, audio=AUDIO, **data):
    """One clip of each recording, from where its sound begins, unless data says otherwise."""
    data = DataConfig(**{"slice_long": "no", "lead_s": 0.0} | data)
    return prepare_clips(folder, audio, data, tmp_path / "data", tmp_path / "cache")


def rows_of(cache) -> dict:
    return {row.path: row for row in cache.audit}


def forbid_reading(monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(recording, "stream_audio", refuse)


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messy")
    fill(folder, "good", 5)
    write(folder / "good" / "cut.wav", tone(500))
    (folder / "good" / "cut.wav").write_bytes((folder / "good" / "cut.wav").read_bytes()[:30])
    (folder / "good" / "empty.wav").write_bytes(b"")
    (folder / "good" / "text.wav").write_text("no sound at all, but a story\n" * 50)
    (folder / "good" / "notes.txt").write_text("recorded in the kitchen")
    (folder / "good" / "voice.M4A").write_text("as a telephone makes it")
    nan = tone(510)
    nan[5] = np.nan
    write(folder / "good" / "nan.wav", nan, subtype="FLOAT")
    stereo = np.stack([tone(700, 48_000, 96_000), tone(900, 48_000, 96_000)], axis=1)
    write(folder / "good" / "stereo.FLAC", stereo, 96_000, format="FLAC")
    write(folder / "good" / "song.mp3", tone(800, 8_000), format="MP3")
    write(folder / "good" / "silent.wav", np.zeros(960, np.float32))
    write(folder / "good" / "click.wav", tone(820, 160))
    shutil.copy(folder / "good" / "00.wav", folder / "good" / "zz copy.wav")
    write(folder / "single" / "only.wav", tone(1200, 400))
    write(folder / "na mes 🥁" / "a b.wav", tone(1300))
    write(folder / "na mes 🥁" / "💥.wav", tone(1310))
    write(folder / "na mes 🥁" / "<script>alert(1)<⁄script>.wav", tone(1320))
    write(folder / "na mes 🥁" / NOT_UTF8, tone(1330))
    write(folder / "na mes 🥁" / LONGEST, tone(1332))
    write(folder / "na mes 🥁" / "bell\x07 tab\t line\n.wav", tone(1335))
    write(folder / "na mes 🥁" / ".hidden.wav", tone(1340))
    (folder / "hopeless").mkdir()
    (folder / "hopeless" / "x.wav").write_bytes(b"RIFFxxxx")
    (folder / "nothing").mkdir()
    write(folder / "stray.wav", tone(1400))
    write(folder / "__MACOSX" / "a.wav", tone(1410))
    return folder


@pytest.fixture(scope="module")
def messy_cache(messy, tmp_path_factory):
    return prepare(messy, tmp_path_factory.mktemp("messy-cache"))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("good/cut.wav", "unreadable", ""),
        ("good/empty.wav", "unreadable", "empty"),
        ("good/text.wav", "unreadable", "not readable as audio"),
        ("good/nan.wav", "unreadable", "not numbers"),
        ("good/notes.txt", "not audio", "neither its name nor its content"),
        ("good/voice.M4A", "unreadable", "ffmpeg"),
        ("good/stereo.FLAC", "kept", "resampled, mixed to mono, cropped"),
        ("good/song.mp3", "kept", "cropped"),
        ("good/silent.wav", "silent", "never louder than -60"),
        ("good/click.wav", "too short", "0.05 s"),
        ("good/zz copy.wav", "duplicate", "good/00.wav"),
        ("good/00.wav", "kept", ""),
        ("single/only.wav", "kept", "padded"),
        ("na mes 🥁/a b.wav", "kept", ""),
        ("na mes 🥁/💥.wav", "kept", ""),
        ("na mes 🥁/<script>alert(1)<⁄script>.wav", "kept", ""),
        (f"na mes 🥁/{NOT_UTF8}", "kept", ""),
        (f"na mes 🥁/{LONGEST}", "kept", ""),
        ("na mes 🥁/bell\x07 tab\t line\n.wav", "kept", ""),
        ("hopeless/x.wav", "unreadable", "not readable as audio"),
    ],
)
def test_each_file_of_a_messy_folder_has_its_status(messy_cache, path, status, words):
    row = rows_of(messy_cache)[path]
    assert row.status == status
    assert words in (row.changes if status == "kept" else row.why)
    assert row.n_clips == (1 if status == "kept" else 0)
    assert (row.split != "") == (status == "kept")


def test_a_messy_folder_gives_the_usable_clips_and_no_others(messy, messy_cache):
    rows = rows_of(messy_cache)
    assert not [path for path in rows if "hidden" in path or "stray" in path or "MACOSX" in path]
    assert set(rows) == {path for path, _, _ in list_files(messy)}
    kept = [row for row in messy_cache.audit if row.status == "kept"]
    assert len(messy_cache.labels) == len(messy_cache.mels) == len(kept)
    assert {messy_cache.audit[index].status for index in messy_cache.file_index} == {"kept"}
    assert messy_cache.classes == ("good", "na mes 🥁", "single")
    assert bool(np.isfinite(messy_cache.mels).all())
    for clip, index in enumerate(messy_cache.file_index):
        assert messy_cache.audit[index].label == messy_cache.classes[messy_cache.labels[clip]]
    info = rows["good/stereo.FLAC"]
    assert (info.sample_rate, info.n_channels, info.duration_s) == (96_000, 2, 0.5)


def test_the_audit_is_written_as_csv_and_summed_up(messy_cache):
    path = Path(messy_cache.mels.filename).parent.parent / "data" / "audit.csv"
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        written = list(csv.DictReader(file))
    assert [row["path"] for row in written] == [row.path for row in messy_cache.audit]
    assert [row["status"] for row in written] == [row.status for row in messy_cache.audit]
    counts = summarise_audit(messy_cache.audit)
    assert counts["unreadable"] == 6
    for status in ("duplicate", "silent", "too short", "not audio"):
        assert counts[status] == 1
    assert counts["mixed to mono"] == 1


def test_a_class_with_one_file_trains_and_advice_names_the_weak_classes(messy_cache):
    assert rows_of(messy_cache)["single/only.wav"].split == "train"
    lost, weak = class_advice(messy_cache)
    assert lost == "1 class has no usable recording ('hopeless'): see in the audit why."
    assert weak.startswith("3 classes have fewer than 10 training clips (") and "'single'" in weak


def test_a_link_to_nowhere_is_no_end(tmp_path):
    folder = fill(tmp_path / "sounds", "a", 3)
    (folder / "a" / "gone.wav").symlink_to(tmp_path / "no such file.wav")
    cache = prepare(folder, tmp_path)
    assert len(cache.labels) == 3
    assert "kept" not in {row.status for row in cache.audit if row.path == "a/gone.wav"}


def test_the_common_rate_is_that_of_most_recordings_whatever_their_names(tmp_path):
    folder = fill(tmp_path / "sounds", "a", 5)
    write(folder / "a" / "other.wav", tone(400, rate=16_000), 16_000)
    (folder / "a" / "broken.wav").write_bytes(b"RIFF")
    assert common_sample_rate(folder) == RATE
    write(folder / "a" / NOT_UTF8, tone(999))
    assert common_sample_rate(folder) == RATE
    (tmp_path / "empty" / "a").mkdir(parents=True)
    assert common_sample_rate(tmp_path / "empty") == 0


def test_nothing_usable_is_an_error_with_counts_and_the_first_reason(tmp_path):
    (tmp_path / "sounds" / "a").mkdir(parents=True)
    with pytest.raises(DatasetError, match="no usable recording .*no files"):
        prepare(tmp_path / "sounds", tmp_path)
    (tmp_path / "sounds" / "a" / "x.wav").write_bytes(b"")
    (tmp_path / "sounds" / "a" / "y.txt").write_text("y")
    with pytest.raises(DatasetError, match=r"1 unreadable, 1 not audio.*First reason: is empty"):
        prepare(tmp_path / "sounds", tmp_path)


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "sounds", "a", 8)
    return fill(tmp_path / "sounds", "b", 8, first_hz=2000)


def test_a_cache_is_opened_again_without_decoding(folder, tmp_path, monkeypatch):
    first = prepare(folder, tmp_path)
    forbid_reading(monkeypatch)
    again = prepare(folder, tmp_path)
    assert again.key == first.key and again.audit == first.audit and again.classes == first.classes
    np.testing.assert_array_equal(again.mels, first.mels)
    np.testing.assert_array_equal(again.labels, first.labels)


def test_a_touched_file_and_a_moved_folder_need_no_decoding(folder, tmp_path, monkeypatch):
    first = prepare(folder, tmp_path)
    forbid_reading(monkeypatch)
    os.utime(folder / "a" / "00.wav", (1, 1))
    assert prepare(folder, tmp_path).key == first.key
    moved = prepare(folder.rename(tmp_path / "elsewhere"), tmp_path)
    assert moved.key == first.key
    assert moved.folder == tmp_path / "elsewhere"


def test_other_content_other_files_or_other_settings_are_another_cache(folder, tmp_path):
    keys = [prepare(folder, tmp_path).key]
    write(folder / "a" / "00.wav", tone(3000))
    keys.append(prepare(folder, tmp_path).key)
    (folder / "b" / "07.wav").unlink()
    keys.append(prepare(folder, tmp_path).key)
    (folder / "b" / "06.wav").rename(folder / "a" / "moved.wav")
    keys.append(prepare(folder, tmp_path).key)
    keys.append(prepare(folder, tmp_path, dataclasses.replace(AUDIO, compression="log1p")).key)
    keys.append(prepare(folder, tmp_path, max_clips_per_class=3).key)
    assert len(set(keys)) == len(keys)
    assert prepare(folder, tmp_path, source="elsewhere", stage=True).key == keys[3]


def test_changed_content_is_what_the_clip_then_holds(folder, tmp_path):
    before = prepare(folder, tmp_path)
    write(folder / "a" / "00.wav", tone(3000))
    after = prepare(folder, tmp_path)
    assert int(before.mels[0].astype(np.float32).mean(axis=1).argmax()) < 6
    assert int(after.mels[0].astype(np.float32).mean(axis=1).argmax()) > 10


DAMAGES = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "a bit": lambda whole: (
        whole[: len(whole) // 2]
        + bytes([whole[len(whole) // 2] ^ 1])
        + whole[len(whole) // 2 + 1 :]
    ),
    "foreign": lambda whole: b"<html>404</html>",
    "JSON": lambda whole: b"[]",
}


@pytest.mark.parametrize("suffix", CACHE_SUFFIXES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_told_of_and_made_again(folder, tmp_path, suffix, damage):
    first = prepare(folder, tmp_path)
    expected, waveforms = np.array(first.mels), np.array(first.waveforms)
    damaged = tmp_path / "cache" / f"clips-{first.key}.{suffix}"
    damaged.write_bytes(DAMAGES[damage](damaged.read_bytes()))
    with pytest.warns(
        UserWarning, match=rf"the cache .*{first.key}.f16 is damaged .* made again"
    ) as told:
        again = prepare(folder, tmp_path)
    assert len(told) == 1
    again = prepare(folder, tmp_path)
    assert again.key == first.key
    np.testing.assert_array_equal(again.mels, expected)
    np.testing.assert_array_equal(again.waveforms, waveforms)
    assert again.audit == first.audit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 2**70),
        ("labels", 7),
        ("labels", -1),
        ("labels", 0.5),
        ("labels", [0]),
        ("labels", "a" * 999),
        ("file_index", 999),
        ("starts", 2**61),
        ("classes", "../../evil"),
    ],
)
def test_a_cache_of_a_stranger_with_numbers_that_cannot_be_is_made_again(
    folder, tmp_path, name, value
):
    first = prepare(folder, tmp_path)
    index = tmp_path / "cache" / f"clips-{first.key}.json"
    values = json.loads(index.read_text())
    values[name][0] = value
    index.write_text(json.dumps(values))
    files = (index.with_suffix(".f16"), index.with_suffix(".mels.f16"), index)
    sums = "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files
    )
    index.with_suffix(".sha256").write_text(sums)
    with pytest.warns(UserWarning, match=r"is damaged .* made again"):
        again = prepare(folder, tmp_path)
    assert again.classes == first.classes


def test_a_key_that_leads_elsewhere_opens_and_removes_nothing(folder, tmp_path):
    first = prepare(folder, tmp_path)
    (tmp_path / "cache" / "clips-x").mkdir()
    (tmp_path / "mine").mkdir()
    for end in CACHE_SUFFIXES:
        (tmp_path / "mine" / f"thesis.{end}").write_text("not ours")
    (listing,) = (tmp_path / "cache").glob("listing-*.txt")
    listing.write_text("x/../../mine/thesis")
    assert prepare(folder, tmp_path).key == first.key
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == 4 * ["not ours"]


def test_a_cache_that_cannot_be_read_now_is_kept(folder, tmp_path, monkeypatch):
    prepare(folder, tmp_path)
    before = sorted((tmp_path / "cache").iterdir())

    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(clips_of, "_digests", fail)
        with pytest.raises(
            DatasetError, match=r"the cache .* cannot be read .*see that its disk is there"
        ):
            prepare(folder, tmp_path)
    assert sorted((tmp_path / "cache").iterdir()) == before


def test_a_damaged_list_of_files_or_audit_is_made_again(folder, tmp_path, monkeypatch):
    first = prepare(folder, tmp_path)
    (listing,) = (tmp_path / "cache").glob("listing-*.txt")
    audit = tmp_path / "data" / "audit.csv"
    whole = listing.read_bytes(), audit.read_bytes()
    listing.write_bytes(b"\xff\x00")
    audit.write_bytes(b"\xff\x00")
    forbid_reading(monkeypatch)
    assert prepare(folder, tmp_path).key == first.key
    assert (listing.read_bytes(), audit.read_bytes()) == whole


@pytest.mark.parametrize("most_bytes", [100, 3_000])
def test_a_disk_that_fills_up_while_the_cache_is_written_is_told_of_and_leaves_nothing(
    folder, tmp_path, most_bytes
):
    with (
        files_of_at_most(most_bytes),
        pytest.raises(DatasetError, match=r"cannot be written to .*make room there"),
    ):
        prepare(folder, tmp_path, max_clips_per_class=0, slice_long="yes")
    assert not list((tmp_path / "cache").glob("clips-*.sha256"))
    assert not list(tmp_path.rglob("*.partial")) and not (tmp_path / "data" / "audit.csv").exists()
    assert len(prepare(folder, tmp_path, slice_long="yes").mels) > 0


def test_a_folder_that_cannot_be_written_to_is_told_of(folder, tmp_path):
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(
        DatasetError, match=r"cache cannot be written to .*choose another run folder"
    ):
        prepare(folder, tmp_path)


def test_a_cache_whose_last_file_was_never_written_is_made_again(folder, tmp_path):
    first = prepare(folder, tmp_path)
    (tmp_path / "cache" / f"clips-{first.key}.sha256").unlink()
    assert prepare(folder, tmp_path).key == first.key
    assert (tmp_path / "cache" / f"clips-{first.key}.sha256").exists()


def test_older_caches_of_a_run_go_and_what_it_uses_stays(folder, tmp_path):
    cache_dir = tmp_path / "cache"
    data = DataConfig(slice_long="no", lead_s=0.0, max_clips_per_class=3)
    older = prepare(folder, tmp_path)
    expected = np.array(older.mels)
    current = prepare(folder, tmp_path, max_clips_per_class=3)
    mine, before = cache_dir / "clips-of-mine.f16", cache_dir / f"features-{current.key}.f16"
    for path in (mine, before):
        path.write_text("not in use")
    abandoned, made_now = cache_dir / "making-a" / "spool", cache_dir / "making-b" / "spool"
    for path in (abandoned, made_now):
        path.parent.mkdir()
        path.write_bytes(b"x")
    os.utime(abandoned, (1, 1))
    os.utime(abandoned.parent, (1, 1))
    remove_older_caches(current, data, cache_dir)
    keys = {path.name[6:18] for path in cache_dir.glob("clips-*.sha256")}
    assert keys == {current.key}
    assert len(list(cache_dir.glob("clips-*"))) == 5 and mine.exists()
    assert not before.exists(), "the cache of an earlier version"
    assert {path.read_text() for path in cache_dir.glob("listing-*.txt")} == keys
    assert made_now.exists() and not abandoned.parent.exists()
    np.testing.assert_array_equal(older.mels, expected), "who has it open reads on"
    assert prepare(folder, tmp_path).key == older.key


def test_a_cache_that_is_in_use_where_such_files_cannot_be_removed_stays_whole(
    folder, tmp_path, monkeypatch
):
    older, current = prepare(folder, tmp_path), prepare(folder, tmp_path, max_clips_per_class=3)
    unlink = Path.unlink

    def refuse(path, **options):
        if path.suffix == ".f16":
            raise PermissionError(errno.EACCES, "is used by another process")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_older_caches(current, DataConfig(max_clips_per_class=3), tmp_path / "cache")
    files = sorted((tmp_path / "cache").glob(f"clips-{older.key}.*"))
    assert [path.suffix for path in files] == [".f16", ".json", ".f16", ".sha256"]


def test_two_that_make_the_same_cache_at_once_both_get_it(folder, tmp_path, monkeypatch):
    written, write_clips = threading.Barrier(2), clips_of.write_clips

    def write_together(*arguments):
        made = write_clips(*arguments)
        written.wait(timeout=60)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(clips_of, "write_clips", write_together)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: prepare(folder, tmp_path), range(2))
    assert first.key == second.key
    np.testing.assert_array_equal(first.mels, second.mels)
    forbid_reading(monkeypatch)
    np.testing.assert_array_equal(prepare(folder, tmp_path).mels, first.mels)
    assert not list((tmp_path / "cache").glob("making-*"))


def test_files_go_whole_to_one_split_a_seventh_of_each_class(folder, tmp_path):
    cache = prepare(folder, tmp_path)
    for label in ("a", "b"):
        splits = [row.split for row in cache.audit if row.label == label]
        assert sorted(splits) == ["test"] + ["train"] * 7
    train, test = cache.indices("train"), cache.indices("test")
    assert sorted([*train, *test]) == list(range(16))
    renamed = tmp_path / "renamed"
    for row in cache.audit:
        (renamed / row.label).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / row.path, renamed / row.label / f"x{row.digest}.wav")
    other = prepare(renamed, tmp_path)
    assert {r.digest for r in other.audit if r.split == "test"} == {
        r.digest for r in cache.audit if r.split == "test"
    }


def test_a_small_class_is_not_split(tmp_path):
    cache = prepare(fill(tmp_path / "sounds", "a", 3), tmp_path)
    assert {row.split for row in cache.audit} == {"train"}
    assert len(cache.indices("test")) == 0
    assert sum(len(labels) for _, labels in cache.batches("test")) == 0


def test_the_holdout_glob_chooses_by_file_name(folder, tmp_path):
    cache = prepare(folder, tmp_path, holdout="0[01].wav")
    assert {row.path for row in cache.audit if row.split == "test"} == {
        f"{c}/0{i}.wav" for c in "ab" for i in (0, 1)
    }


def test_a_holdout_of_everything_is_an_error(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"'\*\.wav' matches every usable file"):
        prepare(folder, tmp_path, holdout="*.wav")


def long_recording() -> np.ndarray:
    waveform = np.zeros(6_000, np.float32)
    waveform[600:1_560] = tone(400)  # 600 is a window's start: an eighth of a clip is 120
    waveform[3_000:4_920] = tone(2_500, 1_920)
    return waveform


def test_a_long_recording_is_cropped_or_cut_into_clips_of_one_split(tmp_path):
    folder = fill(tmp_path / "sounds", "a", 4)
    write(folder / "a" / "long.wav", long_recording())
    for lead_s, start in ((0.0, 600), (0.05, 200)):
        cache = prepare(folder, tmp_path, lead_s=lead_s)
        cropped = rows_of(cache)["a/long.wav"]
        assert (cropped.n_clips, cropped.changes) == (1, f"cropped from {start / 8_000:.1f} s")
        assert cropped.used_s == 0.12 and start in cache.starts
    cache = prepare(folder, tmp_path, slice_long="yes")
    row = rows_of(cache)["a/long.wav"]
    assert (row.n_clips, row.changes, row.used_s) == (3, "sliced", 0.36)
    ours = np.flatnonzero([cache.audit[index].path == "a/long.wav" for index in cache.file_index])
    assert cache.starts[ours].tolist() == [600, 3_000, 3_960]
    assert len({cache.audit[cache.file_index[clip]].split for clip in ours}) == 1
    for clip, start in zip(ours, (600, 3_000, 3_960), strict=True):
        np.testing.assert_allclose(
            cache.waveform(clip), long_recording()[start : start + 960], atol=1e-4
        )
    assert int(cache.mels[ours[0]].mean(axis=1).argmax()) < int(
        cache.mels[ours[1]].mean(axis=1).argmax()
    )


def test_no_more_clips_of_a_class_than_asked_for(folder, tmp_path):
    cache = prepare(folder, tmp_path, max_clips_per_class=3)
    assert np.bincount(cache.labels).tolist() == [3, 3]
    assert summarise_audit(cache.audit)["left out"] == 10


def test_a_file_that_cannot_be_used_takes_no_place_among_the_clips_of_a_class(folder, tmp_path):
    (folder / "a" / "00.wav").write_bytes(b"RIFF damaged")
    (folder / "a" / "01.wav").write_bytes(b"RIFF damaged too")
    cache = prepare(folder, tmp_path, max_clips_per_class=2)
    assert np.bincount(cache.labels).tolist() == [2, 2]


def test_training_with_another_seed_sees_the_same_drum_kit(tmp_path):
    keys = set()
    for seed in (0, 1):
        run = RunConfig(
            AUDIO, train=TrainConfig(seed=seed), data=DataConfig(source="kit", kit_clips=16)
        )
        here = tmp_path / str(seed)
        keys.add(open_clips(run, here / "data", here / "cache", tmp_path / "work").key)
    assert len(keys) == 1


def test_a_holdout_that_matches_nothing_is_named_with_names_that_there_are(folder, tmp_path):
    expected = r"holdout '\*_9.flac' matches no file: names are like '00.wav', '01.wav', '02.wav'"
    with pytest.raises(DatasetError, match=expected):
        prepare(folder, tmp_path, holdout="*_9.flac")


def test_a_class_that_is_wholly_held_out_is_named(folder, tmp_path):
    for index in range(8):
        path = folder / "b" / f"{index:02d}.wav"
        path.rename(path.with_name(f"b{index}.wav"))
    with pytest.raises(DatasetError, match="holdout 'b.*' .*every usable file of class 'b'"):
        prepare(folder, tmp_path, holdout="b*")
    with pytest.raises(DatasetError, match="every usable file, so none is left for training"):
        prepare(folder, tmp_path, holdout="*")


def test_a_holdout_of_files_that_are_not_used_is_told_of_and_a_seventh_is_held_out(
    folder, tmp_path
):
    write(folder / "a" / "zz.wav", np.zeros(960, np.float32))
    with pytest.warns(UserWarning, match="holdout 'zz.*' matches only files that are not used"):
        cache = prepare(folder, tmp_path, holdout="zz*")
    assert len(cache.indices("test")) == 2


def test_a_clip_is_the_recording_it_was_made_from(folder, tmp_path):
    write(folder / "a" / "short.wav", tone(333, 500))
    cache = prepare(folder, tmp_path)
    clip = [cache.audit[index].path for index in cache.file_index].index("a/short.wav")
    np.testing.assert_allclose(cache.waveform(clip)[:500], tone(333, 500), atol=5e-4)
    assert cache.waveform(clip).shape == (960,) and not cache.waveform(clip)[500:].any()
    heard = MelExtractor(AUDIO)(torch.from_numpy(cache.waveform(clip))[None])[0]
    np.testing.assert_allclose(cache.mels[clip], heard.numpy(), atol=0.01)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_clips_do_not_depend_on_the_number_of_workers(folder, tmp_path, monkeypatch, n_workers):
    monkeypatch.setattr(extraction, "FILES_AT_ONCE", 5)
    monkeypatch.setattr(extraction, "FEW_FILES", 0)
    alone = prepare(folder, tmp_path / "alone")
    monkeypatch.setattr(extraction, "n_workers", lambda: n_workers)
    cache = prepare(folder, tmp_path / "again")
    assert cache.key == alone.key and cache.audit == alone.audit
    np.testing.assert_array_equal(cache.mels, alone.mels)


def test_batches_pass_over_a_split_once_in_order(clips, monkeypatch):
    monkeypatch.setattr(clips_of, "READ_CLIPS", 4)
    batches = list(clips.batches("train"))
    assert len(batches) > 2
    together = torch.cat([x for x, _ in batches])
    np.testing.assert_array_equal(
        together.numpy(), clips.mels[clips.indices("train")].astype(np.float32)
    )


def test_large_splits_are_measured_by_a_part_with_every_class_in_it(clips, monkeypatch):
    whole = clips.split("train")
    monkeypatch.setattr(clips_of, "ENOUGH_CLIPS", 9)
    monkeypatch.setattr(clips_of, "VERY_FEW_CLIPS", 2)
    mels, labels = clips.split("train")
    assert len(labels) == 9 and torch.bincount(labels).tolist() == [3, 3, 3]
    assert all(any(torch.equal(mel, other) for other in whole[0]) for mel in mels)
    monkeypatch.setattr(clips_of, "ENOUGH_SAMPLES", 4 * clips.audio.clip_samples)
    assert torch.bincount(clips.split("train")[1]).tolist() == [2, 2, 2]
    waveforms, labels = clips.recordings("train")
    assert waveforms.dtype == torch.float16 and labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_lead_as_long_as_half_a_clip_is_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"lead_s is 0.06, and a clip has 0.12 s: give less"):
        prepare(folder, tmp_path, lead_s=0.06)
