"""Google Colab: whether the code runs there, and the Drive of its user."""

import os
import sys
from pathlib import Path

DRIVE = Path("/content/drive")
COLAB_HOSTNAME = Path("/var/colab/hostname")  # Kaggle sets Colab's variables, but lacks this file


class RunError(RuntimeError):
    """A run folder or a machine that is not ready; the message says what to do first."""


def in_colab() -> bool:
    """Whether this machine is one of Colab's."""
    return COLAB_HOSTNAME.exists()


def mount_drive() -> str:
    """Mount Google Drive, if it is not yet there. Returns why it is not there, or ""."""
    if os.path.ismount(DRIVE):
        return ""
    if not in_colab():  # in Colab, a folder that is not mounted is not Drive
        return "" if os.path.isdir(DRIVE / "MyDrive") else "this machine is not Colab's"
    if not _has_frontend():
        return "no person is there to allow it"
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except Exception as error:  # google.colab raises whatever its frontend says
        return str(error)
    return ""


def require_drive() -> None:
    """Mount Google Drive, if it is not yet there. Raises RunError where that fails."""
    if why := mount_drive():
        raise RunError(
            f"Drive was not mounted ({why}): allow it when asked, move away what may lie in "
            f"{DRIVE}, or give run_dir as a folder of this machine"
        )


def _has_frontend() -> bool:
    """Whether a person can answer questions; papermill and nbval allow none."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False)) and "google.colab" in sys.modules
