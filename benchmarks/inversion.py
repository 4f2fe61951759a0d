"""Every way from mel to sound on the same mels: how near to the recording, and how fast."""

import argparse
import csv
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torchaudio
from torch import Tensor

from benchmarks.common import Bench, mean_figures
from helpers.config import AudioConfig
from helpers.device import describe
from helpers.files import PROJECT
from helpers.gan.generator_file import load_generator
from helpers.judge.evaluation import FIGURES
from helpers.show.plots import save_figure
from helpers.sound.copy_error import COPY_ERRORS, copy_errors
from helpers.sound.inversion import ITERATIONS, METHODS, MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import MelExtractor, expand, mel_filterbank, mel_settings

PEER = "torchaudio, its defaults"
PEER_ITERATIONS = 32  # the default of torchaudio and librosa
COUNTS = (4, 8, ITERATIONS, 32, 100)  # of iterations, on the curve of quality against time
CLIPS_OF_SLOW_PEER = 8  # librosa inverts one clip at a time, in seconds each
WARM = 2  # clips inverted before the clock starts


@dataclasses.dataclass(frozen=True)
class Measured:
    """One way on one set of recordings."""

    way: str
    iterations: int
    figures: dict[str, float]
    by_class: dict[str, float]  # the first of COPY_ERRORS
    real_time: float  # seconds of sound for a second of computing


def main() -> None:
    """Measure as the command line asks."""
    arguments = _parse_arguments()
    print(describe())
    bench = Bench(
        arguments.data, arguments.preset, Path(arguments.runs), arguments.frames, arguments.holdout
    )
    config = bench.configure("modern")
    clips, network = bench.clips(config), bench.inversion(config)
    chosen = clips.indices("test")
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(arguments.clips, len(chosen))).astype(int)]
    recordings = torch.from_numpy(np.stack([clips.waveform(clip) for clip in chosen]))
    names = [clips.classes[label] for label in clips.labels[chosen]]
    torch.set_num_threads(1)
    found = measure(recordings, names, config.audio, network)
    _write_csv(PROJECT / "benchmarks" / "results" / "inversion.csv", bench.name, found)
    save_figure(
        _curve(found, f"{bench.name}, preset {arguments.preset}"), bench.folder / "inversion.png"
    )
    print(
        f"\n{_heading(bench.name, arguments.preset, recordings, config.audio)}\n\n{_table(found)}"
    )
    print(f"\n{_by_class(found)}")
    if arguments.generators:
        print(f"\n{_generated(arguments.generators, bench, network)}")
    print(f"\nwritten: {bench.folder / 'inversion.png'}")


def measure(
    recordings: Tensor, names: list[str], audio: AudioConfig, network: MagnitudeNet | None
) -> list[Measured]:
    """Every way on the mels of recordings (N, clip_samples) of the classes named."""
    compressed = MelExtractor(audio)(recordings)
    found = [_run(PEER, PEER_ITERATIONS, _torchaudio(audio), compressed, recordings, names, audio)]
    few = torch.linspace(0, len(recordings) - 1, min(CLIPS_OF_SLOW_PEER, len(recordings))).long()
    some = [names[index] for index in few]
    found.append(
        _run(
            "librosa",
            PEER_ITERATIONS,
            _librosa(audio),
            compressed[few],
            recordings[few],
            some,
            audio,
        )
    )
    for method in ("nnls", "joint", "learned") if network is not None else ("nnls", "joint"):
        for count in COUNTS:
            inverter = MelInverter(audio, method, count, network=network)
            found.append(_run(method, count, inverter, compressed, recordings, names, audio))
    return found


def _run(
    way: str,
    iterations: int,
    invert: Callable[[Tensor], Tensor],
    compressed: Tensor,
    recordings: Tensor,
    names: list[str],
    audio: AudioConfig,
) -> Measured:
    invert(compressed[:WARM])
    begun = time.perf_counter()
    with torch.no_grad():
        waveforms = invert(compressed)
    real_time = recordings.numel() / audio.sample_rate / (time.perf_counter() - begun)
    by_class = {}
    for name in dict.fromkeys(names):
        own = [index for index, other in enumerate(names) if other == name]
        by_class[name] = copy_errors(waveforms[own], recordings[own], audio)[COPY_ERRORS[0]]
    return Measured(way, iterations, copy_errors(waveforms, recordings, audio), by_class, real_time)


def _generated(paths: list[Path], bench: Bench, network: MagnitudeNet | None) -> str:
    """How the judge hears what generators made, by each way back: means over the generators."""
    evaluator, audio = bench.evaluator, bench.configure("modern").audio
    lines = [f"| way | {' | '.join(FIGURES)} |", f"|{'---|' * (len(FIGURES) + 1)}"]
    for method in METHODS if network is not None else METHODS[1:]:
        count = PEER_ITERATIONS if method == "inverse_mel_scale" else ITERATIONS
        inverter = MelInverter(audio, method, count, network=network)
        judged = [
            evaluator.judge_generator(load_generator(path), evaluator.test.labels, inverter, seed)
            for seed, path in enumerate(paths)
        ]
        for what, sets in (
            ("generated", judged),
            ("recordings", [evaluator.judge_inversion(inverter, evaluator.clips)]),
        ):
            mean = mean_figures([evaluator.figures(one) for one in sets])
            lines.append(
                f"| {what}, {method} | {' | '.join(f'{mean[name]:.3g}' for name in FIGURES)} |"
            )
    return "\n".join(lines)


def _torchaudio(audio: AudioConfig) -> Callable[[Tensor], Tensor]:
    """InverseMelScale and GriffinLim as a user would write them, a batch at a time.

    Where the default driver fails, on a bank of less than full rank, with the one that does not.
    """
    full = int(torch.linalg.matrix_rank(mel_filterbank(audio))) == audio.n_mels
    driver = "gels" if full else "gelsd"
    inverse = torchaudio.transforms.InverseMelScale(
        audio.n_freqs, driver=driver, **mel_settings(audio)
    )
    griffin_lim = torchaudio.transforms.GriffinLim(
        audio.n_fft, hop_length=audio.hop_length, power=audio.power, length=audio.clip_samples
    )

    def invert(compressed: Tensor) -> Tensor:
        torch.manual_seed(0)
        parts = compressed.split(16)
        return torch.cat([griffin_lim(inverse(expand(part, audio))) for part in parts])

    return invert


def _librosa(audio: AudioConfig) -> Callable[[Tensor], Tensor]:
    """librosa.feature.inverse.mel_to_audio, clip by clip."""
    try:
        import librosa
    except ImportError:
        sys.exit("librosa is not installed: python -m pip install -r benchmarks/requirements.txt")

    def invert(compressed: Tensor) -> Tensor:
        np.random.seed(0)  # noqa: NPY002 (librosa draws its phases from the global generator)
        waveforms = [
            librosa.feature.inverse.mel_to_audio(
                mel,
                sr=audio.sample_rate,
                n_fft=audio.n_fft,
                hop_length=audio.hop_length,
                power=audio.power,
                length=audio.clip_samples,
            )
            for mel in expand(compressed, audio).numpy()
        ]
        return torch.from_numpy(np.stack(waveforms))

    return invert


def _heading(name: str, preset: str, recordings: Tensor, audio: AudioConfig) -> str:
    return (
        f"{name}, preset {preset}: {len(recordings)} held-out clips of {audio.duration_s:.2f} s, "
        f"{audio.sample_rate} Hz, window {audio.n_fft}, hop {audio.hop_length}, "
        f"{audio.n_mels} mels; one thread. "
        "Each figure, and in brackets its share of the peer's."
    )


def _table(found: list[Measured]) -> str:
    columns = (*COPY_ERRORS, "times real time")
    lines = [f"| way | iterations | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    peer = {**found[0].figures, columns[-1]: found[0].real_time}
    for one in found:
        values = {**one.figures, columns[-1]: one.real_time}
        cells = " | ".join(
            f"{values[name]:.3g} ({values[name] / peer[name]:.2f})" for name in columns
        )
        lines.append(f"| {one.way} | {one.iterations} | {cells} |")
    return "\n".join(lines)


def _by_class(found: list[Measured]) -> str:
    shown = [one for one in found if one.iterations == ITERATIONS or one.way == PEER]
    lines = [
        f"| {COPY_ERRORS[0]} | {' | '.join(one.way for one in shown)} |",
        f"|{'---|' * (len(shown) + 1)}",
    ]
    for name in shown[0].by_class:
        lines.append(f"| {name} | {' | '.join(f'{one.by_class[name]:.3f}' for one in shown)} |")
    return "\n".join(lines)


def _curve(found: list[Measured], title: str):
    """Spectral convergence against the time for a second of sound, a line for each way."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for way in dict.fromkeys(one.way for one in found):
        own = [one for one in found if one.way == way]
        axis.plot(
            [1000 / one.real_time for one in own],
            [one.figures[COPY_ERRORS[0]] for one in own],
            marker="o",
            label=way,
        )
    axis.set(xscale="log", xlabel="ms for a second of sound", ylabel=COPY_ERRORS[0], title=title)
    axis.legend(fontsize=8)
    return figure


def _write_csv(path: Path, name: str, found: list[Measured]) -> None:
    """Renew the lines of one set of recordings."""
    header = ("recordings", "way", "iterations", *COPY_ERRORS, "times real time")
    kept = []
    if path.exists():
        with open(path, newline="") as file:
            kept = [row for row in csv.reader(file) if row[0] not in (header[0], name)]
    rows = [
        (
            name,
            one.way,
            one.iterations,
            *(f"{one.figures[figure]:.4g}" for figure in COPY_ERRORS),
            f"{one.real_time:.4g}",
        )
        for one in found
    ]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *sorted(kept, key=lambda row: row[0]), *rows])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--frames", type=int, default=0, help="instead of the preset's own")
    parser.add_argument("--holdout", default="", help="pattern of the file names that are held out")
    parser.add_argument("--clips", type=int, default=64, help="of the held-out ones, at most")
    parser.add_argument(
        "--generators", nargs="*", type=Path, default=[], help="files whose sounds the judge hears"
    )
    parser.add_argument("--runs", default="runs/quality", help="where caches and networks are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
