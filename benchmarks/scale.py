"""A hundred thousand files, hours in one file, a thousand classes: seconds, memory, disk."""

import argparse
import dataclasses
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.common import in_fresh_process, markdown_table, peak_mib
from helpers.config import DataConfig, RunConfig, make_config
from helpers.data.clips import open_clips, prepare_clips
from helpers.data.dataset import TrainAudioSpectrogramDataset, draw_items, fit_clip_normaliser
from helpers.device import describe
from helpers.run.folder import open_run
from helpers.run.headless import execute
from helpers.run.settings import NOTEBOOKS

RATE = 16_000
FILE_S = 0.5  # of sound in each file
N_CLASSES = 10
CLIPS_EACH = 5  # of a thousand classes
SMALL = {  # settings with which the notebooks pass in minutes
    "01_data": {"inversion_steps": 100},
    "02_models": {},
    "03_train": {"minutes": 1, "judge_steps": 100},
    "04_listen": {"sounds_per_class": 1, "judge_steps": 100},
}
BATCHES = 50
BLOCK_S = 60  # of the long recording, written at a time


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    rows = []
    for n_files in arguments.files:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _make_files(Path(folder) / "sounds", n_files, N_CLASSES)
            rows.append(
                {"recordings": f"{n_files} files of {FILE_S} s", **_both(Path(folder), "no")}
            )
            print(rows[-1], flush=True)
    for hours in arguments.hours:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _make_recording(Path(folder) / "sounds", hours)
            rows.append({"recordings": f"one of {hours:g} h, sliced", **_both(Path(folder), "yes")})
            print(rows[-1], flush=True)
    if rows:
        print(f"\n{markdown_table(rows)}")
    for n_classes in arguments.classes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _make_files(Path(folder) / "sounds", CLIPS_EACH * n_classes, n_classes)
            rows = [in_fresh_process(_pass, name, Path(folder)) for name in NOTEBOOKS]
        print(f"\n{n_classes} classes of {CLIPS_EACH} clips\n\n{markdown_table(rows)}")


def _pass(name: str, folder: Path) -> dict[str, str]:
    """Execute a notebook with small settings on the sounds in a folder."""
    settings = SMALL[name] | ({"data_source": str(folder / "sounds")} if name == "01_data" else {})
    run, begun = open_run(str(folder / "run")), time.perf_counter()
    if problem := execute(name, run, settings):
        raise SystemExit(f"{name}: {problem}")
    row = {
        "notebook": name,
        "settings": ", ".join(f"`{key}={value}`" for key, value in SMALL[name].items()),
        "seconds": f"{time.perf_counter() - begun:.0f}",
        "memory, MiB": f"{peak_mib(of_children=True):.0f}",
        "executed notebook, MiB": f"{(run.notebooks / f'{name}.ipynb').stat().st_size / 2**20:.1f}",
    }
    print(row, flush=True)
    return row


def _both(folder: Path, slice_long: str) -> dict[str, str]:
    return in_fresh_process(_measure, folder, slice_long) | in_fresh_process(
        _reopen, folder, slice_long
    )


def _measure(folder: Path, slice_long: str) -> dict[str, str]:
    """From files to a cache."""
    config, data, cache = (
        make_config("cpu", "modern"),
        DataConfig(slice_long=slice_long),
        folder / "cache",
    )
    before = peak_mib()
    begun = time.perf_counter()
    clips = prepare_clips(folder / "sounds", config.audio, data, folder / "data", cache)
    seconds = time.perf_counter() - begun
    (folder / "key.txt").write_text(clips.key)
    return {
        "clips": str(len(clips.labels)),
        "first pass, s": f"{seconds:.1f}",
        "clips a second": f"{len(clips.labels) / seconds:.0f}",
        "memory, MiB": f"{peak_mib():.0f} ({before:.0f} before)",
        "cache, MiB": f"{sum(path.stat().st_size for path in cache.iterdir()) / 2**20:.0f}",
    }


def _reopen(folder: Path, slice_long: str) -> dict[str, str]:
    """From a cache to batches, as 03_train does."""
    config = make_config("cpu", "modern")
    data = DataConfig(slice_long=slice_long, digest=(folder / "key.txt").read_text())
    run = dataclasses.replace(config, data=data)
    begun = time.perf_counter()
    clips = _open(run, folder)
    opened = time.perf_counter() - begun
    dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))
    fitted = time.perf_counter() - begun - opened
    rng, begun = torch.Generator().manual_seed(0), time.perf_counter()
    for step in range(BATCHES):
        dataset.batch(draw_items(dataset, config.train, step, rng))
    return {
        "opened again, s": f"{opened:.2f}",
        "statistics, s": f"{fitted:.1f}",
        "a batch, ms": f"{1e3 * (time.perf_counter() - begun) / BATCHES:.2f}",
        "memory then, MiB": f"{peak_mib():.0f}",
    }


def _open(run: RunConfig, folder: Path):
    return open_clips(run, folder / "data", folder / "cache", folder)


def _make_files(folder: Path, n_files: int, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(10 * RATE).astype(np.float32) / 8
    n_samples = round(FILE_S * RATE)
    for index in range(n_files):
        target = folder / f"class{index % n_classes}"
        target.mkdir(parents=True, exist_ok=True)
        start, level = int(rng.integers(9 * RATE)), rng.uniform(0.2, 1.0)
        soundfile.write(target / f"{index:06d}.wav", level * noise[start : start + n_samples], RATE)


def _make_recording(folder: Path, hours: float) -> None:
    (folder / "long").mkdir(parents=True)
    rate, rng = 44_100, np.random.default_rng(0)
    needed = round(hours * 3600 * rate * 2)
    if shutil.disk_usage(folder).free < 2 * needed:
        raise SystemExit(f"a recording of {hours:g} h needs {needed / 2**30:.1f} GiB in {folder}")
    with soundfile.SoundFile(folder / "long" / "long.wav", "w", rate, 1, format="RF64") as file:
        for _ in range(round(hours * 3600 / BLOCK_S)):
            file.write(rng.uniform(-0.3, 0.3, BLOCK_S * rate).astype(np.float32))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--hours", nargs="*", type=float, default=[1.0, 4.0])
    parser.add_argument("--classes", nargs="*", type=int, default=[1_000])
    parser.add_argument(
        "--folder", default=None, help="where files are made; the default is the system's own"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
