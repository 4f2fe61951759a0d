"""From classes and latents to sounds; a latent is the random vector that a sound starts from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from helpers.config import ConfigError
from helpers.gan.generator_file import SoundGenerator
from helpers.labels import choose_evenly, one_hot
from helpers.sound.audio_files import resample, trim_end
from helpers.sound.inversion import METHODS, MelInverter
from helpers.sound.mel import floor_rms

NO_TRUNCATION = 3.0  # standard deviations: all but 0.3 % of the latents' values
SOUNDS_AT_ONCE = 64
FIXED_BATCH_SIZE, MIN_PER_CLASS = 128, 4  # sounds that show how training goes
MOST_FIXED_CLASSES = 128  # in these: the sounds of a thousand take a minute at each look


@dataclass(frozen=True)
class Sounds:
    """Generated clips: the network's log-mels, and the waveforms made from them."""

    compressed: Tensor  # (B, n_mels, n_frames) log-mels, on the CPU
    waveforms: np.ndarray  # (B, clip_samples) float32
    labels: Tensor  # (B,)
    sample_rate: int
    silence_rms: float = 0.0  # level of the noise that the way back makes of silence

    def trimmed(self) -> list[np.ndarray]:
        """The waveforms, each without the silence at its end."""
        return [trim_end(one, self.sample_rate, self.silence_rms) for one in self.waveforms]


def draw_latents(n: int, z_dim: int, seed: int = 0, truncation: float = NO_TRUNCATION) -> Tensor:
    """Latents (n, z_dim) from a normal distribution cut off at ± truncation.

    A small truncation gives typical sounds, a large one varied sounds (Brock et al. 2019,
    sec. 3.1). Values keep their quantile, so a seed gives the same sound, more or less typical.
    Raises ConfigError unless truncation is positive.
    """
    if not truncation > 0:
        raise ConfigError(
            f"truncation must be above 0, as in 0.5 (typical) to 3 (everything); got {truncation}"
        )
    z = torch.randn((n, z_dim), generator=torch.Generator().manual_seed(seed))
    inside = math.erf(truncation / math.sqrt(2))
    quantile = torch.special.ndtr(z.double()) * inside + (1 - inside) / 2
    return torch.special.ndtri(quantile).float()


@torch.no_grad()
def generate_mels(generator: SoundGenerator, z: Tensor, labels: Tensor) -> Tensor:
    """Log-mels (B, n_mels, n_frames) for latents z (B, z_dim) and labels (B,).

    They are on the generator's device, and so are the waveforms that an inverter makes of them.
    """
    network, log_mels = generator.network.eval(), []
    device = next(network.parameters()).device
    for z_part, part in in_parts(z, labels):
        y = one_hot(part, len(generator.classes))
        normalised = network(z_part.to(device), y.to(device)).float()
        log_mels.append(generator.normaliser.denormalise(normalised, part.to(device)))
    return torch.cat(log_mels)


def make_inverter(generator: SoundGenerator, method: str = METHODS[0], **options) -> MelInverter:
    """The inverter of a generator's log-mels, with the network saved beside it if there is one."""
    return MelInverter(generator.audio, method, network=generator.inversion, **options)


def generate_sounds(
    generator: SoundGenerator, z: Tensor, labels: Tensor, inverter: MelInverter
) -> Sounds:
    """Log-mels and waveforms for latents z (B, z_dim) and labels (B,)."""
    return make_audible(generator, generate_mels(generator, z, labels), labels, inverter)


def make_audible(
    generator: SoundGenerator, log_mels: Tensor, labels: Tensor, inverter: MelInverter
) -> Sounds:
    """Sounds of a generator's log-mels (B, n_mels, n_frames) and labels (B,)."""
    audio, waveforms = generator.audio, inverter(log_mels).cpu().numpy()
    return Sounds(log_mels.cpu(), waveforms, labels, audio.sample_rate, floor_rms(audio))


def generate_in_parts(
    generator: SoundGenerator, z: Tensor, labels: Tensor, inverter: MelInverter
) -> Iterator[Sounds]:
    """`generate_sounds` in parts of SOUNDS_AT_ONCE, so that any number fits into memory."""
    for z_part, part in in_parts(z, labels):
        yield generate_sounds(generator, z_part, part, inverter)


def generate_audio_gan(
    generator: SoundGenerator,
    category_idx: int,
    num_samples: int = 1,
    device: torch.device | str = "cpu",
    sample_rate: int = 22050,
    seed: int = 0,
    truncation: float = NO_TRUNCATION,
) -> np.ndarray:
    """Waveforms (num_samples, n) of one class, resampled to sample_rate (hertz).

    Raises ConfigError if there is no such class or num_samples is below 1.

    >>> waveforms = generate_audio_gan(generator, category_idx=0, num_samples=4, seed=7)
    """
    last = len(generator.classes) - 1
    if not 0 <= category_idx <= last:
        raise ConfigError(f"category_idx must be 0 to {last}, got {category_idx}")
    if num_samples < 1:
        raise ConfigError(f"num_samples must be at least 1, got {num_samples}")
    generator.network.to(device)
    z = draw_latents(num_samples, generator.model.z_dim, seed, truncation)
    labels = torch.full((num_samples,), category_idx)
    sounds = generate_sounds(generator, z, labels, make_inverter(generator, seed=seed))
    return resample(sounds.waveforms, sounds.sample_rate, sample_rate)


def interpolate(start: Tensor, end: Tensor, n: int) -> Tensor:
    """Latents (n, z_dim) from start to end, both (z_dim,), by spherical interpolation (slerp)."""
    angle = torch.acos(torch.dot(start / start.norm(), end / end.norm()).clamp(-1, 1))
    share = torch.linspace(0, 1, n)[:, None]  # (n, 1)
    if angle < 1e-4:
        return torch.lerp(start, end, share)
    path = torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end
    return path / torch.sin(angle)


def fixed_classes(n_classes: int) -> Tensor:
    """The labels (n,) in the fixed batch: all, or MOST_FIXED_CLASSES of them, spread evenly."""
    return choose_evenly(n_classes, MOST_FIXED_CLASSES)


def fixed_batch(z_dim: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """Latents (B, z_dim) and labels (B,), always the same, equally many of each fixed class."""
    per_class = max(MIN_PER_CLASS, FIXED_BATCH_SIZE // n_classes)
    labels = fixed_classes(n_classes).repeat_interleave(per_class)
    return torch.randn((len(labels), z_dim), generator=torch.Generator().manual_seed(0)), labels


def in_parts(z: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Latents (B, z_dim) and labels (B,) in parts of SOUNDS_AT_ONCE, so that memory is bounded."""
    return zip(z.split(SOUNDS_AT_ONCE), labels.split(SOUNDS_AT_ONCE), strict=True)
