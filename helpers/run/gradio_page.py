"""A page of buttons for others, by gradio, which Colab has: play a generator, or train one's own.

Only this module knows gradio, and it imports it when the page is asked for.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from helpers.device import pick_device
from helpers.gan.generate import NO_TRUNCATION, draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator
from helpers.run.colab import RunError
from helpers.run.own_sounds import keep_uploaded
from helpers.show.plots import printable

MOST_SOUNDS, MOST_MINUTES = 8, 60
MISSING = "share needs gradio, which is not installed: run `pip install gradio`, or leave share out"
UPLOAD = "A .zip with class folders, or files such as dog_01.wav"

Learn = Callable[[str, str, float], tuple[Path, Sequence[str]]]


def import_gradio():
    """The package gradio; RunError, with a sentence, where it is missing."""
    try:
        import gradio
    except ImportError as error:
        raise RunError(MISSING) from error
    return gradio


def build_page(generator_file: Path, learn: Learn):
    """The page, a gradio.Blocks, to launch. Each visitor has a generator, at first this one.

    learn(data, run_dir, minutes) trains a run of what is uploaded, and returns the file of its
    generator and sentences on it.
    """
    gradio = import_gradio()

    def play(file: str, label: int, n: float, seed: float, truncation: float) -> list:
        made = _render(Path(file), label, int(n), int(seed), truncation)
        shown = [gradio.Audio(one, visible=True) for one in made]
        return shown + [gradio.Audio(visible=False)] * (MOST_SOUNDS - len(shown))

    def train(files, minutes: float, bar=gradio.Progress(track_tqdm=True)):  # noqa: B008
        try:
            file, sentences = learn(*keep_uploaded(files or ()), minutes)
        except (ValueError, RuntimeError, OSError) as error:
            raise gradio.Error(printable(str(error))) from error
        return str(file), gradio.Dropdown(_choices(file), value=0), printable("\n".join(sentences))

    with gradio.Blocks(title="class-sounds") as page:
        file = gradio.State(str(generator_file))
        gradio.Markdown(
            "# Sounds of a class\nA neural network makes them. Choose, and press the button."
        )
        with gradio.Row():
            label = gradio.Dropdown(_choices(generator_file), value=0, label="Class")
            n = gradio.Slider(1, MOST_SOUNDS, 4, step=1, label="How many")
            seed = gradio.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
            truncation = gradio.Slider(0.3, NO_TRUNCATION, 2.0, label="Typical to adventurous")
        button = gradio.Button("Make sounds", variant="primary")
        looks = {"visible": False, "interactive": False, "buttons": ["download"], "min_width": 400}
        with gradio.Row():
            players = [
                gradio.Audio(label=f"Take {n + 1}", autoplay=n == 0, **looks)
                for n in range(MOST_SOUNDS)
            ]
        button.click(play, [file, label, n, seed, truncation], players, api_name="play")
        with gradio.Accordion("Sounds of your own", open=False):
            files = gradio.File(file_count="multiple", label=UPLOAD)
            minutes = gradio.Slider(1, MOST_MINUTES, 5, label="Minutes of training")
            start, words = gradio.Button("Train"), gradio.Textbox(label="How good it is")
        start.click(train, [files, minutes], [file, label, words], api_name="train")
    return page


def _render(file: Path, label: int, n: int, seed: int, truncation: float) -> list[tuple]:
    """Sounds of a class as gradio plays them: the rate in hertz, and (n_samples,) int16."""
    generator = load_generator(file, pick_device())
    z, labels = draw_latents(n, generator.model.z_dim, seed, truncation), torch.full((n,), label)
    sounds = generate_sounds(generator, z, labels, make_inverter(generator))
    scale = 32_767 / np.abs(sounds.waveforms).max(initial=1.0)
    return [(sounds.sample_rate, (one * scale).astype(np.int16)) for one in sounds.trimmed()]


def _choices(generator_file: Path) -> list[tuple[str, int]]:
    classes = load_generator(Path(generator_file)).classes
    return [(printable(name), label) for label, name in enumerate(classes)]
