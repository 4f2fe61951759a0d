"""Google Colab: whether the code runs there, and the Drive of its user."""

import os
import sys
from pathlib import Path

DRIVE = Path("/content/drive")
COLAB_HOSTNAME = Path("/var/colab/hostname")  # Kaggle sets Colab's variables, but lacks this file


class RunError(RuntimeError):
    """A run folder or a machine that is not ready; the message says what to do first."""


def mount_drive() -> Path:
    """The folder `MyDrive` of Google Drive, mounted if it is not yet; RunError if that fails."""
    my_drive, in_colab = DRIVE / "MyDrive", COLAB_HOSTNAME.exists()
    if os.path.ismount(DRIVE):
        return my_drive
    if not in_colab:
        if os.path.isdir(my_drive):  # in Colab, a folder that is not mounted is not Drive
            return my_drive
        raise RunError(
            "use_drive=True works on Colab only: set it to False and give run_dir as a local folder"
        )
    if not _has_frontend():
        raise RunError(
            "Drive cannot be mounted without a person to allow it: mount it first, "
            "or use_drive=False"
        )
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except Exception as error:  # google.colab raises whatever its frontend says
        raise RunError(
            f"Drive was not mounted ({error}): allow it when asked, move away what may lie in "
            f"{DRIVE}, or set use_drive=False and keep the run here, where it is lost with the "
            "machine"
        ) from error
    return my_drive


def _has_frontend() -> bool:
    """Whether a person can answer questions; papermill and nbval allow none."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False)) and "google.colab" in sys.modules
