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

    The files that the person uploads are google.colab.files.chosen, contents by their names.
    Those that are sent to the person are google.colab.files.downloaded, contents by their names.
    What the page makes of a script is google.colab.output.page(script).
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

    def upload(target_dir=""):
        for name, content in files.chosen.items():
            Path(target_dir, name).write_bytes(content)
        return dict(files.chosen)

    def download(filename):
        if not Path(filename).exists():
            raise FileNotFoundError(f"Cannot find file: {filename}")
        files.downloaded[Path(filename).name] = Path(filename).read_bytes()

    def eval_js(script, ignore_result=False, timeout_sec=None):
        return output.page(script)

    def enable_custom_widget_manager(version="5.0.0a"):
        """Colab then loads widgets' scripts that it does not bring along: anywidget asks for it."""

    package = types.ModuleType("google.colab")
    drive, files, output = (
        types.ModuleType(f"google.colab.{name}") for name in ("drive", "files", "output")
    )
    drive.mount = mount
    files.upload, files.chosen = upload, {}
    files.download, files.downloaded = download, {}
    output.eval_js, output.page = eval_js, lambda script: None
    output.enable_custom_widget_manager = enable_custom_widget_manager
    output._widgets = types.SimpleNamespace(_installed_url=None)  # anywidget reads it
    package.drive, package.files, package.output = drive, files, output
    for module in (package, drive, files, output):
        put(sys.modules, module.__name__, module)
    patch(colab, "DRIVE", mount_point)
    patch(colab, "COLAB_HOSTNAME", folder / "hostname")
    if person:
        patch(colab, "_has_frontend", lambda: True)
    patch(colab.os.path, "ismount", lambda path: bool(mounted) and path == mount_point)
    (folder / "hostname").write_text("colab")
    return calls
