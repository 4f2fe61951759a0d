"""Jobs beside training: in order, one at a time, their errors raised, nothing left behind."""

import sys
import threading
import time

import pytest
import torch

from helpers.train.side_thread import SideThread


@pytest.fixture
def side():
    with SideThread() as thread:
        yield thread


def test_jobs_are_done_in_order_on_another_thread(side):
    done, go = [], threading.Event()
    side.start(go.wait, 20)
    for number in range(5):
        job = lambda number: done.append((number, threading.current_thread().name))  # noqa: E731
        side.start(job, number)
    assert not side.idle() and done == []
    go.set()
    side.finish()
    assert side.idle()
    assert [number for number, _ in done] == list(range(5))
    assert {name for _, name in done} != {threading.current_thread().name}


def test_an_error_is_raised_by_the_next_call_once(side):
    side.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        side.finish()
    side.finish()
    side.start(lambda: 1 / 0)
    while not side.idle():
        pass
    with pytest.raises(ZeroDivisionError):
        side.check()
    side.check()


def test_it_adds_up_on_one_core_and_leaves_the_process_as_it_was(side):
    before, found = torch.get_num_threads(), []

    def add_up():
        torch.randn(300, 300) @ torch.randn(300, 300)
        found.append(torch.get_num_threads())

    def in_a_new_thread():
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()

    side.start(add_up)
    side.finish()
    assert found == [1]
    in_a_new_thread()
    assert found == [1, before] and torch.get_num_threads() == before


def test_who_leaves_at_once_does_not_wait_for_a_picture():
    drawing, go, begun = threading.Event(), threading.Event(), time.monotonic()
    never = []
    with pytest.raises(KeyboardInterrupt), SideThread() as side:
        side.start(lambda: (drawing.set(), go.wait(60)))
        side.start(never.append, 1)
        drawing.wait(60)
        raise KeyboardInterrupt
    assert not go.is_set() and time.monotonic() - begun < 30  # the picture would go on for 60 s
    go.set()
    side.pool.shutdown()
    assert never == []


def test_the_switch_interval_is_given_back():
    usual = sys.getswitchinterval()
    with SideThread(), SideThread():
        assert sys.getswitchinterval() < usual
    assert sys.getswitchinterval() == usual
