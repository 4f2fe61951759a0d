"""Watching training: one fixed batch of noise and labels, drawn, heard and measured; the best generator is kept."""

import math
import os
import warnings
from pathlib import Path

import torch
from IPython.display import display
from torch import Tensor, nn

from helpers.config import MAX_NAME_BYTES, RunConfig, digest_of
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.files import SAMPLES_KEPT, read_if_there, thin_out
from helpers.gan.generate import SHOWN_PER_CLASS, SOUNDS_HEARD, fixed_batch, generate_mels
from helpers.gan.generator_file import (
    SoundGenerator,
    is_whole_generator,
    read_generator_note,
    save_generator,
)
from helpers.judge import figures as metrics
from helpers.judge.advice import TrainingWarning, distance_per_accuracy, find_faults
from helpers.judge.evaluation import Evaluator
from helpers.show.plots import save_figure, spectrogram_grid
from helpers.sound.audio_files import write_wav
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import MelExtractor
from helpers.train.metrics_file import append_metrics

FIRST_CHECK_STEP = 300  # before this a generator is expected to be poor
COLUMNS_IN_GRID = 8


class Watch:
    """Called with a step, minutes and a generator at each interval of training.

    Writes samples/<step>/ and renews one picture in the notebook; warns with TrainingWarning of silence,
    clipping and collapse, as heard; adds a line of kind "progress" to the run's metrics. With an evaluator,
    generator.safetensors always is the best generator so far, by `distance_per_accuracy`; without one, the latest.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: TrainAudioSpectrogramDataset,
        run_folder: Path,
        evaluator: Evaluator | None = None,
        draw: bool = True,
        inversion: MagnitudeNet | None = None,
    ):
        self.config, self.dataset, self.folder, self.evaluator = (
            config,
            dataset,
            run_folder,
            evaluator,
        )
        self.draw, self.inversion = draw, inversion
        self.z, self.labels = fixed_batch(config.model.z_dim, dataset.n_classes)
        self.inverter = MelInverter(config.audio, network=inversion)
        self.extractor = MelExtractor(config.audio.for_judge())
        self.real, self.real_labels = self._real_as_heard()
        kept = evaluator is not None and is_whole_generator(read_if_there(self.generator_path))
        best = (
            read_generator_note(self.generator_path).get("distance_per_accuracy") if kept else None
        )
        self.least_bad = best if isinstance(best, float) and math.isfinite(best) else None
        self.shown = None

    @property
    def generator_path(self) -> Path:
        """The file that 04_listen opens."""
        return self.folder / "generator.safetensors"

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
        if step >= FIRST_CHECK_STEP:
            for fault in find_faults(waveforms, mels, self.labels, self.real, self.real_labels):
                warnings.warn(f"step {step}: {fault}", TrainingWarning, stacklevel=2)
        title = f"step {step}{self._measure(step, minutes, mels, generator)}"
        if self.draw:
            self._show(compressed, waveforms, title, self.folder / "samples" / f"{step:08d}")

    def _measure(self, step: int, minutes: float, mels: Tensor, generator: SoundGenerator) -> str:
        if self.evaluator is None:
            save_generator(self.generator_path, generator, self._note(step))
            return ""
        features, predicted = self.evaluator.judge.look(mels)
        line = {
            "kind": "progress",
            "step": step,
            "minutes": round(minutes, 3),
            "accuracy": round(metrics.accuracy(predicted, self.labels), 4),
            "frechet": round(metrics.frechet_distance(features, self.evaluator.train_features), 4),
        }
        append_metrics(self.folder / "metrics.jsonl", line)
        if self.least_bad is None or distance_per_accuracy(line) <= self.least_bad:
            save_generator(
                self.generator_path,
                generator,
                self._note(step) | {"distance_per_accuracy": distance_per_accuracy(line)},
            )
            self.least_bad = distance_per_accuracy(line)  # when it is written: a disk may be full
        return f": accuracy {line['accuracy']:.2f}, Fréchet distance {line['frechet']:.1f}"

    def _note(self, step: int) -> dict:
        config = self.config
        return {
            "step": step,
            "seed": config.train.seed,
            "recordings": config.data.digest,
            "versions": dict(config.versions),
        }

    def _show(self, compressed: Tensor, waveforms: Tensor, title: str, folder: Path) -> None:
        classes, audio = self.config.classes, self.config.audio
        rows = torch.cat(
            [(self.labels == label).nonzero()[:SHOWN_PER_CLASS, 0] for label in range(len(classes))]
        )
        titles = [classes[label] for label in self.labels[rows]]
        figure = spectrogram_grid(compressed[rows], audio, titles, COLUMNS_IN_GRID, title)
        save_figure(figure, folder / "spectrograms.png")
        for name, row in zip(classes, rows[::SHOWN_PER_CLASS], strict=True):
            write_wav(folder / _wav_name(name), waveforms[row].numpy(), audio.sample_rate)
        thin_out(folder.parent, SAMPLES_KEPT)
        if self.shown is None:
            self.shown = display(figure, display_id=True)
        else:
            self.shown.update(figure)

    def _real_as_heard(self) -> tuple[Tensor, Tensor]:
        rows = torch.linspace(0, len(self.dataset) - 1, min(SOUNDS_HEARD, len(self.dataset))).long()
        compressed = self.dataset.compressed(rows)
        return self.extractor(self.inverter(compressed)), self.dataset.labels[rows]


def _wav_name(class_name: str) -> str:
    """A folder's name may be so long that there is no room for an ending."""
    ending, name = ".wav", os.fsencode(class_name)
    if len(name) + len(ending) > MAX_NAME_BYTES:
        ending = f"-{digest_of(class_name)}{ending}"
    return os.fsdecode(name[: MAX_NAME_BYTES - len(ending)]) + ending
