"""All measures of a run's sounds, beside those of real clips that were held out and of noise."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from helpers.config_json import differences
from helpers.data.clips import ClipCache
from helpers.gan.generate import draw_latents, generate_sounds
from helpers.gan.generator_file import SoundGenerator
from helpers.judge import figures
from helpers.judge.classifier import Judge, train_judge
from helpers.sound.inversion import MelInverter

FIGURES = ("accuracy", "accepted", "frechet", "kernel", "density", "coverage", "spread")
FIGURES += ("nearest", "copied")
NOISE_LEVEL = 0.1


@dataclass(frozen=True)
class JudgedSounds:
    """Sounds, what the judge finds in them, and their nearest training clips; on the CPU."""

    waveforms: Tensor  # (N, n_samples) float16
    labels: Tensor  # (N,) the classes that they should be
    features: Tensor  # (N, D)
    named: Tensor  # (N,) the classes that the judge takes them for
    predicted: Tensor  # (N,) the same, but UNLIKE_ANY for sounds that are unlike every recording
    mels: Tensor  # (N, 64, T) coarse log-mels
    nearest: Tensor  # (N,) root-mean-square difference of log-mels, in nepers (8.7 dB each)
    nearest_clip: Tensor  # (N,) its row in the training split

    def __getitem__(self, rows: Tensor) -> "JudgedSounds":
        return JudgedSounds(*(getattr(self, one.name)[rows] for one in dataclasses.fields(self)))

    def __len__(self) -> int:
        return len(self.labels)


class Evaluator:
    """Measures sounds against recordings: holds the judge and both splits of the clips.

    clips must have at least two clips a split.

    >>> judged = evaluator.judge_generator(generator, evaluator.test.labels, inverter)
    >>> accuracy = evaluator.figures(judged)["accuracy"]
    """

    def __init__(self, judge: Judge, clips: ClipCache):
        self.judge, self.clips, self.classes = judge, clips, clips.classes
        waveforms, self.train_labels = clips.recordings("train")
        heard = judge.listen(waveforms)
        self.train_features, self.train_mels = heard.features.cpu(), heard.mels
        self.test = self.judge_waveforms(*clips.recordings("test"))

    def judge_waveforms(self, waveforms: np.ndarray | Tensor, labels: Tensor) -> JudgedSounds:
        """Judge waveforms (N, n_samples) with labels (N,)."""
        waveforms = torch.as_tensor(waveforms).half()
        heard = self.judge.listen(waveforms)
        nearest = figures.nearest_clips(heard.mels, self.train_mels)
        found = (waveforms, labels, *heard, *nearest)
        return JudgedSounds(*(part.cpu() for part in found))

    def judge_generator(
        self, generator: SoundGenerator, labels: Tensor, inverter: MelInverter, seed: int = 0
    ) -> JudgedSounds:
        """Generate one sound for each of the labels (N,), make it a waveform, and judge that."""
        z = draw_latents(len(labels), generator.model.z_dim, seed)
        sounds = generate_sounds(generator, z, labels, inverter)
        return self.judge_waveforms(sounds.waveforms, labels)

    def judge_inversion(self, inverter: MelInverter, clips: ClipCache) -> JudgedSounds:
        """Judge the held-out clips after their way to mel and back: what the inversion costs.

        clips are those of the evaluator in log-mels of the inverter's geometry. Raises ValueError
        for those of another geometry.
        """
        if clips.audio != inverter.audio:
            raise ValueError(
                "to take clips to mel and back by an inverter, need the clips' log-mels in the "
                f"same geometry: the inverter's is {inverter.audio}, theirs {clips.audio}"
            )
        mels, labels = clips.split("test")
        return self.judge_waveforms(inverter(mels.to(self.judge.device)), labels)

    @cached_property
    def limits(self) -> dict[str, JudgedSounds]:
        """The best and the worst to expect: held-out clips, and white noise in place of each."""
        rng = torch.Generator().manual_seed(0)
        noise = NOISE_LEVEL * torch.randn(self.test.waveforms.shape, generator=rng)
        return {"real, held out": self.test, "noise": self.judge_waveforms(noise, self.test.labels)}

    def figures(self, sounds: JudgedSounds, label: int | None = None) -> dict[str, float]:
        """Each of FIGURES for these sounds; figures(self.test) are the best to expect.

        accuracy: the share that is named rightly; accepted: that is also like a recording. These
        and density, coverage: high is good. frechet, kernel: distances to the training clips.
        spread, nearest: as shares of what held-out clips have, so 1 is good. copied: 0.01 is good.
        With a label, only sounds and clips of that class count. NaN stands for what the held-out
        clips do not tell, such as the spread of a class that has one.
        """
        real, train_features = self.test, self.train_features
        if label is not None:
            sounds, real = sounds[sounds.labels == label], real[real.labels == label]
            train_features = train_features[self.train_labels == label]
        density, coverage = figures.density_and_coverage(sounds.features, train_features)
        spread, real_spread = (
            figures.spread_within(one.mels, one.labels) for one in (sounds, real)
        )
        return {
            "accuracy": figures.accuracy(sounds.named, sounds.labels),
            "accepted": figures.accuracy(sounds.predicted, sounds.labels),
            "frechet": figures.frechet_distance(sounds.features, train_features),
            "kernel": figures.kernel_distance(sounds.features, train_features),
            "density": density,
            "coverage": coverage,
            "spread": _share(spread, real_spread),
            "nearest": _share(float(sounds.nearest.mean()), float(real.nearest.mean())),
            "copied": figures.share_of_copies(sounds.nearest, real.nearest),
        }

    def figures_per_class(self, sounds: JudgedSounds) -> dict[str, dict[str, float]]:
        """FIGURES of each class that has at least two sounds, held-out clips and training clips."""
        found = {}
        for label, name in enumerate(self.classes):
            sets = (sounds.labels, self.test.labels, self.train_labels)
            if min(int((labels == label).sum()) for labels in sets) >= 2:
                found[name] = self.figures(sounds, label)
        return found

    def recognised_by_student(self, sounds: JudgedSounds, seed: int = 0) -> Tensor:
        """Which held-out clips (N,) are recognised by a second judge, trained on these sounds only.

        It is trained for as many steps as the judge. The share of True is the classification
        accuracy score (Ravuri and Vinyals 2019).
        """
        of_set = len(self.classes), self.clips.audio.sample_rate, self.judge.steps, seed
        student = train_judge(sounds.waveforms, sounds.labels, *of_set, self.judge.device)
        return student.listen(self.test.waveforms).named.cpu() == self.test.labels

    def compare(
        self, judged: JudgedSounds, many: JudgedSounds, inverter: MelInverter, clips: ClipCache
    ) -> list[dict]:
        """A table: FIGURES of generated sounds, held-out clips, these inverted, and noise.

        inverter is that of the generated sounds, clips are as for `judge_inversion`. The student
        learns from many, as many sounds as there are training clips, for the score.
        """
        inverted = self.judge_inversion(inverter, clips)
        kinds = {"generated": judged, "real, held out": self.test}
        kinds |= {"real, through mel and back": inverted, "noise": self.limits["noise"]}
        rows = [{"sounds": kind} | _rounded(self.figures(sounds)) for kind, sounds in kinds.items()]
        recognised = self.recognised_by_student(many)
        rows[0]["score"] = round(float(recognised.float().mean()), 4)
        rows[1]["score"] = rows[1]["accuracy"]
        return rows

    def compare_classes(self, judged: JudgedSounds) -> list[dict]:
        """A table: FIGURES of each class, of generated sounds, held-out clips, and noise."""
        kinds = {"generated": judged} | self.limits
        found = {kind: self.figures_per_class(sounds) for kind, sounds in kinds.items()}
        return [
            {"class": name, "sounds": kind} | _rounded(found[kind][name])
            for name in found["generated"]
            for kind in kinds
        ]

    def closest_pairs(self, sounds: JudgedSounds, n: int = 4) -> tuple[Tensor, Tensor]:
        """Rows (n,) of the sounds nearest to a training clip, and the rows (n,) of those clips."""
        rows = sounds.nearest.argsort()[:n]
        return rows, sounds.nearest_clip[rows]


def quality_line(rows: Sequence[dict], judge: Judge) -> dict:
    """A run's line of metrics from the rows of `compare`: its figures, real clips' and noise's.

    It names the judge, because figures of another one cannot be compared with these.
    """
    generated, real, _, noise = rows
    own = {name: value for name, value in generated.items() if name != "sounds"}
    own |= {f"{name}_real": value for name, value in real.items() if name in own}
    own["frechet_noise"] = noise["frechet"]
    return {"judge": judge.digest, "judge_steps": judge.steps} | own


def can_measure(clips: ClipCache) -> bool:
    """Whether both splits have the two clips that a Fréchet distance needs."""
    return min(len(clips.indices("train")), len(clips.indices("test"))) >= 2


def find_mismatch(generator: SoundGenerator, clips: ClipCache) -> list[str]:
    """In words, why a generator cannot be measured against these clips; empty where it can."""
    names = ("sample_rate", "clip_samples")
    made, real = (
        {"classes": list(one.classes), "audio": {name: getattr(one.audio, name) for name in names}}
        for one in (generator, clips)
    )
    return differences(made, real)


def _share(value: float, whole: float) -> float:
    return value / whole if whole > 0 else math.nan


def _rounded(values: dict[str, float]) -> dict[str, float]:
    """The figures that are numbers, short enough to read; + 0.0 makes 0 of -0."""
    return {name: round(v, 4) + 0.0 for name, v in values.items() if not math.isnan(v)}
