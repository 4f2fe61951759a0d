"""Jobs beside training, on a thread of their own: pictures and checkpoints do not hold it up."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

NICENESS = 5
SWITCH_INTERVAL_S = 1e-4  # Python's own 5 ms let a picture hold up every small call of training


class SideThread:
    """Does jobs one after another. A job's error is raised by the next call of this class.

    Sums on this thread use one core, whatever training uses: their last digits are always the same.
    """

    def __init__(self):
        self.pool = ThreadPoolExecutor(1, "side")
        self.jobs: list[Future] = []
        n_threads = torch.get_num_threads()
        self.pool.submit(_leave_cores_to_training).result()
        torch.set_num_threads(n_threads)  # what that thread has set counts for new threads, too
        self.switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)

    def __enter__(self) -> "SideThread":
        return self

    def __exit__(self, kind, *_) -> None:
        """Wait for the jobs; if the user wants to leave at once, drop those that wait and go."""
        at_once = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.pool.shutdown(wait=not at_once, cancel_futures=at_once)
        sys.setswitchinterval(self.switch_interval_s)

    def start(self, job: Callable, *arguments) -> None:
        """Do `job(*arguments)` when those before it are done."""
        self.check()
        self.jobs.append(self.pool.submit(job, *arguments))

    def check(self) -> None:
        """Raise what a finished job has raised."""
        done = [job for job in self.jobs if job.done()]
        self.jobs = [job for job in self.jobs if job not in done]
        for job in done:
            job.result()

    def idle(self) -> bool:
        """Whether nothing is being done."""
        return all(job.done() for job in self.jobs)

    def finish(self) -> None:
        """Wait until all jobs are done."""
        jobs = self.jobs
        self.jobs = []
        for job in jobs:
            job.result()


def _leave_cores_to_training() -> None:
    """One thread for sums, and on Linux, where a thread has one, a lower priority."""
    torch.get_num_threads()  # a thread takes the process's number at its first call
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
