"""The parts of `benchmarks.device` that compare a GPU with the CPU."""

import collections
import contextlib
import copy
import dataclasses
import functools
import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device_rates import CAPTURED, CPU, MadeStep, with_train
from benchmarks.device_report import DeviceReport
from benchmarks.generation import CLASSES, untrained
from helpers.config import RECIPES, AudioConfig, RunConfig, make_config
from helpers.data.learn_inversion import train_magnitude_net
from helpers.device import pick_precision
from helpers.gan.augment import Augmenter
from helpers.gan.captured import restore
from helpers.gan.generate import draw_latents, generate_mels
from helpers.gan.generator_file import SoundGenerator
from helpers.gan.players import Players, n_augmented, train_step, with_own_statistics
from helpers.judge.classifier import JUDGE_STEPS, train_judge
from helpers.sound.inversion import METHODS, MelInverter
from helpers.sound.mel import MelExtractor
from helpers.train.loop import draw_batch

PRECISIONS = {  # the precision, whether convolutions may round to TF32, and the error allowed
    "fp32": ("fp32", False, 5e-3),
    "TF32": ("fp32", True, 2e-2),
    "bf16": ("bf16", True, 0.15),
    "fp16": ("fp16", True, 0.15),
}
FIRST_SCALE = 256.0  # in fp16
COMPARED_STEPS = 4
CAPTURED_STEPS = 13
CAPTURED_TOLERANCES = {"fp32": 1e-3, "bf16": 2e-2}
MOST_WAITS = 2  # of a step


def steps_agree(report: DeviceReport) -> None:
    """The first steps of both recipes in every precision, against the CPU in fp32."""
    for recipe in RECIPES:
        config = make_config("cpu", recipe)
        if report.tiny:
            config = with_train(config, batch_size=4)
        wanted_losses, wanted_gradients = _first_steps(config, CPU, "fp32")
        for name in PRECISIONS if report.on_cuda else ("fp32", "bf16"):
            precision, tf32, tolerance = PRECISIONS[name]
            with _tf32_allowed(tf32):
                losses, gradients = _first_steps(config, report.device, precision)
            error = _loss_error(losses, wanted_losses)
            found, good = f"losses differ by {error:.1e}", error < tolerance
            for player, gradient in gradients.items():
                wanted = wanted_gradients[player]
                cosine = float(F.cosine_similarity(gradient, wanted, dim=0))
                found += f"; gradient of {player}: cosine {cosine:.5f}, length "
                found += f"{float(gradient.norm() / wanted.norm()):.4f}"
                good = good and 1 - cosine < tolerance
            report.check(f"steps of {recipe} in {name}", good, found)


def waits(report: DeviceReport) -> None:
    """How often training waits for the device in a step, and in which lines."""
    dataset, config = report.bench.dataset(report.bench.configure("modern"))
    dataset.move_to(report.device)
    precision = pick_precision("auto", report.device)
    players = Players(config, dataset.n_classes, report.device, precision)
    rng, silence = torch.Generator().manual_seed(0), dataset.normaliser.silence()
    augmented = Augmenter(config.train.augmentations, silence, rng, report.device)
    for number, name in ((0, "the first step"), (1, "a step"), (0, "a step with the penalty")):
        with _noted_waits() as lines:
            batch = draw_batch(dataset, config, number, rng, report.device)
            augmented.draw(n_augmented(config.train, number), len(batch.y))
            train_step(players, batch, augmented, number)
        counts = ", ".join(f"{n} in {line}" for line, n in collections.Counter(lines).items())
        found = f"waits {len(lines)} times{counts and f': {counts}'}"
        report.check(name, number == 0 or len(lines) <= MOST_WAITS, found)


def generation_agrees(report: DeviceReport) -> None:
    """Mels of one generator on both devices, and of one sound alone and among others."""
    generator = untrained("cpu")
    here = _on(CPU, generator, with_own_statistics(generator.network.to(CPU), len(CLASSES)))
    there = _on(report.device, generator, here.network)
    z, labels = draw_latents(64, generator.model.z_dim), torch.arange(64) % len(CLASSES)
    wanted = generate_mels(here, z, labels)
    for name in ("fp32", "TF32") if report.on_cuda else ("fp32",):
        with _tf32_allowed(PRECISIONS[name][1]):
            many = generate_mels(there, z, labels)
            one = generate_mels(there, z[-1:], labels[-1:])
        error, most = _difference(many, wanted), float((one - many[-1:]).abs().max())
        tolerance = 2e-3 if name == "TF32" else 1e-4
        report.check(f"mels in {name}", error < tolerance, f"differ by {error:.1e}")
        alone = f"one sound alone and among 64 in {name}: at most {most:.1e} nepers apart"
        if name == "TF32":  # this is why `pick_device` turns it off
            report.say(f"- {alone}")
        else:
            report.check(alone, most < 1e-3, "04_listen allows 1e-3")
    own = with_own_statistics(there.network, len(CLASSES))
    error = _difference(generate_mels(_on(report.device, generator, own), z, labels), wanted)
    report.check("statistics taken on the device", error < 1e-2, f"mels differ by {error:.1e}")


def inversion_agrees(report: DeviceReport) -> None:
    """The network trained on the device, then every method: the mel of the waveforms made."""
    for preset in ("cpu",) if report.tiny else ("cpu", "long"):
        audio = make_config(preset).audio
        extractor, waveforms = MelExtractor(audio), _made_sounds(audio)
        mels, steps = extractor(waveforms), 5 if report.tiny else 50
        train = functools.partial(train_magnitude_net, waveforms, audio, steps)
        seconds = report.time(functools.partial(train, device=report.device), rounds=1)
        network = train(device=report.device)
        finite = all(bool(weight.isfinite().all()) for weight in network.parameters())
        found = f"{1e3 * seconds / steps:.1f} ms a step"
        report.check(f"the inversion of {preset} trains", finite, found)
        for method in METHODS if preset == "cpu" else METHODS[:3]:  # the last takes minutes
            invert = MelInverter(audio, method, network=network)
            made = [invert(mels.to(device)).cpu() for device in (CPU, report.device)]
            here, there = (float((extractor(one) - mels).abs().mean()) for one in made)
            found = f"mel error {here:.3f} on the CPU, {there:.3f} on the device, in nepers; "
            found += f"waveforms differ by {_difference(made[1], made[0]):.1e}"
            good = abs(here - there) < 0.02 + 0.05 * here
            report.check(f"inversion of {preset}, {method}", good, found)


def judge_agrees(report: DeviceReport) -> None:
    """Compare the judge's features, classes and mels of held-out clips; time its training."""
    evaluator = report.bench.evaluator
    clips, test = evaluator.clips, evaluator.test
    heard = report.bench.judge(clips, CPU).listen(test.waveforms)
    error = _difference(test.features, heard.features)
    report.check("the judge's features", error < 2e-2, f"differ by {error:.1e}")
    same = float((heard.named == test.named).float().mean())
    report.check("the judge's classes", same > 0.99, f"{same:.4f} of them are the same")
    error = _difference(test.mels, heard.mels)
    report.check("the judge's mels", error < 1e-3, f"differ by {error:.1e}")
    steps = 5 if report.tiny else 50
    clips = *clips.recordings("train"), len(clips.classes), clips.audio.sample_rate
    for device in dict.fromkeys((CPU, report.device)):
        learn = functools.partial(train_judge, *clips, steps, device=device)
        seconds = report.time(learn, rounds=1) / steps
        whole = f"{JUDGE_STEPS} steps take {JUDGE_STEPS * seconds:.0f} s"
        report.say(f"- the judge trains on {device.type}: {1e3 * seconds:.1f} ms a step, {whole}")


def captured_step_agrees(report: DeviceReport) -> None:
    """Steps that a CUDA graph repeats, each beside the plain step from the same state.

    Two whole trainings would not tell: weights that differ by 1e-7 make other clips after ten.
    """
    for precision, tolerance in CAPTURED_TOLERANCES.items():
        config = with_train(make_config("cpu"), r1_every=3)
        step, most = MadeStep(config, report.device, precision, CAPTURED), 0.0
        for _ in range(CAPTURED_STEPS):
            before, rng = step.players.tensors(), step.rng.get_state()
            found = step()
            restore(step.players, before)
            step.rng.set_state(rng)
            step.number -= 1
            wanted = step(train_step)
            errors = [_loss_error(found[name], wanted[name]) for name in wanted]
            most = max(most, *errors)
        report.check(f"steps in {precision} are captured", step.take_step.captured is not None)
        name = f"captured steps in {precision} are plain steps"
        report.check(name, most < tolerance, f"losses differ by {most:.1e}")


def _first_steps(
    config: RunConfig, device: torch.device, precision: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of the first steps, and the players' gradients in the first one, on the CPU."""
    step, losses, gradients = MadeStep(config, device, precision), [], {}
    if precision == "fp16":
        step.players.scaler = torch.amp.GradScaler(device.type, FIRST_SCALE)
    for number in range(COMPARED_STEPS):
        losses += [float(loss) for loss in step().values()]
        if number == 0:
            for player in ("discriminator", "generator"):
                weights = getattr(step.players, player).parameters()
                parts = [weight.grad.flatten().double().cpu() for weight in weights]
                gradients[player] = torch.cat(parts)
    return torch.tensor(losses), gradients


@contextlib.contextmanager
def _tf32_allowed(allowed: bool) -> Iterator[None]:
    """Whether convolutions in fp32 may round to TF32 meanwhile."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextlib.contextmanager
def _noted_waits() -> Iterator[list[str]]:
    """A list that in the end holds the line of each wait for the device."""
    lines = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode("default")
    told = [one for one in caught if "called a synchronizing" in str(one.message)]
    lines += [f"{Path(one.filename).name}:{one.lineno}" for one in told]


def _on(device: torch.device, generator: SoundGenerator, network: torch.nn.Module):
    """The generator with a copy of another network, on a device."""
    return dataclasses.replace(generator, network=copy.deepcopy(network).to(device))


def _made_sounds(audio: AudioConfig, n_sounds: int = 6) -> Tensor:
    """Decaying tones that waver, with a little noise, (n_sounds, clip_samples)."""
    time_s = torch.arange(audio.clip_samples) / audio.sample_rate
    hertz = torch.linspace(150, 2500, n_sounds)[:, None]
    tones = 0.3 * torch.sin(2 * math.pi * hertz * time_s + 3 * torch.sin(5 * time_s))
    noise = torch.randn(tones.shape, generator=torch.Generator().manual_seed(0))
    return tones * torch.exp(-3 * time_s) + 0.003 * noise


def _loss_error(losses: Tensor, wanted: Tensor) -> float:
    """The largest difference of losses, as a share of each; one near 0 counts as 0.1."""
    return float(((losses - wanted).abs() / (wanted.abs() + 0.1)).max())


def _difference(a: Tensor, b: Tensor) -> float:
    """The norm of a - b, as a share of that of b."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).norm() / b.norm())
