"""Google Colab: whether the code runs there, its user's Drive, and its page in the browser."""

import os
import sys
import tempfile
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


def can_ask() -> bool:
    """Whether this is Colab, and a person is there who can upload files and press buttons."""
    return in_colab() and _has_frontend()


def upload_files() -> dict[str, bytes]:
    """Show Colab's upload button and wait for it: each file's content by its name.

    Where the person cancels, there are none. Raises RunError where the upload fails.
    """
    from google.colab import files

    try:
        with tempfile.TemporaryDirectory() as copies:  # Colab also writes each file to a folder
            uploaded = files.upload(copies)
    except Exception as error:  # google.colab raises whatever its frontend says
        raise RunError(f"the upload failed ({error}): run this cell again") from error
    return {Path(name).name: content for name, content in uploaded.items()}


def download_file(path: Path) -> None:
    """Send a file to the person's computer, as a download of their browser.

    Raises RunError where that fails.
    """
    from google.colab import files

    try:
        files.download(str(path))
    except Exception as error:  # google.colab raises whatever its frontend says
        raise RunError(f"the download failed ({error}): run this cell again") from error


def run_in_browser(script: str):
    """Run an expression of JavaScript in the notebook's page; returns its value, awaited.

    Raises RunError where the page cannot run it.
    """
    from google.colab import output

    try:
        return output.eval_js(script)
    except Exception as error:  # google.colab raises whatever its frontend says
        raise RunError(f"the page did not answer ({error}): run this cell again") from error


def _has_frontend() -> bool:
    """Whether a person can answer questions; papermill and nbval allow none."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False)) and "google.colab" in sys.modules
