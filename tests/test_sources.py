import io
import os
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers import sources
from helpers.audio import write_wav
from helpers.sources import SourceError, find_class_folder, list_audio, open_source, recognise_holdout

TONE = np.sin(np.arange(800) * 0.3).astype(np.float32)


def make_sounds(folder: Path, *names: str) -> Path:
    for name in names:
        write_wav(folder / name, TONE, 8_000)
    return folder


def zip_folder(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(folder.rglob("*")):
            opened.write(file, file.relative_to(folder))
    return archive


def relative(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in list_audio(folder)]


# --- the class folder -------------------------------------------------------------------------------------


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
    assert find_class_folder(tmp_path) == tmp_path / expected


def test_a_folder_without_audio_beside_the_classes_does_not_matter(tmp_path):
    make_sounds(tmp_path, "set/dog/1.wav", "set/rain/1.wav")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "read me.txt").write_text("hello")
    assert find_class_folder(tmp_path) == tmp_path / "set"


def test_folder_without_audio_says_how_many_files_were_seen(tmp_path):
    (tmp_path / "dog").mkdir()
    for name in ("1.txt", "2.m4a"):
        (tmp_path / "dog" / name).write_text("x")
    with pytest.raises(SourceError, match=r"2 files were looked at.*\.wav, \.flac"):
        find_class_folder(tmp_path)


def test_audio_without_class_folders(tmp_path):
    make_sounds(tmp_path, "1.wav", "2.wav")
    with pytest.raises(SourceError, match="2 audio files but no class folders: put each class's files in"):
        find_class_folder(tmp_path)


def test_loose_audio_beside_class_folders_is_left_out_with_a_warning(tmp_path):
    make_sounds(tmp_path, "0_ann_0.wav", "dog/1.wav")
    with pytest.warns(UserWarning, match="1 audio files beside the class folders"):
        assert find_class_folder(tmp_path) == tmp_path


def test_links_are_followed_but_not_in_circles(tmp_path):
    elsewhere = make_sounds(tmp_path / "elsewhere", "1.wav")
    folder = make_sounds(tmp_path / "set", "dog/1.wav")
    (folder / "rain").symlink_to(elsewhere)
    (folder / "dog" / "back").symlink_to(folder)
    assert relative(folder) == ["dog/1.wav", "rain/1.wav"]


# --- folders, the kit and wrong sources -------------------------------------------------------------------


def test_open_folder_where_it_lies(tmp_path, monkeypatch):
    make_sounds(tmp_path / "my sounds", "dog/1.wav", "rain/1.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    source = open_source("~/my sounds", tmp_path / "work")
    assert source == sources.Source("my sounds", tmp_path / "my sounds", "")
    assert not (tmp_path / "work").exists()


def test_kit(tmp_path):
    seen = []
    source = open_source("kit", tmp_path, kit_clips=20, progress=lambda items, **_: seen.append(1) or items)
    assert source.name == "kit" and source.holdout == "" and seen
    assert len(list_audio(source.folder)) == 20
    assert source.folder != open_source("kit", tmp_path, kit_clips=20, seed=1).folder


def test_known_name_wins_unless_written_as_a_path(tmp_path, monkeypatch):
    make_sounds(tmp_path / "kit", "dog/1.wav")
    monkeypatch.chdir(tmp_path)
    assert open_source("./kit", tmp_path / "work").folder == tmp_path / "kit"
    assert open_source("kit", tmp_path / "work", kit_clips=20).folder != tmp_path / "kit"


@pytest.mark.parametrize("source", ["no such folder", "", "a\0b", "x" * 5000, "~nobody-of-this-name/x"])
def test_missing_source_names_what_there_is(tmp_path, source):
    with pytest.raises(SourceError, match=r"no folder or archive.*kit, fsdd, esc50, speech_commands"):
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
        find_class_folder(tmp_path / name)


# --- archives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".zip", ".ZIP", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".Tar.GZ"])
def test_archives(tmp_path, suffix):
    names = ["dog/a b.wav", "dog/🥁.wav", "<script>alert(1)</script>/1.wav".replace("</", "<"), "rain/é.wav"]
    folder = make_sounds(tmp_path / "in" / "wrapped", *names).parent
    archive = tmp_path / f"my set{suffix}"
    if suffix.lower() == ".zip":
        zip_folder(folder, archive)
    else:
        kind = suffix.lower().rsplit(".")[-1].replace("tgz", "gz").replace("tar", "")
        with tarfile.open(archive, f"w:{kind}") as opened:
            opened.add(folder / "wrapped", "wrapped")
    source = open_source(str(archive), tmp_path / "work", stage=True)
    assert source.name == "my set" and source.folder.name == "wrapped"
    assert relative(source.folder) == sorted(names)


def test_second_call_opens_at_once_and_a_changed_archive_anew(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/1.wav"), tmp_path / "set.zip")
    calls = []

    def progress(items, total, desc):
        calls.append((total, desc))
        return items

    first = open_source(str(archive), tmp_path / "work", progress=progress)
    assert open_source(str(archive), tmp_path / "work", progress=progress) == first
    assert calls == [(1, "Extracting set.zip")]
    zip_folder(make_sounds(tmp_path / "in", "rain/1.wav"), archive)
    assert relative(open_source(str(archive), tmp_path / "work").folder) == ["dog/1.wav", "rain/1.wav"]


def test_interrupted_extraction_leaves_nothing_that_looks_finished(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/1.wav", "dog/2.wav"), tmp_path / "set.zip")

    def interrupt(items, total, desc):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_source(str(archive), tmp_path / "work", progress=interrupt)
    assert list((tmp_path / "work").iterdir()) == []
    assert len(list_audio(open_source(str(archive), tmp_path / "work").folder)) == 2


def test_what_a_killed_extraction_left_is_replaced(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/1.wav"), tmp_path / "set.zip")
    target = open_source(str(archive), tmp_path / "work").folder
    target.rename(target.with_name(target.name + ".partial"))
    make_sounds(target.with_name(target.name + ".partial"), "dog/stale.wav")
    assert relative(open_source(str(archive), tmp_path / "work").folder) == ["dog/1.wav"]


@pytest.mark.parametrize(
    "name", ["../evil.wav", "dog/../../evil.wav", "/evil.wav", "C:\\evil.wav", "dog\\..\\evil.wav"]
)
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_members_that_lead_out_are_refused(tmp_path, name, suffix):
    archive = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("dog/1.wav", b"x")
            opened.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w") as opened:
            opened.addfile(tarfile.TarInfo("dog/1.wav"))
            opened.addfile(tarfile.TarInfo(name))
    with pytest.raises(SourceError, match="evil.wav.*leads out of its folder"):
        open_source(str(archive), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == [] and not list(tmp_path.glob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path, kind):
    member = tarfile.TarInfo("dog/link.wav")
    member.type, member.linkname = kind, "1.wav"
    with tarfile.open(tmp_path / "set.tar", "w") as opened:
        opened.addfile(tarfile.TarInfo("dog/1.wav"))
        opened.addfile(member)
    with pytest.raises(SourceError, match="'dog/link.wav'.*is a link or a device"):
        open_source(str(tmp_path / "set.tar"), tmp_path / "work")


def test_link_in_zip_is_refused(tmp_path):
    member = zipfile.ZipInfo("dog/link.wav")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr(member, "/etc/passwd")
    with pytest.raises(SourceError, match="'dog/link.wav'.*is a link or a device"):
        open_source(str(tmp_path / "set.zip"), tmp_path / "work")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "flipped"])
def test_damaged_archives(tmp_path, suffix, damage):
    archive = tmp_path / f"set{suffix}"
    folder = tmp_path / "in" / "dog"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).bytes(20_000)
    (folder / "1.wav").write_bytes(noise)
    if suffix == ".zip":
        zip_folder(folder.parent, archive)
    else:
        with tarfile.open(archive, f"w:{suffix[5:]}") as opened:
            opened.add(folder, "dog")
    data = bytearray(archive.read_bytes())
    if damage == "flipped":
        if suffix == ".tar":
            pytest.skip("a plain tar has no checksum of its contents")
        data[9_000] ^= 0xFF
    archive.write_bytes({"cut": data[:9_000], "noise": noise, "empty": b"", "flipped": data}[damage])
    with pytest.raises(SourceError, match="damaged or incomplete"):
        open_source(str(archive), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_encrypted_zip(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/1.wav"), tmp_path / "set.zip")
    data = archive.read_bytes()
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"dog/1.wav")) + 8  # flags, in the central directory
    archive.write_bytes(data[:at] + bytes([data[at] | 1]) + data[at + 1 :])
    with pytest.raises(SourceError, match="is encrypted"):
        open_source(str(archive), tmp_path / "work")


def unflagged_zip(archive: Path, raw_name: bytes, flag: int = 0) -> Path:
    """A zip with one sound whose name is raw_name, said to be UTF-8 only if flag is 0x08 (of the high byte)."""
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("X" * len(raw_name), write_wav(archive.with_suffix(".wav"), TONE, 8_000).read_bytes())
    data = archive.read_bytes().replace(b"X" * len(raw_name), raw_name)
    at = data.rindex(b"PK\x01\x02") + 9
    archive.write_bytes(data[:at] + bytes([flag]) + data[at + 1 :])
    return archive


def test_zip_with_names_in_utf8_that_does_not_say_so(tmp_path):
    archive = unflagged_zip(tmp_path / "set.zip", "chouette/hibou é.wav".encode())
    assert relative(open_source(str(archive), tmp_path / "work").folder) == ["chouette/hibou é.wav"]


def test_zip_with_names_in_code_page_437(tmp_path):
    archive = unflagged_zip(tmp_path / "set.zip", "été/1.wav".encode("cp437"))
    assert relative(open_source(str(archive), tmp_path / "work").folder) == ["été/1.wav"]


def test_zip_with_names_that_are_not_what_they_say(tmp_path):
    archive = unflagged_zip(tmp_path / "set.zip", b"dog/\xff\xfe.wav", flag=0x08)
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(str(archive), tmp_path / "work")


def test_zip_with_backslashes_from_windows(tmp_path):
    member = zipfile.ZipInfo("dog-1.wav")
    member.create_system = 0
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr(member, b"x")
    archive = tmp_path / "set.zip"
    archive.write_bytes(archive.read_bytes().replace(b"dog-1.wav", b"dog\\1.wav"))
    assert relative(open_source(str(archive), tmp_path / "work").folder) == ["dog/1.wav"]


def test_tar_with_a_name_that_is_not_utf8(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w", format=tarfile.GNU_FORMAT) as opened:
        member = tarfile.TarInfo(os.fsdecode(b"dog/caf\xe9.wav"))
        member.size = 1
        opened.addfile(member, io.BytesIO(b"x"))
    source = open_source(str(tmp_path / "set.tar"), tmp_path / "work", stage=True)
    assert [os.fsencode(file.name) for file in list_audio(source.folder)] == [b"caf\xe9.wav"]


# --- staging ----------------------------------------------------------------------------------------------


def test_staging_copies_audio_once_and_then_what_changed(tmp_path, monkeypatch):
    folder = make_sounds(tmp_path / "drive" / "set", "dog/1.wav", "dog/deep/2.wav", "rain/1.wav")
    (folder / "dog" / "notes.txt").write_text("x")
    copied, copyfile = [], sources.shutil.copyfile
    monkeypatch.setattr(sources.shutil, "copyfile", lambda a, b: copied.append(a.name) or copyfile(a, b))
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
    assert (source.folder / "dog/deep/2.wav").read_bytes() == (folder / "dog/deep/2.wav").read_bytes()


def test_staging_knows_folders_of_one_name_apart(tmp_path):
    for parent in ("a", "b"):
        make_sounds(tmp_path / parent / "set", f"dog/{parent}.wav")
    folders = [open_source(str(tmp_path / p / "set"), tmp_path / "work", stage=True).folder for p in ("a", "b")]
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
    with pytest.raises(SourceError, match="5 of 5 files.*'0.wav', '1.wav', '2.wav', .*not connected"):
        open_source(str(folder), tmp_path / "work", stage=True)


# --- splits that data sets bring along --------------------------------------------------------------------


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
    assert open_source(str(zip_folder(folder, tmp_path / "a.zip")), tmp_path / "work").holdout == "*_[0-4].wav"
