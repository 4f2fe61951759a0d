"""Figures in seconds, hertz and decibels, and tables that show any text."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.show.plots import (
    SHOWN_RANGE_DB,
    class_balance,
    difference_grid,
    folded,
    loss_curves,
    printable,
    progress_curves,
    renew_grid,
    spectrogram_grid,
    table,
    waveform_and_mel,
)


def images(figure) -> list:
    return [image for axis in figure.axes for image in axis.images]


def test_spectrograms_share_one_range_of_decibels(tiny_audio):
    log_mels = np.full((3, tiny_audio.n_mels, tiny_audio.n_frames), tiny_audio.floor_value)
    log_mels[1] = np.log(0.1)  # -20 dB
    figure = spectrogram_grid(log_mels, tiny_audio, ["a", "$b"], n_columns=2, title="three")
    for image in images(figure):
        assert image.get_clim() == pytest.approx((-20 - SHOWN_RANGE_DB, -20))
        assert image.get_extent()[1] == pytest.approx(16 * 64 / 8000)  # seconds
    assert [axis.get_title() for axis in figure.axes[:4]] == ["a", "$b", "", ""]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "100",
        "300",
        "1000",
        "3000",
    ]
    assert not figure.axes[3].axison


def test_of_many_spectrograms_a_few_are_shown_evenly_and_it_is_said(tiny_audio):
    levels = np.linspace(-6, -1, 200)[:, None, None]
    many = np.broadcast_to(levels, (200, tiny_audio.n_mels, tiny_audio.n_frames))
    figure = spectrogram_grid(many, tiny_audio, [str(n) for n in range(200)], title="classes")
    assert figure.get_suptitle() == "classes (24 of 200)" and len(images(figure)) == 24
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == [str(round(n * 199 / 23)) for n in range(24)]
    renew_grid(figure, -many, tiny_audio, "again")
    assert figure.get_suptitle() == "again (24 of 200)"


def test_no_spectrogram_is_an_empty_figure(tiny_audio):
    none = np.zeros((0, tiny_audio.n_mels, tiny_audio.n_frames))
    assert images(spectrogram_grid(none, tiny_audio)) == []


def test_differences_are_in_decibels(tiny_audio):
    original = np.full((tiny_audio.n_mels, tiny_audio.n_frames), np.log(0.01))
    copies = np.stack([original, original + np.log(2)])
    same, louder = images(difference_grid(copies, original, tiny_audio, ["same", "louder"]))
    assert np.allclose(same.get_array(), 0)
    assert np.allclose(louder.get_array(), 20 * np.log10(2))


def test_figures_are_left_to_the_cell_that_returns_them(tiny_audio):
    log_mel = np.zeros((tiny_audio.n_mels, tiny_audio.n_frames))
    line = {"step": 1, "minutes": 0.5, "accuracy": 0.5, "frechet": 9.0, "loss_d": 1.0}
    figures = [
        spectrogram_grid(log_mel[None], tiny_audio),
        waveform_and_mel(np.zeros(100, dtype=np.float32), log_mel, tiny_audio, "a"),
        loss_curves([line]),
        progress_curves([line]),
        class_balance(["a", "b"], [3, 4], [1, 0]),
    ]
    assert all(figure.axes for figure in figures)
    assert plt.get_fignums() == []


def test_of_many_classes_the_bars_are_those_with_the_fewest_clips():
    figure = class_balance([f"c{n}" for n in range(1000)], [*range(2000, 1000, -1)], [7] * 1000)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()][:2] == ["c999", "c998"]
    assert axis.get_title() == "the 40 classes of 1000 with the fewest clips"
    assert len(axis.patches) == 80 and figure.get_size_inches()[1] < 20


def test_figures_of_different_judges_are_different_curves():
    def line(minutes, judge):
        figures = {"accuracy": 0.5, "accepted": 0.25, "frechet": 9.0}
        return {"step": 1, "minutes": minutes, "judge": judge} | figures

    one = progress_curves([line(1, "aaaaaaaa"), line(2, "aaaaaaaa")])
    assert [list(curve.get_ydata()) for curve in one.axes[0].lines] == [[0.5] * 2, [0.25] * 2]
    told = [text.get_text() for text in one.axes[0].get_legend().get_texts()]
    assert told == ["accuracy", "accepted"]
    two = progress_curves([line(1, "aaaaaaaa"), line(2, "aaaaaaaa"), line(3, "bbbbbbbb")])
    assert [list(curve.get_xdata()) for curve in two.axes[1].lines] == [[1, 2], [3]]
    told = [text.get_text() for text in two.axes[0].get_legend().get_texts()]
    assert told == [
        f"{name}, judge {judge}"
        for judge in ("aaaaaaaa", "bbbbbbbb")
        for name in ("accuracy", "accepted")
    ]


def test_a_table_escapes_what_it_shows_and_counts_what_it_does_not():
    rows = [{"name": "<b>", "value": 0.123456}, {"name": "\udcff", "more": 2}, {"name": "third"}]
    text = table(rows, "a & b", most=2).data
    assert "&lt;b&gt;" in text and "<td>0.1235</td>" in text and "a &amp; b" in text
    assert "third" not in text and "and 1 more" in text
    text.encode()  # any font and encoding can take it


def test_broken_and_control_characters_are_replaced():
    assert printable("rain\n\x07\udcff") == "rain\n\N{REPLACEMENT CHARACTER}?"


def test_technical_lines_are_folded_below_one():
    page = folded("a <clip>", "window 256", "hop & more", table([{"n": 1}])).data
    assert page.startswith("<details><summary>a &lt;clip&gt;</summary>")
    assert "<p>window 256</p><p>hop &amp; more</p>" in page and "<td>1</td>" in page
