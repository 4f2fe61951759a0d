"""Panels of buttons and sliders for 04_listen; they work with ipywidgets 7.7 and 8."""

import ipywidgets as widgets
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
) -> widgets.VBox:
    """Fields for class, seed and truncation, and a button that makes, draws and plays a sound."""
    names = [(printable(name), label) for label, name in enumerate(generator.classes)]
    class_choice = widgets.Dropdown(options=names, value=0, description="class")
    seed_choice = widgets.BoundedIntText(value=seed, min=0, max=2**31 - 1, description="seed")
    truncation_choice = widgets.FloatSlider(
        value=truncation, min=0.1, max=NO_TRUNCATION, step=0.1, description="truncation"
    )
    button, output = widgets.Button(description="Generate", icon="play"), widgets.Output()

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
    rows = [class_choice, seed_choice], [truncation_choice, button]
    return widgets.VBox([*map(widgets.HBox, rows), output])


def compare_panel(waveforms: dict[str, np.ndarray], audio: AudioConfig) -> widgets.VBox:
    """A button for each name of waveforms (clip_samples,): the chosen one is drawn and played."""
    choice, output = widgets.ToggleButtons(options=list(waveforms)), widgets.Output()

    def show(_) -> None:
        waveform = waveforms[choice.value]
        log_mel = MelExtractor(audio)(torch.from_numpy(waveform)[None])  # (1, n_mels, n_frames)
        output.clear_output(wait=True)
        with output:
            display(spectrogram_grid(log_mel, audio, [choice.value]))
            display(player(waveform, audio.sample_rate))

    choice.observe(show, names="value")
    show(None)
    return widgets.VBox([choice, output])
