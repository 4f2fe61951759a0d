"""Shared by the tests of this wing: a machine that looks like Colab."""

import sys
import types

import pytest

from helpers.run import colab as runtime


@pytest.fixture
def colab(monkeypatch, tmp_path, request):
    """A machine that looks like Colab, with the signatures of google.colab; the mounts asked for.

    In a test with `refused` in its name, the user does not allow access to Drive.
    """
    calls, mounted, refused = [], [], "refused" in request.node.name

    def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        calls.append(mountpoint)
        if refused:
            raise ValueError("mount failed")  # what google.colab says when access is not allowed
        if (tmp_path / "drive").exists():
            raise ValueError("Mountpoint must not already contain files")
        (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
        mounted.append(True)

    drive = types.ModuleType("google.colab.drive")
    drive.mount = mount
    package = types.ModuleType("google.colab")
    package.drive = drive
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    monkeypatch.setattr(runtime, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(runtime, "COLAB_HOSTNAME", tmp_path / "hostname")
    monkeypatch.setattr(runtime, "_has_frontend", lambda: True)
    monkeypatch.setattr(
        runtime.os.path, "ismount", lambda path: bool(mounted) and path == tmp_path / "drive"
    )
    (tmp_path / "hostname").write_text("colab")
    return calls
