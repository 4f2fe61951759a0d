"""Shared by the tests: a tiny geometry, made sounds and their clips, tiny runs, and a drive."""

import helpers  # noqa: F401 (before torch: it says how torch's threads wait)

# isort: split
import dataclasses

import numpy as np
import pytest
import soundfile
import torch
from drives import new_drive

from helpers.config import RECIPES, AudioConfig, DataConfig, RunConfig
from helpers.data.clips import prepare_clips
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.gan.generator_file import SoundGenerator, save_generator
from helpers.gan.networks import make_generator
from helpers.sound.normalisation import PerClipNormaliser
from helpers.train.checkpoints import Checkpoint, save_checkpoint
from helpers.train.drive_copy import DriveCopy
from helpers.train.metrics_file import append_metrics

RATE = 8_000
N_EACH = 8  # recordings a class


def make_sound(kind: str, rng: np.random.Generator, n_samples: int = 800) -> np.ndarray:
    """A decaying low tone, high tone or burst of noise, float32 (n_samples,)."""
    time = np.arange(n_samples) / RATE
    envelope = np.exp(-time / rng.uniform(0.02, 0.06)) * rng.uniform(0.4, 0.9)
    if kind == "noise":
        return (rng.standard_normal(n_samples) * envelope / 3).astype(np.float32)
    hertz = rng.uniform(250, 500) if kind == "low" else rng.uniform(2000, 3000)
    return (np.sin(2 * np.pi * hertz * time) * envelope).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_audio() -> AudioConfig:
    return AudioConfig(sample_rate=RATE, n_fft=256, hop_length=64, n_mels=16, n_frames=16)


@pytest.fixture(scope="session")
def write_sounds():
    """A function: a class folder each of high tones, low tones and noise, n recordings in each."""

    def write(folder, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for kind in ("high", "low", "noise"):
            (folder / kind).mkdir(parents=True)
            for index in range(n):
                soundfile.write(folder / kind / f"{index}.wav", make_sound(kind, rng), RATE)

    return write


@pytest.fixture(scope="session")
def sound_folder(tmp_path_factory, write_sounds):
    folder = tmp_path_factory.mktemp("sounds")
    write_sounds(folder, N_EACH, seed=0)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tiny_audio):
    """A function: the tiny configuration of a recipe, with fields of its training replaced."""

    def make(recipe: str = "modern", **train) -> RunConfig:
        chosen = RECIPES[recipe]
        return RunConfig(
            audio=dataclasses.replace(tiny_audio, **chosen["audio"]),
            model=dataclasses.replace(
                chosen["model"], z_dim=8, generator_width=8, discriminator_width=8, embedding_dim=4
            ),
            train=dataclasses.replace(chosen["train"], **{"batch_size": 4, "r1_every": 2, **train}),
            classes=("high", "low", "noise"),
        )

    return make


@pytest.fixture(scope="session")
def datasets(sound_folder, tiny_run, tmp_path_factory):
    """The training split of the made sounds in the features of each recipe."""
    made, folder = {}, tmp_path_factory.mktemp("cache")
    for recipe in RECIPES:
        cache = prepare_clips(sound_folder, tiny_run(recipe).audio, DataConfig(), folder, folder)
        made[recipe] = TrainAudioSpectrogramDataset(cache, fit_clip_normaliser(cache))
    return made


@pytest.fixture(scope="session")
def dataset(datasets):
    return datasets["modern"]


@pytest.fixture(scope="session")
def clips(dataset):
    return dataset.cache


@pytest.fixture
def sound_generator(datasets, tiny_run):
    """A function: an untrained generator of a recipe, with the statistics of the made sounds."""

    def make(
        recipe: str = "modern", classes=("high", "low", "noise"), seed: int = 0
    ) -> SoundGenerator:
        run = tiny_run(recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make_generator(run.model, run.audio, len(classes)).eval()
        normaliser = datasets[recipe].normaliser
        if isinstance(normaliser, PerClipNormaliser):  # has a range of each class
            like = torch.arange(len(classes)) % len(normaliser.low)
            normaliser = PerClipNormaliser(normaliser.low[like], normaliser.high[like])
        return SoundGenerator(network, run.audio, run.model, tuple(classes), normaliser)

    return make


@pytest.fixture
def drive(tmp_path):
    return new_drive(tmp_path / "drive")


@pytest.fixture
def work(sound_generator):
    """A function: what training writes at a step, into a local copy."""
    generator = sound_generator()

    def write(local, step: int) -> None:
        local.mkdir(exist_ok=True)
        append_metrics(local / "metrics.jsonl", {"kind": "training", "step": step})
        weights = {"weights": torch.full((300,), float(step))}
        save_checkpoint(local / "checkpoints", Checkpoint(step, weights, {}))
        save_generator(local / "generator.safetensors", generator, {"step": step})
        (local / "samples" / f"{step:08d}").mkdir(parents=True)
        (local / "samples" / f"{step:08d}" / "a.wav").write_bytes(b"a sound")

    return write


@pytest.fixture
def trained(drive, work, tmp_path):
    """A function: a machine that trained and sent some steps."""

    def train_and_send(*steps: int, name: str = "local") -> DriveCopy:
        mirror = DriveCopy(tmp_path / name, drive)
        mirror.fetch()
        for step in steps:
            work(mirror.local.root, step)
            mirror.send()
        return mirror

    return train_and_send
