"""The picture of training: files written, one picture shown and then replaced."""

import os
from types import SimpleNamespace

import pytest
import soundfile
import torch

from helpers.config import MAX_NAME_BYTES
from helpers.show import fixed_batch
from helpers.show.fixed_batch import FixedBatchView, cards_over_time

CLASSES = ("high", "low", "noise")
N_EACH = 6


class Display:
    """Stands for the notebook: counts figures shown and figures that replaced them."""

    def __init__(self):
        self.shown, self.replaced = [], []

    def __call__(self, figure, display_id: bool):
        assert display_id
        self.shown.append(figure)
        return self

    def update(self, figure):
        self.replaced.append(figure)


@pytest.fixture
def notebook(monkeypatch):
    display = Display()
    monkeypatch.setattr(fixed_batch, "display", display)
    monkeypatch.setattr(fixed_batch, "in_notebook", lambda: True)
    return display


def batch(audio) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mels and waveforms; the first waveform of class k is k / 10 throughout."""
    n = len(CLASSES) * N_EACH
    waveforms = torch.full((n, audio.clip_samples), 0.9)
    for label in range(len(CLASSES)):
        waveforms[label * N_EACH] = label / 10
    return torch.full((n, audio.n_mels, audio.n_frames), audio.floor_value), waveforms


def test_a_picture_and_the_first_sound_of_each_class_are_written(tiny_audio, tmp_path, notebook):
    folder = tmp_path / "samples" / "7"
    FixedBatchView(CLASSES, tiny_audio)(*batch(tiny_audio), "step 7", folder)
    assert {path.name for path in folder.iterdir()} == {
        "spectrograms.png",
        "high.wav",
        "low.wav",
        "noise.wav",
    }
    for label, name in enumerate(CLASSES):
        samples, rate = soundfile.read(folder / f"{name}.wav")
        assert rate == tiny_audio.sample_rate and len(samples) == tiny_audio.clip_samples
        assert abs(samples - label / 10).max() < 1e-3


def test_four_sounds_of_each_class_are_drawn(tiny_audio, tmp_path, notebook):
    view = FixedBatchView(CLASSES, tiny_audio)
    view(*batch(tiny_audio), "step 7", tmp_path)
    titles = [axis.get_title() for axis in view.figure.axes if axis.get_title()]
    assert titles == ["high"] * 4 + ["low"] * 4 + ["noise"] * 4
    assert view.figure.get_suptitle() == "step 7"


def test_of_many_classes_fewer_sounds_are_drawn(tiny_audio, tmp_path, notebook):
    mels, waveforms = batch(tiny_audio)
    classes = [str(number) for number in range(9)]
    mels, waveforms = (x[:1].repeat(9 * 4, *[1] * (x.dim() - 1)) for x in (mels, waveforms))
    view = FixedBatchView(classes, tiny_audio)
    view(mels, waveforms, "step 7", tmp_path)
    titles = [axis.get_title() for axis in view.figure.axes if axis.get_title()]
    assert titles == [name for name in classes for _ in range(2)]


def test_of_a_thousand_classes_those_of_the_fixed_batch_are_drawn_and_written(
    tiny_audio, tmp_path, notebook
):
    mels, waveforms = (x[:1].expand(128 * 4, *x.shape[1:]) for x in batch(tiny_audio))
    FixedBatchView([str(number) for number in range(1000)], tiny_audio)(
        mels, waveforms, "step 7", tmp_path
    )
    names = sorted(int(path.stem) for path in tmp_path.glob("*.wav"))
    assert len(names) == 128 and (names[0], names[-1]) == (0, 999)


def test_the_picture_is_shown_once_and_then_replaced(tiny_audio, tmp_path, notebook):
    view = FixedBatchView(CLASSES, tiny_audio)
    for step in range(3):
        view(*batch(tiny_audio), f"step {step}", tmp_path / str(step))
        assert view.figure.get_suptitle() == f"step {step}"
    files = [tmp_path / str(step) / "spectrograms.png" for step in range(3)]
    assert [picture.data for picture in notebook.shown + notebook.replaced] == [
        path.read_bytes() for path in files
    ]
    assert len(notebook.shown) == 1 and len({path.read_bytes() for path in files}) == 3


def test_a_picture_that_replaces_another_is_the_one_that_a_new_view_draws(
    tiny_audio, tmp_path, notebook
):
    quiet, waveforms = batch(tiny_audio)
    loud = quiet + 3 * torch.rand(quiet.shape, generator=torch.Generator().manual_seed(0))
    view, anew = FixedBatchView(CLASSES, tiny_audio), FixedBatchView(CLASSES, tiny_audio)
    view(quiet, waveforms, "step 1", tmp_path / "1")
    view(loud, waveforms, "step 2", tmp_path / "2")
    anew(loud, waveforms, "step 2", tmp_path / "anew")
    for one, other in zip(view.figure.axes, anew.figure.axes, strict=True):
        assert one.get_ylim() == other.get_ylim()
        for image, same in zip(one.images, other.images, strict=True):
            assert (image.get_array() == same.get_array()).all()
            assert image.get_clim() == same.get_clim()


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])  # a plain program; IPython's prompt
def test_outside_a_notebook_nothing_is_printed(tiny_audio, tmp_path, monkeypatch, capsys, shell):
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    view = FixedBatchView(CLASSES, tiny_audio)
    for step in range(2):
        view(*batch(tiny_audio), f"step {step}", tmp_path / str(step))
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    assert (tmp_path / "1" / "spectrograms.png").exists()


def test_classes_with_the_longest_names_have_files_of_their_own(tiny_audio, tmp_path, notebook):
    classes = ("a" * 255, "a" * 254 + "b", "ü" * 127)
    FixedBatchView(classes, tiny_audio)(*batch(tiny_audio), "step 7", tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert [name[:100] for name in names] == ["a" * 100, "a" * 100, "ü" * 100]
    assert all(len(os.fsencode(name)) <= MAX_NAME_BYTES for name in names)


def test_the_sounds_of_a_class_from_the_beginning_to_now(tiny_audio, tmp_path):
    view = FixedBatchView(CLASSES, tiny_audio)
    for step in (1, 20, 300):
        view(*batch(tiny_audio), f"step {step}", tmp_path / f"{step:08d}")
    page = cards_over_time(tmp_path, CLASSES[1]).data
    places = [page.index(f">step {step}<") for step in (1, 20, 300)]
    assert places == sorted(places) and f"{CLASSES[1]}, from the beginning to now" in page
    assert ">step 20<" not in cards_over_time(tmp_path, CLASSES[1], most=2).data
    assert "(no sounds)" in cards_over_time(tmp_path, "another class").data
