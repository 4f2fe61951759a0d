"""Google Colab: whether this is it, and its Drive."""

import os
import sys
from pathlib import Path

DRIVE = Path("/content/drive")
COLAB_HOSTNAME = Path(
    "/var/colab/hostname"
)  # Kaggle sets Colab's environment variables too, but has no such file


class RunError(RuntimeError):
    """A run folder or a machine that is not ready; the message says what to do first."""


def in_colab() -> bool:
    """Whether this is a Colab runtime."""
    return COLAB_HOSTNAME.exists()


def mount_drive() -> Path:
    """Google Drive's folder `MyDrive`, mounted if it is not yet. Raises RunError where that cannot be."""
    my_drive = DRIVE / "MyDrive"
    if os.path.ismount(DRIVE) or (
        not in_colab() and os.path.isdir(my_drive)
    ):  # on Colab a mere folder is no Drive
        return my_drive
    if not in_colab():
        raise RunError(
            "use_drive=True works on Colab only: set it to False and give run_dir as a local folder"
        )
    if not _has_frontend():
        raise RunError(
            "Drive cannot be mounted without a person to allow it: mount it first, or use_drive=False"
        )
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
    except Exception as error:  # google.colab raises whatever its frontend says
        raise RunError(
            f"Drive was not mounted ({error}): allow it when asked, move away what may lie in {DRIVE}, or set "
            "use_drive=False and keep the run here, where it is lost with the machine"
        ) from error
    return my_drive


def _has_frontend() -> bool:
    """Whether somebody sits before the notebook; papermill and nbval allow no questions."""
    from IPython import get_ipython

    shell = get_ipython()
    asks = getattr(getattr(shell, "kernel", None), "_allow_stdin", False)
    return bool(asks) and "google.colab" in sys.modules
