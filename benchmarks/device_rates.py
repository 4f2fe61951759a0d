"""The parts of `benchmarks.device` that measure: a step in four forms, sounds a second."""

import dataclasses
import functools
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.device_report import DeviceReport
from benchmarks.generation import CLASSES, untrained
from benchmarks.template import Loop
from helpers.config import PRESETS, RunConfig, make_config
from helpers.device import copy_to, pick_precision
from helpers.gan.augment import Augmenter
from helpers.gan.captured import CapturedStep
from helpers.gan.generate import draw_latents, generate_mels
from helpers.gan.players import Batch, Players, n_augmented, train_step
from helpers.labels import one_hot
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet

CPU = torch.device("cpu")
SECONDS_TO_COMPILE = 75
PROFILED_ROWS = 12
PLAIN_LOOP, AS_IT_IS, CAPTURED, COMPILED = ("plain loop", "as it is", "captured", "compiled")


class MadeStep:
    """A training step on a batch of made clips, called again and again, in one of three forms.

    Noise and augmentation are drawn on the CPU, as training draws them: the same on every device.
    noise: whether it is drawn anew for each step.
    """

    def __init__(
        self, config: RunConfig, device: torch.device, precision: str, form=AS_IT_IS, noise=True
    ):
        self.players = Players(config, len(CLASSES), device, precision, form == COMPILED)
        self.take_step = CapturedStep() if form == CAPTURED else train_step
        self.device, self.noise, self.number = device, noise, 0
        self.rng = torch.Generator().manual_seed(0)
        self.batch = Batch(*(part.to(device) for part in made_batch(config, self.rng)))
        names = config.train.augmentations
        self.augmented = Augmenter(names, made_silence(config), self.rng, device)

    def __call__(self, take_step: Callable | None = None) -> dict[str, torch.Tensor]:
        """Take the next step, in another way than usual if one is given. Returns its losses."""
        number, batch = self.number, self.batch
        self.number += 1
        if self.noise:
            z = torch.randn(batch.z.shape, generator=self.rng)
            batch = batch._replace(z=copy_to(z, self.device))
        self.augmented.draw(n_augmented(self.players.train, number), len(batch.y))
        return (take_step or self.take_step)(self.players, batch, self.augmented, number)


class PlainStep:
    """A step of the plain loop of `template`, in fp32, on the same made clips."""

    def __init__(self, config: RunConfig, device: torch.device):
        self.loop, self.rng = Loop(config, len(CLASSES), device), torch.Generator().manual_seed(0)
        self.batch, self.number = made_batch(config, self.rng), 0
        self.silence = made_silence(config)

    def __call__(self) -> None:
        """Take the next step."""
        self.loop.step(self.batch.real, self.batch.y, self.silence, self.number, self.rng)
        self.number += 1


def made_batch(config: RunConfig, rng: torch.Generator) -> Batch:
    """A batch of random walks in time, with classes in groups as training draws them."""
    n, audio = config.train.batch_size, config.audio
    steps = torch.randn((n, 1, audio.n_mels, audio.n_frames), generator=rng)
    y = one_hot(torch.arange(n) // 4 % len(CLASSES), len(CLASSES))
    z = torch.randn((n, config.model.z_dim), generator=rng)
    return Batch(0.1 * steps.cumsum(3), y, z)


def made_silence(config: RunConfig) -> torch.Tensor:
    """The normalised value of silence in each band, (n_mels,)."""
    return torch.linspace(-3, -1, config.audio.n_mels)


def with_train(config: RunConfig, **changes) -> RunConfig:
    """A configuration with some settings of its training changed."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def step_rates(report: DeviceReport) -> None:
    """Milliseconds of a step and clips a second by preset, batch and form."""
    small, *larger = (4,) if report.tiny else (16, 64, 256)
    for preset in _presets(report):
        for form in (PLAIN_LOOP, AS_IT_IS):
            _say_rate(report, preset, small, form)
        for batch_size in (small, *larger) if report.on_cuda else ():
            _say_rate(report, preset, batch_size, CAPTURED)


def compiled_rates(report: DeviceReport) -> None:
    """Milliseconds of a compiled step and clips a second, at two presets."""
    for preset, batch_size in (("cpu", 4),) if report.tiny else (("cpu", 16), ("long", 16)):
        _say_rate(report, preset, batch_size, COMPILED)


def inversion_rates(report: DeviceReport) -> None:
    """Sounds a second: mels drawn, and mels made waveforms, on the CPU and on the device."""
    for preset in _presets(report):
        n_sounds, audio = 4 if report.tiny else 64, make_config(preset).audio
        generator = untrained(preset)
        labels = torch.arange(n_sounds) % len(CLASSES)
        z = draw_latents(n_sounds, generator.model.z_dim)
        drawn_s = report.time(functools.partial(generate_mels, generator, z, labels))
        mels = generate_mels(generator, z, labels)
        inverter = MelInverter(audio, network=MagnitudeNet(audio).eval())
        values = {"preset": preset, "drawn, a second": f"{n_sounds / drawn_s:.0f}"}
        for device in dict.fromkeys((CPU, report.device)):
            some = mels[: 4 if device == CPU else n_sounds].to(device)
            each_s = report.time(functools.partial(inverter, some), rounds=2) / len(some)
            values[f"inverted on {device.type}, a second"] = f"{1 / each_s:.1f}"
            values[f"{device.type}, times real time"] = f"{audio.duration_s / each_s:.0f}"
        report.row(**values)


def what_takes_time(report: DeviceReport) -> None:
    """The kernels of a plain step that take the longest, by the profiler; on a CPU, operations."""
    n_steps = 1 if report.tiny else 16
    for preset in ("cpu",) if report.tiny else ("cpu", "long"):
        step = MadeStep(make_config(preset), report.device, pick_precision("auto", report.device))
        report.time(step, rounds=1, calls=n_steps)
        kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * report.on_cuda
        with profile(activities=kinds) as profiled:
            for _ in range(n_steps):
                step()
            report.wait()
        events = profiled.key_averages()
        if report.on_cuda:  # an operation of the CPU has the time of its kernels, too
            kernels = (e for e in events if e.self_cpu_time_total == 0)
            events = [event for event in kernels if not event.is_user_annotation]
        own_us = {e.key: e.self_device_time_total or e.self_cpu_time_total for e in events}
        ms, counts = sum(own_us.values()) / 1e3 / n_steps, sum(e.count for e in events) / n_steps
        report.say(f"### {preset}: {ms:.2f} ms and {counts:.0f} calls a step\n")
        for event in sorted(events, key=lambda e: -own_us[e.key])[:PROFILED_ROWS]:
            ms, count = own_us[event.key] / 1e3 / n_steps, event.count / n_steps
            report.say(f"- {ms:.3f} ms, {count:.0f} calls: {event.key[:80]}")


def _presets(report: DeviceReport) -> tuple[str, ...]:
    return ("cpu",) if report.tiny else tuple(PRESETS)


def _say_rate(report: DeviceReport, preset: str, batch_size: int, form: str) -> None:
    name = f"{preset}, {batch_size} clips, {form}"
    if report.seconds_left < SECONDS_TO_COMPILE * (form == COMPILED):
        report.skip(name, "no time is left")
    else:
        report.attempt(name, _measure_rate, report, preset, batch_size, form)


def _measure_rate(report: DeviceReport, preset: str, batch_size: int, form: str) -> None:
    config = with_train(make_config(preset), batch_size=batch_size)
    if form == PLAIN_LOOP:
        step = PlainStep(config, report.device)
    else:
        step = MadeStep(config, report.device, pick_precision("auto", report.device), form)
    calls = 2 if report.tiny else config.train.r1_every
    seconds = report.time(step, 1 if report.tiny else 4, calls)
    peak = torch.cuda.max_memory_allocated() / 2**30 if report.on_cuda else 0.0
    report.row(
        **{
            "preset": preset,
            "clips a step": str(batch_size),
            "form": form,
            "a step, ms": f"{1e3 * seconds:.2f}",
            "clips a second": f"{batch_size / seconds:.0f}",
            "GPU memory, GiB": f"{peak:.2f}",
        }
    )
