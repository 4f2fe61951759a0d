"""Work in a process of its own, to be killed."""

import os

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
