"""What a GPU makes of this project: whether it agrees with the CPU, and how fast it is."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.common import Bench, first_of_each
from benchmarks.device_agreement import (
    captured_step_agrees,
    generation_agrees,
    inversion_agrees,
    judge_agrees,
    steps_agree,
    waits,
)
from benchmarks.device_rates import (
    CPU,
    compiled_rates,
    inversion_rates,
    step_rates,
    what_takes_time,
    with_train,
)
from benchmarks.device_report import DeviceReport
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.device import describe, pick_device, pick_precision, pick_preset
from helpers.gan.generator_file import SoundGenerator
from helpers.judge.evaluation import FIGURES
from helpers.sound.audio_files import write_wav
from helpers.sound.inversion import MelInverter
from helpers.train.loop import train_gan
from helpers.train.metrics_file import read_metrics
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

TINY_MINUTES = 0.05
HEARD_OF_EACH = 3


def main() -> bool:
    """Run the parts that the command line asks for. Returns whether a check failed."""
    asked = _parse_arguments()
    folder = Path(os.environ.get("OUT") or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    report = DeviceReport(
        file=folder / "report.md",
        device=pick_device(),
        data=asked.data,
        runs=Path(asked.runs),
        minutes=TINY_MINUTES if asked.tiny else asked.minutes,
        limit_s=asked.limit_s,
        tiny=asked.tiny,
    )
    for function in PARTS:
        if function.__name__ in asked.only:
            report.part(function, needs_cuda=function in NEED_CUDA)
    report.say(f"\n{report.summary()}")
    print(f"this report: {report.file}")
    return bool(report.failed)


def machine(report: DeviceReport) -> None:
    """Versions, and the speed of what everything else consists of."""
    report.say(describe())
    if not report.on_cuda:
        return
    device, free = report.device, torch.cuda.mem_get_info()[0]
    report.say(f"{torch.cuda.get_device_properties(device)}, {free / 2**30:.1f} GiB free")
    a, b = torch.randn((2, 8192, 8192), device=device, dtype=torch.bfloat16)
    large, small = torch.zeros((2, 2**28), device=device), torch.zeros(16, 64)
    one = torch.zeros(8, device=device)
    product_s = report.time(lambda: a @ b)
    copy_s = report.time(lambda: large[0].copy_(large[1]))
    launch_s = report.time(lambda: one.add_(1), calls=2000)
    arrival_s = report.time(lambda: small.to(device), rounds=200)
    report.say(
        f"a bf16 product: {2 * len(a) ** 3 / product_s / 1e12:.0f} TFLOP/s; a copy: "
        f"{large.nbytes / copy_s / 1e12:.2f} TB/s; one small launch after another: "
        f"{1e6 * launch_s:.1f} us; a small batch to the device: {1e6 * arrival_s:.1f} us"
    )


def training_resumes(report: DeviceReport) -> None:
    """03_train's cell, run twice; then the run continues in bf16, on the CPU, on the device."""
    dataset, config = report.bench.dataset(report.bench.configure("modern"))
    first, often = (60, Intervals(2, 0.001)) if not report.tiny else (2, Intervals())
    config = with_train(config, batch_size=4) if report.tiny else config
    device, low = report.device, "fp16" if report.on_cuda else "bf16"

    def train_to(name: str, step: int, clips, device: torch.device, precision: str) -> None:
        watch = Watch(config, clips, folder, report.bench.evaluator, device=device)
        given = (clips, config, folder, device, Limits(steps=step), often, precision, watch)
        report.check(name, train_gan(*given, compiled=False).step == step)

    def afresh() -> TrainAudioSpectrogramDataset:
        return TrainAudioSpectrogramDataset(dataset.cache, dataset.normaliser)

    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        for name, more, *how in (
            ("a training", 0, dataset, device, low),
            ("its cell run again, with the same data set", 2, dataset, device, low),
            ("the run continued in bf16", 4, afresh(), device, "bf16"),
            ("the run continued on the CPU", 6, afresh(), CPU, "fp32"),
            ("the run continued on the device", 8, afresh(), device, low),
        ):
            report.attempt(name, train_to, name, first + more, *how)
        sizes = [file.stat().st_size for file in (folder / "checkpoints").iterdir()]
        report.say(f"- a checkpoint is {max(sizes) / 1e6:.1f} MB")


def short_training(report: DeviceReport) -> None:
    """How good the sounds are after some time, at the preset of the device. Keeps some to hear."""
    if report.seconds_left < 60 * report.minutes:
        report.skip("short training", "no time is left")
        return
    preset, minutes = pick_preset("auto", report.device), report.minutes
    bench = Bench(report.data, preset, report.runs)
    dataset, config = bench.dataset(bench.configure("modern"))
    evaluator = bench.evaluator
    with tempfile.TemporaryDirectory() as path:
        folder, precision = Path(path), pick_precision("auto", report.device)
        watch = Watch(config, dataset, folder, evaluator, device=report.device)
        intervals = Intervals(10, minutes / 6)
        given = (dataset, config, folder, report.device, Limits(minutes), intervals, precision)
        result = train_gan(*given, watch, compiled=False)
        looks = read_metrics(folder / "metrics.jsonl", "progress")
    for look in looks:
        step = f"{60 * look['minutes']:.0f} s, step {look['step']}"
        report.say(f"- {step}: accuracy {look['accuracy']:.2f}, frechet {look['frechet']:.1f}")
    size, seconds = config.train.batch_size, result.seconds
    report.say(
        f"- {result.step} steps of {size}, {size * result.step / seconds:.0f} clips a second"
    )
    parts = config.audio, config.model, config.classes, dataset.normaliser
    generator, inverter = SoundGenerator(result.generator, *parts), MelInverter(config.audio)
    made = evaluator.judge_generator(generator, evaluator.test.labels, inverter)
    many = evaluator.judge_generator(generator, evaluator.train_labels, inverter, seed=1)
    for row in evaluator.compare(made, many, inverter, evaluator.clips):
        report.row(**{name: str(row.get(name, "")) for name in ("sounds", *FIGURES, "score")})
    heard = report.file.parent / f"{bench.name}.wav"
    some = made.waveforms[first_of_each(made.labels, HEARD_OF_EACH)]
    write_wav(heard, some.float().flatten(), config.audio.sample_rate)
    good = bool(made.features.isfinite().all())
    report.check(f"training at {preset}", good, f"sounds to hear: {heard}")


PARTS: tuple[Callable[[DeviceReport], None], ...] = (
    machine,
    steps_agree,
    waits,
    generation_agrees,
    inversion_agrees,
    judge_agrees,
    training_resumes,
    captured_step_agrees,
    short_training,
    inversion_rates,
    what_takes_time,
    step_rates,
    compiled_rates,
)
NEED_CUDA = {waits, captured_step_agrees}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [part.__name__ for part in PARTS]
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="PART")
    parser.add_argument("--minutes", type=float, default=1.5, help="of the short training")
    parser.add_argument(
        "--limit-s", type=float, default=540, help="seconds after which no part begins"
    )
    parser.add_argument("--tiny", action="store_true", help="small settings, to try this on a CPU")
    parser.add_argument("--runs", default="runs/device")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
