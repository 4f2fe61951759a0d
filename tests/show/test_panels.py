"""The panels: what is chosen is drawn and played, or the panel says why not."""

import base64
import io
import re
import tokenize

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import soundfile

from helpers.files import PROJECT
from helpers.gan.generate import make_inverter
from helpers.show import panels


def shown(panel) -> tuple[np.ndarray, np.ndarray]:
    """The pixels and the samples of the picture and the sound card that a panel shows last."""
    picture, card = panel.children[-1].children
    (sound,) = re.findall('<audio [^>]*src="data:audio/flac;base64,([^"]*)"', card.value)
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(sound)))
    return plt.imread(io.BytesIO(picture.value)), samples


def test_each_press_makes_the_next_sound(sound_generator):
    generator = sound_generator()
    panel = panels.sound_panel(generator, make_inverter(generator, n_iterations=2), seed=4)
    assert panel.children[-1].children == ()
    (class_choice, seed_choice), (_, button) = (row.children for row in panel.children[:2])
    assert [name for name, _ in class_choice.options] == ["high", "low", "noise"]
    button.click()
    pixels, samples = shown(panel)
    assert seed_choice.value == 5
    button.click()
    assert seed_choice.value == 6
    more_pixels, more_samples = shown(panel)
    assert not np.array_equal(pixels, more_pixels)
    assert len(samples) and len(more_samples) and not np.array_equal(samples, more_samples)


def test_a_press_that_fails_says_why_in_the_panel_and_the_next_one_plays(sound_generator):
    generator = sound_generator()
    works = make_inverter(generator, n_iterations=2)
    broken = [True]

    def inverter(mels):
        if broken:
            raise ValueError(f"no way back from <mels> of {broken.pop()}")
        return works(mels)

    panel = panels.sound_panel(generator, inverter, seed=4)
    (_, seed_choice), (_, button) = (row.children for row in panel.children[:2])
    button.click()
    (sentence,) = panel.children[-1].children
    assert "no sound, because of an error" in sentence.value
    assert "ValueError: no way back from &lt;mels&gt; of True" in sentence.value
    assert seed_choice.value == 4
    button.click()
    assert shown(panel) and seed_choice.value == 5


def names_in(source: str) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_nothing_fills_an_output_widget():
    """Without a browser such a cell may never end: see the first lines of helpers/show/panels."""
    assert "Output" in dir(ipywidgets) and "Output" in names_in("widgets.Output()  # Output")
    sources = {path: path.read_text() for path in (PROJECT / "helpers").rglob("*.py")}
    for path in (PROJECT / "notebooks").glob("0*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources[path] = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert len(sources) > 44
    forbidden = {"Output", "interact", "interactive", "interactive_output"}  # these make one
    assert [path for path, source in sources.items() if names_in(source) & forbidden] == []
