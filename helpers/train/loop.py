"""The training loop of both recipes: one step a player, pictures, checkpoints, resume; alone or with others."""

import contextlib
import copy
import functools
import itertools
import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.config import ConfigError, RunConfig, differences, identity
from helpers.data.dataset import TrainAudioSpectrogramDataset, draw_items, steps_per_epoch
from helpers.files import UnusableFileError
from helpers.gan.augment import augment
from helpers.gan.players import (
    Players,
    can_compile,
    train_step_d,
    train_step_g,
    update_average,
    with_own_statistics,
)
from helpers.gan.processes import (
    broadcast_from_first,
    is_first,
    n_processes,
    own_share,
    true_in_all_processes,
)
from helpers.judge.advice import DIVERGED, TrainingWarning
from helpers.progress import progress_bar
from helpers.train.checkpoints import load_newest_checkpoint, save_checkpoint
from helpers.train.drive_copy import DriveCopy, OvertakenError
from helpers.train.interrupts import StopButton
from helpers.train.metrics_file import append_metrics, drop_lines_after
from helpers.train.side_thread import SideThread

STEPS_BETWEEN_LOOKS = 20  # each look waits for the device
AVERAGE_RAMP = (
    0.05  # the half-life is at most this share of the images seen so far (Karras et al. 2020b, ADA)
)
WATCHING_SHARE = 0.05  # of the time may go into pictures and figures: sounds that take long are looked at less often
CHECKPOINTS, SAMPLES, MIRROR = "checkpoints", "samples", "mirror"  # what may fail to be written
LOSS_NAMES = ("loss_d", "loss_g", "loss_class", "r1")


class TrainingError(RuntimeError):
    """Training that left nothing to listen to; the message says what to change."""


@dataclass(frozen=True)
class Limits:
    """When training stops: at whichever is given and reached first. 0 is no limit; all are totals of the run."""

    minutes: float = 0.0
    epochs: int = 0
    steps: int = 0

    def total_steps(self, steps_per_epoch: int) -> float:
        """The limit in steps, infinite if only minutes are given."""
        given = [n for n in (self.steps, self.epochs * steps_per_epoch) if n]
        return min(given, default=math.inf)

    def worth_compiling(self) -> bool:
        """Whether a run is so long that compiling, twenty seconds to a minute, pays for itself."""
        return self.minutes >= 3 or (not self.minutes and self.steps >= 1000)


@dataclass(frozen=True)
class Intervals:
    """Minutes between checkpoints, and between pictures of the fixed batch: more if those take WATCHING_SHARE."""

    checkpoint: float = 2.0
    samples: float = 1.0


@dataclass
class TrainResult:
    """Where training stands: the generator to listen to, and how it got there."""

    generator: nn.Module
    step: int
    epoch: float
    seconds: float
    stopped_by: str


def train_gan(
    dataset: TrainAudioSpectrogramDataset,
    config: RunConfig,
    folder: Path,
    device: torch.device,
    limits: Limits,
    intervals: Intervals = Intervals(),  # noqa: B008 (frozen)
    precision: str = "fp32",
    on_samples: Callable[[int, float, nn.Module], None] | None = None,
    compiled: bool | None = None,
    mirror: DriveCopy | None = None,
) -> TrainResult:
    """Train the run in `folder`, from its newest checkpoint if there is one, until a limit is reached.

    Writes folder/checkpoints and folder/metrics.jsonl; on_samples(step, minutes, generator) is called at
    each interval with the generator that would be listened to; with a mirror of the folder, what was written is sent
    to its drive after each checkpoint. All of this happens on a thread of its own while training goes on. Ctrl-C or
    the stop button ends the step, saves and returns; pressed twice, it raises KeyboardInterrupt at once. Of several
    processes that torchrun started, each trains on its share of each batch, and the first one writes.
    NaN is warned of with TrainingWarning, ends training at the last good checkpoint and is never saved.
    Raises TrainingError if it diverged before there was one, ConfigError without a limit, UnusableFileError if
    the checkpoint is of another configuration. compiled: whether the networks are compiled (1.4 times as fast on
    two CPU cores); None: on a CPU, alone, where it can be done and the run is long enough.
    """
    if compiled is None:
        compiled = (
            device.type == "cpu"
            and n_processes() == 1
            and limits.worth_compiling()
            and can_compile()
        )
    return _Trainer(
        dataset, config, folder, device, limits, intervals, precision, on_samples, compiled, mirror
    ).run()


class _Trainer:
    def __init__(
        self,
        dataset,
        config,
        folder,
        device,
        limits,
        intervals,
        precision,
        on_samples,
        compiled,
        mirror,
    ):
        if not (limits.minutes or limits.epochs or limits.steps):
            raise ConfigError("training needs a limit: give minutes, epochs or steps")
        if config.train.batch_size % n_processes():
            raise ConfigError(
                f"batch_size {config.train.batch_size} cannot be shared by {n_processes()} processes: give a multiple"
            )
        self.dataset, self.config, self.folder, self.device = dataset, config, folder, device
        if device.type == "cuda":
            dataset.hold_on(device)
        self.limits, self.intervals, self.on_samples, self.mirror = (
            limits,
            intervals,
            on_samples,
            mirror,
        )
        self.players = Players(config, dataset.n_classes, device, precision, compiled)
        self.rng = torch.Generator().manual_seed(config.train.seed)
        self.silence = dataset.normaliser.silence()
        self.per_epoch = steps_per_epoch(dataset, config.train)
        self.step, self.seconds, self.losses = 0, 0.0, []
        self.watching_s = 0.0  # how long the last picture took
        self.sampled_step = self.saved_step = 0
        self.heard, self.heard_step = (
            None,
            -1,
        )  # the generator worth hearing, and of which step it is
        self.background, self.failing = (
            SideThread(),
            {},
        )  # failing: what, and whether another machine is why

    def run(self) -> TrainResult:
        try:
            return self._run()
        finally:
            self.background.close()

    def _run(self) -> TrainResult:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._resume():
            self._say(f"a new run: step 0 of {self.folder}")
        self.sampled_step = self.saved_step = self.step
        self.started = time.monotonic() - self.seconds
        self.saved_at, self.sampled_at = self.seconds, None
        stopped_by = ""
        what = {
            "total": self._total(),
            "initial": self._done(),
            "desc": "training",
            "unit": self._unit(),
        }
        with StopButton() as stop, progress_bar(**what, disable=not is_first()) as bar:
            try:
                while not stopped_by:
                    stopped_by = self._limit_reached() or self._advance(bar, stop)
                self.background.finish()
            except Exception as error:
                if not stop.pressed:
                    raise
                raise KeyboardInterrupt("stopped in mid-step; the last checkpoint stays") from error
        if stopped_by == "NaN" or not self._healthy():
            stopped_by = "NaN"
            self._go_back()
        else:
            self._keep_end()
        self._send_end()
        if self.heard_step != self.step:
            self.background.start(self._hear, self.step, copy.deepcopy(self._kept()))
            self.background.finish()
        return TrainResult(
            self.heard, self.step, self.step / self.per_epoch, self.seconds, stopped_by
        )

    def _kept(self) -> nn.Module:
        return (
            self.players.average
            if self.config.train.ema_half_life_images
            else self.players.generator
        )

    def _hear(self, step: int, network: nn.Module) -> None:
        """Note the generator worth hearing: the average, with its own statistics, if one is kept.

        Always on the thread of its own: with another number of threads sums have other last digits.
        """
        kept_average = self.config.train.ema_half_life_images
        self.heard = (
            with_own_statistics(network, self.dataset.n_classes) if kept_average else network.eval()
        )
        self.heard_step = step

    def _advance(self, bar, stop: StopButton) -> str:
        losses = self._step()
        self.losses.append(losses)
        self.step += 1
        self.background.check()
        look_due = self.step == 1 or self.step % STEPS_BETWEEN_LOOKS == 0
        save_due = sample_due = stopped = False
        if look_due or n_processes() == 1:  # agreeing makes the processes wait for each other
            self.seconds, save_due, sample_due, stopped = broadcast_from_first(
                (*self._what_is_due(), stop.pressed)
            )
        if look_due:
            self._show(bar, losses)
        if (look_due or save_due or sample_due) and not self._healthy():
            return "NaN"
        if sample_due:
            self._sample()
        if save_due:
            self._save()
        return "you" if stopped else ""

    def _what_is_due(self) -> tuple[float, bool, bool]:
        """Seconds of the run, and whether a checkpoint and a picture are to be made: none while others are."""
        seconds = time.monotonic() - self.started
        if self.sampled_at is None:
            self.sampled_at = seconds  # after the first step, which may have compiled
        pause = max(60 * self.intervals.samples, self.watching_s / WATCHING_SHARE)
        epochs, saved_epochs = (step // self._epoch_save() for step in (self.step, self.saved_step))
        save_due = (
            seconds - self.saved_at >= 60 * self.intervals.checkpoint or epochs > saved_epochs
        )
        idle = self.background.idle()
        return seconds, save_due and idle, seconds - self.sampled_at >= pause and idle

    def _healthy(self) -> bool:
        """Whether all numbers since the last look, and all weights, are finite."""
        recent = [
            value for losses in self.losses[-STEPS_BETWEEN_LOOKS:] for value in losses.values()
        ]
        weights = (self.players.generator.parameters(), self.players.discriminator.parameters())
        finite = [torch.isfinite(value).all() for value in itertools.chain(recent, *weights)]
        return true_in_all_processes(not finite or bool(torch.stack(finite).all()))

    def _step(self) -> dict[str, Tensor]:
        train, players = self.config.train, self.players
        items = draw_items(self.dataset, train, self.step, self.rng)
        z = own_share(torch.randn((len(items), self.config.model.z_dim), generator=self.rng)).to(
            self.device
        )
        real, y = self.dataset.batch(own_share(items))
        real, y = real.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)
        augmented = functools.partial(
            augment, names=train.augmentations, silence=self.silence, generator=self.rng
        )
        players.generator.train()
        made = players.make(z, y)
        losses = train_step_d(players, real, made, y, augmented, train, self.step)
        losses |= train_step_g(players, made, y, augmented, train)
        if train.ema_half_life_images:
            half_life = min(
                train.ema_half_life_images, AVERAGE_RAMP * (self.step + 1) * train.batch_size
            )
            update_average(
                players.average, players.generator, 0.5 ** (train.batch_size / half_life)
            )
        return losses

    def _resume(self) -> bool:
        """Take up the newest checkpoint; False if there is none."""
        state, problems = broadcast_from_first(self._load_newest() if is_first() else None)
        for problem in problems:
            warnings.warn(problem, TrainingWarning, stacklevel=4)
        if state is None:
            self._cut_metrics(0)
            return False
        found = []
        try:
            found = differences(json.loads(state["identity"]), identity(self.config))
            if not found:
                self.players.load(state["players"])
                self.rng.set_state(state["rng"])
                self.step, self.seconds = state["step"], float(state["seconds"])
                if not 0 <= self.seconds < math.inf:
                    raise ValueError(f"{self.seconds} seconds of training")
        except (
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            AttributeError,
            RuntimeError,
        ) as error:
            raise UnusableFileError(
                f"the checkpoints of {self.folder} are of networks that this version does not build: use the version "
                "that began the run, choose another run folder, or start over with restart=True"
            ) from error
        if found:
            raise UnusableFileError(
                f"{self.folder} was trained with other settings ({'; '.join(found)}): use them again, choose "
                "another run folder, or start over with restart=True"
            )
        self._cut_metrics(self.step)
        self._say(
            f"continuing from step {self.step}, {self.seconds / 60:.1f} minutes into {self.folder}"
        )
        return True

    def _cut_metrics(self, step: int) -> None:
        if is_first():
            with self._refused():
                drop_lines_after(self.folder / "metrics.jsonl", step)

    def _load_newest(self) -> tuple[dict | None, list[str]]:
        with self._refused():
            return load_newest_checkpoint(self.folder / "checkpoints")

    @contextlib.contextmanager
    def _refused(self):
        """A run is not taken up, nor a new one begun, where the disk does not say what there is."""
        try:
            yield
        except OSError as error:
            raise UnusableFileError(
                f"{self.folder} cannot be read, or its metrics not be written ({error}): see that the disk is there "
                "and has room, and run this again; nothing in it was changed"
            ) from error

    def _go_back(self) -> None:
        warnings.warn(DIVERGED, TrainingWarning, stacklevel=4)
        if not self._resume():
            raise TrainingError(
                "training diverged before its first checkpoint: halve learning_rate and run again"
            )

    def _save(self) -> None:
        """Take a copy of everything and let it be written while training goes on."""
        self.saved_at, self.saved_step = self.seconds, self.step
        line, self.losses = self._loss_line() if self.losses else None, []
        if not is_first():
            return
        state = {
            "identity": json.dumps(identity(self.config)),
            "players": copy.deepcopy(self.players.state()),
            "rng": self.rng.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        self.background.start(self._write, state, line)

    def _write(self, state: dict, line: dict | None) -> None:
        with self._kept_going(CHECKPOINTS, f"the checkpoint of step {state['step']}", self.folder):
            if line:  # first: a line without its checkpoint is dropped by the next run, a checkpoint is not
                append_metrics(self.folder / "metrics.jsonl", line)
            save_checkpoint(state, self.folder / "checkpoints", state["step"])
        self._send()

    def _send(self) -> None:
        if self.mirror:
            with self._kept_going(MIRROR, "what was saved here", self.mirror.drive):
                self.mirror.send()

    def _sample(self) -> None:
        """Let a copy of the generator be looked at while training goes on."""
        self.sampled_at, self.sampled_step = self.seconds, self.step
        if self.on_samples and is_first():
            self.background.start(
                self._look, self.step, self.seconds / 60, copy.deepcopy(self._kept())
            )

    def _look(self, step: int, minutes: float, network: nn.Module) -> None:
        begun = time.monotonic()
        self._hear(step, network)
        with self._kept_going(SAMPLES, f"what was heard at step {step}", self.folder):
            self.on_samples(step, minutes, self.heard)
        self.watching_s = time.monotonic() - begun

    @contextlib.contextmanager
    def _kept_going(self, kind: str, what: str, folder: Path):
        """Training outlives a disk that is full or gone: it says so once, and tries again at the next interval."""
        try:
            yield
            self.failing.pop(kind, None)
        except OSError as error:
            overtaken = isinstance(error, OvertakenError)
            if self.failing.get(kind) is not overtaken:
                advice = (
                    "Stop one of the two"
                    if overtaken
                    else f"Make room, or see that {folder} is there"
                )
                warnings.warn(
                    f"{what} could not be written to {folder} ({error}). Training goes on and tries again at every "
                    f"interval; what was saved before stays. {advice}",
                    TrainingWarning,
                    stacklevel=4,
                )
            self.failing[kind] = overtaken

    def _keep_end(self) -> None:
        if self.sampled_step != self.step:
            self._sample()
        self.background.finish()
        if self.saved_step != self.step or CHECKPOINTS in self.failing:
            self._save()
        self.background.finish()

    def _send_end(self) -> None:
        if is_first():
            self.background.start(self._send)  # what was heard since the last checkpoint
        self.background.finish()
        if self.failing.get(MIRROR):
            text = (
                f"what was trained here is in {self.folder} alone, since {self.mirror.drive} has what another "
                "machine trained: when this is run again, training goes on from that, and this is set aside"
            )
        elif self.failing.keys() & {CHECKPOINTS, MIRROR}:
            folders = (
                f"{self.mirror.drive}; it is in {self.folder}"
                if MIRROR in self.failing
                else f"{self.folder}"
            )
            text = (
                f"the end of this training could not be written to {folders}. When there is room and the folder is "
                "there, run this again: what was trained since the last checkpoint that was written goes on from it"
            )
        else:
            return
        warnings.warn(text, TrainingWarning, stacklevel=4)

    def _loss_line(self) -> dict:
        line = {
            "kind": "training",
            "step": self.step,
            "epoch": round(self.step / self.per_epoch, 2),
        }
        for name in LOSS_NAMES:
            values = [float(losses[name]) for losses in self.losses if name in losses]
            line |= {name: round(sum(values) / len(values), 4)} if values else {}
        return line | {"minutes": round(self.seconds / 60, 3)}

    def _limit_reached(self) -> str:
        if self.limits.minutes and self.seconds >= 60 * self.limits.minutes:
            return "minutes"
        if self.step >= self.limits.total_steps(self.per_epoch):
            return "epochs" if self.step == self.limits.epochs * self.per_epoch else "steps"
        return ""

    def _say(self, text: str) -> None:
        if is_first():
            print(text)

    def _epoch_save(self) -> int:
        """Steps between the checkpoints at an epoch's end: whole epochs, at least a hundred steps apart."""
        return self.per_epoch * math.ceil(100 / self.per_epoch)

    def _total(self) -> float:
        return (
            round(60 * self.limits.minutes)
            if self.limits.minutes
            else self.limits.total_steps(self.per_epoch)
        )

    def _done(self) -> float:
        return min(round(self.seconds), self._total()) if self.limits.minutes else self.step

    def _unit(self) -> str:
        return "s" if self.limits.minutes else "step"

    def _show(self, bar, losses: dict[str, Tensor]) -> None:
        bar.set_postfix_str(
            f"step {self.step}, D {float(losses['loss_d']):.2f}, G {float(losses['loss_g']):.2f}",
            refresh=False,
        )
        bar.update(self._done() - bar.n)
