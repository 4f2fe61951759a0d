"""One job at a time beside training, on a thread of its own: pictures and checkpoints do not hold it up."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

NICENESS = 5
PATIENCE_S = 1e-4  # of training with Python's lock: at its usual 5 ms, drawing a picture holds up every small call


class SideThread:
    """Does jobs in the order in which they come; a job's error is raised by the next call of this class."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(1, "background", initializer=_stand_back)
        self.jobs: list[Future] = []
        self.usual_patience_s = sys.getswitchinterval()
        sys.setswitchinterval(PATIENCE_S)

    def start(self, job: Callable, *arguments) -> None:
        """Do `job(*arguments)` when those before it are done."""
        self.check()
        self.jobs.append(self.pool.submit(job, *arguments))

    def check(self) -> None:
        """Raise what a finished job has raised."""
        done, self.jobs = (
            [job for job in self.jobs if job.done()],
            [job for job in self.jobs if not job.done()],
        )
        for job in done:
            job.result()

    def idle(self) -> bool:
        """Whether nothing is being done."""
        return all(job.done() for job in self.jobs)

    def finish(self) -> None:
        """Wait until all jobs are done."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job.result()

    def close(self) -> None:
        """Wait, and end the thread; errors of jobs that nobody asked for are dropped."""
        self.pool.shutdown()
        sys.setswitchinterval(self.usual_patience_s)


def _stand_back() -> None:
    """Leave the cores to training: one thread for sums, and on Linux, where threads have one, a lower priority."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
