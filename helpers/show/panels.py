"""Panels of buttons and sliders for 04_listen; they work with ipywidgets 7.7 and 8.

They hold no ipywidgets.Output: where a cell fills one, a notebook that runs without a browser can
wait for ever (nbclient, which stands in for the browser, then misses the end of the cell).
"""

from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure

from helpers.gan.generate import NO_TRUNCATION, draw_latents, generate_sounds
from helpers.gan.generator_file import SoundGenerator
from helpers.show.plots import escaped, png_bytes, printable, spectrogram_grid
from helpers.show.sound_cards import sound_cards
from helpers.sound.inversion import MelInverter


class SoundView(widgets.VBox):
    """A picture above a sound card, or a sentence that says why there are none; empty at first."""

    def __init__(self):
        super().__init__()
        own_size = widgets.Layout(max_width="100%", align_self="flex-start")
        self.picture = widgets.Image(format="png", layout=own_size)
        self.card, self.sentence = widgets.HTML(), widgets.HTML()

    def show(self, figure: Figure, waveform: np.ndarray, sample_rate: int, name: str) -> None:
        """Draw a figure, and offer a waveform (n,) to play at its own level."""
        self.picture.value = png_bytes(figure)
        self.card.value = sound_cards([waveform], sample_rate, [name]).data
        self.children = (self.picture, self.card)

    def show_what(self, make: Callable[[], tuple[Figure, np.ndarray, int, str]]) -> bool:
        """Show what make() returns; True if it raised nothing.

        Its error is said in the panel: no page shows what the handler of a button raises.
        """
        try:
            self.show(*make())
        except Exception as error:
            words = escaped(f"{type(error).__name__}: {error}")
            self.sentence.value = f"<b>There is no sound, because of an error.</b> {words}"
            self.children = (self.sentence,)
            return False
        return True


def sound_panel(
    generator: SoundGenerator,
    inverter: MelInverter,
    seed: int = 0,
    truncation: float = NO_TRUNCATION,
) -> widgets.VBox:
    """Fields for class, seed and truncation, and a button that makes, draws and plays a sound."""
    names = [(printable(name), label) for label, name in enumerate(generator.classes)]
    class_choice = widgets.Dropdown(options=names, value=0, description="class")
    seed_choice = widgets.BoundedIntText(value=seed, min=0, max=2**31 - 1, description="seed")
    truncation_choice = widgets.FloatSlider(
        value=truncation, min=0.1, max=NO_TRUNCATION, step=0.1, description="truncation"
    )
    button, view = widgets.Button(description="Generate", icon="play"), SoundView()

    def generate() -> tuple[Figure, np.ndarray, int, str]:
        z = draw_latents(1, generator.model.z_dim, seed_choice.value, truncation_choice.value)
        label = class_choice.value
        sounds = generate_sounds(generator, z, torch.tensor([label]), inverter)
        title = f"{generator.classes[label]}, seed {seed_choice.value}"
        figure = spectrogram_grid(sounds.compressed, generator.audio, [title])
        return figure, sounds.trimmed()[0], sounds.sample_rate, title

    def press(_) -> None:
        if view.show_what(generate):
            seed_choice.value += 1

    button.on_click(press)
    rows = [class_choice, seed_choice], [truncation_choice, button]
    return widgets.VBox([*map(widgets.HBox, rows), view])
