"""Sounds a second, one and many, beside a plain loop that makes one at a time; memory."""

import argparse
import sys
import time

import torch

from benchmarks.common import in_fresh_process, markdown_table, peak_mib, take_turns
from benchmarks.template import invert_one
from helpers.config import PRESETS, make_config
from helpers.device import describe, pick_device
from helpers.gan.generate import (
    draw_latents,
    generate_in_parts,
    generate_mels,
    generate_sounds,
    make_inverter,
)
from helpers.gan.generator_file import SoundGenerator
from helpers.gan.networks import make_generator
from helpers.sound.normalisation import PerBinNormaliser

CLASSES = tuple(f"class {n}" for n in range(10))
PLAIN_SOUNDS = 8  # of the loop, which takes as long for each


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    rows = [_speed(preset, arguments.sounds, arguments.rounds) for preset in arguments.presets]
    print(f"\n{markdown_table(rows)}\n")
    numbers = (arguments.sounds, 10 * arguments.sounds)
    memory = [in_fresh_process(_memory, arguments.presets[-1], n_sounds) for n_sounds in numbers]
    print(markdown_table(memory))


def untrained(preset: str) -> SoundGenerator:
    """A generator that has learned nothing: it takes as long as another; its sounds are noise."""
    config = make_config(preset, "modern")
    torch.manual_seed(0)
    network = make_generator(config.model, config.audio, len(CLASSES)).to(pick_device()).eval()
    mean, std = torch.full((config.audio.n_mels,), -5.0), torch.ones(config.audio.n_mels)
    normaliser = PerBinNormaliser(mean, std, mean + 3, config.audio.floor_value)
    return SoundGenerator(network, config.audio, config.model, CLASSES, normaliser)


def _speed(preset: str, n_sounds: int, rounds: int) -> dict[str, str]:
    generator = untrained(preset)
    inverter, z_dim = make_inverter(generator), generator.model.z_dim
    z, labels = draw_latents(n_sounds, z_dim), torch.arange(n_sounds) % len(CLASSES)

    def plain() -> None:
        for index in range(PLAIN_SOUNDS):
            mel = generate_mels(generator, z[index : index + 1], labels[index : index + 1])[0]
            invert_one(mel, generator.audio)

    generate_sounds(generator, z[:2], labels[:2], inverter)
    seconds = take_turns(
        {
            "one drawn": lambda: generate_mels(generator, z[:1], labels[:1]),
            "one heard": lambda: generate_sounds(generator, z[:1], labels[:1], inverter),
            "many drawn": lambda: generate_mels(generator, z, labels),
            "many heard": lambda: list(generate_in_parts(generator, z, labels, inverter)),
            "plain loop": plain,
        },
        rounds,
    )
    best = {name: min(values) for name, values in seconds.items()}
    ours, theirs = n_sounds / best["many heard"], PLAIN_SOUNDS / best["plain loop"]
    return {
        "preset": f"{preset}, {generator.audio.duration_s:.1f} s",
        "one drawn, ms": f"{1e3 * best['one drawn']:.1f}",
        "one heard, ms": f"{1e3 * best['one heard']:.1f}",
        f"{n_sounds} drawn, a second": f"{n_sounds / best['many drawn']:.0f}",
        f"{n_sounds} heard, a second": f"{ours:.1f}",
        "plain loop, a second": f"{theirs:.1f}",
        "ratio": f"{ours / theirs:.1f}",
    }


def _memory(preset: str, n_sounds: int) -> dict[str, str]:
    """Sounds made and dropped, part by part, as 04_listen writes them."""
    generator = untrained(preset)
    begun = time.perf_counter()
    z, labels = draw_latents(n_sounds, generator.model.z_dim), torch.arange(n_sounds) % len(CLASSES)
    n_made = sum(
        len(part.waveforms)
        for part in generate_in_parts(generator, z, labels, make_inverter(generator))
    )
    seconds = time.perf_counter() - begun
    return {
        "sounds": str(n_made),
        "seconds": f"{seconds:.1f}",
        "peak memory, MiB": f"{peak_mib():.0f}",
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--sounds", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
