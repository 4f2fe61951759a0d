"""One training with some settings changed: a line of benchmarks/results/trials.csv."""

import argparse
import csv
import dataclasses
import datetime
import sys
import tempfile
import typing
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Bench
from helpers.config import AudioConfig, ConfigError, ModelConfig, RunConfig, TrainConfig
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.device import describe, pick_device, pick_precision
from helpers.gan.generator_file import SoundGenerator
from helpers.judge.evaluation import Evaluator, JudgedSounds
from helpers.judge.figures import nearest_clips, share_of_copies
from helpers.sound.inversion import MelInverter
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits

RESULTS = Path(__file__).parent / "results" / "trials.csv"
FIGURES = ("accuracy", "frechet", "coverage", "spread", "nearest", "copied")
COLUMNS = ("date", "data", "settings", "seed", "steps", "minutes", *FIGURES)


def main() -> None:
    """Train and measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    bench = Bench(arguments.data, arguments.preset, Path(arguments.runs))
    config = with_settings(bench.configure("modern", arguments.seed), arguments.settings)
    dataset, config = bench.dataset(config)
    if arguments.clips:
        keep_some(dataset, arguments.clips)
    device = pick_device()
    limits = Limits(minutes=arguments.minutes, steps=arguments.steps)
    with tempfile.TemporaryDirectory() as run:
        precision = pick_precision(config.train.precision, device)
        result = train_gan(
            dataset, config, Path(run), device, limits, Intervals(1e6, 1e6), precision
        )
    generator = SoundGenerator(
        result.generator, config.audio, config.model, config.classes, dataset.normaliser
    )
    evaluator = bench.evaluator
    judged = evaluator.judge_generator(generator, evaluator.test.labels, MelInverter(config.audio))
    figures = evaluator.figures(judged)
    if arguments.clips:
        figures |= figures_of_copying(judged, dataset, evaluator)
    settings = [*arguments.settings, *([f"clips={arguments.clips}"] if arguments.clips else [])]
    line = {
        "date": datetime.date.today().isoformat(),
        "data": bench.name,
        "settings": " ".join(settings) or "default",
        "seed": arguments.seed,
        "steps": result.step,
        "minutes": f"{result.seconds / 60:.1f}",
        **{name: f"{figures[name]:.3g}" for name in FIGURES},
    }
    print(line)
    _append(line)


def keep_some(dataset: TrainAudioSpectrogramDataset, n_clips: int) -> None:
    """Leave n_clips of each class in a data set, the same ones each time."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    kept = torch.cat(
        [order[dataset.labels[order] == label][:n_clips] for label in range(dataset.n_classes)]
    )
    dataset.indices, dataset.labels = dataset.indices[kept.numpy()], dataset.labels[kept]


def figures_of_copying(
    judged: JudgedSounds, dataset: TrainAudioSpectrogramDataset, evaluator: Evaluator
) -> dict[str, float]:
    """Distance to the clips that were trained on, and share of copies of them."""
    rows = np.searchsorted(dataset.cache.indices("train"), dataset.indices)
    own, real = (
        nearest_clips(sounds.mels, evaluator.train_mels[rows].cpu())[0]
        for sounds in (judged, evaluator.test)
    )
    return {"nearest": float(own.mean() / real.mean()), "copied": share_of_copies(own, real)}


def with_settings(config: RunConfig, settings: list[str]) -> RunConfig:
    """The configuration with `name=value` replaced, be it of audio, model or training."""
    for setting in settings:
        name, _, text = setting.partition("=")
        for part, kind in (("audio", AudioConfig), ("model", ModelConfig), ("train", TrainConfig)):
            hints = typing.get_type_hints(kind)
            if name in hints:
                changed = dataclasses.replace(
                    getattr(config, part), **{name: _parse(text, hints[name])}
                )
                config = dataclasses.replace(config, **{part: changed})
                break
        else:
            raise ConfigError(
                f"no setting {name!r}: give a field of AudioConfig, ModelConfig or TrainConfig"
            )
    return config


def _parse(text: str, kind):
    if kind is bool:
        return text.lower() == "true"
    return (
        kind(text) if kind in (int, float, str) else tuple(word for word in text.split(",") if word)
    )


def _append(line: dict) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    new = not RESULTS.exists()
    with open(RESULTS, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(line)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*", help="name=value, as in learning_rate_g=0.001")
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument(
        "--clips", type=int, default=0, help="of each class at most to train on; 0: all"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs/quality", help="where the judge is kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
