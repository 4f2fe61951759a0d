"""Archives: every kind, damaged ones, names of every sort, and those that are made to do harm."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from making import TONE, make_sounds, relative, zip_folder

from helpers.data import archives
from helpers.data.archives import SourceError, extract_archive
from helpers.data.sources import open_source
from helpers.sound.audio_files import write_wav


@pytest.mark.parametrize(
    "suffix", [".zip", ".ZIP", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".Tar.GZ"]
)
def test_archives(tmp_path, suffix):
    names = [
        "dog/a b.wav",
        "dog/🥁.wav",
        "<script>alert(1)</script>/1.wav".replace("</", "<"),
        "rain/é.wav",
    ]
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
    assert relative(open_source(str(archive), tmp_path / "work").folder) == [
        "dog/1.wav",
        "rain/1.wav",
    ]


def test_interrupted_extraction_leaves_nothing_that_looks_finished(tmp_path):
    archive = zip_folder(
        make_sounds(tmp_path / "in", "dog/1.wav", "dog/2.wav"), tmp_path / "set.zip"
    )

    def interrupt(items, total, desc):
        yield next(iter(items))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_source(str(archive), tmp_path / "work", progress=interrupt)
    assert list((tmp_path / "work").iterdir()) == []
    assert len(relative(open_source(str(archive), tmp_path / "work").folder)) == 2


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


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
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
    archive.write_bytes(
        {"cut": data[:9_000], "noise": noise, "empty": b"", "flipped": data}[damage]
    )
    with pytest.raises(SourceError, match="damaged or incomplete"):
        open_source(str(archive), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_zip_with_a_member_without_a_name(tmp_path):
    """Found by fuzzing: zipfile itself fails on it."""
    archive = tmp_path / "s.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a/1.wav", b"content")
        opened.writestr(zipfile.ZipInfo(""), b"content")
    with pytest.raises(SourceError, match="a member without a name: it is damaged"):
        extract_archive(archive, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_encrypted_zip(tmp_path):
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/1.wav"), tmp_path / "set.zip")
    data = archive.read_bytes()
    at = (
        data.rindex(b"PK\x01\x02", 0, data.rindex(b"dog/1.wav")) + 8
    )  # flags, in the central directory
    archive.write_bytes(data[:at] + bytes([data[at] | 1]) + data[at + 1 :])
    with pytest.raises(SourceError, match="is encrypted"):
        open_source(str(archive), tmp_path / "work")


def unflagged_zip(archive: Path, raw_name: bytes, flag: int = 0) -> Path:
    """A zip with one sound named raw_name, said to be UTF-8 only if flag is 0x08."""
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(
            "X" * len(raw_name), write_wav(archive.with_suffix(".wav"), TONE, 8_000).read_bytes()
        )
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


@pytest.mark.parametrize("system", [0, 3])  # some tools of Windows say that they are of Unix
def test_zip_with_backslashes_from_windows(tmp_path, system):
    member = zipfile.ZipInfo("dog-1.wav")
    member.create_system = system
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
    assert [os.fsencode(name) for name in relative(source.folder)] == [b"dog/caf\xe9.wav"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_made_to_fill_a_disk_is_refused_before_it_does(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 10_000)
    bomb, content = tmp_path / f"bomb{suffix}", bytes(5_000_000)
    if suffix == ".zip":
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("a/1.wav", content)
    else:
        with tarfile.open(bomb, "w:gz") as opened:
            member = tarfile.TarInfo("a/1.wav")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    with pytest.raises(SourceError, match="more than 200 times its size.*extract it yourself"):
        extract_archive(bomb, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_an_archive_that_lies_about_its_sizes_fills_no_disk_either(tmp_path):
    """The directory of the zip says ten bytes, the content goes on for a million."""
    archive = tmp_path / "liar.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/1.wav", bytes(1_000_000))
    raw, size = archive.read_bytes(), (1_000_000).to_bytes(4, "little")
    archive.write_bytes(raw.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(SourceError, match="damaged or incomplete"):
        extract_archive(archive, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_too_many_members_and_too_little_room_are_refused(tmp_path, monkeypatch):
    archive = zip_folder(
        make_sounds(tmp_path / "sounds", "a/1.wav", "a/2.wav", "b/1.wav"), tmp_path / "s.zip"
    )
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(SourceError, match="holds more than 2 files"):
        extract_archive(archive, tmp_path / "work")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    monkeypatch.setattr(archives, "KEPT_FREE_BYTES", 2**60)
    with pytest.raises(SourceError, match="only 0 MiB are free: make room"):
        extract_archive(archive, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
