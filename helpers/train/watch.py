"""Watching training: one fixed batch of sounds, made and measured again and again."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.config import RunConfig
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.files import STEP_FOLDERS_KEPT, RunFiles, read_if_there, thin_out
from helpers.gan.generate import FIXED_BATCH_SIZE, fixed_batch, generate_mels, make_inverter
from helpers.gan.generator_file import (
    SoundGenerator,
    is_whole_generator,
    load_generator,
    read_origin,
    save_generator,
)
from helpers.judge import figures
from helpers.judge.advice import distance_per_accuracy, trend_in_words, weak_classes, weak_in_words
from helpers.judge.classifier import Heard
from helpers.judge.evaluation import Evaluator
from helpers.judge.faults import TrainingWarning, find_faults
from helpers.judge.picture import PictureMaker
from helpers.progress import say
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.train.metrics_file import append_metrics, read_metrics
from helpers.train.schedule import STEPS_TO_SETTLE

FIRST_CHECK_STEP = 300  # before this step a generator is expected to be poor


class Watch:
    """Called with a step, minutes and a generator at each look of training.

    Gives the sounds to `view`, which draws them; warns with TrainingWarning of silence, clipping
    and collapse; adds a line of kind "progress" to the run's metrics. With an evaluator,
    generator.safetensors always is the best generator so far, by `distance_per_accuracy`; without
    one it is the latest. A generator that another judge has measured is measured anew; one of
    fewer classes gives way to the first that knows all. How the classes that it knew fare
    meanwhile is said until the networks, widened for the new ones, have settled.

    view(mels, waveforms, title, folder) gets compressed mels (B, n_mels, n_frames), waveforms
    (B, clip_samples), both on the CPU, and the folder samples/<step> to write to. device: where
    the recordings are made audible and measured; made sounds are where their generator is.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: TrainAudioSpectrogramDataset,
        run_folder: Path,
        evaluator: Evaluator | None = None,
        view: Callable[[Tensor, Tensor, str, Path], None] | None = None,
        inversion: MagnitudeNet | None = None,
        device: torch.device | str = "cpu",
    ):
        self.config, self.dataset, self.evaluator = config, dataset, evaluator
        self.files, self.view, self.inversion = RunFiles(run_folder), view, inversion
        self.device = torch.device(device)
        self.z, self.labels = fixed_batch(config.model.z_dim, dataset.n_classes)
        self.inverter = MelInverter(config.audio, network=inversion)
        self.picture = PictureMaker(config.audio.sample_rate).to(device)
        rows = torch.linspace(0, len(dataset) - 1, min(FIXED_BATCH_SIZE, len(dataset))).long()
        real = self.inverter(dataset.compressed(rows).to(device))
        self.real = self.picture(real).summary().cpu()
        self.real_labels = dataset.labels[rows]
        self.best: float | None = None  # distance_per_accuracy, by this judge
        self.weak: list[str] = []  # classes whose sounds do not pass yet, by the newest look
        self.old_classes: tuple[str, ...] = ()  # while others are new: those known before
        self.widened_at: int | None = None  # the step of the first look since then
        self._measure_what_is_kept()

    def __call__(self, step: int, minutes: float, network: nn.Module) -> None:
        config, normaliser = self.config, self.dataset.normaliser
        generator = SoundGenerator(
            network, config.audio, config.model, config.classes, normaliser, self.inversion
        )
        compressed = generate_mels(generator, self.z, self.labels)
        if not torch.isfinite(compressed).all():
            return  # training itself finds this, and goes back
        waveforms = self.inverter(compressed)
        heard = waveforms.cpu(), self.picture(waveforms).summary().cpu(), self.labels
        if step >= FIRST_CHECK_STEP:
            for fault in find_faults(*heard, self.real, self.real_labels):
                warnings.warn(f"step {step}: {fault}", TrainingWarning, stacklevel=2)
        title = f"step {step}{self._keep_the_best(step, minutes, waveforms, generator)}"
        if self.old_classes:
            self._tell_of_old_classes(step, waveforms)
        if self.view:
            self.view(compressed.cpu(), heard[0], title, self.files.samples / f"{step:08d}")
            thin_out(self.files.samples, STEP_FOLDERS_KEPT)

    def _measure_what_is_kept(self) -> None:
        """Measure the run's generator by this judge, or find that it knows fewer classes.

        A damaged generator is left, and so is one of other settings, which another run has made.
        """
        path, config = self.files.generator, self.config
        if self.evaluator is None or not is_whole_generator(read_if_there(path)):
            return
        origin = read_origin(path)
        score = origin.get("distance_per_accuracy")
        if origin.get("judge") != self.evaluator.judge.digest:
            kept = load_generator(path, self.device)
            if (kept.audio, kept.model) != (config.audio, config.model):
                return
            if kept.classes != config.classes:
                real = self._are_of(kept.classes, self.evaluator.train_labels)
                if set(kept.classes) < set(config.classes) and int(real.sum()) >= 2:
                    self.old_classes = kept.classes
                return
            waveforms = make_inverter(kept)(generate_mels(kept, self.z, self.labels))
            score = distance_per_accuracy(self._measure(waveforms))
        self.best = score if isinstance(score, float) and math.isfinite(score) else None

    def _measure(self, sounds: Tensor, classes: tuple[str, ...] | None = None) -> dict[str, float]:
        """Figures of the fixed batch from its sounds (B, clip_samples).

        With classes, only sounds and clips of these count.
        """
        return self._figures(self.evaluator.judge.listen(sounds), classes)

    def _figures(self, heard: Heard, classes: tuple[str, ...] | None = None) -> dict[str, float]:
        """The figures of `_measure` from what the judge heard of the fixed batch."""
        classes, evaluator = classes or self.config.classes, self.evaluator
        of_batch, real = (
            self._are_of(classes, labels) for labels in (self.labels, evaluator.train_labels)
        )
        features, named, predicted = (
            x.cpu()[of_batch] for x in (heard.features, heard.named, heard.predicted)
        )
        labels = self.labels[of_batch]
        found = {
            "accuracy": figures.accuracy(named, labels),
            "accepted": figures.accuracy(predicted, labels),
            "frechet": figures.frechet_distance(features, evaluator.train_features[real]),
        }
        return {name: round(value, 4) for name, value in found.items()}

    def _are_of(self, classes: tuple[str, ...], labels: Tensor) -> Tensor:
        """Which of the labels (B,) are those of these classes."""
        return torch.tensor([name in classes for name in self.config.classes])[labels]

    def _tell_of_old_classes(self, step: int, sounds: Tensor) -> None:
        """Say how good the classes known before are: at first, and until they have settled."""
        if self.widened_at is None:
            self.widened_at = step
        since = step - self.widened_at
        when = f"after {since} steps with new ones" if since else "before new ones are learned"
        found = self._measure(sounds, self.old_classes)
        words = "accuracy {accuracy:.2f}, Fréchet distance {frechet:.1f}".format_map(found)
        say(f"the classes known before ({len(self.old_classes)}), {when}: {words}")
        if since >= STEPS_TO_SETTLE:
            self.old_classes = ()

    def _keep_the_best(
        self, step: int, minutes: float, waveforms: Tensor, generator: SoundGenerator
    ) -> str:
        """Measure the sounds, write the generator if it is the best, and return its figures."""
        origin = {
            "step": step,
            "seed": self.config.train.seed,
            "recordings": self.config.data.digest,
            "versions": dict(self.config.versions),
        }
        if self.evaluator is None:
            save_generator(self.files.generator, generator, origin)
            return ""
        judge = self.evaluator.judge.digest
        line = {"kind": "progress", "step": step, "minutes": round(minutes, 3), "judge": judge}
        heard = self.evaluator.judge.listen(waveforms)
        line |= self._figures(heard)
        self.weak = weak_classes(heard.predicted.cpu(), self.labels, self.config.classes)
        append_metrics(self.files.metrics, line)
        score = distance_per_accuracy(line)
        if self.best is None or score <= self.best:
            origin |= {"distance_per_accuracy": score, "judge": judge}
            save_generator(self.files.generator, generator, origin)
            self.best = score  # when it is written: a disk may be full
        words = ": accuracy {accuracy:.2f}, accepted {accepted:.2f}, Fréchet distance {frechet:.1f}"
        trend = trend_in_words(read_metrics(self.files.metrics, "progress"))
        state = "; ".join(filter(None, (trend, weak_in_words(self.weak))))
        return f"{words.format_map(line)}\n{state}"
