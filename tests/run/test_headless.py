"""A notebook without a browser ends: also where a real kernel and its client lose each other."""

import time
from pathlib import Path

import nbformat
import papermill
import pytest
import zmq
from jupyter_client.session import Session
from nbclient.exceptions import DeadKernelError

from helpers.run import headless
from helpers.run.headless import IDLE, NotHeardError, WatchedClient, execute_notebook

LOSE_THE_NEXT_REPLY = """
kernel = get_ipython().kernel
send = kernel.session.send

def lose(stream, kind, content=None, *args, **more):
    if kind != "execute_reply":
        return send(stream, kind, content, *args, **more)
    kernel.session.send = send
    return kernel.session.msg(kind, content)

kernel.session.send = lose
"""
ONCE = "from pathlib import Path\nfirst = not Path('been').exists()\nPath('been').touch()\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(headless, "ANSWERS", 4)
    monkeypatch.setattr(headless, "PERIOD_S", 0.2)


@pytest.fixture
def run(tmp_path):
    """A function that executes cells with this code; what they print and what was told of it."""

    def execute(*sources: str) -> tuple[str, list[str]]:
        cells = [nbformat.v4.new_code_cell("x = 0", metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "some.ipynb")
        done = execute_notebook(tmp_path / "some.ipynb", tmp_path / "out.ipynb", {}, told.append)
        outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs), told

    told = execute.told = []
    return execute


def test_a_reply_that_is_lost_once_starts_the_notebook_once_more_and_is_said(run):
    lose_once = ONCE + "if first:" + LOSE_THE_NEXT_REPLY.replace("\n", "\n    ")
    printed, told = run(lose_once, "print('the end')")
    assert printed == "the end\n"
    assert told == [f"some: {IDLE}. It is started once more."]


def test_a_reply_that_is_lost_twice_ends_with_one_clear_error(run):
    with pytest.raises(NotHeardError, match=f"{IDLE}, twice: run it again when"):
        run(LOSE_THE_NEXT_REPLY, "print('the end')")
    assert len(run.told) == 1


def test_an_output_that_is_lost_is_noticed_too(run):
    """The kernel's word on iopub that the cell has ended, after which no output can come."""
    idle = "content == {'execution_state': 'idle'} and 'execute_request' in str(more)"
    lose = LOSE_THE_NEXT_REPLY.replace('kind != "execute_reply"', f"not ({idle})")
    lose_once = ONCE + "if first:" + lose.replace("\n", "\n    ")
    printed, told = run(lose_once, "print('the end')")
    assert printed == "the end\n" and len(told) == 1


@pytest.mark.parametrize(
    "silent",
    [
        "import time; time.sleep(4)",
        "import asyncio; await asyncio.sleep(4)",
        "import time; begun = time.monotonic()\nwhile time.monotonic() < begun + 4: pass",
    ],
)
def test_a_cell_that_computes_in_silence_is_not_cut(run, silent):
    begun = time.monotonic()
    assert run(silent, "print('the end')") == ("the end\n", [])
    assert time.monotonic() - begun > 4 > 2 * headless.ANSWERS * headless.PERIOD_S


def test_no_two_requests_have_the_same_number(run, monkeypatch):
    """Or what the kernel says of a question would pass for what it says of a cell."""
    sent, send = [], Session.send

    def note(self, *args, **kwargs):
        message = send(self, *args, **kwargs)
        if message["msg_type"] in ("execute_request", "kernel_info_request"):
            sent.append((message["msg_type"], message["msg_id"]))
        return message

    monkeypatch.setattr(Session, "send", note)
    run("import time; time.sleep(2)")
    kinds, numbers = zip(*sent, strict=True)
    assert set(kinds) == {"execute_request", "kernel_info_request"}
    assert len(set(numbers)) == len(numbers)


WAIT_FOR_THE_CLIENT = """
from pathlib import Path
from time import sleep
while not Path("waits").exists():
    sleep(0.01)
"""


@pytest.fixture
def overlooking(monkeypatch, tmp_path):
    """A client whose socket is read beside it until the reply is there: pyzmq then sleeps on."""
    process = WatchedClient.process_message

    def overlook(self, msg, *args, **kwargs):
        if msg["msg_type"] == "execute_input" and "waits" in msg["content"]["code"]:
            (tmp_path / "waits").touch()
            assert zmq.Socket.shadow(self.kc.shell_channel.socket.underlying).poll(60_000)
            (tmp_path / "waits").unlink()
        return process(self, msg, *args, **kwargs)

    monkeypatch.setattr(WatchedClient, "process_message", overlook)


def test_a_reply_that_is_overlooked_is_found(run, overlooking):
    assert run(WAIT_FOR_THE_CLIENT, "print('the end')") == ("the end\n", [])


def test_without_waking_it_would_be_waited_for(run, overlooking, monkeypatch):
    monkeypatch.setattr(WatchedClient, "wake", lambda self: None)
    with pytest.raises(NotHeardError, match="twice"):
        run(WAIT_FOR_THE_CLIENT, "print('the end')")


def test_cells_that_fill_an_output_widget_end(run):
    """Nbclient stands in for the browser and sends while it waits: the cause of what is watched."""
    fill = "with out:\n    for text in 'ab': display(HTML(100_000 * text))"
    cells = ["import ipywidgets; from IPython.display import HTML, display"]
    cells += [f"out = ipywidgets.Output()\n{fill}\nout"] * 15
    assert run(*cells, "print('the end')") == ("the end\n", [])


def test_a_kernel_that_dies_and_a_cell_that_fails_are_told_from_it_and_not_tried_again(run):
    with pytest.raises(DeadKernelError):
        run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(papermill.PapermillExecutionError, match="no tea"):
        run("raise ValueError('no tea')")
    assert run.told == []


def test_a_kernel_that_does_not_start_is_tried_again(run, monkeypatch):
    start, starts = WatchedClient.start_new_kernel_client, []

    def late(self):
        starts.append(self)
        if len(starts) == 1:
            self._cleanup_kernel()
            raise RuntimeError("Kernel didn't respond in 600 seconds")
        return start(self)

    monkeypatch.setattr(WatchedClient, "start_new_kernel_client", late)
    printed, told = run("print('the end')")
    assert printed == "the end\n"
    assert told == [
        "some: the kernel did not start: Kernel didn't respond in 600 seconds. "
        "It is started once more."
    ]


def test_the_outputs_so_far_are_kept(run, tmp_path):
    with pytest.raises(NotHeardError):
        run("print('so far')", LOSE_THE_NEXT_REPLY, "print('the end')")
    assert "so far" in Path(tmp_path / "out.ipynb").read_text()
