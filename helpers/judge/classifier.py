"""The judge: a classifier trained on real clips, whose last hidden layer is the space distances are taken in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import AUGMENTATIONS, AudioConfig
from helpers.data.clips import ClipCache
from helpers.data.dataset import fit_to
from helpers.gan.augment import augment
from helpers.network_file import load_network, save_network
from helpers.sound.mel import MelExtractor
from helpers.sound.normalisation import Normaliser

FEATURE_DIM = 64
CLIPS_AT_ONCE = 256
JUDGE_STEPS = 800


class JudgeNetwork(nn.Module):
    """A small convolutional classifier; its last hidden layer is the space distances are taken in."""

    def __init__(self, n_classes: int, n_mels: int):
        super().__init__()
        layers = []
        for n_in, n_out in zip((1, 24, 32, 64), (24, 32, 64, FEATURE_DIM), strict=True):
            size, stride = (
                (5, 2) if n_in == 1 else (3, 1)
            )  # the finest map is halved at once: it costs most
            layers += [
                nn.Conv2d(n_in, n_out, size, stride, size // 2),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool2d(2)] if stride == 1 else []
        self.layers = nn.Sequential(*layers)
        self.mix = nn.Sequential(
            nn.Linear(2 * FEATURE_DIM * (n_mels // 16), FEATURE_DIM), nn.ReLU()
        )
        self.head = nn.Linear(FEATURE_DIM, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to features (B, FEATURE_DIM)."""
        h = self.layers(x)  # (B, C, H/16, W/16)
        pooled = torch.cat(
            [h.mean(dim=3), h.amax(dim=3)], dim=1
        )  # (B, 2C, H/16): time is pooled, pitch kept
        return self.mix(pooled.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised log-mels (B, 1, n_mels, n_frames) to class logits (B, n_classes)."""
        return self.head(F.dropout(self.features(x), 0.3, self.training))


@dataclass(frozen=True)
class Judge:
    """A trained classifier with the features it was trained on: names the class of a sound."""

    network: JudgeNetwork
    extractor: MelExtractor
    normaliser: Normaliser

    def mels(self, waveforms: np.ndarray | Tensor) -> Tensor:
        """Waveforms (B, clip_samples) to compressed mels (B, n_mels, n_frames) of the judge's configuration."""
        return torch.cat(
            [self.extractor(part) for part in torch.as_tensor(waveforms).split(CLIPS_AT_ONCE)]
        )

    @torch.no_grad()
    def look(self, compressed: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, FEATURE_DIM) and predicted labels (B,) of compressed mels (B, n_mels, n_frames)."""
        features = [
            self.network.features(self.normaliser.normalise(c))
            for c in compressed.split(CLIPS_AT_ONCE)
        ]
        return torch.cat(features), self.network.head(torch.cat(features)).argmax(dim=1)


def train_judge(
    compressed: Tensor,
    labels: Tensor,
    n_classes: int,
    audio: AudioConfig,
    normaliser: Normaliser,
    steps: int = JUDGE_STEPS,
    seed: int = 0,
    progress: Callable | None = None,
) -> Judge:
    """Train a judge on compressed mels (N, n_mels, n_frames) with labels (N,), augmented, classes equally often."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = JudgeNetwork(n_classes, audio.n_mels).to(memory_format=torch.channels_last)
        rng, weights = (
            torch.Generator().manual_seed(seed),
            (1 / torch.bincount(labels).float())[labels],
        )
        x = normaliser.normalise(compressed)
        optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in progress(range(steps), desc="judge", total=steps) if progress else range(steps):
            chosen = torch.multinomial(weights, 32, replacement=True, generator=rng)
            shown = augment(x[chosen], AUGMENTATIONS, normaliser.silence(), rng)
            loss = F.cross_entropy(network(shown), labels[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Judge(network.eval(), MelExtractor(audio), normaliser)


def open_judge(
    path: Path, clips: ClipCache, steps: int = JUDGE_STEPS, progress: Callable | None = None
) -> Judge:
    """The judge of a run's training clips: from its file if it was trained on the same clips, else trained and saved.

    clips must hold the features that every recipe is judged in.
    """
    note, normaliser = {"clips": clips.key, "steps": str(steps)}, fit_to(clips)
    network = JudgeNetwork(len(clips.classes), clips.audio.n_mels).to(
        memory_format=torch.channels_last
    )
    if load_network(path, network, note) is not None:
        return Judge(network, MelExtractor(clips.audio), normaliser)
    judge = train_judge(
        *clips.split("train"), len(clips.classes), clips.audio, normaliser, steps, progress=progress
    )
    save_network(path, judge.network, note)
    return judge
