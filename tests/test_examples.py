"""The examples in docstrings are true."""

import doctest
import importlib

import pytest

from helpers.files import PROJECT
from helpers.gan.generator_file import save_generator
from helpers.judge.classifier import train_judge
from helpers.judge.evaluation import Evaluator
from helpers.sound.inversion import MelInverter

PATHS = sorted((PROJECT / "helpers").rglob("*.py"))
MODULES = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in PATHS]
WITH_EXAMPLES = [m for m, path in zip(MODULES, PATHS, strict=True) if ">>> " in path.read_text()]


@pytest.fixture
def names(clips, sound_generator, write_sounds, tmp_path, monkeypatch):
    """Clips, a generator, a judge and sounds, by the names that examples use, and a folder."""
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "sounds", 4, seed=1)
    audio, generator = clips.audio, sound_generator()
    save_generator(tmp_path / "runs" / "rain" / "generator.safetensors", generator)
    judge = train_judge(*clips.recordings("train"), 3, audio.sample_rate, steps=2)
    log_mels, _ = clips.split("test")
    inverter = MelInverter(audio)
    waveforms = inverter(log_mels)
    return {
        "audio": audio,
        "clips": clips,
        "evaluator": Evaluator(judge, clips),
        "generator": generator,
        "inverter": inverter,
        "judge": judge,
        "log_mels": log_mels[:2],
        "waveforms": waveforms,
        "waveform": waveforms[0].numpy(),
    }


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_an_example_gives_what_it_says(name, names):
    results = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert results.attempted > 0 and results.failed == 0


def test_every_wing_has_an_example():
    wings = {name.split(".")[1] for name in WITH_EXAMPLES}
    assert {"sound", "data", "gan", "train", "judge", "show", "run"} <= wings
