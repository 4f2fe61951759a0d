"""A machine that fails: a process to be killed, a disk that is full."""

import contextlib
import os
import resource

import torch


def in_a_child(work) -> int:
    """Do some work in a process of its own, forked; its number."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        work()
        os._exit(0)
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
