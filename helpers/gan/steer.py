"""Steering by hand: latents between four corners and along directions, and sounds between classes.

Nothing is drawn here but corners. The same place gives the same sound.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.config import ConfigError
from helpers.gan.generate import Sounds, draw_latents, make_audible
from helpers.gan.generator_file import SoundGenerator
from helpers.gan.nearest_sound import neighbours
from helpers.labels import one_hot
from helpers.sound.inversion import MelInverter

N_CORNERS = 4  # above left, above right, below left, below right
AROUND = slice(2, 6)  # of eight neighbours: neither the same sound again nor another one
LEAST_SPREAD, MOST_SPREAD = 0.3, 1.5  # times a typical latent: typical to adventurous
MOST_STEPS = 4.0  # along a direction: beyond, no network has seen a latent


@dataclass(frozen=True)
class Place:
    """Where a person has steered to. Raises ConfigError for what is outside of the panel."""

    x: float = 0.5  # from left to right, 0 to 1
    y: float = 0.5  # from above to below, 0 to 1
    label: int = 0
    second: int = 0  # the class that is mixed in
    share: float = 0.0  # of the second class, 0 to 1
    spread: float = 1.0  # LEAST_SPREAD to MOST_SPREAD
    amounts: tuple[float, ...] = ()  # steps along each direction

    def __post_init__(self):
        limits = {"x": (0, 1), "y": (0, 1), "share": (0, 1), "spread": (LEAST_SPREAD, MOST_SPREAD)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        if not all(-MOST_STEPS <= amount <= MOST_STEPS for amount in self.amounts):
            raise ConfigError(
                f"amounts must be -{MOST_STEPS:g} to {MOST_STEPS:g} steps, got {self.amounts}"
            )


def draw_corners(z_dim: int, seed: int = 0) -> Tensor:
    """Four latents (4, z_dim)."""
    return draw_latents(N_CORNERS, z_dim, seed)


def corners_around(z: Tensor, seed: int = 0) -> Tensor:
    """Four latents (4, z_dim) near z (z_dim,), in the middle of which z lies."""
    around = neighbours(z, 8, seed)[AROUND]
    return around - around.mean(dim=0) + z


def mix_corners(corners: Tensor, x: float, y: float) -> Tensor:
    """The latent (z_dim,) at a place between corners (4, z_dim): above left is x = 0, y = 0.

    It is bilinear, brought to the norm of a typical latent: a mean of latents is shorter than any,
    and a network has seen none so short.
    """
    shares = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
    return to_typical_norm(corners.new_tensor(shares) @ corners)


def to_typical_norm(z: Tensor) -> Tensor:
    """A latent (z_dim,) at the norm that most latents have nearly; zeros stay zeros."""
    return torch.nn.functional.normalize(z, dim=0) * math.sqrt(len(z))


def mix_classes(label: int, second: int, share: float, n_classes: int) -> Tensor:
    """A label row (1, n_classes) for networks: so much of a second class, the rest of the first.

    Raises ConfigError if there is no such class.
    """
    for one in (label, second):
        if not 0 <= one < n_classes:
            raise ConfigError(f"a class must be 0 to {n_classes - 1}, got {one}")
    first_row, second_row = one_hot(torch.tensor([label, second]), n_classes)
    return torch.lerp(first_row, second_row, share)[None]


def steered_latent(corners: Tensor, place: Place, vectors: Tensor) -> Tensor:
    """The latent (z_dim,) of a place, from corners (4, z_dim) and directions (n, z_dim).

    Raises ConfigError unless the place has an amount for each direction.
    """
    if len(place.amounts) != len(vectors):
        raise ConfigError(f"need {len(vectors)} amounts, one a direction, got {place.amounts}")
    z = place.spread * mix_corners(corners, place.x, place.y)
    return z + torch.tensor(place.amounts, dtype=torch.float32) @ vectors


@torch.no_grad()
def steered_sound(
    generator: SoundGenerator, inverter: MelInverter, z: Tensor, place: Place
) -> Sounds:
    """The one sound of a latent z (z_dim,) and the classes of a place.

    Raises ConfigError if there is no such class, ValueError if the sound has numbers that are not
    finite.
    """
    network = generator.network.eval()
    device = next(network.parameters()).device
    y = mix_classes(place.label, place.second, place.share, len(generator.classes))
    normalised = network(z[None].to(device), y.to(device)).float()
    first, second = (
        generator.normaliser.denormalise(normalised, torch.tensor([label], device=device))
        for label in (place.label, place.second)
    )  # each (1, n_mels, n_frames): where each class has a range of its own, they differ
    log_mels = torch.lerp(first, second, place.share)
    labels = torch.tensor([place.second if place.share > 0.5 else place.label])
    return make_audible(generator, log_mels, labels, inverter)
