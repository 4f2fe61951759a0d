"""What people paste as a source means what they meant, or is refused with what to give instead."""

import os

import pytest

from helpers.data.archives import SourceError
from helpers.data.source_names import understand_source


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("kit", "kit"),
        ("Kit", "kit"),
        (" FSDD\n", "fsdd"),
        ('"/data/my sounds"', "/data/my sounds"),
        ("'/data/my sounds' ", "/data/my sounds"),
        ("“/data/sounds”", "/data/sounds"),
        ("/data/sounds\n", "/data/sounds"),
        ("file:///data/my%20sounds", "/data/my sounds"),
        ("file://localhost/data/sounds", "/data/sounds"),
        ("~/sounds", "/home/me/sounds"),
        ("$HOME/sounds", "/home/me/sounds"),
        ("sounds/dogs.zip", "sounds/dogs.zip"),
        ("https://host.org/a%20b.tar.gz?raw=1", "https://host.org/a%20b.tar.gz?raw=1"),
        ("", ""),
    ],
)
def test_what_is_pasted_is_understood(pasted, meant, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert understand_source(pasted) == meant


@pytest.mark.parametrize("name", ["Kit", "'quoted'", " blank", "$HOME", "C:\\sounds"])
def test_what_exists_is_taken_as_it_is_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir(name)
    assert understand_source(name) == name


@pytest.mark.parametrize(
    ("pasted", "why"),
    [
        ("https://drive.google.com/drive/folders/1abc?usp=sharing", "use_drive = True and give"),
        ("https://freesound.org/people/me/packs/1", "a page, not of an archive.*ends in one of"),
        (r"C:\Users\me\sounds", "path on Windows.*copy the folder here"),
        ("d:/sounds", "path on Windows"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_what_to_give(pasted, why):
    with pytest.raises(SourceError, match=why):
        understand_source(pasted)
