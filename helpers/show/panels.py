"""The panels of 04_listen, from widgets that ipywidgets 7.7 and 8 both have."""

import ipywidgets
import numpy as np
import torch
from IPython.display import display

from helpers.config import AudioConfig
from helpers.gan.generate import NO_TRUNCATION, draw_latents, generate_sounds
from helpers.gan.generator_file import SoundGenerator
from helpers.show.audio_player import player
from helpers.show.plots import printable, spectrogram_grid
from helpers.sound.inversion import MelInverter
from helpers.sound.mel import MelExtractor


def sound_panel(
    generator: SoundGenerator,
    inverter: MelInverter,
    seed: int = 0,
    truncation: float = NO_TRUNCATION,
) -> ipywidgets.VBox:
    """Class, seed, truncation and a button that generates, draws and plays one sound."""
    names = [(printable(name), index) for index, name in enumerate(generator.classes)]
    class_choice = ipywidgets.Dropdown(options=names, value=0, description="class")
    seed_choice = ipywidgets.BoundedIntText(value=seed, min=0, max=2**31 - 1, description="seed")
    truncation_choice = ipywidgets.FloatSlider(
        value=truncation, min=0.1, max=NO_TRUNCATION, step=0.1, description="truncation"
    )
    button, output = ipywidgets.Button(description="Generate", icon="play"), ipywidgets.Output()

    def generate(_) -> None:
        z = draw_latents(1, generator.model.z_dim, seed_choice.value, truncation_choice.value)
        label = class_choice.value
        sounds = generate_sounds(generator, z, torch.tensor([label]), inverter)
        title = f"{generator.classes[label]}, seed {seed_choice.value}"
        output.clear_output(wait=True)
        with output:
            display(spectrogram_grid(sounds.compressed, generator.audio, [title]))
            display(player(sounds.trimmed()[0], sounds.sample_rate))
        seed_choice.value += 1

    button.on_click(generate)
    return ipywidgets.VBox(
        [
            ipywidgets.HBox([class_choice, seed_choice]),
            ipywidgets.HBox([truncation_choice, button]),
            output,
        ]
    )


def compare_panel(waveforms: dict[str, np.ndarray], audio: AudioConfig) -> ipywidgets.VBox:
    """A button for each of some waveforms (clip_samples,), by name: the chosen one is drawn and played."""
    choice, output = ipywidgets.ToggleButtons(options=list(waveforms)), ipywidgets.Output()

    def show(_) -> None:
        waveform = waveforms[choice.value]
        output.clear_output(wait=True)
        with output:
            display(
                spectrogram_grid(
                    MelExtractor(audio)(torch.from_numpy(waveform)[None]), audio, [choice.value]
                )
            )
            display(player(waveform, audio.sample_rate))

    choice.observe(show, names="value")
    show(None)
    return ipywidgets.VBox([choice, output])
