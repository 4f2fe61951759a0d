"""A run's sounds against the recordings, as heard: the figures, their floor and ceiling, the closest pairs."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from helpers.config import differences
from helpers.data.clips import ClipCache
from helpers.gan.generate import draw_latents, generate_sounds
from helpers.gan.generator_file import SoundGenerator
from helpers.judge import figures as metrics
from helpers.judge.classifier import JUDGE_STEPS, Judge, train_judge
from helpers.sound.inversion import MelInverter

FIGURES = ("accuracy", "frechet", "kernel", "density", "coverage", "spread", "nearest", "copied")
TRUSTED_ACCURACY = 0.97  # of the judge on real held-out clips; below it its verdicts are doubtful
NOISE_LEVEL = 0.1
N_RESAMPLES = 200
CRITICAL = 1.96  # of the normal distribution, for 95 %
Rows = TypeVar("Rows", "JudgedSounds", Tensor)


@dataclass(frozen=True)
class JudgedSounds:
    """Sounds as the judge hears them, each with its nearest training clip."""

    mels: Tensor  # (N, n_mels, n_frames) compressed, in the judge's audio configuration
    labels: Tensor  # (N,)
    features: Tensor  # (N, D)
    predicted: Tensor  # (N,)
    nearest: Tensor  # (N,) root-mean-square difference of log-mels, in nepers
    nearest_clip: Tensor  # (N,) row of the training split

    def __getitem__(self, rows: Tensor) -> "JudgedSounds":
        return JudgedSounds(
            *(getattr(self, field.name)[rows] for field in dataclasses.fields(self))
        )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def spread(self) -> float:
        """Mean difference of two sounds of a class."""
        return metrics.spread_within(self.mels, self.labels)


class Evaluator:
    """Everything that sounds are measured against: the judge, and both splits of the recordings.

    clips must hold the features that every recipe is judged in, with at least two clips a split.
    """

    def __init__(self, judge: Judge, clips: ClipCache):
        self.judge, self.classes = judge, clips.classes
        self.train_mels, self.train_labels = clips.split("train")
        self.train_features, _ = judge.look(self.train_mels)
        self.test = self.look(*clips.split("test"))

    def look(self, mels: Tensor, labels: Tensor) -> JudgedSounds:
        """Compressed mels (N, n_mels, n_frames) of the judge's configuration, and labels (N,), as it hears them."""
        nearest = metrics.nearest_clips(mels, self.train_mels)
        return JudgedSounds(mels, labels, *self.judge.look(mels), *nearest)

    def hear(self, waveforms: np.ndarray | Tensor, labels: Tensor) -> JudgedSounds:
        """Waveforms (N, clip_samples) and labels (N,) as the judge hears them."""
        return self.look(self.judge.mels(waveforms), labels)

    def generate(
        self, generator: SoundGenerator, labels: Tensor, inverter: MelInverter, seed: int = 0
    ) -> JudgedSounds:
        """One sound for each of the labels (N,), through the inversion, as the judge hears it."""
        z = draw_latents(len(labels), generator.model.z_dim, seed)
        return self.hear(generate_sounds(generator, z, labels, inverter).waveforms, labels)

    def copies(self, inverter: MelInverter) -> JudgedSounds:
        """The held-out recordings through the mel and back: what the inversion alone costs."""
        return self.hear(inverter(self.test.mels), self.test.labels)

    def noise(self, seed: int = 0) -> JudgedSounds:
        """White noise in place of every held-out recording: the ceiling of every distance."""
        size = (len(self.test), self.judge.extractor.audio.clip_samples)
        waveforms = NOISE_LEVEL * torch.randn(size, generator=torch.Generator().manual_seed(seed))
        return self.hear(waveforms, self.test.labels)

    @cached_property
    def limits(self) -> dict[str, JudgedSounds]:
        """What generated sounds lie between: recordings that were held out, and noise."""
        return {"real, held out": self.test, "noise": self.noise()}

    def figures(self, sounds: JudgedSounds) -> dict[str, float]:
        """Each of FIGURES for some sounds against the training clips; those of `test` are what is possible.

        "spread" and "nearest" are shares of the same for held-out clips.
        """
        return _figures(sounds, self.test, self.train_features)

    def figures_per_class(self, sounds: JudgedSounds) -> dict[str, dict[str, float]]:
        """The same for each class by itself, against its own clips; a class with fewer than two is left out."""
        found = {}
        for index, name in enumerate(self.classes):
            own, real = sounds[sounds.labels == index], self.test[self.test.labels == index]
            reference = self.train_features[self.train_labels == index]
            if min(len(own), len(real), len(reference)) >= 2:
                found[name] = _figures(own, real, reference)
        return found

    def recognised_by_student(
        self, mels: Tensor, labels: Tensor, steps: int = JUDGE_STEPS, seed: int = 0
    ) -> Tensor:
        """Whether each held-out clip (N,) is recognised by a classifier that was trained on these sounds only.

        Their mean is the classification accuracy score (Ravuri and Vinyals 2019). mels (M, n_mels, n_frames)
        compressed, as heard, with labels (M,); the same network and training as the judge's.
        """
        student = train_judge(
            mels,
            labels,
            len(self.classes),
            self.judge.extractor.audio,
            self.judge.normaliser,
            steps,
            seed,
        )
        return student.look(self.test.mels)[1] == self.test.labels

    def compare(
        self, heard: JudgedSounds, many: JudgedSounds, judge_steps: int = JUDGE_STEPS
    ) -> list[dict]:
        """The rows of a table: all figures of generated sounds, of held-out clips, of these copied, and of noise.

        heard are compared; many, as many as there are training clips, teach the student of the score.
        """
        kinds = {
            "generated": heard,
            "real, held out": self.test,
            "real, through mel and back": self.copies(MelInverter(self.judge.extractor.audio)),
            "noise": self.limits["noise"],
        }
        rows = [{"sounds": kind} | _rounded(self.figures(sounds)) for kind, sounds in kinds.items()]
        scores = (
            self.recognised_by_student(many.mels, many.labels, judge_steps),
            rows[1]["accuracy"],
        )
        for row, score in zip(rows[:2], (float(scores[0].float().mean()), scores[1]), strict=True):
            row["score"] = round(score, 4)
        return rows

    def compare_classes(self, heard: JudgedSounds) -> list[dict]:
        """The rows of a table: of each class all figures of generated sounds, of held-out clips, and of noise."""
        kinds = {"generated": heard} | self.limits
        figures = {kind: self.figures_per_class(sounds) for kind, sounds in kinds.items()}
        return [
            {"class": name, "sounds": kind} | _rounded(figures[kind][name])
            for name in figures["generated"]
            for kind in kinds
        ]

    def closest_pairs(self, sounds: JudgedSounds, n: int = 4) -> tuple[Tensor, Tensor]:
        """The n sounds nearest to a training clip: their rows (n,), and those of the training split (n,)."""
        rows = sounds.nearest.argsort()[:n]
        return rows, sounds.nearest_clip[rows]


def quality(rows: Sequence[dict]) -> dict:
    """A run's figures in one line, from the rows of `compare`: its own, and those of real clips and of noise."""
    generated, real, _, noise = rows
    own = {name: value for name, value in generated.items() if name != "sounds"}
    return own | {f"{name}_real": real[name] for name in own} | {"frechet_noise": noise["frechet"]}


def can_measure(clips: ClipCache) -> bool:
    """Whether enough is held out, and enough is left, for a Fréchet distance."""
    return min(len(clips.indices("train")), len(clips.indices("test"))) >= 2


def find_mismatch(generator: SoundGenerator, clips: ClipCache) -> list[str]:
    """In words, why a generator's sounds cannot be measured against these clips; empty where they can."""
    names = ("sample_rate", "hop_length", "n_frames")  # what a sound's length and rate follow from
    made, real = (
        {"classes": list(classes), "audio": {name: getattr(audio, name) for name in names}}
        for classes, audio in ((generator.classes, generator.audio), (clips.classes, clips.audio))
    )
    return differences(made, real)


def bootstrap_interval(
    statistic: Callable[[Rows], dict[str, float]], sets: Sequence[Rows], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """A 95 % interval for each mean figure over several sets of sounds (one a training seed).

    The mean ± 1.96 standard errors by the bootstrap (Efron and Tibshirani 1993, sec. 12.8) over seeds and over the
    sounds of each. Distances and coverage shift when rows repeat, so percentiles of the draws would not do.
    """
    rng = np.random.default_rng(seed)
    estimate, draws = mean_figures([statistic(rows) for rows in sets]), []
    for _ in range(N_RESAMPLES):
        chosen = [sets[index] for index in rng.integers(len(sets), size=len(sets))]
        resampled = [
            rows[torch.from_numpy(rng.integers(len(rows), size=len(rows)))] for rows in chosen
        ]
        draws.append(mean_figures([statistic(rows) for rows in resampled]))
    reach = {
        name: CRITICAL * float(np.std([draw[name] for draw in draws], ddof=1)) for name in estimate
    }
    return {name: (value - reach[name], value + reach[name]) for name, value in estimate.items()}


def mean_figures(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over several measurements."""
    return {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def _figures(sounds: JudgedSounds, real: JudgedSounds, reference: Tensor) -> dict[str, float]:
    """FIGURES of sounds whose training clips have the features `reference` (M, D), as shares of those of `real`."""
    density, coverage = metrics.density_and_coverage(sounds.features, reference)
    values = (
        metrics.accuracy(sounds.predicted, sounds.labels),
        metrics.frechet_distance(sounds.features, reference),
        metrics.kernel_distance(sounds.features, reference),
        density,
        coverage,
        sounds.spread / real.spread,
        float(sounds.nearest.mean() / real.nearest.mean()),
        metrics.share_of_copies(sounds.nearest, real.nearest),
    )
    return dict(zip(FIGURES, values, strict=True))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
