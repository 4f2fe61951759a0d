"""Notebooks without a browser: papermill, with a watch on a client that waits for an idle kernel.

A client of a notebook waits for the kernel's word that a cell has ended. That word can get lost,
and papermill alone then waits for ever. The watch asks the kernel itself, as a second client, and
the kernel answers only when it runs no cell. So a cell may take any time and print nothing.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import papermill
import zmq
from nbclient.exceptions import DeadKernelError
from nbclient.util import ensure_async, run_sync
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

from helpers.files import PROJECT
from helpers.run.folder import RunFolder

KERNEL_DIED = "the kernel died, often for want of memory"
IDLE = "the kernel was idle, but its client still waited for the end of a cell"
ANSWERS = 15  # of an idle kernel, one after the other, before its client is given up
PERIOD_S = 1.0  # between two questions
LONGEST_START_S = 600
IOPUB_S = 86_400  # nbclient's bound on late outputs, 4 s, is too short on a busy machine
ENGINE = "watched"


class NotHeardError(RuntimeError):
    """A kernel and its client do not hear each other."""


class WatchedClient(PapermillNotebookClient):
    """A client that wakes where a message waits for it, and gives up where none will come."""

    answers, gave_up = 0, False

    def process_message(self, *args, **kwargs):
        """As papermill does; whatever comes from the cell begins the count of answers anew."""
        self.answers = 0
        return super().process_message(*args, **kwargs)

    def wake(self) -> None:
        """Look at each socket, so that whoever waits there gets a message that lies there already.

        A wait on a pyzmq socket overlooks what arrives while something else is sent on it, as
        nbclient does for an Output widget.
        """
        for channel in (self.kc.shell_channel, self.kc.iopub_channel):
            channel.socket.get(zmq.EVENTS)

    async def _async_poll_kernel_alive(self) -> None:
        """What nbclient runs beside each cell and cancels at its end: is the kernel dead, or idle?

        The second client asks for the kernel's description on the channel that brings it cells:
        it is answered only between cells.
        """
        alive = asyncio.ensure_future(super()._async_poll_kernel_alive())
        self.answers = 0
        try:
            await asyncio.sleep(PERIOD_S)  # most cells end before a second client is of use
            with contextlib.closing(self.km.connect_shell()) as second:
                while self.answers < ANSWERS:
                    # By the client's session: it gives no two messages the same number
                    self.kc.session.send(second, "kernel_info_request", {})
                    answered = False
                    while not answered:
                        await asyncio.sleep(PERIOD_S)
                        if alive.done():
                            return
                        self.wake()
                        answered = second.get(zmq.EVENTS) & zmq.POLLIN
                    await ensure_async(second.recv_multipart())
                    self.answers += 1
        finally:
            alive.cancel()
        self.gave_up = True
        self.task_poll_for_reply.cancel()

    async def async_wait_for_reply(self, msg_id: str, cell: NotebookNode | None = None):
        """As nbclient does, at the start and the end of a notebook; watched like a cell."""
        self.task_poll_for_reply = asyncio.ensure_future(super().async_wait_for_reply(msg_id, cell))
        watch = asyncio.ensure_future(self._async_poll_kernel_alive())
        try:
            return await self.task_poll_for_reply
        except asyncio.CancelledError:
            raise DeadKernelError("Kernel died") from None
        finally:
            watch.cancel()

    wait_for_reply = run_sync(async_wait_for_reply)


class WatchedEngine(NBClientEngine):
    """Papermill's own engine, with a client that is watched."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **options):
        """Execute a notebook; raises NotHeardError where kernel and client lost each other."""
        kept = {name: options[name] for name in ("stdout_file", "stderr_file")}
        kept |= {"startup_timeout": LONGEST_START_S, "iopub_timeout": IOPUB_S, "log": logger}
        client = WatchedClient(nb_man, kernel_name=kernel_name, **kept)
        try:
            client.execute()
            nb_man.nb.metadata.pop("widgets", None)  # large, and of no use without the kernel
        except DeadKernelError:
            if client.gave_up:
                raise NotHeardError(IDLE) from None
            raise
        except RuntimeError as error:  # of the kernel's start
            raise NotHeardError(f"the kernel did not start: {error}") from error


papermill_engines.register(ENGINE, WatchedEngine)


def _say(sentence: str) -> None:
    """Print a sentence where errors go."""
    print(sentence, file=sys.stderr, flush=True)


def execute_notebook(
    source: Path, target: Path, parameters: dict, tell: Callable[[str], None] = _say, **options
) -> NotebookNode:
    """Execute a notebook in its folder, a copy with all outputs in target, which is returned.

    Where kernel and client lost each other, the notebook is started once more, and tell gets a
    sentence. options are papermill's, for instance a stdout_file and a stderr_file for what cells
    print. Raises PapermillExecutionError for the error of a cell, DeadKernelError for a kernel
    that died, and NotHeardError if the second time was no better.
    """
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else every kernel warns of its debugger
    options = {"cwd": source.parent, "progress_bar": False, "engine_name": ENGINE} | options
    try:
        return papermill.execute_notebook(source, target, parameters, **options)
    except NotHeardError as error:
        tell(f"{source.stem}: {error}. It is started once more.")
    try:
        return papermill.execute_notebook(source, target, parameters, **options)
    except NotHeardError as error:
        raise NotHeardError(f"{error}, twice: run it again when the machine is less busy") from None


def execute(notebook: str, run: RunFolder, settings: dict, **streams) -> str:
    """Execute a notebook with these settings, its copy with all outputs in run.notebooks.

    streams may name a stdout_file and a stderr_file, which get what cells print, as they print it.
    Returns "" if it ended well, else why it did not: the error of a cell, KERNEL_DIED if the
    process that executed it ended, or that kernel and client lost each other twice. Raises
    KeyboardInterrupt if a person stopped it.
    """
    run.notebooks.mkdir(parents=True, exist_ok=True)
    name = f"{notebook}.ipynb"
    parameters = {"run_dir": str(run.root), **settings}
    try:
        execute_notebook(PROJECT / "notebooks" / name, run.notebooks / name, parameters, **streams)
    except papermill.PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return KERNEL_DIED
    except NotHeardError as error:
        return str(error)
    return ""
