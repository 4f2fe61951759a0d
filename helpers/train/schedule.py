"""When training reads its losses, saves, looks and stops."""

import math
import time
from dataclasses import dataclass

from helpers.gan.processes import broadcast_from_first, is_first, n_processes
from helpers.progress import n_cores, progress_bar, say

STEPS_BETWEEN_READINGS = 20  # to read a loss is to wait for the device
MINUTES_WORTH_COMPILING, STEPS_WORTH_COMPILING = 3, 1000
SECONDS_BETWEEN_NOTES = 10  # of the losses, for their curve
SECONDS_BEFORE_FORECAST = 5
ONE_SIDED, NO_DIFFERENCE = 0.6, 1.37  # of the discriminator's loss: below, or above
STEPS_TO_SETTLE = 200  # of networks that were widened for new classes
LOOKING_SHARE = 0.1  # of the processor's time may go into looks: costly ones come less often


@dataclass(frozen=True)
class Limits:
    """When training stops: at the first limit that is reached. All are totals of the run; 0: none.

    >>> Limits(epochs=2, steps=50).total_steps(steps_per_epoch=10)
    20
    """

    minutes: float = 0.0
    epochs: int = 0
    steps: int = 0

    def total_steps(self, steps_per_epoch: int) -> float:
        """The limit in steps, infinite if only minutes are given."""
        given = [n for n in (self.steps, self.epochs * steps_per_epoch) if n]
        return min(given, default=math.inf)

    def worth_compiling(self, steps_per_epoch: int) -> bool:
        """Whether a run is so long that compiling, some twenty seconds or more, is won back."""
        long_enough = not self.minutes or self.minutes >= MINUTES_WORTH_COMPILING
        return long_enough and self.total_steps(steps_per_epoch) >= STEPS_WORTH_COMPILING


@dataclass(frozen=True)
class Intervals:
    """Minutes between two checkpoints, and between two looks at the fixed batch."""

    checkpoint: float = 2.0
    samples: float = 1.0


def game_in_words(loss_d: float, loss_g: float) -> str:
    """The losses of discriminator and generator, and how their game stands.

    A discriminator that can tell nothing has 2 ln 2 = 1.39; one that is always right has 0.
    """
    if loss_d < ONE_SIDED:
        stand = "the discriminator leads"
    elif loss_d > NO_DIFFERENCE:
        stand = "the generator leads"
    else:
        stand = "an even game"
    return f"D {loss_d:.2f}, G {loss_g:.2f}: {stand}"


class Schedule:
    """Counts steps and seconds, and says after each step what is due."""

    def __init__(
        self, limits: Limits, intervals: Intervals, per_epoch: int, step: int, seconds: float
    ):
        self.limits, self.intervals, self.per_epoch = limits, intervals, per_epoch
        self.step, self.seconds = step, seconds
        self.started = time.monotonic() - seconds
        self.saved_step, self.saved_at = step, seconds
        self.noted_at = seconds
        self.looked_step, self.looked_at = step, None
        self.extra_look = math.inf  # the step of a look that its interval does not ask for
        self.first: tuple[int, float] | None = None  # step and seconds, when the first step ended
        self.said_forecast = False
        self.said_seldom = False

    def look_after(self, steps: int) -> None:
        """Ask for a look after so many steps from now, whatever the interval."""
        self.extra_look = self.step + steps

    def after_step(self, stop_pressed: bool, look_s: float, looking: bool) -> set[str]:
        """Count a step. Returns which of "read", "note", "save", "look" and "stop" are due.

        look_s: seconds of a core that the last look took; looking: one is going on. With several
        processes the first one decides; to ask it after every step would make all wait.
        """
        self.step += 1
        due = {"read"} if self.step == 1 or self.step % STEPS_BETWEEN_READINGS == 0 else set()
        if due or n_processes() == 1:
            due |= {"stop"} if stop_pressed else set()
            decided = self._decide(due, look_s, looking)
            self.seconds, due = broadcast_from_first(decided)
        if due & {"note", "save"}:
            self.noted_at = self.seconds
        if "save" in due:
            self.saved_step, self.saved_at = self.step, self.seconds
        if "look" in due:
            self.looked_step, self.looked_at = self.step, self.seconds
        return due

    def _decide(self, due: set[str], look_s: float, looking: bool) -> tuple[float, set[str]]:
        seconds = time.monotonic() - self.started
        if self.first is None:  # after the first step, which may have compiled
            self.first, self.looked_at = (self.step, seconds), seconds
        self._forecast(seconds)
        if seconds - self.looked_at >= self._pause(look_s) and not looking:
            due = due | {"look"}
        if self.step >= self.extra_look:
            self.extra_look, due = math.inf, due | {"look"}
        if seconds - self.saved_at >= 60 * self.intervals.checkpoint:
            due = due | {"save"}
        elif seconds - self.noted_at >= SECONDS_BETWEEN_NOTES:
            due = due | {"note"}
        return seconds, due

    def _forecast(self, seconds: float) -> None:
        """Say once how long a step takes, and so how much training there will be."""
        step, at = self.first
        if self.said_forecast or seconds - at < SECONDS_BEFORE_FORECAST or not is_first():
            return
        self.said_forecast = True
        step_s = (seconds - at) / (self.step - step)
        by_time = (60 * self.limits.minutes - seconds) / step_s if self.limits.minutes else math.inf
        by_steps = self.limits.total_steps(self.per_epoch) - self.step
        left = max(0, min(by_time, by_steps))
        say(
            f"a step takes {1000 * step_s:.0f} ms: {left:.0f} more in {left * step_s / 60:.1f} "
            f"minutes, which see every clip {left / self.per_epoch:.1f} times"
        )

    def _pause(self, look_s: float) -> float:
        """Seconds from one look to the next. Says once that they come seldom, if they do."""
        wanted = 60 * self.intervals.samples
        pause = max(wanted, look_s / (LOOKING_SHARE * n_cores()))
        if pause > 2 * wanted > 0 and not self.said_seldom:
            self.said_seldom = True
            say(
                f"a look at the fixed batch takes {look_s:.0f} s of a core: one comes every "
                f"{pause / 60:.1f} minutes instead of every {self.intervals.samples:g}"
            )
        return pause

    def limit_reached(self) -> str:
        """The name of the limit that is reached, or ""."""
        if self.limits.minutes and self.seconds >= 60 * self.limits.minutes:
            return "minutes"
        if self.step >= self.limits.total_steps(self.per_epoch):
            return "epochs" if self.step == self.limits.epochs * self.per_epoch else "steps"
        return ""

    def open_bar(self):
        """A progress bar over minutes, if they are a limit, else over steps."""
        unit = "s" if self.limits.minutes else "step"
        words = {"desc": "training", "unit": unit, "disable": not is_first()}
        return progress_bar(total=self._total(), initial=self._done(), **words)

    def show(self, bar, losses: dict) -> None:
        """Move the bar to where training is, and say what the losses mean."""
        words = game_in_words(float(losses["loss_d"]), float(losses["loss_g"]))
        bar.set_postfix_str(f"step {self.step}, {words}", refresh=False)
        bar.update(self._done() - bar.n)

    def _total(self) -> float:
        minutes = self.limits.minutes
        return round(60 * minutes) if minutes else self.limits.total_steps(self.per_epoch)

    def _done(self) -> float:
        return min(round(self.seconds), self._total()) if self.limits.minutes else self.step
