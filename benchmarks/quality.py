"""Both recipes on the same recordings for the same minutes, several seeds, one judge."""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.common import Bench, bootstrap_interval, markdown_table, mean_figures
from helpers.config import RECIPES
from helpers.device import describe, pick_device, pick_precision
from helpers.gan.generator_file import load_generator
from helpers.judge.advice import TRUSTED_ACCURACY
from helpers.judge.evaluation import FIGURES, Evaluator, JudgedSounds
from helpers.judge.figures import accuracy
from helpers.sound.inversion import MelInverter
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

COLUMNS = (*FIGURES, "score")  # score: classification accuracy score


@dataclasses.dataclass(frozen=True)
class Trained:
    """One finished training: its judged sounds, and the held-out clips its student recognises."""

    recipe: str
    seed: int
    steps: int
    judged: JudgedSounds
    recognised: torch.Tensor  # (n_test,) bool


def main() -> None:
    """Train and measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    bench = Bench(
        arguments.data, arguments.preset, Path(arguments.runs), arguments.frames, arguments.holdout
    )
    evaluator, folder = bench.evaluator, bench.folder / f"{arguments.minutes:g}min"
    trained = [
        _train(recipe, seed, arguments.minutes, bench, folder)
        for seed in range(arguments.seeds)
        for recipe in arguments.recipes
    ]
    _write_csv(folder / "figures.csv", trained, evaluator)
    rows = _rows(trained, bench)
    text = "\n\n".join([_heading(bench, arguments), _table(rows), _per_class(trained, evaluator)])
    (folder / "table.md").write_text(text + "\n")
    print(f"\n{text}\n\nwritten: {folder}")


def _train(recipe: str, seed: int, minutes: float, bench: Bench, folder: Path) -> Trained:
    """Train one recipe with one seed as 03_train does, unless that was done before, and hear it."""
    dataset, config = bench.dataset(bench.configure(recipe, seed))
    evaluator, device, run = bench.evaluator, pick_device(), folder / f"{recipe}-{seed}"
    inversion = bench.inversion(config)
    watch = Watch(config, dataset, run, evaluator, inversion=inversion, device=device)
    precision = pick_precision("auto", device)
    result = train_gan(
        dataset, config, run, device, Limits(minutes=minutes), Intervals(), precision, watch
    )
    generator = load_generator(watch.files.generator, device)
    inverter = MelInverter(config.audio, network=inversion)
    judged = evaluator.judge_generator(generator, evaluator.test.labels, inverter, seed)
    many = evaluator.judge_generator(generator, evaluator.train_labels, inverter, seed + 1000)
    recognised = evaluator.recognised_by_student(many, seed=seed)
    figures = f"{evaluator.figures(judged)}, score {_share(recognised):.3f}"
    print(f"{recipe}, seed {seed}: {result.step} steps, {figures}")
    return Trained(recipe, seed, result.step, judged, recognised)


def _rows(trained: Sequence[Trained], bench: Bench) -> dict[str, dict[str, str]]:
    """The lines of the table: of each figure the mean over seeds with its interval.

    Each recipe has a line of real clips that went its own way to mel and back.
    """
    rows, evaluator = {}, bench.evaluator
    recipes = list(dict.fromkeys(one.recipe for one in trained))
    copies = {f"real, by {recipe}'s mel and back": _copies(recipe, bench) for recipe in recipes}
    for name, judged in (evaluator.limits | copies).items():
        rows[name] = {figure: f"{value:.3g}" for figure, value in evaluator.figures(judged).items()}
    rows["real, held out"]["score"] = f"{accuracy(evaluator.test.named, evaluator.test.labels):.3g}"
    for recipe in recipes:
        own = [one for one in trained if one.recipe == recipe]
        sets = [one.judged for one in own]
        mean = mean_figures([evaluator.figures(judged) for judged in sets])
        ranges = bootstrap_interval(evaluator.figures, sets)
        scores = [{"score": _share(one.recognised)} for one in own]
        mean |= mean_figures(scores)
        ranges |= bootstrap_interval(
            lambda recognised: {"score": _share(recognised)}, [one.recognised for one in own]
        )
        rows[recipe] = {
            name: f"{mean[name]:.3g} [{ranges[name][0]:.3g}, {ranges[name][1]:.3g}]"
            for name in COLUMNS
        }
    return rows


def _copies(recipe: str, bench: Bench) -> JudgedSounds:
    """The held-out clips, by the way to mel and back that the recipe's sounds go."""
    config = bench.configure(recipe)
    inverter = MelInverter(config.audio, network=bench.inversion(config))
    return bench.evaluator.judge_inversion(inverter, bench.clips(config))


def _heading(bench: Bench, arguments: argparse.Namespace) -> str:
    evaluator = bench.evaluator
    n_sounds, seeds = len(evaluator.test), f"{arguments.seeds} seed{'s' * (arguments.seeds > 1)}"
    text = (
        f"{bench.name}, preset {arguments.preset}, {arguments.minutes:g} minutes of training, "
        f"{seeds}; {n_sounds} sounds of each system and {n_sounds} held-out clips, as heard, by "
        f"judge {evaluator.judge.digest}. Mean and 95 % interval over seeds and sounds."
    )
    heard_right = accuracy(evaluator.test.named, evaluator.test.labels)
    if heard_right < TRUSTED_ACCURACY:
        text += f" The judge names only {heard_right:.3f} of real clips rightly: do not trust this."
    return text


def _table(rows: dict[str, dict[str, str]]) -> str:
    return markdown_table(
        [
            {"sounds": name} | {column: row.get(column, "") for column in COLUMNS}
            for name, row in rows.items()
        ]
    )


def _per_class(trained: Sequence[Trained], evaluator: Evaluator) -> str:
    """All figures of each class: of each recipe's seeds, of real clips and of noise."""
    systems = {
        kind: evaluator.figures_per_class(judged) for kind, judged in evaluator.limits.items()
    }
    for recipe in dict.fromkeys(one.recipe for one in trained):
        found = [evaluator.figures_per_class(one.judged) for one in trained if one.recipe == recipe]
        systems[recipe] = {name: mean_figures([one[name] for one in found]) for name in found[0]}
    lines = [f"| class | sounds | {' | '.join(FIGURES)} |", f"|{'---|' * (len(FIGURES) + 2)}"]
    for name in systems["noise"]:
        for system, figures in systems.items():
            values = " | ".join(f"{figures[name][figure]:.3g}" for figure in FIGURES)
            lines.append(f"| {name} | {system} | {values} |")
    return "\n".join(lines)


def _write_csv(path: Path, trained: Sequence[Trained], evaluator: Evaluator) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("recipe", "seed", "steps", *COLUMNS))
        for one in trained:
            values = [*evaluator.figures(one.judged).values(), _share(one.recognised)]
            writer.writerow(
                (one.recipe, one.seed, one.steps, *(f"{value:.4g}" for value in values))
            )


def _share(recognised: torch.Tensor) -> float:
    return float(recognised.float().mean())


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of training, for each recipe and seed"
    )
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--frames", type=int, default=0, help="instead of the preset's own")
    parser.add_argument("--holdout", default="", help="pattern of the file names that are held out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument(
        "--runs", default="runs/quality", help="where runs are kept; the same command goes on there"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
