"""Google Drive, against a stand-in for google.colab: asked for once, and only of a person."""

import pytest

from helpers.run import colab as runtime
from helpers.run.colab import RunError, mount_drive, require_drive


def test_drive_is_asked_for_once(colab, tmp_path):
    for _ in range(2):
        assert mount_drive() == ""
        require_drive()
    assert colab == [str(tmp_path / "drive")]


def test_drive_is_never_mounted_without_a_person(colab, monkeypatch):
    monkeypatch.setattr(runtime, "_has_frontend", lambda: False)
    assert mount_drive() == "no person is there to allow it"
    assert colab == []


def test_drive_that_is_refused_by_its_owner_says_what_else_can_be_done(colab):
    assert mount_drive() == "mount failed"
    with pytest.raises(
        RunError,
        match=r"Drive was not mounted \(mount failed\): allow it when asked, "
        r".* or give run_dir as a folder of this machine",
    ):
        require_drive()
    assert len(colab) == 2


def test_a_folder_in_the_place_of_drive_is_not_taken_for_drive(colab, tmp_path):
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    with pytest.raises(
        RunError, match=r"must not already contain files\): .*move away what may lie in .*drive"
    ):
        require_drive()
    assert len(colab) == 1, "Drive is to be mounted"


def test_a_folder_in_the_place_of_drive_serves_off_colab(colab, tmp_path):
    (tmp_path / "hostname").unlink()
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    assert mount_drive() == "" and colab == []


def test_drive_is_not_there_off_colab():
    assert mount_drive() == "this machine is not Colab's"


def test_frontend_is_not_found_outside_a_notebook():
    assert not runtime._has_frontend()
