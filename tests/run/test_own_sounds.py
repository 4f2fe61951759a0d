"""Sounds that a person brings: kept in their class, never lost, and learned from afterwards."""

import sys

import pytest
from failing import files_of_at_most
from making import make_sounds, relative, zip_folder

from helpers.config import ConfigError
from helpers.data.archives import SourceError
from helpers.run.colab import RunError
from helpers.run.folder import open_run, resolve_source
from helpers.run.own_sounds import choose_source, find_own_folder, keep_take, upload_sounds


@pytest.fixture
def upload(colab):
    """A function: what a person uploads, into a folder and a class."""

    def choose_and_upload(folder, class_name: str, **chosen: bytes) -> None:
        named = {name.replace("_", "."): content for name, content in chosen.items()}
        sys.modules["google.colab"].files.chosen = named
        upload_sounds(folder, class_name)

    return choose_and_upload


@pytest.fixture
def run(colab):
    """A run on Drive."""
    return open_run("a", use_drive=True)


@pytest.fixture
def archive(tmp_path) -> bytes:
    """A zip of two class folders, in a folder of their own."""
    make_sounds(tmp_path / "made" / "sounds", "dog/1.wav", "rain/deeper/1.wav")
    return zip_folder(tmp_path / "made", tmp_path / "made.zip").read_bytes()


def test_uploaded_files_are_kept_on_drive_in_their_class(upload, run, capsys):
    folder = find_own_folder(run, "kit")
    assert folder == run.root / "recordings"
    upload(folder, " dog ", a_wav=b"first", notes_txt=b"words")
    told = capsys.readouterr().out
    assert f"kept: {folder / 'dog' / 'a.wav'}" in told
    assert "notes.txt is neither a sound nor an archive: it is not kept" in told
    upload(folder, "dog", a_wav=b"second")
    upload(folder, "dog", a_wav=b"first")
    upload(folder, "dog", a_wav=b"second")
    kept = {path.name: path.read_bytes() for path in (folder / "dog").iterdir()}
    assert kept == {"a.wav": b"first", "a-2.wav": b"second"}, "none twice, none replaced"


def test_an_uploaded_archive_brings_its_classes_beside_those_that_are_there(upload, run, archive):
    keep_take(run.recordings / "dog", [0.5, -0.5], 8_000)
    upload(run.recordings, "", mine_zip=archive)
    upload(run.recordings, "cat", mine_ZIP=archive)
    assert relative(run.recordings) == ["dog/1.wav", "dog/take-0001.wav", "rain/deeper/1.wav"]


def test_own_sounds_take_the_place_of_the_kit_and_of_nothing_else(upload, run, archive, capsys):
    assert choose_source(run, "kit") == "kit"
    run.recordings.mkdir(parents=True)
    assert choose_source(run, "kit") == "kit"
    upload(run.recordings, "", mine_zip=archive)
    capsys.readouterr()
    assert choose_source(run, "fsdd") == "fsdd" and capsys.readouterr().out == ""
    source = choose_source(run, " Kit ")
    assert "your own sounds in" in capsys.readouterr().out
    assert resolve_source(source) == (str(run.recordings), True), "to be copied: it is on Drive"


def test_sounds_are_added_to_the_class_folders_of_a_folder_but_not_to_a_data_set(run, tmp_path):
    deep = make_sounds(tmp_path / "deep", "sounds/dog/1.wav", "sounds/rain/1.wav")
    assert find_own_folder(run, str(deep)) == deep / "sounds"
    (tmp_path / "new").mkdir()
    assert find_own_folder(run, str(tmp_path / "new")) == tmp_path / "new"
    assert choose_source(run, str(deep)) == str(deep)
    with pytest.raises(RunError, match="no sounds can be added to 'fsdd': set data_source to the"):
        find_own_folder(run, "fsdd")


def test_a_later_take_gets_a_later_number_whatever_lies_beside_it(tmp_path):
    keep_take(tmp_path, [0.5], 8_000)
    (tmp_path / "take-0007.wav").touch()
    (tmp_path / "take-9.wav").touch()
    assert keep_take(tmp_path, [0.5], 8_000) == tmp_path / "take-0008.wav"


def test_nothing_uploaded_is_told_and_leaves_nothing(upload, run):
    with pytest.raises(RunError, match=r"nothing was uploaded: choose .* or set upload = False"):
        upload(run.recordings, "dog")
    assert not run.recordings.exists()


@pytest.mark.parametrize("name", ["", "  ", ".hidden", "a/b", "..", "x" * 300])
def test_a_name_that_no_class_can_have_is_refused_before_a_sound_is_kept(upload, run, name):
    with pytest.raises(ConfigError, match='own_class must name a class, such as "dog"'):
        upload(run.recordings, name, a_wav=b"first")
    assert not run.recordings.exists()


def test_without_a_class_it_is_said_beforehand_that_only_an_archive_will_do(upload, run, capsys):
    with pytest.raises(ConfigError):
        upload(run.recordings, "", a_wav=b"first")
    assert "own_class is empty: upload an archive with a folder for each" in capsys.readouterr().out


def test_an_archive_without_sounds_is_refused(upload, run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").touch()
    content = zip_folder(tmp_path / "notes", tmp_path / "notes.zip").read_bytes()
    with pytest.raises(SourceError, match="holds no audio"):
        upload(run.recordings, "dog", notes_zip=content)


def test_where_nobody_can_be_asked_it_is_said_where_files_go(tmp_path, capsys):
    upload_sounds(tmp_path / "recordings", "dog")
    told = capsys.readouterr().out
    assert "upload and record need Colab" in told and str(tmp_path / "recordings") in told


def test_where_drive_is_refused_no_folder_is_made_in_its_place(colab, tmp_path):
    with pytest.raises(RunError, match="Drive was not mounted"):
        keep_take(tmp_path / "drive" / "MyDrive" / "sounds" / "dog", [0.5], 8_000)
    assert not (tmp_path / "drive").exists()


def test_a_full_disk_is_told_and_holds_no_half_of_a_take(tmp_path):
    with files_of_at_most(50), pytest.raises(RunError, match="cannot be written to .*: make room"):
        keep_take(tmp_path, [0.5] * 100, 8_000)
    assert not list(tmp_path.iterdir())
