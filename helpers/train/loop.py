"""The training loop of both recipes: step, look, save, stop, and go on from there."""

import contextlib
import copy
import itertools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.config import ConfigError, RunConfig
from helpers.data.dataset import TrainAudioSpectrogramDataset, draw_items, steps_per_epoch
from helpers.device import copy_to
from helpers.files import RunFiles
from helpers.gan.augment import Augmenter
from helpers.gan.captured import CapturedStep
from helpers.gan.players import (
    Batch,
    Players,
    can_compile,
    n_augmented,
    train_step,
    with_own_statistics,
)
from helpers.gan.processes import is_first, n_processes, own_share, true_in_all_processes
from helpers.judge.faults import DIVERGED, TrainingWarning
from helpers.threads import ThreadsThatFollow
from helpers.train.interrupts import StopButton
from helpers.train.saver import SAMPLES, DiskTrouble, Saver
from helpers.train.schedule import (
    STEPS_BETWEEN_READINGS,
    STEPS_TO_SETTLE,
    Intervals,
    Limits,
    Schedule,
)
from helpers.train.side_thread import SideThread

Look = Callable[[int, float, nn.Module], None]


class TrainingError(RuntimeError):
    """Training that left nothing to listen to; the message says what to change."""


@dataclass
class TrainResult:
    """Where training stands: the generator to listen to, and how it got there."""

    generator: nn.Module
    step: int
    epoch: float
    seconds: float
    stopped_by: str  # "minutes", "epochs", "steps", "you" or "NaN"


def train_gan(
    dataset: TrainAudioSpectrogramDataset,
    config: RunConfig,
    folder: Path,
    device: torch.device,
    limits: Limits,
    intervals: Intervals = Intervals(),  # noqa: B008 (frozen)
    precision: str = "fp32",
    look: Look | None = None,
    send: Callable[[], None] | None = None,
    compiled: bool | None = None,
) -> TrainResult:
    """Train the run in `folder`, from its newest checkpoint if there is one, until a limit.

    A run goes on with more or fewer clips, and with new classes, for which the networks are
    widened. It keeps its statistics: `dataset` gets them.
    Writes folder/checkpoints and folder/metrics.jsonl. At each interval look(step, minutes,
    generator) gets the generator that one would listen to, and after each checkpoint send() is
    called; both happen beside training. Ctrl-C or the stop button ends the step, saves and returns;
    pressed twice it raises KeyboardInterrupt at once. Of several processes that torchrun started,
    each trains on its share of every batch, and the first one writes.
    On a CPU, a run with a limit of minutes computes with fewer threads while other processes use
    the cores; one with a limit of steps or epochs alone keeps their number, and so its last digits.
    compiled: whether to compile the networks; None: in one process, if the run is long enough and
    `can_compile`.

    NaN is warned of with TrainingWarning, ends training at the last good checkpoint and is never
    saved. Raises TrainingError if there was no good checkpoint, ConfigError without a limit, and
    UnusableFileError if the checkpoint is of another configuration or cannot be read.
    """
    _check(limits, config)
    per_epoch = steps_per_epoch(dataset, config.train)
    if compiled is None:
        worth = n_processes() == 1 and limits.worth_compiling(per_epoch)
        compiled = worth and can_compile(device)
    players = Players(config, dataset.n_classes, device, precision, compiled)
    rng = torch.Generator().manual_seed(config.train.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with SideThread() as writing, SideThread() as looking:
        saver = Saver(RunFiles(folder), config, players, dataset, rng, writing, send)
        looks = _Looks(look, players, dataset.n_classes, looking, saver.trouble)
        schedule = Schedule(limits, intervals, per_epoch, *saver.resume())
        if device.type == "cuda":
            dataset.move_to(device)
        if schedule.step == 0:  # what training starts from is soon seen and heard
            schedule.look_after(1)
        if saver.is_widened():  # how the old classes fare is heard before and soon after
            looks.start(schedule)
            schedule.look_after(STEPS_TO_SETTLE)
        stopped_by = _take_steps(dataset, config, device, players, rng, schedule, saver, looks)
        if stopped_by == "NaN":
            looking.finish()
            schedule.step, schedule.seconds = _go_back(saver)
        else:
            saver.save_end(schedule)
            if schedule.looked_step != schedule.step:
                looks.start(schedule)
        looks.finish(schedule)
        saver.send_end()
    epoch = schedule.step / per_epoch
    return TrainResult(looks.generator, schedule.step, epoch, schedule.seconds, stopped_by)


def _take_steps(
    dataset, config, device, players, rng, schedule: Schedule, saver: Saver, looks: "_Looks"
) -> str:
    """Train until a limit is reached, and return what ended it."""
    silence = dataset.normaliser.silence()
    augmented = Augmenter(config.train.augmentations, silence, rng, device)
    take_step = CapturedStep() if _alone_on("cuda", device) else train_step
    first_step = saver.told_of_compiling() if players.compiled else contextlib.nullcontext()
    stopped_by = schedule.limit_reached()
    by_time = schedule.limits.minutes > 0  # other runs keep their threads: they can be repeated
    threads = ThreadsThatFollow(players.compiled, may_change=by_time and _alone_on("cpu", device))
    with StopButton() as stop, schedule.open_bar() as bar, threads:
        while not stopped_by:
            batch = draw_batch(dataset, config, schedule.step, rng, device)
            augmented.draw(n_augmented(config.train, schedule.step), len(batch.y))
            with first_step:
                losses = take_step(players, batch, augmented, schedule.step)
            first_step = contextlib.nullcontext()
            saver.losses.append(losses)
            threads.follow()
            due = schedule.after_step(stop.pressed, looks.seconds, looks.busy())
            if "read" in due:
                schedule.show(bar, losses)
            if due and not _is_finite(players, saver.losses):
                return "NaN"
            if "save" in due:
                saver.save(schedule)
            elif "note" in due:
                saver.note(schedule)
            if "look" in due:
                looks.start(schedule)
            stopped_by = "you" if "stop" in due else schedule.limit_reached()
    return stopped_by if _is_finite(players, saver.losses) else "NaN"


def draw_batch(
    dataset: TrainAudioSpectrogramDataset,
    config: RunConfig,
    step: int,
    rng: torch.Generator,
    device: torch.device,
) -> Batch:
    """The clips, labels and noise of a step, on the device: this process's share of them."""
    items = draw_items(dataset, config.train, step, rng)
    z = own_share(torch.randn((len(items), config.model.z_dim), generator=rng))
    real, y = dataset.batch(own_share(items))
    return Batch(*(copy_to(part, device) for part in (real, y, z)))


class _Looks:
    """Gives a copy of the generator to `look`, on a thread of its own while training goes on."""

    def __init__(self, look, players: Players, n_classes: int, thread, trouble: DiskTrouble):
        self.look, self.players, self.n_classes = look, players, n_classes
        self.thread, self.trouble = thread, trouble
        self.generator: nn.Module | None = None  # the last one that one would listen to
        self.step = -1  # of which step it is
        self.seconds = 0.0  # of a core, that the last look took: not those that it waited for one

    def busy(self) -> bool:
        """Whether a look is going on. Raises the error of one that has failed."""
        self.thread.check()
        return not self.thread.idle()

    def start(self, schedule: Schedule) -> None:
        """Begin a look at this step."""
        if self.look and is_first():
            self._start(schedule, self._look)

    def finish(self, schedule: Schedule) -> None:
        """Wait for the looks, and make the generator of this step ready for listening."""
        self.thread.finish()
        if self.step != schedule.step:
            self._start(schedule, lambda step, _, network: self._prepare(step, network))
            self.thread.finish()

    def _start(self, schedule: Schedule, job: Look) -> None:
        network = copy.deepcopy(self.players.to_listen_to())
        self.thread.start(job, schedule.step, schedule.seconds / 60, network)

    def _prepare(self, step: int, network: nn.Module) -> None:
        """Always on the side thread: with more threads, sums have other last digits."""
        average = self.players.train.ema_half_life_images
        self.generator = with_own_statistics(network, self.n_classes) if average else network.eval()
        self.step = step

    def _look(self, step: int, minutes: float, network: nn.Module) -> None:
        begun = time.thread_time()
        self._prepare(step, network)
        with self.trouble.outlived(SAMPLES):
            self.look(step, minutes, self.generator)
        self.seconds = time.thread_time() - begun


def _alone_on(kind: str, device: torch.device) -> bool:
    """Whether the device is of this kind, "cpu" or "cuda", and no other process trains with it."""
    return device.type == kind and n_processes() == 1


def _check(limits: Limits, config: RunConfig) -> None:
    if not (limits.minutes or limits.epochs or limits.steps):
        raise ConfigError("training needs a limit: give minutes, epochs or steps")
    size = config.train.batch_size
    if size % n_processes():
        raise ConfigError(
            f"batch_size {size} cannot be shared by {n_processes()} processes: give a multiple"
        )


def _is_finite(players: Players, recent: list[dict[str, Tensor]]) -> bool:
    """Whether all weights, and the losses since the last reading, are finite in all processes.

    In fp16 a step may overflow: the scaler leaves it out, and only losses that never are finite
    count.
    """
    weights = itertools.chain(players.generator.parameters(), players.discriminator.parameters())
    finite = [torch.isfinite(weight).all() for weight in weights]
    by_name: dict[str, list[Tensor]] = {}
    for name, value in itertools.chain.from_iterable(one.items() for one in recent):
        by_name.setdefault(name, []).append(value)
    for values in by_name.values():
        good = torch.isfinite(torch.stack(values[-STEPS_BETWEEN_READINGS:]))
        if not players.scaler.is_enabled():
            finite.append(good.all())
        elif len(good) == STEPS_BETWEEN_READINGS:
            finite.append(good.any())
    return true_in_all_processes(bool(torch.stack(finite).all()))


def _go_back(saver: Saver) -> tuple[int, float]:
    warnings.warn(DIVERGED, TrainingWarning, stacklevel=3)
    step, seconds = saver.resume()
    if not step:
        raise TrainingError(
            "training diverged before its first checkpoint: halve learning_rate and run again"
        )
    return step, seconds
