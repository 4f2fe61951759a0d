"""Watching training: one fixed batch of noise and labels, drawn and written at every interval."""

from pathlib import Path

import torch
from IPython.display import display
from torch import Tensor, nn

from helpers.audio import write_wav
from helpers.checkpoints import SoundGenerator
from helpers.config import RunConfig
from helpers.features import Normaliser
from helpers.inversion import MelInverter
from helpers.plots import save_figure, spectrogram_grid
from helpers.sampling import generate_mels

COLUMNS_IN_GRID = 8


class Preview:
    """Called with a step and a generator: writes samples/<step>/ and renews one picture in the notebook.

    config and normaliser tell how its output turns into sound; z (B, z_dim) and labels (B,) stay the same.
    """

    def __init__(self, config: RunConfig, normaliser: Normaliser, z: Tensor, labels: Tensor, folder: Path):
        self.config, self.normaliser, self.folder = config, normaliser, folder
        self.z, self.labels = z.cpu(), labels.cpu()
        self.inverter = MelInverter(config.audio)
        self.shown = None

    def __call__(self, step: int, network: nn.Module) -> None:
        audio, classes = self.config.audio, self.config.classes
        generator = SoundGenerator(network, audio, self.config.model, classes, self.normaliser)
        compressed = generate_mels(generator, self.z, self.labels)
        titles = [classes[label] for label in self.labels]
        figure = spectrogram_grid(compressed, audio, titles, COLUMNS_IN_GRID, f"step {step}")
        save_figure(figure, self.folder / f"{step:08d}" / "spectrograms.png")
        if torch.isfinite(compressed).all():
            self._write_sounds(compressed, self.folder / f"{step:08d}")
        if self.shown is None:
            self.shown = display(figure, display_id=True)
        else:
            self.shown.update(figure)

    def _write_sounds(self, compressed: Tensor, folder: Path) -> None:
        first = [int((self.labels == index).nonzero()[0]) for index in range(len(self.config.classes))]
        for name, waveform in zip(self.config.classes, self.inverter(compressed[first]), strict=True):
            write_wav(folder / f"{name}.wav", waveform.numpy(), self.config.audio.sample_rate)
