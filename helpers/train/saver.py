"""What training leaves on disk, and how it is taken up again.

Checkpoints and lines of metrics are written on a thread of their own. Training outlives a disk
that is full or gone: it says so once and tries again at the next interval.
"""

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from helpers.config import RunConfig, checkpoint_identity
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.files import RunFiles, UnusableFileError
from helpers.gan.players import Players
from helpers.gan.processes import broadcast_from_first, is_first
from helpers.gan.widen import widen
from helpers.judge.faults import TrainingWarning
from helpers.network_file import with_prefix, without_prefix
from helpers.progress import say
from helpers.sound.normalisation import load_normaliser
from helpers.train.changes import (
    TrainedOn,
    check_can_go_on,
    describe_changes,
    of_another_version,
    pack_files,
)
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.metrics_file import append_metrics, drop_lines_after, read_metrics
from helpers.train.schedule import Schedule
from helpers.train.side_thread import SideThread

CHECKPOINT = "the run's checkpoint"
SAMPLES = "the run's samples"
METRICS = "the run's metrics"
DRIVE = "the run's copy on Drive"
USUAL_COMPILING = "this usually takes half a minute to a minute and a half"
LOSS_NAMES = ("loss_d", "loss_g", "loss_class", "r1")


class DiskTrouble:
    """Writing that fails does not end training: it is warned of once, until it works again."""

    def __init__(self):
        self.failing: dict[str, OSError] = {}  # what could not be written, and why

    @contextlib.contextmanager
    def outlived(self, what: str) -> Iterator[None]:
        """Warn with TrainingWarning where the writing of `what` fails with OSError."""
        try:
            yield
            self.failing.pop(what, None)
        except OSError as error:
            if type(self.failing.get(what)) is not type(error):
                warnings.warn(
                    f"{what} could not be written ({error}). Training goes on and tries again at "
                    "every interval; what was saved before stays. Make room, or see that the disk "
                    "or Drive is there",
                    TrainingWarning,
                    stacklevel=4,
                )
            self.failing[what] = error


class Saver:
    """Writes the checkpoints and metrics of a run, and calls `send` after each checkpoint."""

    def __init__(
        self,
        files: RunFiles,
        config: RunConfig,
        players: Players,
        dataset: TrainAudioSpectrogramDataset,
        rng: torch.Generator,
        thread: SideThread,
        send: Callable[[], None] | None,
    ):
        self.files, self.config, self.send = files, config, send
        self.players, self.dataset, self.rng, self.thread = players, dataset, rng, thread
        self.packed_files = pack_files(dataset.cache.audit)
        self.trained: TrainedOn | None = None  # what the checkpoint was, that was taken up
        self.losses: list[dict[str, Tensor]] = []  # of the steps since the last line of metrics
        self.trouble = DiskTrouble()
        self.compiling_s: float | None = None  # how long compiling took, when it was last done
        self.compiled = False  # whether that is to be written with the next checkpoint

    def resume(self) -> tuple[int, float]:
        """Take up the newest checkpoint. Returns its step and seconds; 0 and 0 if there is none.

        The data set gets the statistics in whose units the networks have learned. For classes that
        are new, the networks are widened. Raises UnusableFileError if the checkpoint is of another
        configuration, or cannot be read: a run is not begun anew where the disk does not say what
        there is.
        """
        self.thread.finish()
        try:
            loaded = load_newest_checkpoint(self.files.checkpoints) if is_first() else (None, [])
            checkpoint, problems = broadcast_from_first(loaded)
            step = checkpoint.step if checkpoint else 0
            seconds = self._load(checkpoint) if checkpoint else 0.0
            if is_first():
                drop_lines_after(self.files.metrics, step)
                lines = read_metrics(self.files.metrics, "training")
                times = [line["compiling_s"] for line in lines if "compiling_s" in line]
                self.compiling_s = times[-1] if times else None
        except OSError as error:
            raise UnusableFileError(
                f"{self.files.root} cannot be read, or its metrics not be written ({error}): see "
                "that the disk is there and has room, and run this again; nothing in it was changed"
            ) from error
        for problem in problems:
            warnings.warn(problem, TrainingWarning, stacklevel=3)
        if is_first():
            at = f"continuing from step {step}, {seconds / 60:.1f} minutes into {self.files.root}"
            print(at if checkpoint else f"a new run: step 0 of {self.files.root}")
            if checkpoint:
                self._tell_of_changes()
        return step, seconds

    def _load(self, checkpoint: Checkpoint) -> float:
        config, tensors = self.config, checkpoint.tensors
        self.trained = trained = check_can_go_on(checkpoint, config, self.files.root)
        with of_another_version(self.files.root):
            if kept := without_prefix("normaliser", tensors):
                kept = load_normaliser(kept, config.audio, len(trained.classes))
                self.dataset.normaliser = kept.going_on(self.dataset.normaliser)
            if trained.classes != config.classes:
                tensors = widen(tensors, config, trained.classes, config.classes)
            self.players.load(tensors)
            self.rng.set_state(tensors["rng"])
            seconds = float(checkpoint.note["seconds"])
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{seconds} seconds of training")
        return seconds

    def is_widened(self) -> bool:
        """Whether the networks were taken up with more classes than they had."""
        return self.trained is not None and len(self.trained.classes) < len(self.config.classes)

    def _tell_of_changes(self) -> None:
        if self.trained.digest != self.config.data.digest or self.is_widened():
            widened = ". The networks are widened for the new classes" * self.is_widened()
            found = describe_changes(self.trained, self.dataset.cache)
            print(f"the recordings have changed since then: {found}{widened}")

    @contextlib.contextmanager
    def told_of_compiling(self) -> Iterator[None]:
        """Around the first step: says that the networks are compiled, and how long that takes."""
        last = self.compiling_s
        forecast = USUAL_COMPILING if last is None else f"last time it took {last:.0f} s"
        say(f"compiling the networks: {forecast}")
        begun = time.monotonic()
        yield
        self.compiling_s, self.compiled = round(time.monotonic() - begun, 1), True
        say(f"the networks are compiled: it took {self.compiling_s:.0f} s")

    def save(self, schedule: Schedule) -> None:
        """Copy the state of training, and write it and a line of metrics beside training."""
        line = self._loss_line(schedule) if self.losses else None
        self.losses.clear()
        if is_first():
            identity = json.dumps(checkpoint_identity(self.config))
            note = {"identity": identity, "seconds": schedule.seconds}
            tensors = self.players.tensors() | {"rng": self.rng.get_state()}
            tensors["files"] = self.packed_files
            tensors |= with_prefix("normaliser", self.dataset.normaliser.tensors())
            self.thread.start(self._write, Checkpoint(schedule.step, tensors, note), line)

    def note(self, schedule: Schedule) -> None:
        """Write a line of metrics beside training; it counts once a checkpoint follows."""
        line = self._loss_line(schedule)
        self.losses.clear()
        if is_first():
            self.thread.start(self._append, line)

    def save_end(self, schedule: Schedule) -> None:
        """Save the last step, unless it is saved, and once more where writing has failed."""
        if schedule.saved_step != schedule.step:
            self.save(schedule)
        self.thread.finish()
        if CHECKPOINT in self.trouble.failing:
            self.save(schedule)
            self.thread.finish()

    def send_end(self) -> None:
        """Send what came after the last checkpoint; warn of what could not be written at all."""
        if is_first():
            self.thread.start(self._send)
            self.thread.finish()
        for what, error in self.trouble.failing.items():
            if what not in (SAMPLES, METRICS):
                warnings.warn(
                    f"the end of this training is not in {what} ({error}). The run is in "
                    f"{self.files.root}. When there is room and the disk or Drive is there, run "
                    "this again: training goes on from what was written",
                    TrainingWarning,
                    stacklevel=4,
                )

    def _append(self, line: dict) -> None:
        with self.trouble.outlived(METRICS):
            append_metrics(self.files.metrics, line)

    def _write(self, checkpoint: Checkpoint, line: dict | None) -> None:
        with self.trouble.outlived(CHECKPOINT):
            if line:  # first: the next run drops a line without checkpoint, but no checkpoint
                append_metrics(self.files.metrics, line)
            save_checkpoint(self.files.checkpoints, checkpoint)
        self._send()

    def _send(self) -> None:
        if self.send:
            with self.trouble.outlived(DRIVE):
                self.send()

    def _loss_line(self, schedule: Schedule) -> dict:
        """A line of metrics: the mean of each loss since the last line."""
        epoch = round(schedule.step / schedule.per_epoch, 2)
        line = {"kind": "training", "step": schedule.step, "epoch": epoch}
        means = {}
        for name in LOSS_NAMES:
            values = [one[name] for one in self.losses if name in one]
            if values:
                every = torch.stack(values).double()
                means[name] = every.where(every.isfinite(), math.nan).nanmean()
        found = torch.stack(list(means.values())).tolist()  # waits for the device once
        line |= {name: round(mean, 4) for name, mean in zip(means, found, strict=True)}
        if self.compiled:
            line["compiling_s"], self.compiled = self.compiling_s, False
        return line | {"minutes": round(schedule.seconds / 60, 3)}
