"""The panels: what is chosen is drawn and played."""

import numpy as np
import pytest
from IPython.display import Audio
from matplotlib.figure import Figure

from helpers.gan.generate import make_inverter
from helpers.show import panels as widgets


@pytest.fixture
def displayed(monkeypatch):
    """Everything that a panel shows, in order."""
    shown = []
    monkeypatch.setattr(widgets, "display", shown.append)
    return shown


def test_each_press_makes_the_next_sound(sound_generator, displayed):
    generator = sound_generator()
    panel = widgets.sound_panel(generator, make_inverter(generator, n_iterations=2), seed=4)
    assert displayed == []
    (class_choice, seed_choice), (_, button) = (row.children for row in panel.children[:2])
    assert [name for name, _ in class_choice.options] == ["high", "low", "noise"]
    for pressed in (1, 2):
        button.click()
        assert [type(what) for what in displayed] == pressed * [Figure, Audio]
        assert seed_choice.value == 4 + pressed


def test_choosing_a_way_back_shows_and_plays_it(tiny_audio, displayed):
    time = np.arange(tiny_audio.clip_samples, dtype=np.float32) / tiny_audio.sample_rate
    sounds = {"a": 0.1 * np.sin(2000 * time), "b": 0.1 * np.sin(9000 * time)}
    panel = widgets.compare_panel(sounds, tiny_audio)
    assert [type(what) for what in displayed] == [Figure, Audio]
    panel.children[0].value = "b"
    assert [type(what) for what in displayed] == 2 * [Figure, Audio]
    assert displayed[1].data != displayed[3].data
