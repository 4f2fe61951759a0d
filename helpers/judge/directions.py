"""Directions among the latents, named by what they change as measured: longer, brighter, louder.

Each is a linear regression of a trait on the latents of some sounds, within classes. To need few
sounds, ways that move the network's first layer more are shrunk less: they are likelier to be
heard. (SeFa, Shen and Zhou 2021, eq. 5, takes these very ways for directions.)
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.gan.generate import draw_latents, generate_in_parts
from helpers.gan.generator_file import SoundGenerator
from helpers.judge.variety import BLOCK_S, TRAITS, Traits, measure_traits
from helpers.labels import choose_evenly
from helpers.sound.inversion import MelInverter

WORDS = {  # of each trait: what a step back does, and a step along
    "length": ("shorter", "longer"),
    "brightness": ("darker", "brighter"),
    "pitch": ("lower", "higher"),
    "level": ("softer", "louder"),
    "onset": ("earlier", "later"),
}
UNITS = TRAITS | {"level": "dB"}
LEAST = {"half-tones": 0.1, "ms": 2.0, "dB": 0.25}  # that a step of 1 changes; below, nothing does
SOUNDS, CLASSES = 240, 24  # to learn from, and at most so many classes of them
TESTS = 24  # latents that were not learned from, for each direction
USUAL = 0.8  # a quantile: larger changes count as this one
SURE = 3  # standard errors
FEWEST = 20  # sounds that have a trait
ITERATIONS = 2  # of Griffin-Lim: no trait needs finer phases
SHRINKAGE = 2.0  # of the regression, as if a third of a trait's variance were linear in the latent
ODD = 4.0  # median deviations: further off, a value counts as that far, as a pitch an octave wrong
QUIET_RMS = 1e-5  # 100 dB below full scale: lower levels count as this


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A way to go from any latent, and what the trait of its name changes for a step of 1."""

    trait: str
    names: tuple[str, str]  # back and along, as ("shorter", "longer")
    vector: Tensor  # (z_dim,) of length 1, on the CPU
    change: float  # per step, mean over classes, of latents that it was not learned from; above 0
    unit: str


def find_directions(
    generator: SoundGenerator, inverter: MelInverter, n: int = 4, seed: int = 0
) -> list[Direction]:
    """At most n directions, first the one that changes its trait most for its spread in a class.

    A direction that changes nothing that one could hear is left out, so a generator that ignores
    its latent has none. Of many classes some are measured. Raises ValueError if the generator makes
    numbers that are not finite.

    >>> directions = find_directions(generator, inverter)
    """
    quick = dataclasses.replace(inverter, n_iterations=min(inverter.n_iterations, ITERATIONS))
    classes = choose_evenly(len(generator.classes), CLASSES)
    z, labels = _draw(generator, SOUNDS, classes, seed)
    measured = _measure(generator, quick, z, labels)
    traits = {name: _within_classes(values, labels) for name, values in measured.items()}
    spreads = {name: _spread(values) for name, values in traits.items()}
    slopes = {
        name: _regress(generator, z, values / spreads[name])
        for name, values in traits.items()
        if spreads[name] > 0
    }
    found = []
    for name in slopes:
        having = labels[traits[name].isfinite()].unique()  # classes that have the trait
        tests = _draw(generator, TESTS, having, seed + 1)
        found += _direction(generator, quick, name, slopes, *tests)
    return sorted(found, key=lambda one: -one.change / spreads[one.trait])[:n]


def _draw(generator: SoundGenerator, n: int, classes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Latents (n, z_dim) and labels (n,), equally many of each of some classes (k,)."""
    return draw_latents(n, generator.model.z_dim, seed), classes[torch.arange(n) % len(classes)]


def _measure(generator: SoundGenerator, inverter: MelInverter, z: Tensor, labels: Tensor) -> Traits:
    """The traits, with level in dB, of the sounds of z (B, z_dim) and labels (B,): each (B,)."""
    parts = generate_in_parts(generator, z, labels, inverter)
    waveforms = torch.cat([torch.from_numpy(sounds.waveforms) for sounds in parts])
    rate = generator.audio.sample_rate
    return measure_traits(waveforms, rate) | {"level": _levels_db(waveforms, rate)}


def _levels_db(waveforms: Tensor, sample_rate: int) -> Tensor:
    """How loud the loudest blocks of sounds (N, n) are: RMS in decibels of full scale, (N,).

    The mean of a whole clip would be a measure of its length as well.
    """
    size = max(1, round(5 * BLOCK_S * sample_rate))
    blocks = torch.nn.functional.pad(waveforms, (0, -waveforms.shape[1] % size))
    loudest = blocks.unflatten(1, (-1, size)).square().mean(dim=2).amax(dim=1)
    return 10 * torch.log10(loudest.clamp_min(QUIET_RMS**2))


def _within_classes(values: Tensor, labels: Tensor) -> Tensor:
    """Values (B,) less the mean of their class.

    NaN where most of a class have none: a hat has no pitch, whatever one frame says.
    """
    centred = torch.full_like(values, math.nan)
    for label in labels.unique():
        own = values[labels == label]
        if own.isfinite().sum() < max(2, len(own) / 2):
            continue
        own = _tame(own)
        centred[labels == label] = own - own.nanmean()
    return centred


def _tame(values: Tensor) -> Tensor:
    """Values (n,) with odd ones brought nearer to the median, unless most are equal."""
    median = values.nanmedian()
    furthest = ODD * (values - median).abs().nanmedian()
    return values.clamp(median - furthest, median + furthest) if furthest > 0 else values


def _spread(values: Tensor) -> float:
    """The standard deviation of values that may be NaN; 0 if there are too few to learn from."""
    finite = values[values.isfinite()]
    return float(finite.std()) if len(finite) >= FEWEST else 0.0


def _regress(generator: SoundGenerator, z: Tensor, values: Tensor) -> Tensor:
    """The slope (z_dim,) of values (B,), of variance 1, over latents z (B, z_dim).

    It is a ridge regression (Hoerl and Kennard 1970) on the latents as the first layer sees them.
    """
    known = values.isfinite()
    weights = generator.network.fc.weight[:, : z.shape[1]].detach().cpu().float()
    gram = weights.T @ weights
    prior = gram * (len(gram) / gram.trace().clamp_min(1e-12))  # the likely size of the slopes
    z = z[known]
    covariance = z @ prior @ z.T + SHRINKAGE * z.shape[1] * torch.eye(len(z))
    return prior @ z.T @ torch.linalg.solve(covariance, values[known])


def _direction(
    generator: SoundGenerator,
    inverter: MelInverter,
    trait: str,
    slopes: dict[str, Tensor],
    z: Tensor,
    labels: Tensor,
) -> list[Direction]:
    """The direction that changes a trait and others least, if it does change it.

    It is measured for z (B, z_dim) and labels (B,), a step to each side.
    """
    others = [slope for name, slope in slopes.items() if name != trait]
    vector = _without(slopes[trait], others)
    ends = _measure(generator, inverter, torch.cat([z + vector, z - vector]), labels.repeat(2))
    after, before = ends[trait].chunk(2)
    changes = (after - before)[(after - before).isfinite()] / 2
    unit = UNITS[trait]
    if len(changes) < 2:
        return []
    furthest = changes.abs().quantile(USUAL)  # a pitch may jump by an octave
    changes = changes.clamp(-furthest, furthest)
    change = float(changes.mean())
    if change < max(LEAST[unit], SURE * float(changes.std()) / math.sqrt(len(changes))):
        return []
    return [Direction(trait, WORDS[trait], vector, change, unit)]


def _without(slope: Tensor, others: Sequence[Tensor]) -> Tensor:
    """A slope (z_dim,) without its parts along others, of length 1."""
    if others:
        basis, sizes, _ = torch.linalg.svd(torch.stack(others, dim=1), full_matrices=False)
        basis = basis[:, sizes > 1e-6 * sizes.max()]  # (z_dim, those that differ)
        if basis.shape[1] < len(slope):
            slope = slope - basis @ (basis.T @ slope)
    return torch.nn.functional.normalize(slope, dim=0)
