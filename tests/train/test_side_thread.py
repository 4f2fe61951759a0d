"""Jobs beside training: in order, one at a time, their errors told."""

import threading

import pytest

from helpers.train.side_thread import SideThread


@pytest.fixture
def background():
    made = SideThread()
    yield made
    made.close()


def test_jobs_are_done_in_order_on_another_thread(background):
    done, go = [], threading.Event()
    background.start(go.wait, 20)
    for number in range(5):
        background.start(
            lambda number: done.append((number, threading.current_thread().name)), number
        )
    assert not background.idle() and done == []
    go.set()
    background.finish()
    assert background.idle()
    assert [number for number, _ in done] == list(range(5))
    assert {name for _, name in done} != {threading.current_thread().name}


def test_an_error_is_raised_by_the_next_call_once(background):
    background.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.finish()
    background.finish()
    background.start(lambda: 1 / 0)
    while not background.idle():
        pass
    with pytest.raises(ZeroDivisionError):
        background.check()
    background.check()
