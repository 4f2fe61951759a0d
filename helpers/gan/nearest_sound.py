"""The sound of a generator that is nearest to a given one, and the sounds around it.

The latent of a sound is searched for: many are drawn, and gradient descent goes on from the best
(the projection of Karras et al. 2020, sec. 5).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.config import AudioConfig
from helpers.gan.generate import draw_latents, in_parts, interpolate
from helpers.gan.generator_file import SoundGenerator
from helpers.labels import one_hot
from helpers.sound.mel import compress, expand

DRAWS, STARTS, STEPS, RATE = 512, 4, 80, 0.05  # latents; those gone on from; steps of Adam
GAINS_DB = (-18, -12, -6, 0, 6, 12, 18)  # a sound may be that much louder or softer
PAIRS_OF = 16  # sounds of a class whose distances to each other are the measure
FAR = 0.9  # of the distance of two sounds of a class: from here on they have little in common


@dataclass(frozen=True)
class NearestSound:
    """A latent and a class, and how far their sound is from the one that was looked for.

    distance is that of the pictures, as a share of the distance of two sounds of the class: 0 is
    the same sound, 1 is as far as any other of the class.
    """

    z: Tensor  # (z_dim,), on the CPU
    label: int
    distance: float

    @property
    def is_far(self) -> bool:
        """Whether the generator has no such sound."""
        return not self.distance < FAR

    def in_words(self, class_name: str) -> str:
        """How near the sound is, in a sentence."""
        near = f"the nearest is one of {class_name!r}, at {self.distance:.2f} of the distance"
        words = f"{near} of two sounds of that class"
        return f"Your generator has no such sound: {words}." if self.is_far else f"Found: {words}."


def find_nearest(
    generator: SoundGenerator, log_mel: Tensor, label: int | None = None, seed: int = 0
) -> NearestSound:
    """Search for the latent whose sound is nearest to a log-mel (n_mels, n_frames).

    label: the class to look in; None: all of them. Levels are not compared: the log-mel may be
    some dB louder or softer. Raises ValueError for a log-mel of another shape, or with NaN.
    """
    audio = generator.audio
    shape = (audio.n_mels, audio.n_frames)
    if tuple(log_mel.shape) != shape or not torch.isfinite(log_mel).all():
        raise ValueError(f"need a log-mel of {shape} numbers, got {tuple(log_mel.shape)}")
    n_classes = len(generator.classes)
    labels = torch.arange(max(DRAWS, n_classes)) % n_classes
    labels = labels if label is None else torch.full((DRAWS,), label)
    z = draw_latents(len(labels), generator.model.z_dim, seed)
    targets = _clamped(generator, generator.normaliser.normalise(_all_levels(log_mel, audio)))
    with torch.no_grad():
        errors = torch.cat([_errors(generator, *part, targets) for part in in_parts(z, labels)])
    error, gain = errors.min(dim=1)  # each (draws,)
    best = error.argsort()[:STARTS].cpu()
    found, at, least = _descend(generator, z[best], labels[best], targets[gain.cpu()[best]])
    own = int(labels[best][at])
    return NearestSound(found, own, math.sqrt(least) / _usual_distance(generator, own, seed))


def neighbours(z: Tensor, n: int = 16, seed: int = 0) -> Tensor:
    """Latents (n, z_dim) around z (z_dim,), from near it to half of the way to any other."""
    others = draw_latents(n, len(z), seed)
    return torch.stack([interpolate(z, other, 2 * n)[k] for k, other in enumerate(others, 1)])


def _descend(
    generator: SoundGenerator, z: Tensor, labels: Tensor, targets: Tensor
) -> tuple[Tensor, int, float]:
    """The best latent (z_dim,) on the way from each z (B, z_dim) to its target, its row and error.

    The error is the mean squared difference of the pictures.
    """
    z = z.clone().requires_grad_()
    longest = 1.1 * math.sqrt(z.shape[1])  # hardly longer than those that the network has seen
    optimiser = torch.optim.Adam([z], lr=RATE)
    best, found, at = math.inf, z.detach()[0].clone(), 0
    for _ in range(STEPS):
        error = (_picture(generator, z, labels) - targets).square().mean(dim=(1, 2, 3))  # (B,)
        if float(error.detach().min()) < best:
            best, at = float(error.detach().min()), int(error.argmin())
            found = z.detach()[at].clone()
        (z.grad,) = torch.autograd.grad(error.sum(), z)
        optimiser.step()
        with torch.no_grad():
            z *= (longest / z.norm(dim=1, keepdim=True)).clamp_max(1.0)
    return found, at, best


def _errors(generator: SoundGenerator, z: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Mean squared differences (B, targets) of the pictures of z (B, z_dim) to each target."""
    made = _picture(generator, z, labels).flatten(1)
    return torch.cdist(made, targets.flatten(1)).square() / made.shape[1]


def _picture(generator: SoundGenerator, z: Tensor, labels: Tensor) -> Tensor:
    """The network's pictures (B, 1, n_mels, n_frames) in its own units, not below silence."""
    network = generator.network.eval()
    device = next(network.parameters()).device
    y = one_hot(labels, len(generator.classes)).to(device)
    return _clamped(generator, network(z.to(device), y).float())


def _clamped(generator: SoundGenerator, normalised: Tensor) -> Tensor:
    device = next(generator.network.parameters()).device
    return torch.maximum(normalised.to(device), generator.normaliser.silence().to(device)[:, None])


def _usual_distance(generator: SoundGenerator, label: int, seed: int) -> float:
    """The median distance of two sounds of a class."""
    z = draw_latents(PAIRS_OF, generator.model.z_dim, seed + 1)
    with torch.no_grad():
        made = _picture(generator, z, torch.full((PAIRS_OF,), label)).flatten(1)
    return max(1e-6, float(torch.pdist(made).median()) / math.sqrt(made.shape[1]))


def _all_levels(log_mel: Tensor, audio: AudioConfig) -> Tensor:
    """A log-mel (n_mels, n_frames) at each of GAINS_DB: (levels, n_mels, n_frames)."""
    gains = torch.tensor([10 ** (db / 20 * audio.power) for db in GAINS_DB])
    return compress(expand(log_mel[None], audio) * gains[:, None, None], audio)
