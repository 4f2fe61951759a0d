"""What the judge and listeners from outside hear: in damaged recordings, and in generators' sounds.

A judge that is to be trusted notices every damage that an outsider notices. And where outsiders
find one generator better than another, so should it.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import Bench, first_of_each, markdown_table
from benchmarks.ears import Pitches, Probe, SpeechEmbedding, VoiceEmbedding
from helpers.config import AudioConfig
from helpers.device import describe
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator
from helpers.judge.evaluation import Evaluator
from helpers.judge.figures import accuracy, density_and_coverage, frechet_distance
from helpers.judge.variety import measure_traits, spans
from helpers.progress import say
from helpers.sound.inversion import MelInverter
from helpers.sound.mel import MelExtractor

MOST_RECORDINGS = 60  # training clips of a class that an outsider knows
NOISE_DB, MEL_NOISE_DB, CHECKER_DB = 10.0, 6.0, 3.0
NEPERS_PER_DB = 0.1151


@dataclass(frozen=True)
class Sounds:
    """Some sounds (N, n_samples) with the classes (N,) that they should be."""

    waveforms: Tensor
    labels: Tensor


class Listener:
    """A listener from outside, who knows some training clips of each class."""

    def __init__(self, ear: Callable, known: Sounds, sample_rate: int):
        self.ear, self.name, self.sample_rate = ear, ear.name, sample_rate
        self.recordings = ear(known.waveforms, sample_rate)
        self.probe = Probe(self.recordings, known.labels)

    def __call__(self, sounds: Sounds) -> dict[str, float]:
        """Share of rightly named sounds, distance to the recordings, coverage of them."""
        heard = self.ear(sounds.waveforms, self.sample_rate)
        return {
            "accuracy": accuracy(self.probe(heard), sounds.labels),
            "distance": frechet_distance(heard, self.recordings),
            "coverage": density_and_coverage(heard, self.recordings)[1],
        }


class JudgeListener:
    """The run's own judge. Its accuracy counts only sounds that it accepts as recordings."""

    name = "judge"

    def __init__(self, evaluator: Evaluator):
        self.evaluator = evaluator

    def __call__(self, sounds: Sounds) -> dict[str, float]:
        heard, recordings = self.evaluator.judge.listen(sounds.waveforms), self.evaluator
        features = heard.features.cpu()
        return {
            "accuracy": accuracy(heard.predicted.cpu(), sounds.labels),
            "distance": frechet_distance(features, recordings.train_features),
            "coverage": density_and_coverage(features, recordings.train_features)[1],
        }


def main() -> None:
    """Print a table of damaged recordings, or of generators' sounds where files are given."""
    arguments = _parse_arguments()
    print(describe())
    bench = Bench(arguments.data, arguments.preset, Path(arguments.runs))
    audio, evaluator = bench.configure("modern").audio, bench.evaluator
    real = Sounds(*evaluator.clips.recordings("test"))
    real = Sounds(real.waveforms.float(), real.labels)
    known = _some_of_each(Sounds(*evaluator.clips.recordings("train")))
    listeners = [JudgeListener(evaluator)]
    if not arguments.judge_only:
        listeners += [
            Listener(ear(), known, audio.sample_rate) for ear in (SpeechEmbedding, VoiceEmbedding)
        ]
    if arguments.generators:
        sets = {"recordings": real, "through mel and back": _resounded(real, audio)}
        sets |= {
            path.stem: _generated(path, real.labels, arguments.seed)
            for path in arguments.generators
        }
    else:
        sets = damage_all(real, audio)
    print(markdown_table(compare(sets, listeners)))
    if arguments.generators and not arguments.judge_only:
        print()
        print(markdown_table(compare_pitches(sets, evaluator.classes, audio.sample_rate)))


def compare(sets: dict[str, Sounds], listeners: list) -> list[dict[str, str]]:
    """A row for each set of sounds. The first set is the measure: accuracy and coverage are shares
    of what it gets, distances multiples.
    """
    rows, floors = [], {}
    for name, sounds in sets.items():
        row = {"sounds": name}
        for listener in listeners:
            found = listener(sounds)
            floor = floors.setdefault(listener.name, found)
            shares = {figure: value / floor[figure] for figure, value in found.items()}
            words = (
                f"{shares['accuracy']:.2f}",
                f"{shares['distance']:.1f}",
                f"{shares['coverage']:.2f}",
            )
            row |= {f"{listener.name}: accuracy, distance, coverage": ", ".join(words)}
        say(f"heard: {name}")
        rows.append(row)
    return rows


def damage_all(real: Sounds, audio: AudioConfig) -> dict[str, Sounds]:
    """Held-out recordings, as they are and damaged in every way."""
    rng, x = torch.Generator().manual_seed(0), real.waveforms
    mels, invert = MelExtractor(audio)(x), MelInverter(audio)
    silent = mels <= audio.floor_value + 0.01

    def from_mels(changed: Tensor, inverter: MelInverter = invert) -> Sounds:
        changed = torch.where(silent, mels, changed).clamp_min(audio.floor_value)
        return Sounds(inverter(changed), real.labels)

    noise = torch.randn(x.shape, generator=rng) * x.square().mean(dim=1, keepdim=True).sqrt()
    padded = F.pad(mels[:, None], (2, 2, 2, 2), mode="replicate")
    rough = NEPERS_PER_DB * MEL_NOISE_DB * torch.randn(mels.shape, generator=rng)
    rows, frames = (torch.arange(n) for n in mels.shape[1:])
    checks = NEPERS_PER_DB * CHECKER_DB * (1 - 2 * ((rows[:, None] + frames) % 2))
    some = torch.isin(real.labels, real.labels.unique()[::2]).nonzero()[:, 0]
    first = torch.tensor([int((real.labels == label).nonzero()[0]) for label in real.labels])
    return {
        "recordings": real,
        "through mel and back": from_mels(mels),
        "mel blurred over 5 x 5": from_mels(F.avg_pool2d(padded, 5, stride=1)[:, 0]),
        f"mel with {MEL_NOISE_DB:g} dB of noise": from_mels(mels + rough),
        f"mel with a checkerboard of {CHECKER_DB:g} dB": from_mels(mels + checks),
        "one iteration of Griffin-Lim": from_mels(mels, MelInverter(audio, n_iterations=1)),
        f"noise {NOISE_DB:g} dB below": Sounds(x + 10 ** (-NOISE_DB / 20) * noise, real.labels),
        "reversed in time": Sounds(x.flip(1), real.labels),
        "one pitch for all of a class": _of_one_pitch(real, audio.sample_rate),
        "half of the classes": Sounds(x[some].repeat(2, 1), real.labels[some].repeat(2)),
        "one clip for all of a class": Sounds(x[first], real.labels),
    }


def compare_pitches(
    sets: dict[str, Sounds], classes: tuple[str, ...], sample_rate: int
) -> list[dict[str, str]]:
    """A row for each class: over how many half-tones each set's pitches spread, by basic-pitch."""
    listen = Pitches()
    pitches = {name: listen(sounds.waveforms, sample_rate) for name, sounds in sets.items()}
    rows = []
    for label, name in enumerate(classes):
        own = {kind: pitches[kind][sounds.labels == label] for kind, sounds in sets.items()}
        if own["recordings"].isfinite().float().mean() >= 0.5:
            spread = {kind: spans({"pitch": values})["pitch"] for kind, values in own.items()}
            rows.append({"class": name} | {kind: f"{span:.0f}" for kind, span in spread.items()})
    return rows or [{"class": "none has a pitch"} | dict.fromkeys(sets, "")]


def _of_one_pitch(real: Sounds, sample_rate: int) -> Sounds:
    """Recordings played faster or slower, until those of a class have its median pitch."""
    pitch = measure_traits(real.waveforms, sample_rate)["pitch"]  # half-tones
    n, changed = real.waveforms.shape[1], []
    for waveform, own, label in zip(real.waveforms, pitch, real.labels, strict=True):
        target = pitch[real.labels == label].nanmedian()
        speed = 2 ** float((target - own).nan_to_num() / 12)
        stretched = F.interpolate(waveform[None, None], scale_factor=1 / speed, mode="linear")[0, 0]
        changed.append(F.pad(stretched, (0, max(0, n - len(stretched))))[:n])
    return Sounds(torch.stack(changed), real.labels)


def _some_of_each(sounds: Sounds) -> Sounds:
    rows = first_of_each(sounds.labels, MOST_RECORDINGS)
    return Sounds(sounds.waveforms[rows].float(), sounds.labels[rows])


def _resounded(real: Sounds, audio: AudioConfig) -> Sounds:
    return Sounds(MelInverter(audio)(MelExtractor(audio)(real.waveforms)), real.labels)


def _generated(path: Path, labels: Tensor, seed: int) -> Sounds:
    generator = load_generator(path)
    z = draw_latents(len(labels), generator.model.z_dim, seed)
    sounds = generate_sounds(generator, z, labels, make_inverter(generator))
    return Sounds(torch.as_tensor(sounds.waveforms), labels)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generators", nargs="*", type=Path, help="generator.safetensors files")
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--judge-only", action="store_true", help="no listeners from outside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs/quality", help="where the judge is kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
