"""From class, seed and latent to sound: `generate_audio_gan`, interpolation, `save_and_play`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from helpers.config import ConfigError
from helpers.gan.generator_file import SoundGenerator
from helpers.labels import one_hot
from helpers.sound.audio_files import resample, trim_end
from helpers.sound.inversion import METHODS, MelInverter

NO_TRUNCATION = 3.0  # standard deviations: all but 0.3 % of the latents' values
SOUNDS_AT_ONCE = 64


@dataclass(frozen=True)
class Sounds:
    """Generated clips: what the network drew and what is heard."""

    compressed: Tensor  # (B, n_mels, n_frames) compressed mels, on the CPU
    waveforms: np.ndarray  # (B, clip_samples) float32
    labels: Tensor  # (B,)
    sample_rate: int

    def trimmed(self) -> list[np.ndarray]:
        """The waveforms, each without the silence at its end."""
        return [trim_end(waveform, self.sample_rate) for waveform in self.waveforms]


def draw_latents(n: int, z_dim: int, seed: int = 0, truncation: float = NO_TRUNCATION) -> Tensor:
    """Latents (n, z_dim) from a normal distribution cut off at ± truncation (Brock et al. 2019, sec. 3.1).

    The same seed at another truncation is the same sound made more or less typical: values are moved by
    quantile, not drawn again. Raises ConfigError unless truncation is positive.
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
    """Compressed mels (B, n_mels, n_frames), on the CPU, for latents z (B, z_dim) and labels (B,)."""
    device = next(generator.network.parameters()).device
    network, chunks = generator.network.eval(), []
    for z_part, label_part in zip(
        z.split(SOUNDS_AT_ONCE), labels.split(SOUNDS_AT_ONCE), strict=True
    ):
        normalised = network(
            z_part.to(device), one_hot(label_part, len(generator.classes)).to(device)
        )
        chunks.append(
            generator.normaliser.denormalise(normalised.float(), label_part.to(device)).cpu()
        )
    return torch.cat(chunks)


def make_inverter(generator: SoundGenerator, method: str = METHODS[0], **options) -> MelInverter:
    """The way from a generator's mels to sound, by the network saved with it where there is one."""
    return MelInverter(generator.audio, method, network=generator.inversion, **options)


def generate_sounds(
    generator: SoundGenerator, z: Tensor, labels: Tensor, inverter: MelInverter
) -> Sounds:
    """Spectrograms and waveforms for latents z (B, z_dim) and labels (B,)."""
    compressed = generate_mels(generator, z, labels)
    return Sounds(compressed, inverter(compressed).numpy(), labels, generator.audio.sample_rate)


def generate_in_parts(
    generator: SoundGenerator, z: Tensor, labels: Tensor, inverter: MelInverter
) -> Iterator[Sounds]:
    """The same, SOUNDS_AT_ONCE at a time: memory is that of one part, however many are asked for."""
    for z_part, label_part in zip(
        z.split(SOUNDS_AT_ONCE), labels.split(SOUNDS_AT_ONCE), strict=True
    ):
        yield generate_sounds(generator, z_part, label_part, inverter)


def generate_audio_gan(
    generator: SoundGenerator,
    category_idx: int,
    num_samples: int = 1,
    device: torch.device | str = "cpu",
    sample_rate: int = 22050,
    seed: int = 0,
    truncation: float = NO_TRUNCATION,
) -> np.ndarray:
    """Waveforms (num_samples, n) at `sample_rate` of one class, whatever rate the generator works at.

    Raises ConfigError if there is no such class or num_samples is below 1.
    """
    if not 0 <= category_idx < len(generator.classes):
        raise ConfigError(
            f"category_idx must be 0 to {len(generator.classes) - 1}, got {category_idx}"
        )
    if num_samples < 1:
        raise ConfigError(f"num_samples must be at least 1, got {num_samples}")
    generator.network.to(device)
    z = draw_latents(num_samples, generator.model.z_dim, seed, truncation)
    labels = torch.full((num_samples,), category_idx)
    waveforms = generate_sounds(generator, z, labels, make_inverter(generator, seed=seed)).waveforms
    return resample(waveforms, generator.audio.sample_rate, sample_rate)


def interpolate(start: Tensor, end: Tensor, n: int) -> Tensor:
    """n latents (n, z_dim) from start to end, both (z_dim,), along the great circle between them (slerp)."""
    cosine = torch.dot(start / start.norm(), end / end.norm()).clamp(-1, 1)
    angle, share = torch.acos(cosine), torch.linspace(0, 1, n)[:, None]
    if angle < 1e-4:
        return torch.lerp(start, end, share)
    return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(
        angle
    )


SOUNDS_HEARD = 128  # at least four of each class
SHOWN_PER_CLASS = 4


def fixed_batch(z_dim: int, n_classes: int) -> tuple[Tensor, Tensor]:
    """Noise (B, z_dim) and labels (B,) that show progress: as many sounds of every class, always the same."""
    labels = torch.arange(n_classes).repeat_interleave(
        max(SHOWN_PER_CLASS, SOUNDS_HEARD // n_classes)
    )
    return torch.randn((len(labels), z_dim), generator=torch.Generator().manual_seed(0)), labels
