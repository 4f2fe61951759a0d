"""As many threads as there are cores that others leave, and no more."""

import os

import pytest
import torch
from failing import in_a_child

from helpers import threads
from helpers.threads import ThreadsThatFollow, Usage, choose_threads


@pytest.mark.parametrize(
    ("now", "others", "expected"),
    [(2, 0.0, 2), (2, 0.3, 2), (2, 0.5, 1), (2, 1.0, 1), (1, 1.0, 1), (1, 0.3, 1), (1, 0.1, 2)],
)
def test_one_of_two_threads_goes_while_another_process_uses_a_core(now, others, expected):
    assert choose_threads(now, 2, 2, others) == expected


def test_a_few_threads_on_many_cores_stay_and_one_always_does():
    assert choose_threads(4, 4, 16, others=11.0) == 4
    assert choose_threads(4, 4, 16, others=12.6) == 3
    assert choose_threads(16, 16, 16, others=40.0) == 1
    assert choose_threads(1, 16, 16, others=0.0) == 16


@pytest.fixture
def machine(monkeypatch):
    """Two threads of torch, and a function: let seconds pass in which others use some cores."""
    before, now = torch.get_num_threads(), [Usage(0.0, 0.0, 0.0)]
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "n_cores", lambda: 2)
    monkeypatch.setattr(threads, "read_usage", lambda: now[0])
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0].clock)

    def passes(seconds: float, others: float) -> None:
        clock, all_cores, own = now[0]
        own_too = seconds * torch.get_num_threads()
        used = all_cores + seconds * others + own_too
        now[0] = Usage(clock + seconds, used, own + own_too)

    yield passes
    torch.set_num_threads(before)


def test_threads_follow_what_others_use_and_all_come_back_at_the_end(machine):
    found, loads = [], ((90, 1.0), (5, 0.0), (1, 1.0), (3, 1.0), (5, 1.0), (5, 0.05), (5, 0.9))
    with ThreadsThatFollow(compiled=False) as following:
        for seconds, others in loads:
            machine(seconds, others)
            following.follow()
            found.append(torch.get_num_threads())
    # the first step may have compiled, in processes of its own; a second says nothing yet
    assert found == [2, 2, 2, 1, 1, 2, 1]
    assert torch.get_num_threads() == 2


def test_compiled_networks_run_uncompiled_with_fewer_threads_and_compiled_again(machine):
    def turns():
        torch.set_num_threads(2)
        compiled, calls = [], []

        def backend(module, _):
            compiled.append(torch.get_num_threads())

            def run(*arguments):
                calls.append(torch.get_num_threads())
                return module(*arguments)

            return run

        function = torch.compile(lambda x: x + 1, backend=backend)
        with ThreadsThatFollow(compiled=True) as following:
            for others in (0.0, 1.0, 0.0):
                machine(5, others)
                following.follow()
                assert function(torch.zeros(2)).tolist() == [1, 1]
        assert compiled == [2] and calls == [2, 2]

    child = in_a_child(turns)  # a process that has compiled cannot fork one that trains
    assert os.waitpid(child, 0)[1] == 0


def test_the_number_stays_where_a_run_must_be_repeatable(machine):
    with ThreadsThatFollow(compiled=False, may_change=False) as following:
        for _ in range(3):
            machine(5, 1.0)
            following.follow()
            assert torch.get_num_threads() == 2


def test_the_machines_own_usage_grows_with_this_processs():
    before = threads.read_usage()
    while threads.read_usage().own < before.own + 0.3:
        pass
    after = threads.read_usage()
    assert after.clock > before.clock and after.all_cores > before.all_cores
