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
from helpers.judge.advice import TrainingWarning, distance_per_accuracy, find_faults
from helpers.judge.evaluation import Evaluator
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import MelExtractor
from helpers.train.metrics_file import append_metrics

FIRST_CHECK_STEP = 300  # before this step a generator is expected to be poor


class Watch:
    """Called with a step, minutes and a generator at each look of training.

    Gives the sounds to `view`, which draws them; warns with TrainingWarning of silence, clipping
    and collapse; adds a line of kind "progress" to the run's metrics. With an evaluator,
    generator.safetensors always is the best generator so far, by `distance_per_accuracy`; without
    one it is the latest. A generator that another judge has measured is measured anew.

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
        self.extractor = MelExtractor(config.audio.for_judge()).to(device)
        rows = torch.linspace(0, len(dataset) - 1, min(FIXED_BATCH_SIZE, len(dataset))).long()
        self.real = self.extractor(self.inverter(dataset.compressed(rows).to(device))).cpu()
        self.real_labels = dataset.labels[rows]
        self.best = self._score_what_is_kept()  # distance_per_accuracy, by this judge

    def __call__(self, step: int, minutes: float, network: nn.Module) -> None:
        config, normaliser = self.config, self.dataset.normaliser
        generator = SoundGenerator(
            network, config.audio, config.model, config.classes, normaliser, self.inversion
        )
        compressed = generate_mels(generator, self.z, self.labels)
        if not torch.isfinite(compressed).all():
            return  # training itself finds this, and goes back
        waveforms = self.inverter(compressed)
        mels = self.extractor(waveforms)
        heard = waveforms.cpu(), mels.cpu(), self.labels
        if step >= FIRST_CHECK_STEP:
            for fault in find_faults(*heard, self.real, self.real_labels):
                warnings.warn(f"step {step}: {fault}", TrainingWarning, stacklevel=2)
        title = f"step {step}{self._keep_the_best(step, minutes, mels, generator)}"
        if self.view:
            self.view(compressed.cpu(), heard[0], title, self.files.samples / f"{step:08d}")
            thin_out(self.files.samples, STEP_FOLDERS_KEPT)

    def _score_what_is_kept(self) -> float | None:
        """`distance_per_accuracy` of the run's generator by this judge; None without either.

        A damaged generator has none, nor has one of other settings, which another run has made.
        """
        path, config = self.files.generator, self.config
        if self.evaluator is None or not is_whole_generator(read_if_there(path)):
            return None
        origin = read_origin(path)
        score = origin.get("distance_per_accuracy")
        if origin.get("judge") != self.evaluator.judge.digest:
            kept = load_generator(path, self.device)
            wanted = (config.classes, config.audio, config.model)
            if (kept.classes, kept.audio, kept.model) != wanted:
                return None
            waveforms = make_inverter(kept)(generate_mels(kept, self.z, self.labels))
            score = distance_per_accuracy(self._measure(self.extractor(waveforms)))
        return score if isinstance(score, float) and math.isfinite(score) else None

    def _measure(self, mels: Tensor) -> dict[str, float]:
        """Accuracy and Fréchet distance of the fixed batch from its mels (B, n_mels, n_frames)."""
        features, predicted = (x.cpu() for x in self.evaluator.judge.classify(mels))
        distance = figures.frechet_distance(features, self.evaluator.train_features)
        accuracy = figures.accuracy(predicted, self.labels)
        return {"accuracy": round(accuracy, 4), "frechet": round(distance, 4)}

    def _keep_the_best(
        self, step: int, minutes: float, mels: Tensor, generator: SoundGenerator
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
        line |= self._measure(mels)
        append_metrics(self.files.metrics, line)
        score = distance_per_accuracy(line)
        if self.best is None or score <= self.best:
            origin |= {"distance_per_accuracy": score, "judge": judge}
            save_generator(self.files.generator, generator, origin)
            self.best = score  # when it is written: a disk may be full
        return f": accuracy {line['accuracy']:.2f}, Fréchet distance {line['frechet']:.1f}"
