"""Pads in a notebook: play takes of each class, keep or reject each; Python reads what was kept.

What the browser does is in pads.js.
"""

from collections.abc import Sequence
from typing import NamedTuple

import anywidget
import numpy as np
from traitlets import Int, List, TraitError, Unicode, validate

from helpers.show.takes import Takes
from helpers.show.widget_script import widget_script

PADS_JS = widget_script("pads.js")


class KeptTake(NamedTuple):
    """A take that a person kept: its class in generator.classes, its latent's seed, the sound."""

    label: int
    seed: int
    waveform: np.ndarray  # (n,), trimmed


class Pads(anywidget.AnyWidget):
    """A pad for each class, a pattern, a morph; `kept` and `rejected` hold numbers of takes.

    >>> from helpers.show.takes import render_takes
    >>> pads = Pads(render_takes(generator, inverter, n_takes=4))
    """

    _esm = PADS_JS
    names = List(Unicode()).tag(sync=True)
    takes = List(List(Unicode())).tag(sync=True)  # in base64, of each class
    between = List(List(Unicode())).tag(sync=True)  # the steps from its first take to its second
    sample_rate = Int().tag(sync=True)
    first_seed = Int().tag(sync=True)  # take k has the seed first_seed + k
    note = Unicode().tag(sync=True)
    kept = List(List(Int())).tag(sync=True)
    rejected = List(List(Int())).tag(sync=True)

    def __init__(self, sounds: Takes):
        self.sounds = sounds
        super().__init__(**sounds.for_browser())

    def __repr__(self) -> str:
        return f"Pads of {len(self.names)} classes: run this cell to play them."

    @validate("kept", "rejected")
    def _check_numbers(self, proposal) -> list[list[int]]:
        n_takes = [len(own) for own in self.sounds.waveforms]
        numbers = proposal["value"]
        if len(numbers) != len(n_takes) or any(
            not 0 <= take < n for own, n in zip(numbers, n_takes, strict=False) for take in own
        ):
            raise TraitError(
                f"{proposal['trait'].name} must hold, for each of {len(n_takes)} classes, a list "
                f"of takes from 0 to {max(n_takes) - 1}; got {numbers}"
            )
        return [sorted(set(own)) for own in numbers]


def kept_takes(pads: Pads) -> list[KeptTake]:
    """The takes that a person kept so far, by class."""
    return _takes_of(pads, pads.kept)


def takes_to_take_away(pads: Pads) -> list[KeptTake]:
    """The takes that a person kept; as long as nothing is kept, all that are not rejected."""
    takes, rejected = pads.sounds.waveforms, pads.rejected
    others = [
        [take for take in range(len(own)) if take not in out]
        for own, out in zip(takes, rejected, strict=True)
    ]
    return kept_takes(pads) or _takes_of(pads, others)


def _takes_of(pads: Pads, numbers: Sequence[Sequence[int]]) -> list[KeptTake]:
    """The takes of these numbers, of each class."""
    sounds = pads.sounds
    return [
        KeptTake(sounds.labels[place], sounds.first_seed + take, sounds.waveforms[place][take])
        for place, own in enumerate(numbers)
        for take in own
    ]
