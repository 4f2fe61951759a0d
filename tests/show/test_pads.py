"""The pads as Python sees them: what is sent to a browser, and what a person kept."""

import numpy as np
import pytest
from traitlets import TraitError

from helpers.gan.generate import make_inverter
from helpers.show.pads import PADS_JS, Pads, kept_takes
from helpers.show.takes import Takes, render_takes


@pytest.fixture
def pads() -> Pads:
    waveforms = [[np.full(80 + take, 0.1 * label) for take in range(3)] for label in range(2)]
    return Pads(Takes((4, 9), ("a", "b"), waveforms, [[], []], 8_000, first_seed=100))


def test_all_that_the_browser_reads_is_synced(pads):
    state = pads.get_state()
    assert state["_esm"] == PADS_JS
    names = {"names", "takes", "between", "sample_rate", "first_seed", "note", "kept", "rejected"}
    assert names <= state.keys()
    assert state["kept"] == state["rejected"] == [[], []]
    assert all(f'"{name}"' in PADS_JS for name in names)


def test_what_was_kept_has_its_class_its_seed_and_its_sound(pads):
    assert kept_takes(pads) == []
    pads.set_state({"kept": [[2], [1, 0]], "rejected": [[], [2]]})  # as a browser does
    kept = kept_takes(pads)
    assert [(take.label, take.seed) for take in kept] == [(4, 102), (9, 100), (9, 101)]
    assert [len(take.waveform) for take in kept] == [82, 80, 81]
    assert pads.rejected == [[], [2]]


@pytest.mark.parametrize("numbers", [[[0]], [[3], []], [[], [-1]], [[], [], []]])
def test_a_take_that_is_not_there_cannot_be_kept(pads, numbers):
    with pytest.raises(TraitError, match="a list of takes from 0 to 2"):
        pads.kept = numbers
    assert pads.kept == [[], []]


def test_pads_are_made_of_a_generator(sound_generator):
    generator = sound_generator()
    pads = Pads(render_takes(generator, make_inverter(generator, n_iterations=1), 2, n_steps=4))
    assert [len(own) for own in pads.takes + pads.between] == [2] * 6
    assert pads.names == ["high", "low", "noise"]


def test_where_nothing_can_be_played_a_sentence_stands(pads):
    data, *_ = pads._repr_mimebundle_()
    assert data["text/plain"] == "Pads of 2 classes: run this cell to play them."
    assert "application/vnd.jupyter.widget-view+json" in data
