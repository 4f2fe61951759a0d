"""Both recipes on the same recordings for the same minutes, heard by the same judge: one table."""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

from helpers.audit import common_sample_rate
from helpers.checkpoints import SoundGenerator
from helpers.config import RECIPES, DataConfig, RunConfig, make_config
from helpers.dataset import ClipCache, TrainAudioSpectrogramDataset, fit_to, prepare_clips
from helpers.inversion import MelInverter
from helpers.metrics import TRUSTED_ACCURACY, Judge, measure, train_judge
from helpers.progress import progress_bar
from helpers.runtime import PROJECT, describe, pick_device, pick_precision, resolve_source
from helpers.sources import Source, open_source
from helpers.training import Intervals, Limits, train_gan

COLUMNS = ("recipe", "seed", "steps", "accuracy", "frechet")


def main() -> None:
    """Train and measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    source = open_source(resolve_source(arguments.data, use_drive=False)[0], PROJECT / "data", progress=progress_bar)
    with tempfile.TemporaryDirectory() as folder:
        clips = _clips(source, configure(arguments.preset, "modern", source), Path(folder))
        judge = train_judge(
            *clips.split("train"), len(clips.classes), clips.audio, fit_to(clips), progress=progress_bar
        )
        rows = [
            compete(recipe, seed, arguments, source, clips, judge, Path(folder))
            for seed in range(arguments.seeds)
            for recipe in RECIPES
        ]
    print(report(rows, source, arguments))


def configure(preset: str, recipe: str, source: Source, seed: int = 0) -> RunConfig:
    """A recipe's configuration, with the geometry fitted to the recordings."""
    config = make_config(preset, recipe)
    return dataclasses.replace(
        config,
        audio=config.audio.fitted_to(common_sample_rate(source.folder) or config.audio.sample_rate),
        data=DataConfig(source=source.name, holdout=source.holdout),
        train=dataclasses.replace(config.train, seed=seed),
    )


def compete(recipe: str, seed: int, arguments, source: Source, judged: ClipCache, judge: Judge, folder: Path) -> dict:
    """Train one recipe with one seed and measure what is heard: a row of the table."""
    config = configure(arguments.preset, recipe, source, seed)
    clips = _clips(source, config, folder)
    config = dataclasses.replace(config, classes=clips.classes)
    dataset, device = TrainAudioSpectrogramDataset(clips, fit_to(clips)), pick_device()
    precision, limits = pick_precision("auto", device), Limits(minutes=arguments.minutes)
    run = folder / f"{recipe}-{seed}"
    result = train_gan(dataset, config, run, device, limits, Intervals(1e6, 1e6), precision)
    generator = SoundGenerator(result.generator, config.audio, config.model, clips.classes, dataset.normaliser)
    inverter = MelInverter(config.audio)
    figures = measure(judge, generator, judged.split("train"), judged.split("test"), inverter, seed)
    return {"recipe": recipe, "seed": seed, "steps": result.step} | figures


def report(rows: list[dict], source: Source, arguments: argparse.Namespace) -> str:
    """The table in Markdown, with what the figures are to be held against."""
    first = rows[0]
    lines = [
        f"\n{source.name}, preset {arguments.preset}, {arguments.minutes:g} minutes each; {first['n_sounds']} sounds "
        f"and as many held-out clips. Real clips: accuracy {first['accuracy_real']:.3f}, Fréchet distance "
        f"{first['frechet_real']:.2f}; noise: {first['frechet_noise']:.1f}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    lines += [f"| {' | '.join(str(row[name]) for name in COLUMNS)} |" for row in rows]
    if first["accuracy_real"] < TRUSTED_ACCURACY:
        lines.append(f"\nThe judge hears real clips below {TRUSTED_ACCURACY}: do not trust this table.")
    return "\n".join(lines)


def _clips(source: Source, config: RunConfig, folder: Path) -> ClipCache:
    return prepare_clips(source.folder, config.audio, config.data, folder, folder / "cache", progress_bar)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, for each recipe and seed")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
