"""`make run`: the four notebooks, one after the other, into one run folder."""

import argparse
import sys
import time

from helpers.run.folder import RunFolder, open_run, resolve_source, run_name
from helpers.run.headless import KERNEL_DIED, execute
from helpers.run.settings import NOTEBOOKS
from helpers.train.metrics_file import read_metrics


def main() -> int:
    """Execute the notebooks as the command line asks; 0 if all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--minutes", type=float, help="of training, if not the notebook's own")
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--run", default="", help="run folder; the default is named for the data")
    asked = parser.parse_args()
    source, _ = resolve_source(asked.data)
    run = open_run(asked.run or f"runs/{run_name(asked.data, asked.preset, asked.recipe)}")
    settings = {
        "01_data": {"data_source": source, "preset": asked.preset, "recipe": asked.recipe},
        "03_train": {} if asked.minutes is None else {"minutes": asked.minutes},
    }
    begun = time.monotonic()
    if not all(_execute_aloud(name, run, settings.get(name, {})) for name in NOTEBOOKS):
        return 1
    print(_summary(run, time.monotonic() - begun))
    return 0


def _execute_aloud(notebook: str, run: RunFolder, settings: dict) -> bool:
    """Execute a notebook and print its outputs as they come; False if it did not end well."""
    print(f"\n== {notebook}", flush=True)
    begun = time.monotonic()
    try:
        problem = execute(notebook, run, settings, stdout_file=sys.stdout, stderr_file=sys.stdout)
    except KeyboardInterrupt:
        problem = KERNEL_DIED  # the advice is the same
    if problem == KERNEL_DIED:
        advice = f"Run the same command again: it goes on from {run.root}"
        print(f"\n{notebook} was ended from outside. {advice}", file=sys.stderr)
    elif problem:
        so_far = run.notebooks / f"{notebook}.ipynb"
        print(f"\n{notebook} stopped: {problem}\nThe notebook so far: {so_far}", file=sys.stderr)
    else:
        print(f"== {notebook} took {time.monotonic() - begun:.0f} s", flush=True)
    return not problem


def _summary(run: RunFolder, seconds: float) -> str:
    lines = [f"\ndone in {seconds / 60:.1f} minutes: {run.root}"]
    for quality in read_metrics(run.metrics, "quality")[-1:]:
        accuracy, frechet = (
            f"{quality[name]:.2f} (real {quality[f'{name}_real']:.2f})"
            for name in ("accuracy", "frechet")
        )
        lines.append(f"  accuracy of generated sounds {accuracy}, Fréchet distance {frechet}")
    contents = {
        run.play_page: "pads to play in a browser: open this first",
        run.pack: "sounds and instruments for a sampler",
        run.sounds: "generated WAVs by class",
        run.pictures: "pictures",
        run.metrics: "losses and figures",
        run.notebooks: "the executed notebooks",
    }
    lines += [f"  {path.relative_to(run.root)!s:<16} {what}" for path, what in contents.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
