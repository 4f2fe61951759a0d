"""Some takes of each class, rendered and encoded, as many as a page can hold; for `pads`, `page`.

A take is one sound of a class. Take k comes from the latent of seed + k, whatever the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from helpers.config import ConfigError
from helpers.gan.generate import NO_TRUNCATION, draw_latents, generate_in_parts, interpolate
from helpers.gan.generator_file import SoundGenerator
from helpers.labels import choose_evenly
from helpers.show.plots import printable
from helpers.sound.inversion import MelInverter
from helpers.sound.web_audio import encode_for_page, playable

MOST_CLASSES, FEWEST_TAKES = 48, 2
MOST_SOUNDS, MOST_SECONDS = 256, 240  # of all classes together; as MP3 these fit MOST_BYTES
MOST_BYTES = 2_850_000  # encoded; base64 makes four of three
LEAST_STEPS = 4  # of a morph

Encoded = list[list[str]]  # sounds in base64, of each class


class Plan(NamedTuple):
    """How many classes, takes of each, and steps from its first take to its second (0: none)."""

    n_classes: int
    n_takes: int
    n_steps: int


@dataclass(frozen=True, eq=False)
class Takes:
    """Takes of each class, and the steps between its first two; waveforms are trimmed."""

    labels: tuple[int, ...]  # of the classes that are here
    names: tuple[str, ...]  # of these classes, printable
    waveforms: Sequence[Sequence[np.ndarray]]  # of each class its takes (n,)
    between: Sequence[Sequence[np.ndarray]]  # of each class the steps, without both takes
    sample_rate: int
    first_seed: int
    left_out: str = ""  # a sentence, if less is here than was asked for

    @cached_property
    def encoded(self) -> tuple[Encoded, Encoded, bool]:
        """The takes and the steps in base64, and whether they are lossless, as small ones are."""
        both = self.waveforms, self.between
        sounds = [playable(one) for kind in both for own in kind for one in own]
        files = encode_for_page(sounds, self.sample_rate, MOST_BYTES)
        in_turn = iter(files)
        takes, steps = ([[next(in_turn).base64 for _ in own] for own in kind] for kind in both)
        return takes, steps, all(file.is_lossless for file in files)

    def for_browser(self) -> dict:
        """The values of the traits of `pads.Pads`, which pads.js shows and plays."""
        takes, between, lossless = self.encoded
        note = self.left_out
        if not lossless:
            note += " Files of kept sounds differ a little from the sounds: these are compressed."
        return {
            "names": list(self.names),
            "takes": takes,
            "between": between,
            "sample_rate": self.sample_rate,
            "first_seed": self.first_seed,
            "note": note.strip(),
            "kept": [[] for _ in self.names],
            "rejected": [[] for _ in self.names],
        }


def plan_takes(n_classes: int, duration_s: float, n_takes: int = 8, n_steps: int = 12) -> Plan:
    """How many classes, takes of each and steps of a morph fit, if a clip has duration_s.

    Classes are left out last, and steps first. Raises ConfigError if n_takes is below 1, or
    n_steps neither 0 nor at least LEAST_STEPS.
    """
    if n_takes < 1:
        raise ConfigError(f"n_takes must be at least 1, got {n_takes}")
    if n_steps != 0 and n_steps < LEAST_STEPS:
        raise ConfigError(f"n_steps must be 0 (no morph) or at least {LEAST_STEPS}, got {n_steps}")
    n_sounds = max(1, min(MOST_SOUNDS, int(MOST_SECONDS / duration_s)))
    shown = max(1, min(n_classes, MOST_CLASSES, n_sounds // FEWEST_TAKES))
    each = n_sounds // shown
    takes = min(n_takes, each)
    steps = min(n_steps, each - takes + 2)
    return Plan(shown, takes, steps if steps >= LEAST_STEPS and takes > 1 else 0)


def render_takes(
    generator: SoundGenerator,
    inverter: MelInverter,
    n_takes: int = 8,
    seed: int = 0,
    truncation: float = NO_TRUNCATION,
    n_steps: int = 12,
) -> Takes:
    """Takes of each class from the seeds seed, seed + 1, …, and a morph of n_steps (0: none).

    Of many classes some are chosen, evenly; of long sounds there are fewer. Raises ConfigError as
    `plan_takes` and `draw_latents` do.
    """
    n_classes = len(generator.classes)
    plan = plan_takes(n_classes, generator.audio.duration_s, n_takes, n_steps)
    labels = choose_evenly(n_classes, plan.n_classes)
    z_dim = generator.model.z_dim
    z = torch.cat([draw_latents(1, z_dim, seed + k, truncation) for k in range(plan.n_takes)])
    if plan.n_steps:
        z = torch.cat([z, interpolate(z[0], z[1], plan.n_steps)[1:-1]])
    parts = generate_in_parts(
        generator, z.repeat(len(labels), 1), labels.repeat_interleave(len(z)), inverter
    )
    waveforms = [one for part in parts for one in part.trimmed()]
    each = [waveforms[start : start + len(z)] for start in range(0, len(waveforms), len(z))]
    return Takes(
        labels=tuple(labels.tolist()),
        names=tuple(printable(generator.classes[label]) for label in labels),
        waveforms=[own[: plan.n_takes] for own in each],
        between=[own[plan.n_takes :] for own in each],
        sample_rate=generator.audio.sample_rate,
        first_seed=seed,
        left_out=_left_out(Plan(n_classes, n_takes, n_steps), plan),
    )


def _left_out(asked: Plan, plan: Plan) -> str:
    """Which part of what was asked for is here; empty if all is."""
    names = ("classes", "takes of each", "steps of a morph")
    fewer = [
        f"{here} of {wanted} {name}"
        for here, wanted, name in zip(plan, asked, names, strict=True)
        if here < wanted
    ]
    return f"To keep this small, it has {', '.join(fewer)}." if fewer else ""
