"""When looks are due, by the processor's time that they cost."""

import pytest

from helpers.train import loop, schedule
from helpers.train.schedule import Intervals, Limits, Schedule

CORES = 2
STEP_S = 10


@pytest.fixture
def clock(monkeypatch):
    """A clock that a step moves by STEP_S, on a machine with two cores."""
    now = [1000.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(schedule, "n_cores", lambda: CORES)
    return now


def looks(clock, look_s: float, wall_s: float, minutes: float = 1.0) -> list[int]:
    """Seconds at which looks begin that take look_s of a core, and wall_s until they are done."""
    plan = Schedule(Limits(minutes=60), Intervals(1e6, minutes), 10, 0, 0.0)
    found, done_at, cost = [], 0.0, 0.0
    for _ in range(200):
        clock[0] += STEP_S
        looking = clock[0] < done_at
        cost = cost if looking or not found else look_s
        if "look" in plan.after_step(False, cost, looking):
            found.append(round(plan.seconds))
            done_at = clock[0] + wall_s
    return found


def pauses(found: list[int]) -> set[int]:
    return {later - earlier for earlier, later in zip(found, found[1:], strict=False)}


def test_looks_come_at_their_interval_however_long_they_wait_for_a_core(clock, capsys):
    found = looks(clock, look_s=5.0, wall_s=50.0)
    assert found[0] == STEP_S + 60 and pauses(found) == {60}
    assert pauses(looks(clock, look_s=5.0, wall_s=90.0)) == {90}  # never two at once
    assert "a look" not in capsys.readouterr().out


def test_looks_that_cost_more_than_their_share_come_less_often_and_it_is_said_once(clock, capsys):
    found = looks(clock, look_s=50.0, wall_s=30.0)
    assert pauses(found[1:]) == {250}  # 50 s are a tenth of two cores' 250 s
    told = capsys.readouterr().out.splitlines(keepends=True)
    assert "".join(line for line in told if line.startswith("a look")) == (
        "a look at the fixed batch takes 50 s of a core: one comes every 4.2 minutes instead of "
        "every 1\n"
    )


def test_a_look_costs_what_it_computes_not_what_it_waits(monkeypatch):
    thread_time, monotonic = iter((3.0, 8.0)), iter((0.0, 700.0))
    monkeypatch.setattr(loop.time, "thread_time", lambda: next(thread_time))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(monotonic))
    looks = loop._Looks(lambda *_: None, None, 3, None, loop.DiskTrouble())
    monkeypatch.setattr(looks, "_prepare", lambda *_: None)
    looks._look(1, 0.1, None)
    assert looks.seconds == 5.0


def test_checkpoints_come_by_time_alone_and_losses_are_noted_between(clock):
    plan = Schedule(Limits(minutes=60), Intervals(1.0, 1e6), 1, 0, 0.0)
    found = []
    for _ in range(13):
        clock[0] += STEP_S
        found.append(sorted(plan.after_step(False, 0.0, False) & {"save", "note"}))
    assert found == ([["note"]] * 5 + [["save"]]) * 2 + [["note"]]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(minutes=10), "58 more in 9.7 minutes, which see every clip 14.5 times"),
        (Limits(steps=32), "30 more in 5.0 minutes, which see every clip 7.5 times"),
        (Limits(minutes=10, epochs=3), "10 more in 1.7 minutes, which see every clip 2.5 times"),
    ],
)
def test_the_length_of_training_is_forecast_once(clock, capsys, limits, expected):
    plan = Schedule(limits, Intervals(1e6, 1e6), 4, 0, 0.0)
    for _ in range(5):
        clock[0] += STEP_S
        plan.after_step(False, 0.0, False)
    assert capsys.readouterr().out == f"a step takes 10000 ms: {expected}\n"
