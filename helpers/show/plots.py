"""Figures and tables: spectrograms in seconds, hertz and decibels; curves; bars."""

import html
import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from helpers.config import AudioConfig
from helpers.labels import choose_evenly
from helpers.sound.audio_files import level_db
from helpers.sound.mel import mel_filterbank

MOST_PANELS = 24  # of a figure
MOST_BARS = 40
SHOWN_RANGE_DB = 80
MAX_DIFFERENCE_DB = 10
HERTZ_TICKS = (100, 300, 1_000, 3_000, 10_000)
MAX_SIDE_INCHES = 40
LOSSES = {
    "loss_d": "discriminator",
    "loss_g": "generator",
    "loss_class": "class of real clips",
    "r1": "R1 penalty",
}


def spectrogram_grid(
    log_mels, audio: AudioConfig, titles: Sequence[str] = (), n_columns: int = 4, title: str = ""
) -> Figure:
    """Log-mels (N, n_mels, n_frames) side by side, with one range of decibels; titles: up to N.

    Of more than MOST_PANELS, as many are shown, chosen evenly, and the title says so.

    >>> figure = spectrogram_grid(log_mels, audio, ["dog", "rain"], title="of each class one")
    """
    shown = choose_evenly(len(log_mels), MOST_PANELS).numpy()
    decibels = _to_db(log_mels[shown], audio)
    titles = [titles[index] for index in shown if index < len(titles)]
    title = _with_number(title, len(log_mels))
    return _grid(decibels, audio, titles, n_columns, title, _shown_range(decibels))


def renew_grid(figure: Figure, log_mels, audio: AudioConfig, title: str) -> None:
    """Put as many other log-mels, and another title, into a drawn figure of `spectrogram_grid`.

    It keeps its layout, which takes two thirds of the time of a new figure.
    """
    decibels = _to_db(log_mels[choose_evenly(len(log_mels), MOST_PANELS).numpy()], audio)
    figure.set_layout_engine("none")
    images = [image for axis in figure.axes for image in axis.images]
    for image, picture in zip(images, decibels, strict=True):
        image.set(data=picture, clim=_shown_range(decibels))
    figure.suptitle(printable(_with_number(title, len(log_mels))), parse_math=False)


def difference_grid(copies, original, audio: AudioConfig, titles: Sequence[str]) -> Figure:
    """Log-mels (N, n_mels, n_frames) less one (n_mels, n_frames), in decibels: red is too much."""
    differences = _to_db(copies, audio) - _to_db(original, audio)
    limits = (-MAX_DIFFERENCE_DB, MAX_DIFFERENCE_DB)
    return _grid(differences, audio, titles, len(copies), "", limits, "coolwarm")


def waveform_and_mel(waveform: np.ndarray, log_mel, audio: AudioConfig, title: str = "") -> Figure:
    """One clip as a waveform (n,) above its log-mel (n_mels, n_frames)."""
    figure, (above, below) = subplots(2, figsize=(7, 4.2), height_ratios=(1, 2), sharex=True)
    above.plot(np.arange(len(waveform)) / audio.sample_rate, waveform, linewidth=0.5)
    above.set(ylabel="amplitude", ylim=(-1, 1))
    above.set_title(printable(f"{title}  ({level_db(waveform):.1f} dB RMS)"), parse_math=False)
    decibels = _to_db(log_mel, audio)
    image = _draw(below, decibels, audio, _shown_range(decibels))
    figure.colorbar(image, ax=below, label="dB")
    below.set(xlabel="time (s)", ylabel="frequency (Hz)")
    return figure


def loss_curves(lines: Sequence[dict]) -> Figure:
    """Both players' losses and the penalty over steps, from the run's lines of training."""
    figure, axis = subplots(figsize=(7, 3))
    for name, label in LOSSES.items():
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            axis.plot(*zip(*points, strict=True), marker=".", label=label)
    nothing = 2 * math.log(2)
    axis.axhline(nothing, color="grey", linestyle=":", label="discriminator can tell nothing")
    axis.set(xlabel="step", ylabel="loss (nats)")
    axis.legend(fontsize=8)
    return figure


def progress_curves(lines: Sequence[dict]) -> Figure:
    """Accuracy, share of accepted sounds and Fréchet distance over minutes, from a run's progress.

    Each judge has curves of its own, because figures of different judges cannot be compared.
    Lines of earlier versions have no accepted sounds.
    """
    figure, (above, below) = subplots(2, figsize=(7, 4), sharex=True)
    by_judge = {}
    for line in lines:
        by_judge.setdefault(line.get("judge", "without a name"), []).append(line)
    for number, (judge, own) in enumerate(by_judge.items()):
        minutes = [line["minutes"] for line in own]
        whose = f", judge {judge}" if len(by_judge) > 1 else ""
        like = {"marker": ".", "color": f"C{number}"}
        for name, dashes in (("accuracy", ":"), ("accepted", "-")):
            values = [line.get(name, np.nan) for line in own]
            above.plot(minutes, values, dashes, label=f"{name}{whose}", **like)
        below.plot(minutes, [line["frechet"] for line in own], **like)
    above.legend(fontsize=8)
    above.set(ylabel="share of sounds", ylim=(0, 1.02))
    below.set(ylabel="Fréchet distance", yscale="log", xlabel="minutes of training")
    return figure


def class_balance(names: Sequence[str], n_train: Sequence[int], n_test: Sequence[int]) -> Figure:
    """Clips of each class, for training and held out.

    Of more than MOST_BARS classes, those with the fewest clips for training are shown.
    """
    n_train, n_test = np.asarray(n_train), np.asarray(n_test)
    shown = np.arange(len(names))
    if len(names) > MOST_BARS:
        shown = np.argsort(n_train, kind="stable")[:MOST_BARS]
    figure, axis = subplots(figsize=(7, 0.6 + 0.28 * len(shown)))
    places = range(len(shown))
    axis.barh(places, n_train[shown], label="training")
    axis.barh(places, n_test[shown], left=n_train[shown], label="held out")
    axis.set_yticks(places, [printable(names[index]) for index in shown], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel("clips")
    if len(shown) < len(names):
        axis.set_title(f"the {len(shown)} classes of {len(names)} with the fewest clips")
    axis.legend(fontsize=8)
    return figure


def table(rows: Sequence[dict], caption: str = "", most: int = 200) -> HTML:
    """Dictionaries as an HTML table, every text escaped; rows beyond `most` are only counted."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[escaped(row.get(name, "")) for name in names] for row in rows[:most]]
    head = "".join(f"<th>{escaped(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    more = f"<p>and {len(rows) - most} more</p>" if len(rows) > most else ""
    return HTML(f"<p>{escaped(caption)}</p><table><tr>{head}</tr>{body}</table>{more}")


def folded(summary: str, *parts: str | HTML) -> HTML:
    """A line, and lines or tables that a click on it unfolds; every line is escaped."""
    inside = "".join(
        part.data if isinstance(part, HTML) else f"<p>{escaped(part)}</p>" for part in parts
    )
    return HTML(f"<details><summary>{escaped(summary)}</summary>{inside}</details>")


def escaped(value) -> str:
    """A value as HTML text that any font and encoding can take; numbers with four digits."""
    return html.escape(printable(f"{value:.4g}" if isinstance(value, float) else str(value)))


def subplots(*shape: int, **options) -> tuple[Figure, plt.Axes | np.ndarray]:
    """As plt.subplots; the figure is closed, so that only the cell that returns it shows it."""
    figure, axes = plt.subplots(*shape, layout="constrained", **options)
    plt.close(figure)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(figure))
    return path


def png_bytes(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return file.getvalue()


def printable(text: str) -> str:
    """A text that any font and encoding can take: broken and control characters are replaced."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in whole
    )


def _with_number(title: str, n: int) -> str:
    return title if n <= MOST_PANELS else f"{title} ({MOST_PANELS} of {n})".strip()


def _grid(decibels, audio: AudioConfig, titles, n_columns: int, title: str, *colours) -> Figure:
    n_columns = min(n_columns, max(1, len(decibels)))
    n_rows = max(1, math.ceil(len(decibels) / n_columns))
    size = [min(MAX_SIDE_INCHES, side) for side in (2.3 * n_columns + 1, 1.7 * n_rows + 0.6)]
    options = {"figsize": size, "squeeze": False, "sharex": True, "sharey": True}
    figure, axes = subplots(n_rows, n_columns, **options)
    for axis in axes.flat[len(decibels) :]:
        axis.set_axis_off()
    for axis, picture in zip(axes.flat, decibels, strict=False):
        image = _draw(axis, picture, audio, *colours)
    for axis, name in zip(axes.flat, titles[: len(decibels)], strict=False):
        axis.set_title(printable(name), fontsize=9, parse_math=False)
    if len(decibels):
        figure.colorbar(image, ax=axes, label="dB", shrink=min(1.0, 3 / n_rows))
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("frequency (Hz)", fontsize=9)
    figure.suptitle(printable(title), parse_math=False)
    return figure


def _draw(axis, decibels: np.ndarray, audio: AudioConfig, limits, cmap: str = "magma"):
    """Draw one picture (n_mels, n_frames); the ticks stand at the mel bins of round frequencies."""
    bank = mel_filterbank(audio).numpy()  # (n_freqs, n_mels)
    centres_hz = np.linspace(0, audio.sample_rate / 2, audio.n_freqs) @ bank / bank.sum(axis=0)
    ticks = [f for f in HERTZ_TICKS if audio.f_min_hz < f < audio.f_max_hz]
    places = np.interp(ticks, centres_hz, np.arange(audio.n_mels) + 0.5)
    axis.set_yticks(places, [f"{f:g}" for f in ticks], fontsize=7)
    axis.tick_params(axis="x", labelsize=7)
    extent = (0, audio.n_frames * audio.hop_length / audio.sample_rate, 0, audio.n_mels)
    options = {"origin": "lower", "aspect": "auto", "extent": extent}
    return axis.imshow(decibels, cmap=cmap, clim=limits, **options)


def _to_db(log_mels, audio: AudioConfig) -> np.ndarray:
    values = np.asarray(log_mels, dtype=np.float64)
    magnitude = np.exp(values) if audio.compression == "log" else np.expm1(np.maximum(values, 0))
    return 20 / audio.power * np.log10(np.maximum(magnitude, audio.floor**audio.power))


def _shown_range(decibels: np.ndarray) -> tuple[float, float]:
    top = float(decibels.max(initial=-SHOWN_RANGE_DB))
    return top - SHOWN_RANGE_DB, top
