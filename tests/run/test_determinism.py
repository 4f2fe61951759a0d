"""From recordings to sounds in two processes: one seed gives the same sounds, bit for bit."""

import subprocess
import sys

from helpers.files import PROJECT

FLOW = """
import dataclasses, hashlib, sys
from pathlib import Path
import torch
from helpers.data import make_clips as extraction
from helpers.config import DataConfig, make_config
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.clips import prepare_clips
from helpers.gan.generator_file import load_generator
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

sounds, folder = Path(sys.argv[1]), Path(sys.argv[2])
n_workers, minutes = int(sys.argv[3]), float(sys.argv[4])
extraction.FEW_FILES, extraction.FILES_IN_A_ROW, extraction.n_workers = 0, 2, lambda: n_workers
config = make_config("cpu", n_mels=32, n_frames=32)
clips = prepare_clips(sounds, config.audio, DataConfig(), folder, folder)
config = dataclasses.replace(config, classes=clips.classes)
dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))
watch = Watch(config, dataset, folder)
limits, intervals = Limits(steps=4), Intervals(minutes, minutes)
train_gan(dataset, config, folder, torch.device("cpu"), limits, intervals, look=watch)
generator = load_generator(folder / "generator.safetensors")
labels = torch.arange(3)
z = draw_latents(3, config.model.z_dim, seed=5)
made = generate_sounds(generator, z, labels, make_inverter(generator, seed=5)).waveforms
print("sounds", hashlib.sha256(made.tobytes()).hexdigest(), float(abs(made).max()) > 0)
"""


def test_the_same_seed_gives_the_same_sounds_whatever_the_number_of_workers_and_of_pictures(
    sound_folder, tmp_path
):
    told = []
    for name, n_workers, minutes, hash_seed in (("one", "1", "1e6", "1"), ("other", "3", "0", "2")):
        done = subprocess.run(
            [sys.executable, "-c", FLOW, sound_folder, tmp_path / name, n_workers, minutes],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        told.append(done.stdout.strip().splitlines()[-1])
    assert told[0] == told[1] and told[0].startswith("sounds") and told[0].endswith("True")
