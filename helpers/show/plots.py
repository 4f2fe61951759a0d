"""Figures and tables: spectrograms in seconds, hertz and decibels; curves; the audit."""

import html
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from helpers.config import AudioConfig
from helpers.sound.audio_files import level_db
from helpers.sound.mel import mel_filterbank

SHOWN_RANGE_DB = 80
LARGEST_DIFFERENCE_DB = 10
HERTZ_TICKS = (100, 300, 1_000, 3_000, 10_000)
LARGEST_SIDE_INCHES = 40
REPLACED = "\N{REPLACEMENT CHARACTER}"


def to_db(compressed, audio: AudioConfig) -> np.ndarray:
    """Compressed mels of any shape to decibels."""
    values = np.asarray(compressed, dtype=np.float64)
    magnitude = np.exp(values) if audio.compression == "log" else np.expm1(np.maximum(values, 0))
    return 20 / audio.power * np.log10(np.maximum(magnitude, audio.floor**audio.power))


def spectrogram_grid(
    compressed, audio: AudioConfig, titles: Sequence[str] = (), n_columns: int = 4, title: str = ""
) -> Figure:
    """Compressed mels (N, n_mels, n_frames) side by side with shared limits; titles, up to N."""
    decibels = to_db(compressed, audio)
    n_columns = min(n_columns, max(1, len(decibels)))
    n_rows = max(1, math.ceil(len(decibels) / n_columns))
    width, height = (
        min(LARGEST_SIDE_INCHES, 2.3 * n_columns + 1),
        min(LARGEST_SIDE_INCHES, 1.7 * n_rows + 0.6),
    )
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(width, height),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    top = float(decibels.max(initial=-SHOWN_RANGE_DB))
    image = None
    for index, axis in enumerate(axes.flat):
        if index >= len(decibels):
            axis.set_axis_off()
            continue
        image = _draw(axis, decibels[index], audio, top)
        if index < len(titles):
            axis.set_title(printable(titles[index]), fontsize=9, parse_math=False)
    if image is not None:
        figure.colorbar(image, ax=axes, label="dB", shrink=min(1.0, 3 / n_rows))
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("frequency (Hz)", fontsize=9)
    figure.suptitle(printable(title), parse_math=False)
    return _finished(figure)


def difference_grid(copies, original, audio: AudioConfig, titles: Sequence[str]) -> Figure:
    """Compressed mels (N, n_mels, n_frames) less one (n_mels, n_frames), in decibels: red is too much."""
    differences = to_db(copies, audio) - to_db(original, audio)
    figure, axes = plt.subplots(
        1, len(copies), figsize=(2.3 * len(copies) + 1, 2.3), sharey=True, layout="constrained"
    )
    for axis, difference, title in zip(np.atleast_1d(axes), differences, titles, strict=True):
        image = _draw(axis, difference, audio, 0.0)
        image.set(cmap="coolwarm", clim=(-LARGEST_DIFFERENCE_DB, LARGEST_DIFFERENCE_DB))
        axis.set_title(printable(title), fontsize=9, parse_math=False)
    figure.colorbar(image, ax=axes, label="dB")
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("frequency (Hz)", fontsize=9)
    return _finished(figure)


def waveform_and_mel(
    waveform: np.ndarray, compressed, audio: AudioConfig, title: str = ""
) -> Figure:
    """One clip as a waveform (n,) above its compressed mel (n_mels, n_frames)."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7, 4.2), layout="constrained", height_ratios=(1, 2), sharex=True
    )
    above.plot(np.arange(len(waveform)) / audio.sample_rate, waveform, linewidth=0.5)
    above.set(ylabel="amplitude", ylim=(-1, 1))
    above.set_title(printable(f"{title}  ({level_db(waveform):.1f} dB RMS)"), parse_math=False)
    decibels = to_db(compressed, audio)
    figure.colorbar(_draw(below, decibels, audio, float(decibels.max())), ax=below, label="dB")
    below.set(xlabel="time (s)", ylabel="frequency (Hz)")
    return _finished(figure)


def loss_curves(lines: Sequence[dict]) -> Figure:
    """Both players' losses and the penalty over steps, from the run's training lines."""
    figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
    for name, label in (
        ("loss_d", "discriminator"),
        ("loss_g", "generator"),
        ("loss_class", "class of real clips"),
        ("r1", "R1 penalty"),
    ):
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            axis.plot(*zip(*points, strict=True), marker=".", label=label)
    axis.axhline(
        2 * math.log(2), color="grey", linestyle=":", label="discriminator can tell nothing"
    )
    axis.set(xlabel="step", ylabel="loss (nats)")
    axis.legend(fontsize=8)
    return _finished(figure)


def progress_curves(lines: Sequence[dict]) -> Figure:
    """Accuracy and Fréchet distance over minutes, from the run's lines of progress."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4), layout="constrained", sharex=True)
    minutes = [line["minutes"] for line in lines]
    above.plot(minutes, [line["accuracy"] for line in lines], marker=".")
    above.set(ylabel="accuracy", ylim=(0, 1.02))
    below.plot(minutes, [line["frechet"] for line in lines], marker=".", color="C1")
    below.set(ylabel="Fréchet distance", yscale="log", xlabel="minutes of training")
    return _finished(figure)


def class_balance(names: Sequence[str], n_train: Sequence[int], n_test: Sequence[int]) -> Figure:
    """Clips per class, training and held out."""
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.28 * len(names)), layout="constrained")
    axis.barh(range(len(names)), n_train, label="training")
    axis.barh(range(len(names)), n_test, left=n_train, label="held out")
    axis.set_yticks(range(len(names)), [printable(name) for name in names], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel("clips")
    axis.legend(fontsize=8)
    return _finished(figure)


def table(rows: Sequence[dict], caption: str = "", most: int = 200) -> HTML:
    """Dictionaries as an HTML table, every text escaped; rows beyond `most` are counted, not shown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{_escaped(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_escaped(row.get(name, ''))}</td>" for name in names) + "</tr>"
        for row in rows[:most]
    )
    more = f"<p>and {len(rows) - most} more</p>" if len(rows) > most else ""
    return HTML(f"<p>{_escaped(caption)}</p><table><tr>{head}</tr>{body}</table>{more}")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    return path


def printable(text: str) -> str:
    """A text that any font and encoding can take: broken characters and control characters replaced."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() or c == "\n" else REPLACED for c in whole)


def _draw(axis, decibels: np.ndarray, audio: AudioConfig, top: float):
    extent = (0, audio.n_frames * audio.hop_length / audio.sample_rate, 0, audio.n_mels)
    ticks = [f for f in HERTZ_TICKS if audio.f_min_hz < f < audio.f_max_hz]
    axis.set_yticks([_mel_bin(f, audio) for f in ticks], [f"{f:g}" for f in ticks], fontsize=7)
    axis.tick_params(axis="x", labelsize=7)
    return axis.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=top - SHOWN_RANGE_DB,
        vmax=top,
    )


def _mel_bin(frequency_hz: float, audio: AudioConfig) -> float:
    """Where a frequency lies on the axis of mel bins: between the centres of its neighbours."""
    bins = np.arange(audio.n_mels) + 0.5
    bank = mel_filterbank(audio).numpy()  # (n_freqs, n_mels)
    centres_hz = np.linspace(0, audio.sample_rate / 2, audio.n_freqs) @ bank / bank.sum(axis=0)
    return float(np.interp(frequency_hz, centres_hz, bins))


def _finished(figure: Figure) -> Figure:
    plt.close(figure)  # shown by the cell that returns it, once
    return figure


def _escaped(value) -> str:
    return html.escape(printable(f"{value:.4g}" if isinstance(value, float) else str(value)))
