"""A machine that fails: a process to be killed, a disk that is full."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

from helpers.files import PROJECT


def in_a_child(work) -> int:
    """Do some work in a process of its own, forked; its number."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


@contextlib.contextmanager
def files_of_at_most(n_bytes: int):
    """As on a disk that is full: the system refuses whatever makes a file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def on_a_disk_of(size: str, place: Path, program: str, *arguments) -> subprocess.CompletedProcess:
    """Run a text of Python on a small disk of its own; skips where none can be mounted."""
    place.mkdir()
    script = 'mount -t tmpfs -o "size=$0" tmpfs "$1" && shift && exec "$@"'
    mount = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*mount, size, place, "true"], check=False).returncode
    ):
        pytest.skip("no disk can be mounted here")
    command = [*mount, size, place, sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
