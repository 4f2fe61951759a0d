"""One job at a time beside training, on a thread of its own: pictures and checkpoints do not hold it up."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch


class Background:
    """Does jobs in the order in which they come; a job's error is raised by the next call of this class."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(1, "background", initializer=torch.set_num_threads, initargs=(1,))
        self.jobs: list[Future] = []

    def start(self, job: Callable, *arguments) -> None:
        """Do `job(*arguments)` when those before it are done."""
        self.check()
        self.jobs.append(self.pool.submit(job, *arguments))

    def check(self) -> None:
        """Raise what a finished job has raised."""
        done, self.jobs = [job for job in self.jobs if job.done()], [job for job in self.jobs if not job.done()]
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
