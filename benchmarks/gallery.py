"""A page that plays what generators make, one below the other: docs/index.html.

`python -m benchmarks.gallery docs/index.html "Drum kit, 6 500 steps=data/kit.safetensors"`
A file that is named twice, the first time as untrained:FILE, shows where its training began.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from helpers.gan.generate import make_inverter
from helpers.gan.generator_file import SoundGenerator, load_generator
from helpers.gan.networks import make_generator
from helpers.gan.players import with_own_statistics
from helpers.show.page import Section, write_sections
from helpers.show.takes import render_takes

UNTRAINED = "untrained:"


def main() -> None:
    """Write the page that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("generators", nargs="+", help="a heading, = and a file")
    parser.add_argument("--title", default="Sounds to play")
    parser.add_argument("--about", default="", help="a sentence below the first heading")
    parser.add_argument("--takes", type=int, default=4)
    asked = parser.parse_args()
    sections = [_section(words, asked.takes) for words in asked.generators]
    sections[0] = dataclasses.replace(sections[0], about=asked.about)
    path = write_sections(asked.page, sections, asked.title)
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


def _section(words: str, n_takes: int) -> Section:
    heading, _, file = words.partition("=")
    generator = load_generator(Path(file.removeprefix(UNTRAINED)))
    if file.startswith(UNTRAINED):
        generator = _before_training(generator)
    takes = render_takes(generator, make_inverter(generator), n_takes, n_steps=0)
    return Section(takes, heading=heading)


def _before_training(generator: SoundGenerator) -> SoundGenerator:
    torch.manual_seed(0)
    n_classes = len(generator.classes)
    network = make_generator(generator.model, generator.audio, n_classes)
    return dataclasses.replace(generator, network=with_own_statistics(network, n_classes))


if __name__ == "__main__":
    sys.exit(main())
