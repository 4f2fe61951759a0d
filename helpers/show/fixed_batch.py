"""How training goes: the same batch of sounds at every look, as one picture and as sound files."""

import os
from collections.abc import Sequence
from pathlib import Path

from IPython.display import HTML, Image, display
from matplotlib.figure import Figure
from torch import Tensor

from helpers.config import MAX_NAME_BYTES, AudioConfig, digest_of
from helpers.files import names_in
from helpers.gan.generate import fixed_classes
from helpers.labels import choose_evenly
from helpers.progress import in_notebook
from helpers.show.plots import MOST_PANELS, renew_grid, save_figure, spectrogram_grid
from helpers.show.sound_cards import sound_cards
from helpers.sound.audio_files import read_audio, source_info, write_wav

SHOWN_PER_CLASS = 4
COLUMNS = 4  # legible in a page 1 000 pixels wide


class FixedBatchView:
    """Draws the fixed batch, writes it to files, and renews one picture in the notebook.

    classes: all that the generator knows, of which the batch holds the `fixed_classes`.
    """

    def __init__(self, classes: Sequence[str], audio: AudioConfig):
        self.classes = [classes[label] for label in fixed_classes(len(classes))]
        self.audio = audio
        self.figure: Figure | None = None
        self.shown = None  # the handle of the picture in the notebook

    def __call__(self, log_mels: Tensor, waveforms: Tensor, title: str, folder: Path) -> None:
        """Write folder/spectrograms.png and each class's first sound as folder/<class>.wav.

        log_mels (B, n_mels, n_frames) and waveforms (B, clip_samples) hold class after class, as
        many sounds of each. Shows the picture the first time, and afterwards replaces it. Outside a
        notebook it is only written.
        """
        mels = log_mels.unflatten(0, (len(self.classes), -1))  # (classes, sounds of each, ...)
        per_class = max(1, min(SHOWN_PER_CLASS, MOST_PANELS // len(self.classes)))
        mels = mels[:, :per_class].flatten(0, 1)
        if self.figure is None:
            titles = [name for name in self.classes for _ in range(len(mels) // len(self.classes))]
            figure = spectrogram_grid(mels, self.audio, titles, COLUMNS, title)
        else:
            figure = self.figure
            renew_grid(figure, mels, self.audio, title)
        picture = Image(save_figure(figure, folder / "spectrograms.png").read_bytes())
        self.figure = figure  # now that it is drawn, it has its layout
        first = waveforms[:: len(waveforms) // len(self.classes)]  # (classes, clip_samples)
        for name, waveform in zip(self.classes, first, strict=True):
            write_wav(folder / _wav_name(name), waveform.numpy(), self.audio.sample_rate)
        if not in_notebook():
            return  # IPython would print the figure's name
        if self.shown is None:
            self.shown = display(picture, display_id=True)
        else:
            self.shown.update(picture)


def cards_over_time(samples: Path, class_name: str, most: int = 8) -> HTML:
    """The first sound of a class in the folders of `FixedBatchView`, from the first to the last.

    Of many looks, `most` are chosen evenly. Raises AudioError for a file that cannot be read.
    """
    files = [samples / step / _wav_name(class_name) for step in sorted(names_in(samples))]
    files = [file for file in files if file.is_file()]
    shown = [files[index] for index in choose_evenly(len(files), most)]
    rate = source_info(shown[0]).sample_rate if shown else 1
    waveforms = [read_audio(file, rate)[0] for file in shown]
    names = [f"step {file.parent.name.lstrip('0') or '0'}" for file in shown]
    return sound_cards(waveforms, rate, names, f"{class_name}, from the beginning to now")


def _wav_name(class_name: str) -> str:
    """The class's name and ".wav"; where that is too long, a digest replaces the name's end."""
    ending, name = ".wav", os.fsencode(class_name)
    if len(name) + len(ending) > MAX_NAME_BYTES:
        ending = f"-{digest_of(class_name)}.wav"
    return os.fsdecode(name[: MAX_NAME_BYTES - len(ending)]) + ending
