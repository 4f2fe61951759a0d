"""How good are the sounds? A judge trained on real clips, and one function a figure, on what is heard."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.augment import augment
from helpers.checkpoints import SoundGenerator
from helpers.config import AudioConfig
from helpers.dataset import ClipCache
from helpers.features import MelExtractor, Normaliser
from helpers.inversion import MelInverter
from helpers.sampling import draw_latents, generate_sounds

FEATURE_DIM = 64
CLIPS_AT_ONCE = 256
TRUSTED_ACCURACY = 0.97  # of the judge on real held-out clips; below it its verdicts are doubtful


class JudgeNetwork(nn.Module):
    """A small convolutional classifier; its last hidden layer is the space distances are taken in."""

    def __init__(self, n_classes: int, n_mels: int):
        super().__init__()
        layers = []
        for n_in, n_out in zip((1, 24, 32, 64), (24, 32, 64, FEATURE_DIM), strict=True):
            size, stride = (5, 2) if n_in == 1 else (3, 1)  # the finest map is halved at once: it costs most
            layers += [nn.Conv2d(n_in, n_out, size, stride, size // 2), nn.BatchNorm2d(n_out), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if stride == 1 else []
        self.layers = nn.Sequential(*layers)
        self.mix = nn.Sequential(nn.Linear(2 * FEATURE_DIM * (n_mels // 16), FEATURE_DIM), nn.ReLU())
        self.head = nn.Linear(FEATURE_DIM, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to features (B, FEATURE_DIM)."""
        h = self.layers(x)  # (B, C, H/16, W/16)
        pooled = torch.cat([h.mean(dim=3), h.amax(dim=3)], dim=1)  # (B, 2C, H/16): time is pooled, pitch kept
        return self.mix(pooled.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to class logits (B, n_classes)."""
        return self.head(F.dropout(self.features(x), 0.3, self.training))


@dataclass(frozen=True)
class Judge:
    """A trained classifier with the features it was trained on: hears waveforms, names classes."""

    network: JudgeNetwork
    extractor: MelExtractor
    normaliser: Normaliser

    def hear(self, waveforms: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, FEATURE_DIM) and predicted labels (B,) of waveforms (B, clip_samples)."""
        parts = torch.as_tensor(waveforms).split(CLIPS_AT_ONCE)
        return self.look(torch.cat([self.extractor(part) for part in parts]))

    @torch.no_grad()
    def look(self, compressed: Tensor) -> tuple[Tensor, Tensor]:
        """The same for compressed mels (B, n_mels, n_frames) of the judge's own audio configuration."""
        features = [self.network.features(self.normaliser.normalise(c)) for c in compressed.split(CLIPS_AT_ONCE)]
        return torch.cat(features), self.network.head(torch.cat(features)).argmax(dim=1)


def train_judge(
    compressed: Tensor,
    labels: Tensor,
    n_classes: int,
    audio: AudioConfig,
    normaliser: Normaliser,
    epochs: int = 16,
    seed: int = 0,
    progress: Callable | None = None,
) -> Judge:
    """Train the judge on real training clips only: compressed mels (N, n_mels, n_frames) and labels (N,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = JudgeNetwork(n_classes, audio.n_mels).to(memory_format=torch.channels_last)
        rng = torch.Generator().manual_seed(seed)
        x, batches = normaliser.normalise(compressed), epochs * max(1, len(labels) // 32)
        optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=batches)
        steps = range(batches)
        for _ in progress(steps, desc="judge", total=batches) if progress else steps:
            chosen = torch.randint(len(labels), (min(32, max(2, len(labels))),), generator=rng)
            shown = augment(x[chosen], ("shift", "gain", "cutout"), normaliser.silence(), rng)
            loss = F.cross_entropy(network(shown), labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Judge(network.eval(), MelExtractor(audio), normaliser)


def enough_to_measure(clips: ClipCache) -> bool:
    """Whether enough is held out, and enough is left, for a Fréchet distance."""
    return min(len(clips.indices("train")), len(clips.indices("test"))) >= 2


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of predictions (B,) that are the label (B,)."""
    return float((predicted == labels).float().mean())


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of two sets of features (N, D) and (M, D) taken as Gaussian (Heusel et al. 2017, eq. 6).

    |mean difference|² + trace(Ca + Cb - 2 (Ca Cb)^½). It grows as the sets get smaller: compare equal sizes.
    Raises ValueError if a set has fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs two sets of at least 2 clips, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    root = _square_root(torch.cov(a.T))
    product = torch.linalg.eigvalsh(root @ torch.cov(b.T) @ root).clamp_min(0)
    traces = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * product.sqrt().sum()
    return max(0.0, float((a.mean(dim=0) - b.mean(dim=0)).square().sum() + traces))


def measure(
    judge: Judge,
    generator: SoundGenerator,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    inverter: MelInverter,
    seed: int = 0,
) -> dict:
    """Accuracy and Fréchet distance of generated sounds, beside the same of held-out real clips and of noise.

    train and test are compressed mels in the judge's features with labels. As many sounds as the test split
    has, with its labels; every distance is to the training split.
    """
    reference, _ = judge.look(train[0])
    real, real_predicted = judge.look(test[0])
    z = draw_latents(len(test[1]), generator.model.z_dim, seed)
    sounds = generate_sounds(generator, z, test[1], inverter)
    generated, predicted = judge.hear(sounds.waveforms)
    noise = 0.1 * torch.randn(sounds.waveforms.shape, generator=torch.Generator().manual_seed(seed))
    per_class = {
        name: round(accuracy(predicted[test[1] == index], test[1][test[1] == index]), 4)
        for index, name in enumerate(generator.classes)
        if bool((test[1] == index).any())
    }
    return {
        "n_sounds": len(test[1]),
        "accuracy": round(accuracy(predicted, test[1]), 4),
        "accuracy_real": round(accuracy(real_predicted, test[1]), 4),
        "frechet": round(frechet_distance(generated, reference), 4),
        "frechet_real": round(frechet_distance(real, reference), 4),
        "frechet_noise": round(frechet_distance(judge.hear(noise)[0], reference), 4),
        "accuracy_per_class": per_class,
    }


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
