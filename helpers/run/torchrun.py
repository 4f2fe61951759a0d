"""Training in several processes, without a notebook: what 03_train does, with nothing shown.

The `torchrun` of PyTorch starts the processes, on one machine or on several.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from helpers.config import RunConfig
from helpers.data.clips import open_clips
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.learn_inversion import load_magnitude_net
from helpers.device import pick_device, pick_precision
from helpers.files import PROJECT
from helpers.gan.processes import is_first, join_processes, leave_processes, n_processes
from helpers.judge.classifier import JUDGE_STEPS, open_judge
from helpers.judge.evaluation import Evaluator, can_measure
from helpers.run.colab import RunError
from helpers.run.folder import RunFolder, open_run
from helpers.show.fixed_batch import FixedBatchView
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch


def main() -> None:
    """Train the run that the command line names until its limit."""
    limits, intervals = Limits(), Intervals()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder, as 01_data left it")
    of_run = "of the run, with what was trained before; 0: no limit"
    parser.add_argument("--minutes", type=float, default=limits.minutes, help=of_run)
    parser.add_argument("--epochs", type=int, default=limits.epochs, help=of_run)
    parser.add_argument("--steps", type=int, default=limits.steps, help=of_run)
    parser.add_argument("--checkpoint-minutes", type=float, default=intervals.checkpoint)
    parser.add_argument("--sample-minutes", type=float, default=intervals.samples)
    parser.add_argument("--judge-steps", type=int, default=JUDGE_STEPS)
    asked = parser.parse_args()
    run = open_run(asked.run)
    config = run.read_config()
    if os.environ.get("LOCAL_RANK", "0") == "0":  # one process a machine makes the clips
        open_clips(config, run.data, run.cache, run.work)
    evaluator = None
    device = _pick_device()
    if os.environ.get("RANK", "0") == "0":  # the first process of all measures and writes
        clips = open_clips(config, run.data, run.cache, run.work)
        if can_measure(clips):
            judge = open_judge(run.judge, clips, asked.judge_steps, device)
            evaluator = Evaluator(judge, clips)
    join_processes()  # the others wait here
    try:
        _train(run, config, evaluator, asked, device)
    finally:
        leave_processes()


def launch_processes(n_processes: int, run: Path, **options: float) -> None:
    """Train a run in n_processes new processes on this machine and print what they print.

    options are those of the command line, with _ for -. Raises RunError if the processes fail, or
    if each would need a GPU and there are fewer.
    """
    if pick_device().type == "cuda" and n_processes > torch.cuda.device_count():
        raise RunError(
            f"each process needs a GPU of its own: num_processes is {n_processes}, and there are "
            f"{torch.cuda.device_count()}; give at most so many"
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={n_processes}", "-m", "helpers.run.torchrun", str(run)]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    words = {"cwd": PROJECT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **words, errors="replace") as process:
        for line in process.stdout:
            print(line, end="")
    if process.returncode:
        raise RunError(
            f"training in {n_processes} processes failed: "
            "the reason stands above, by the first that ended"
        )


def _pick_device() -> torch.device:
    """A GPU for each process of this machine, or its share of the cores."""
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)  # before it is tried: a first use takes memory of that GPU
    if pick_device().type == "cuda":
        return torch.device("cuda", rank)
    n_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // n_here))
    return torch.device("cpu")


def _train(
    run: RunFolder, config: RunConfig, evaluator, asked: argparse.Namespace, device: torch.device
) -> None:
    clips = open_clips(config, run.data, run.cache, run.work)
    dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))
    watch = send = None
    if is_first():
        drive_copy = run.open_drive_copy()
        send = drive_copy.send if drive_copy else None
        view = FixedBatchView(config.classes, config.audio)
        inversion = load_magnitude_net(run.inversion, config.audio)
        watch = Watch(config, dataset, run.here, evaluator, view, inversion, device)
        print(f"{n_processes()} processes, {len(dataset)} clips, device {device}", flush=True)
    limits = Limits(asked.minutes, asked.epochs, asked.steps)
    intervals = Intervals(asked.checkpoint_minutes, asked.sample_minutes)
    precision = pick_precision(config.train.precision, device)
    result = train_gan(dataset, config, run.here, device, limits, intervals, precision, watch, send)
    if is_first():
        end = f"at step {result.step}, epoch {result.epoch:.1f}"
        print(f"stopped by {result.stopped_by} {end}", flush=True)


if __name__ == "__main__":
    main()
