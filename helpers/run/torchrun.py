"""Training without a notebook, in as many processes as torchrun starts: what 03_train does, with nothing shown."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from helpers.config import RunConfig
from helpers.data.clips import open_clips, open_judge_clips
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_to
from helpers.data.learn_inversion import load_magnitude_net
from helpers.device import pick_precision
from helpers.files import PROJECT
from helpers.gan.processes import is_first, join_processes, leave_processes, n_processes
from helpers.judge.classifier import open_judge
from helpers.judge.evaluation import Evaluator, can_measure
from helpers.run.colab import RunError
from helpers.run.folder import RunFolder, open_run
from helpers.train.loop import Intervals, Limits, train_gan
from helpers.train.watch import Watch


def main() -> None:
    """Train the run that the command line names until its limit."""
    arguments = _parse_arguments()
    run = open_run(arguments.run)
    config = run.read_config()
    number, is_writer = int(os.environ.get("LOCAL_RANK", "0")), os.environ.get("RANK", "0") == "0"
    if number == 0:  # on each machine one makes the clips; the others wait in `join`
        open_clips(config, run.data, run.cache, run.work)
    evaluator = _evaluator(run, config, arguments.judge_steps) if is_writer else None
    join_processes()
    try:
        _train(run, config, evaluator, _device(number), arguments)
    finally:
        leave_processes()


def launch_processes(n_processes: int, run: Path, **options: float) -> None:
    """Train a run in n_processes new processes on this machine; their words are printed as they come.

    options are the command line's. Raises RunError if they fail.
    """
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={n_processes}",
    ]
    command += ["-m", "helpers.run.torchrun", str(run)]
    command += [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    words = {"cwd": PROJECT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **words, errors="replace") as process:
        for line in process.stdout:
            print(line, end="")
    if process.returncode:
        raise RunError(
            f"training in {n_processes} processes failed: the reason stands above, by the first that ended"
        )


def _train(
    run: RunFolder,
    config: RunConfig,
    evaluator: Evaluator | None,
    device: torch.device,
    arguments: argparse.Namespace,
) -> None:
    clips = open_clips(config, run.data, run.cache, run.work)
    dataset, watch, mirror = TrainAudioSpectrogramDataset(clips, fit_to(clips)), None, None
    if is_first():
        mirror, inversion = run.open_drive_copy(), load_magnitude_net(run.inversion, config.audio)
        watch = Watch(config, dataset, run.here, evaluator, inversion=inversion)
        print(f"{n_processes()} processes, {len(dataset)} clips, device {device}", flush=True)
    result = train_gan(
        dataset,
        config,
        run.here,
        device,
        Limits(arguments.minutes, arguments.epochs, arguments.steps),
        Intervals(arguments.checkpoint_minutes, arguments.sample_minutes),
        pick_precision(config.train.precision, device),
        on_samples=watch,
        mirror=mirror,
    )
    if is_first():
        print(
            f"stopped by {result.stopped_by} at step {result.step}, epoch {result.epoch:.1f}",
            flush=True,
        )


def _device(number: int) -> torch.device:
    """A GPU for each process of this machine, or its share of the cores."""
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
        return torch.device("cuda", number)
    torch.set_num_threads(
        max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    )
    return torch.device("cpu")


def _evaluator(run: RunFolder, config: RunConfig, judge_steps: int) -> Evaluator | None:
    clips = open_judge_clips(config, run.data, run.cache, run.work)
    return (
        Evaluator(open_judge(run.judge, clips, judge_steps), clips) if can_measure(clips) else None
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder, as 01_data left it")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="of the run, with what was trained before"
    )
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--checkpoint-minutes", type=float, default=2.0)
    parser.add_argument("--sample-minutes", type=float, default=1.0)
    parser.add_argument("--judge-steps", type=int, default=800)
    return parser.parse_args()


if __name__ == "__main__":
    main()
