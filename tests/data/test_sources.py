import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from making import TONE, make_sounds, relative, zip_folder

from helpers.data import sources
from helpers.data.archives import SourceError
from helpers.data.drum_kit import make_kit
from helpers.data.labelling import find_labels
from helpers.data.layouts import list_files, recognise_holdout
from helpers.data.sources import open_source
from helpers.files import one_at_a_time
from helpers.sound.audio_files import write_wav

# --- the class folder ---


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["dog/1.wav", "rain/1.wav"], "."),
        (["dog/1.wav"], "."),
        (["set/dog/1.wav", "set/rain/1.wav"], "set"),
        (["a/b/set/dog/1.wav", "a/b/set/rain/1.wav"], "a/b/set"),
        (["dog/monday/1.wav", "rain/tuesday/deep/1.FLAC"], "."),
        (["set/dog/1.wav", "__MACOSX/set/dog/1.wav", ".cache/x/1.wav"], "set"),
    ],
)
def test_class_folder_is_found(tmp_path, names, expected):
    make_sounds(tmp_path, *names)
    assert find_labels(tmp_path).folder == tmp_path / expected


def test_a_folder_without_audio_beside_the_classes_does_not_matter(tmp_path):
    make_sounds(tmp_path, "set/dog/1.wav", "set/rain/1.wav")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "read me.txt").write_text("hello")
    assert find_labels(tmp_path).folder == tmp_path / "set"


def test_folder_without_audio_says_how_many_files_were_seen(tmp_path):
    (tmp_path / "dog").mkdir()
    for name in ("1.txt", "2.jpg"):
        (tmp_path / "dog" / name).write_text("x")
    with pytest.raises(SourceError, match=r"2 files were looked at.*\.wav, \.flac"):
        find_labels(tmp_path)


def test_loose_audio_beside_class_folders_is_left_out_with_a_warning(tmp_path):
    make_sounds(tmp_path, "0_ann_0.wav", "dog/1.wav")
    with pytest.warns(UserWarning, match="1 audio files beside the class folders"):
        assert find_labels(tmp_path).folder == tmp_path


def test_links_are_followed_but_not_in_circles(tmp_path):
    elsewhere = make_sounds(tmp_path / "elsewhere", "1.wav")
    folder = make_sounds(tmp_path / "set", "dog/1.wav")
    (folder / "rain").symlink_to(elsewhere)
    (folder / "dog" / "back").symlink_to(folder)
    assert relative(folder) == ["dog/1.wav", "rain/1.wav"]
    assert [path for path, _, _ in list_files(folder)] == ["dog/1.wav", "rain/1.wav"]


def test_two_folders_that_link_to_each_other_have_an_end(tmp_path):
    make_sounds(tmp_path / "set", "dog/1.wav", "rain/2.wav")
    (tmp_path / "set" / "dog" / "a").symlink_to(tmp_path / "set" / "rain")
    (tmp_path / "set" / "rain" / "b").symlink_to(tmp_path / "set" / "dog")
    expected = ["dog/1.wav", "dog/a/2.wav", "rain/2.wav", "rain/b/1.wav"]
    assert relative(tmp_path / "set") == expected


# --- folders, the kit and wrong sources ---


def test_open_folder_where_it_lies(tmp_path, monkeypatch):
    make_sounds(tmp_path / "my sounds", "dog/1.wav", "rain/1.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    source = open_source("~/my sounds", tmp_path / "work")
    assert (source.name, source.folder, source.holdout) == ("my sounds", tmp_path / "my sounds", "")
    assert source.labels == "folders" and "2 folders in" in source.words
    assert not (tmp_path / "work").exists()


def test_kit(tmp_path):
    seen = []
    source = open_source(
        "kit", tmp_path, kit_clips=20, progress=lambda items, **_: seen.append(1) or items
    )
    assert source.name == "kit" and source.holdout == "" and seen
    assert len(relative(source.folder)) == 20
    first = make_kit(tmp_path / "first", 20, seed=0)
    for name in relative(first):
        assert (first / name).read_bytes() == (source.folder / name).read_bytes()


def test_known_name_wins_unless_written_as_a_path(tmp_path, monkeypatch):
    make_sounds(tmp_path / "kit", "dog/1.wav")
    monkeypatch.chdir(tmp_path)
    assert open_source("./kit", tmp_path / "work").folder == tmp_path / "kit"
    assert open_source("kit", tmp_path / "work", kit_clips=20).folder != tmp_path / "kit"


@pytest.mark.parametrize(
    "source", ["no such folder", "", "a\0b", "x" * 5000, "~nobody-of-this-name/x"]
)
def test_missing_source_names_what_there_is(tmp_path, source):
    with pytest.raises(
        SourceError, match=r"no folder or archive.*kit, fsdd, esc50, speech_commands"
    ):
        open_source(source, tmp_path) if source else sources._existing_path(source)


def test_missing_source_names_the_nearest_folder(tmp_path):
    with pytest.raises(SourceError, match=f"only '{tmp_path}' exists"):
        open_source(str(tmp_path / "drive" / "sounds"), tmp_path)


@pytest.mark.parametrize("name", ["one.wav", "notes.txt", "sounds.rar"])
def test_a_file_that_is_no_archive(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match="is a file but no archive"):
        open_source(str(tmp_path / name), tmp_path)
    with pytest.raises(SourceError, match="is a file, not a folder"):
        find_labels(tmp_path / name)


# --- two runs that want the same recordings at once ---


def open_twice(source: str, work, **options) -> list[dict[str, int]]:
    """Open a source, and again when that is half done; the sizes that each finds when it is there.

    The first pauses a moment, in which the second could spoil what is made.
    """
    half_done = threading.Event()

    def progress(items, total, desc):
        for index, item in enumerate(items):
            yield item
            if index == total // 2 and not half_done.is_set():
                half_done.set()
                time.sleep(0.1)

    def open_and_list(begins: bool) -> dict[str, int]:
        assert begins or half_done.wait(timeout=60)
        folder = open_source(source, work, **options, progress=progress).folder
        return {name: (folder / name).stat().st_size for name in relative(folder)}

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(open_and_list, (True, False)))


def test_a_kit_that_two_make_at_once_is_whole_for_both(tmp_path):
    first, second = open_twice("kit", tmp_path, kit_clips=160)
    assert len(first) == 160 and first == second


@pytest.mark.parametrize("kind", ["archive", "staged"])
def test_recordings_that_two_bring_at_once_are_whole_for_both(tmp_path, monkeypatch, kind):
    folder = make_sounds(tmp_path / "set", *[f"dog/{index}.wav" for index in range(60)])
    source = zip_folder(folder, tmp_path / "set.zip") if kind == "archive" else folder

    def copy_slowly(file, copy):
        content = file.read_bytes()
        for part in (content[:100], content):
            copy.write_bytes(part)
            time.sleep(0.01)

    monkeypatch.setattr(sources.shutil, "copyfile", copy_slowly)
    first, second = open_twice(str(source), tmp_path / "work", stage=True)
    assert first == second == dict.fromkeys(relative(folder), (folder / "dog/0.wav").stat().st_size)


def test_who_waits_for_another_says_so(tmp_path, capsys):
    with one_at_a_time(tmp_path / "kit-20-0"):
        waiting = threading.Thread(
            target=open_source, args=("kit", tmp_path), kwargs={"kit_clips": 20}
        )
        waiting.start()
        while "another run makes" not in capsys.readouterr().out:
            time.sleep(0.01)
        assert not (tmp_path / "kit-20-0").exists()
    waiting.join()
    assert len(relative(tmp_path / "kit-20-0")) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["kit-20-0"]


# --- staging ---


def test_staging_copies_audio_once_and_then_what_changed(tmp_path, monkeypatch):
    folder = make_sounds(tmp_path / "drive" / "set", "dog/1.wav", "dog/deep/2.wav", "rain/1.wav")
    (folder / "dog" / "notes.txt").write_text("x")
    copied, copyfile = [], sources.shutil.copyfile
    monkeypatch.setattr(
        sources.shutil, "copyfile", lambda a, b: copied.append(a.name) or copyfile(a, b)
    )
    source = open_source(str(tmp_path / "drive"), tmp_path / "work", stage=True)
    assert source.name == "drive" and source.folder.name.startswith("staged-drive-")
    assert relative(source.folder) == ["dog/1.wav", "dog/deep/2.wav", "rain/1.wav"]
    assert len(list(source.folder.rglob("*.*"))) == 3 and len(copied) == 3

    assert open_source(str(tmp_path / "drive"), tmp_path / "work", stage=True) == source
    assert len(copied) == 3

    write_wav(folder / "dog" / "deep" / "2.wav", TONE[:100], 8_000)
    os.utime(folder / "dog" / "1.wav", (1_000_000, 1_000_000))
    (folder / "rain" / "1.wav").unlink()
    open_source(str(tmp_path / "drive"), tmp_path / "work", stage=True)
    assert sorted(copied[3:]) == ["1.wav", "2.wav"]
    assert not (source.folder / "rain").exists()
    assert (source.folder / "dog/deep/2.wav").read_bytes() == (
        folder / "dog/deep/2.wav"
    ).read_bytes()


def test_staging_knows_folders_of_one_name_apart(tmp_path):
    for parent in ("a", "b"):
        make_sounds(tmp_path / parent / "set", f"dog/{parent}.wav")
    folders = [
        open_source(str(tmp_path / p / "set"), tmp_path / "work", stage=True).folder
        for p in ("a", "b")
    ]
    assert [relative(folder) for folder in folders] == [["dog/a.wav"], ["dog/b.wav"]]


@pytest.mark.parametrize("n_failures", [1, 3])
def test_a_file_that_fails_to_copy_is_tried_three_times(tmp_path, monkeypatch, n_failures):
    folder = make_sounds(tmp_path / "set", "dog/bad.wav", "dog/good.wav")
    attempts, copyfile = [], sources.shutil.copyfile

    def fail(file, copy):
        copyfile(file, copy)
        if file.name == "bad.wav":
            attempts.append(file)
            if len(attempts) <= n_failures:
                raise OSError(5, "Input/output error")

    monkeypatch.setattr(sources.shutil, "copyfile", fail)
    monkeypatch.setattr(sources, "RETRY_PAUSE_S", 0.01)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = open_source(str(folder), tmp_path / "work", stage=True)
    if n_failures == 1:
        assert not caught and relative(source.folder) == ["dog/bad.wav", "dog/good.wav"]
    else:
        assert len(attempts) == 3 and relative(source.folder) == ["dog/good.wav"]
        assert "1 of 2 files could not be copied" in str(caught[0].message)
        assert "'bad.wav' ([Errno 5] Input/output error)" in str(caught[0].message)


def test_no_file_copied_is_an_error(tmp_path, monkeypatch):
    def fail(file, copy):
        raise OSError(107, "Transport endpoint is not connected")

    folder = make_sounds(tmp_path / "set", *[f"dog/{index}.wav" for index in range(5)])
    monkeypatch.setattr(sources.shutil, "copyfile", fail)
    monkeypatch.setattr(sources, "RETRY_PAUSE_S", 0.01)
    with pytest.raises(
        SourceError, match="5 of 5 files.*'0.wav', '1.wav', '2.wav', .*not connected"
    ):
        open_source(str(folder), tmp_path / "work", stage=True)


# --- splits that data sets bring along ---


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0_ann_0.wav", "1_bob_12.wav"], "*_[0-4].wav"),
        (["0_ann_5.wav", "1_bob_12.wav"], ""),
        (["0_ann_0.wav", "1_bob_12.wav", "other.wav"], ""),
        (["1-17-A-0.wav", "5-9-B-49.wav"], "5-*"),
        (["1-17-A.ogg", "3-9-B.ogg", "2-1-A.ogg"], "3-*"),
        (["1-17-A.ogg", "1-9-B.ogg"], ""),
        (["1-17-A.ogg", "0_ann_0.wav"], ""),
        (["dog.wav"], ""),
        ([], ""),
    ],
)
def test_holdout_is_recognised_by_the_names(names, expected):
    assert recognise_holdout(iter(names)) == expected


def test_holdout_of_an_own_archive(tmp_path):
    folder = make_sounds(tmp_path / "in", "zero/0_ann_0.wav", "zero/0_ann_7.wav", "one/1_ann_7.wav")
    assert (
        open_source(str(zip_folder(folder, tmp_path / "a.zip")), tmp_path / "work").holdout
        == "*_[0-4].wav"
    )
