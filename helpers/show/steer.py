"""A panel that steers a generator by hand: each move makes a sound here, and the browser plays it.

What the browser does is in steer.js. It sends one request at a time, the newest, so a drag leaves
no queue behind.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import anywidget
import numpy as np
import torch
from traitlets import Dict, Float, List, TraitError, Unicode, validate

from helpers.config import ConfigError
from helpers.gan.generator_file import SoundGenerator
from helpers.gan.steer import (
    LEAST_SPREAD,
    MOST_SPREAD,
    MOST_STEPS,
    Place,
    corners_around,
    draw_corners,
    steered_latent,
    steered_sound,
    to_typical_norm,
)
from helpers.judge.directions import Direction
from helpers.show.plots import printable
from helpers.show.thumbnail import thumbnail
from helpers.show.widget_script import widget_script
from helpers.sound.inversion import MelInverter
from helpers.sound.web_audio import encode_for_page, playable

STEER_JS = widget_script("steer.js")
MOST_BYTES = 2_000_000  # of a sound on its way to the browser; longer ones become MP3
STATE = {"corners", *(field.name for field in dataclasses.fields(Place))}


class KeptSound(NamedTuple):
    """A sound that a person kept: its class in generator.classes, or the larger of two; trimmed."""

    label: int
    waveform: np.ndarray  # (n,)


class Steer(anywidget.AnyWidget):
    """A square between four sounds, classes to mix, a slider for each direction; `kept` states.

    A state is what the browser knows of a sound: the fields of a `Place`, and the number of its
    four corners.
    """

    _esm = STEER_JS
    names = List(Unicode()).tag(sync=True)
    directions = List(Dict()).tag(sync=True)  # back, along, change for a step, unit
    limits = Dict().tag(sync=True)  # of the sliders
    first = Dict().tag(sync=True)  # the state to begin with
    clip_s = Float().tag(sync=True)  # how long the picture of a sound is
    kept = List(Dict()).tag(sync=True)

    def __init__(
        self,
        generator: SoundGenerator,
        inverter: MelInverter,
        directions: Sequence[Direction] = (),
        seed: int = 0,
    ):
        self.generator, self.inverter, self.seed = generator, inverter, seed
        z_dim = generator.model.z_dim
        vectors = [direction.vector for direction in directions]
        self.vectors = torch.stack(vectors) if vectors else torch.zeros(0, z_dim)
        self.corners = [draw_corners(z_dim, seed)]  # of each number in a state
        second = min(1, len(generator.classes) - 1)
        first = dataclasses.asdict(Place(second=second))
        super().__init__(
            names=[printable(name) for name in generator.classes],
            directions=[_for_browser(direction) for direction in directions],
            limits={"spread": [LEAST_SPREAD, MOST_SPREAD], "steps": MOST_STEPS},
            first=first | {"corners": 0, "amounts": [0.0] * len(vectors)},
            clip_s=generator.audio.duration_s,
        )
        self.on_msg(self._answer)

    def __repr__(self) -> str:
        return f"Steer through {len(self.names)} classes: run this cell to hear them."

    @validate("kept")
    def _check_kept(self, proposal) -> list[dict]:
        try:
            for state in proposal["value"]:
                self._read(state)
        except (ConfigError, TypeError) as error:
            raise TraitError(f"kept must hold states of this panel: {error}") from error
        return proposal["value"]

    def _answer(self, _, request: dict, __) -> None:
        """Make the sound of a request, and send it; or say what went wrong."""
        about = {name: request.get(name) for name in ("view", "number")}
        try:
            state = self._changed(request.get("what"), request["state"])
            sound, picture = self._files(state)
        except Exception as error:  # no page shows what a handler raises
            words = printable(f"{type(error).__name__}: {error}")
            self.send(about | {"error": words})
            return
        self.send(about | {"state": state}, [sound, picture])

    def _changed(self, what: str, state: dict) -> dict:
        """The state that a request leads to: with new corners for "new" and "like"."""
        number, place = self._read(state)
        if what == "move":
            return state
        self.seed += 1
        z_dim = self.generator.model.z_dim
        if what == "like":  # the spread stays with its slider, the steps go into the corners
            z = steered_latent(self.corners[number], place, self.vectors)
            self.corners.append(corners_around(to_typical_norm(z), self.seed))
            state = state | {"amounts": [0.0] * len(self.vectors)}
        else:
            self.corners.append(draw_corners(z_dim, self.seed))
        return state | {"corners": len(self.corners) - 1, "x": 0.5, "y": 0.5}

    def _files(self, state: dict) -> tuple[bytes, bytes]:
        """The sound of a state as a file for the browser, and its picture."""
        sounds = self.sounds_of(state)
        rate = sounds.sample_rate
        trimmed = playable(sounds.trimmed()[0])
        (file,) = encode_for_page([trimmed], rate, MOST_BYTES)
        return file.content, thumbnail(playable(sounds.waveforms[0]), rate)

    def sounds_of(self, state: dict):
        """The one sound of a state, as `steered_sound` gives it."""
        number, place = self._read(state)
        z = steered_latent(self.corners[number], place, self.vectors)
        return steered_sound(self.generator, self.inverter, z, place)

    def _read(self, state: dict) -> tuple[int, Place]:
        """The number of its corners, and the place; ConfigError for what is no state."""
        if set(state) != STATE:
            raise ConfigError(f"a state has {', '.join(sorted(STATE))}; got {', '.join(state)}")
        own = dict(state)
        number = own.pop("corners")
        if not (isinstance(number, int) and 0 <= number < len(self.corners)):
            raise ConfigError(f"corners must be 0 to {len(self.corners) - 1}, got {number}")
        place = Place(**own | {"amounts": tuple(own["amounts"])})
        steered_latent(self.corners[number], place, self.vectors)
        for label in (place.label, place.second):
            if label not in range(len(self.names)):
                raise ConfigError(f"a class must be 0 to {len(self.names) - 1}, got {label}")
        return number, place


def make_steer(
    generator: SoundGenerator,
    inverter: MelInverter,
    directions: Sequence[Direction] = (),
    seed: int = 0,
) -> Steer:
    """The panel, with a slider for each direction; seed draws its first four corners.

    >>> from helpers.judge.directions import find_directions
    >>> steer = make_steer(generator, inverter, find_directions(generator, inverter))
    """
    return Steer(generator, inverter, directions, seed)


def kept_sounds(steer: Steer) -> list[KeptSound]:
    """The sounds that a person kept so far, in that order, made again from their states.

    >>> labels = [label for label, waveform in kept_sounds(make_steer(generator, inverter))]
    """
    sounds = [steer.sounds_of(state) for state in steer.kept]
    return [KeptSound(int(one.labels[0]), one.trimmed()[0]) for one in sounds]


def _for_browser(direction: Direction) -> dict:
    back, along = direction.names
    change = float(direction.change)
    return {"back": back, "along": along, "change": change, "unit": direction.unit}
