"""A machine that looks like Colab, with the signatures of google.colab: in a test or a kernel."""

import operator
import sys
import types
from pathlib import Path

from helpers.run import colab


def install(
    folder: Path, refused=False, person=True, patch=setattr, put=operator.setitem
) -> list[str]:
    """Make this process think that it is in Colab, with Drive at folder/drive.

    What Google keeps is in folder/google until Drive is mounted. refused: the user does not allow
    that. person: somebody is there, whatever the kernel says. patch and put set an attribute and an
    entry. Returns the list of the mounts asked for.
    """
    calls, mounted, mount_point = [], [], folder / "drive"

    def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        calls.append(mountpoint)
        if refused:
            raise ValueError("mount failed")  # what google.colab says when access is not allowed
        if mount_point.exists():
            raise ValueError("Mountpoint must not already contain files")
        (folder / "google" / "MyDrive").mkdir(parents=True, exist_ok=True)
        (folder / "google").rename(mount_point)
        mounted.append(True)

    drive = types.ModuleType("google.colab.drive")
    drive.mount = mount
    package = types.ModuleType("google.colab")
    package.drive = drive
    put(sys.modules, "google.colab", package)
    put(sys.modules, "google.colab.drive", drive)
    patch(colab, "DRIVE", mount_point)
    patch(colab, "COLAB_HOSTNAME", folder / "hostname")
    if person:
        patch(colab, "_has_frontend", lambda: True)
    patch(colab.os.path, "ismount", lambda path: bool(mounted) and path == mount_point)
    (folder / "hostname").write_text("colab")
    return calls
