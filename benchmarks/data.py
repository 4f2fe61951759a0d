"""Recordings to training batches, beside plain loops: first pass, later epochs, opening."""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.common import markdown_table, take_turns
from benchmarks.template import read_item
from helpers.config import AudioConfig, DataConfig, make_config
from helpers.data.clips import prepare_clips
from helpers.data.cut_clips import window_levels_db
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.drum_kit import make_kit
from helpers.device import describe
from helpers.sound.audio_files import fit_length, read_audio
from helpers.sound.mel import MelExtractor

BATCH = 16
TEMPLATE_ITEMS = 500  # of the plain loop's epoch, which is the same for every item


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    audio = make_config(arguments.preset, "modern").audio
    with tempfile.TemporaryDirectory() as folder:
        kit = make_kit(Path(folder) / "kit", arguments.clips)
        paths = sorted(kit.rglob("*.wav"))
        print(
            f"{len(paths)} files of the drum kit, preset {arguments.preset}, {os.cpu_count()} cores"
        )
        print(markdown_table([_first_pass(kit, paths, audio, Path(folder), arguments.rounds)]))
        print(
            markdown_table([_epochs(kit, paths, audio, Path(folder) / "cache", arguments.rounds)])
        )


def _first_pass(
    kit: Path, paths: list[Path], audio: AudioConfig, folder: Path, rounds: int
) -> dict[str, str]:
    """Every file is read, checked, turned into a mel and written, by us and by a plain loop."""
    numbers = iter(range(1000))

    def ours() -> None:
        target = folder / f"first-{next(numbers)}"
        prepare_clips(kit, audio, DataConfig(), target, target)

    def loop() -> None:
        _loop(paths, audio, folder / "loop.f16")

    def loop_of_one_thread() -> None:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        loop()
        torch.set_num_threads(n_threads)

    seconds = take_turns({"ours": ours, "loop": loop, "thread": loop_of_one_thread}, rounds)
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "first pass": "audit, decode, features",
        "loop, s": f"{best['loop']:.2f}",
        "loop of one thread, s": f"{best['thread']:.2f}",
        "ours, s": f"{best['ours']:.2f}",
        "ratios": f"{best['loop'] / best['ours']:.2f}, {best['thread'] / best['ours']:.2f}",
        "files a second": f"{len(paths) / best['ours']:.0f}",
    }


def _loop(paths: list[Path], audio: AudioConfig, target: Path) -> None:
    """One file after another: digest, samples, level and mel, all written to one file."""
    extractor = MelExtractor(audio)
    with open(target, "wb") as body:
        for path in paths:
            hashlib.sha256(path.read_bytes()).hexdigest()
            samples, _ = read_audio(path, audio.sample_rate)
            window_levels_db(samples, audio.clip_samples // 8).max()
            clip = torch.from_numpy(fit_length(samples, audio.clip_samples))
            body.write(extractor(clip[None]).half().numpy().tobytes())


def _epochs(
    kit: Path, paths: list[Path], audio: AudioConfig, cache: Path, rounds: int
) -> dict[str, str]:
    """Every clip once, as batches for the networks, from the cache and from the files."""
    clips = prepare_clips(kit, audio, DataConfig(), cache, cache)
    dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))

    def ours() -> None:
        for items in torch.randperm(len(dataset)).split(BATCH):
            dataset.batch(items)

    def template() -> None:
        for path in paths[:TEMPLATE_ITEMS]:
            read_item(str(path), audio)

    seconds = take_turns({"ours": ours, "template": template}, rounds)
    per_clip = min(seconds["ours"]) / len(dataset)
    per_item = min(seconds["template"]) / min(len(paths), TEMPLATE_ITEMS)
    begun = time.perf_counter()
    prepare_clips(kit, audio, DataConfig(), cache, cache)
    return {
        "later epochs": "batches of normalised spectrograms",
        "plain loop, ms a clip": f"{1e3 * per_item:.2f}",
        "ours, ms a clip": f"{1e3 * per_clip:.4f}",
        "ratio": f"{per_item / per_clip:.0f}",
        "cache opened again, s": f"{time.perf_counter() - begun:.2f}",
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000, help="files of the drum kit")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
