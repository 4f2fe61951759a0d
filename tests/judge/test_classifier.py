"""The judge: an easy set learned, the same seed the same judge, saved and opened again."""

import dataclasses
import re

import pytest
import torch

from helpers.data.dataset import fit_clip_normaliser
from helpers.judge import classifier as judge_module
from helpers.judge.classifier import FEATURE_DIM, open_judge, train_judge
from helpers.judge.figures import accuracy
from helpers.sound.mel import MelExtractor


def easy_mels(audio, n_each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Waveforms, log-mels and labels: tones in one of three octaves, at any level and phase."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(n_each)
    hertz = 300 * 2.5 ** (labels + 0.4 * torch.rand(3 * n_each, generator=rng))
    time = torch.arange(audio.clip_samples) / audio.sample_rate
    level, phase = 0.1 + 0.5 * torch.rand(2, 3 * n_each, generator=rng)
    waveforms = level[:, None] * torch.sin(
        2 * torch.pi * hertz[:, None] * time + 6 * phase[:, None]
    )
    return waveforms, MelExtractor(audio)(waveforms), labels


@pytest.fixture(scope="module")
def judged(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 40, 0)
    return train_judge(train, labels, 3, tiny_audio, dataset.normaliser, steps=60)


def test_an_easy_set_is_learned(tiny_audio, judged):
    waveforms, compressed, labels = easy_mels(tiny_audio, 20, 1)
    features, predicted = judged.classify(compressed)
    assert features.shape == (60, FEATURE_DIM) and not features.requires_grad
    assert accuracy(predicted, labels) > 0.9
    torch.testing.assert_close(judged.mels(waveforms.numpy()), compressed)


def test_the_same_seed_trains_the_same_judge_and_leaves_global_numbers_alone(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 12, 0)
    torch.manual_seed(4)
    state, found = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        judge = train_judge(train, labels, 3, tiny_audio, dataset.normaliser, steps=4, seed=seed)
        assert not judge.network.training
        found.append(judge.classify(train)[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_it_is_said_early_how_long_the_judge_takes(tiny_audio, dataset, capsys):
    _, train, labels = easy_mels(tiny_audio, 4, 0)
    of_set = train, labels, 3, tiny_audio, dataset.normaliser
    train_judge(*of_set, steps=20, progress=lambda items, **_: items)
    said = capsys.readouterr().out
    assert re.fullmatch(r"the judge learns for 20 steps: \d+ s more\n", said)
    train_judge(*of_set, steps=20)
    assert capsys.readouterr().out == "", "nobody watches"


def test_a_judge_can_be_trained_on_a_handful(tiny_audio, dataset):
    _, train, labels = easy_mels(tiny_audio, 1, 0)
    judge = train_judge(train, labels, 3, tiny_audio, dataset.normaliser, steps=4)
    assert bool(torch.isfinite(judge.classify(train)[0]).all())


def test_a_judge_is_trained_once_and_opened_again(clips, tmp_path, monkeypatch):
    path = tmp_path / "run" / "judge.safetensors"
    first = open_judge(path, clips, steps=3)
    mels, _ = clips.split("test")
    monkeypatch.setattr(judge_module, "train_judge", None)  # calling it would fail
    again = open_judge(path, clips, steps=3)
    assert not again.network.training
    assert torch.equal(again.classify(mels)[0], first.classify(mels)[0])


def test_a_judge_of_other_clips_or_fewer_steps_or_a_damaged_one_is_trained_anew(clips, tmp_path):
    path = tmp_path / "judge.safetensors"

    def flip_a_bit():
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)

    for spoil in (
        lambda: open_judge(path, clips, steps=2),
        lambda: open_judge(path, dataclasses.replace(clips, key="other"), steps=3),
        lambda: path.write_bytes(path.read_bytes()[:5000]),
        lambda: path.write_bytes(b""),
        flip_a_bit,
    ):
        spoil()
        expected = train_judge(
            *clips.split("train"), 3, clips.audio, fit_clip_normaliser(clips), steps=3
        )
        mels, _ = clips.split("test")
        assert torch.equal(
            open_judge(path, clips, steps=3).classify(mels)[0], expected.classify(mels)[0]
        )


def test_a_judge_that_learned_for_longer_is_kept(clips, tmp_path):
    path = tmp_path / "judge.safetensors"
    first = open_judge(path, clips, steps=4)
    again = open_judge(path, clips, steps=2)
    assert (again.steps, again.digest) == (4, first.digest)
    longer = open_judge(path, clips, steps=5)
    assert longer.steps == 5 and longer.digest != first.digest
    assert open_judge(path, clips, steps=4).digest == longer.digest


def test_a_judge_is_named_by_its_weights(clips, tmp_path):
    judge = open_judge(tmp_path / "judge.safetensors", clips, steps=2)
    name = judge.digest
    assert len(name) == 8 and int(name, 16) >= 0
    assert open_judge(tmp_path / "judge.safetensors", clips, steps=2).digest == name
    with torch.no_grad():
        judge.network.head.bias[0] += 1
    changed = dataclasses.replace(judge)
    assert changed.digest != name
