"""The judge: an easy set learned, the same seed the same judge, saved and opened again."""

import dataclasses
import re

import pytest
import torch

from helpers.judge import classifier as judge_module
from helpers.judge.classifier import (
    FEATURE_DIM,
    GAIN_NEPERS,
    UNLIKE_ANY,
    _augmented,
    open_judge,
    train_judge,
)
from helpers.judge.figures import accuracy
from helpers.judge.picture import FLOOR, TIME_BANDS, TONE_BANDS, Picture

RATE, N_SAMPLES = 8_000, 960


def easy_sounds(n_each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveforms and labels: tones in one of three octaves, at any level and phase."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(n_each)
    hertz = 300 * 2.5 ** (labels + 0.4 * torch.rand(3 * n_each, generator=rng))
    time = torch.arange(N_SAMPLES) / RATE
    level, phase = 0.1 + 0.5 * torch.rand(2, 3 * n_each, generator=rng)
    waveforms = level[:, None] * torch.sin(
        2 * torch.pi * hertz[:, None] * time + 6 * phase[:, None]
    )
    return waveforms, labels


@pytest.fixture(scope="module")
def judge():
    return train_judge(*easy_sounds(40, 0), 3, RATE, steps=60)


def test_an_easy_set_is_learned(judge):
    waveforms, labels = easy_sounds(20, 1)
    heard = judge.listen(waveforms.numpy())
    assert heard.features.shape == (60, FEATURE_DIM) and not heard.features.requires_grad
    assert accuracy(heard.named, labels) > 0.9
    assert accuracy(heard.predicted, labels) > 0.7
    torch.testing.assert_close(heard.mels, judge.picture(waveforms).summary(), rtol=0.0, atol=0.01)


def test_a_sound_that_is_unlike_every_recording_has_no_class(judge):
    rng = torch.Generator().manual_seed(0)
    noise = 0.2 * torch.randn((8, N_SAMPLES), generator=rng)
    silence = torch.zeros(1, N_SAMPLES)
    assert (judge.listen(torch.cat([noise, silence])).predicted == UNLIKE_ANY).all()
    recordings = judge.listen(easy_sounds(40, 0)[0])
    torch.testing.assert_close(recordings.features, judge.recordings, rtol=1e-2, atol=1e-2)
    assert (recordings.predicted != UNLIKE_ANY).all()


def test_features_do_not_depend_on_the_sounds_beside(judge):
    waveforms, _ = easy_sounds(50, 2)
    together, alone = judge.listen(waveforms), judge.listen(waveforms[140:141])
    torch.testing.assert_close(together.features[140:141], alone.features, rtol=1e-3, atol=1e-3)


def test_the_same_seed_trains_the_same_judge_and_leaves_global_numbers_alone():
    train = easy_sounds(12, 0)
    torch.manual_seed(4)
    state, found = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        judge = train_judge(*train, 3, RATE, steps=4, seed=seed)
        assert not judge.network.training
        found.append(judge.listen(train[0]).features)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_it_is_said_early_how_long_the_judge_takes(capsys):
    train = easy_sounds(4, 0)
    train_judge(*train, 3, RATE, steps=20, progress=lambda items, **_: items)
    said = capsys.readouterr().out
    assert re.fullmatch(r"the judge learns for 20 steps: \d+ s more\n", said)
    train_judge(*train, 3, RATE, steps=20)
    assert capsys.readouterr().out == "", "nobody watches"


@pytest.mark.parametrize("n", [1, 3])
def test_a_judge_can_be_trained_on_a_handful(n):
    waveforms, labels = easy_sounds(1, 0)
    judge = train_judge(waveforms[:n], labels[:n], 3, RATE, steps=4)
    heard = judge.listen(waveforms)
    assert bool(torch.isfinite(heard.features).all())
    assert heard.predicted.shape == (3,)


def test_training_moves_levels_and_silences_sounds_as_far_as_is_said():
    picture = Picture(torch.zeros(64, TONE_BANDS, 32), torch.zeros(64, TIME_BANDS, 128))
    found = _augmented(picture, torch.Generator().manual_seed(0))
    silence = torch.tensor(FLOOR).log()
    for x in (found.tone, found.time):
        silent = x == silence
        kept = x[~silent]
        assert kept.abs().max() <= GAIN_NEPERS and kept.std() > 0.1
        frames = silent.all(dim=1).float().mean(dim=1)  # those that entered with a shift
        assert 0.08 < frames.max() <= 0.125
        bands = silent.all(dim=2).float().mean(dim=1)
        assert 0.15 < bands.max() <= 0.3
    rows = (found.tone == silence).all(dim=2).unflatten(1, (TIME_BANDS, -1))
    assert torch.equal(rows.all(dim=2), (found.time == silence).all(dim=2)), "the same in both"


def test_a_judge_is_trained_once_and_opened_again(clips, tmp_path, monkeypatch):
    path = tmp_path / "run" / "judge.safetensors"
    first = open_judge(path, clips, steps=3)
    waveforms, _ = clips.recordings("test")
    monkeypatch.setattr(judge_module, "train_judge", None)  # calling it would fail
    again = open_judge(path, clips, steps=3)
    assert not again.network.training
    for one, other in zip(again.listen(waveforms), first.listen(waveforms), strict=True):
        assert torch.equal(one, other)


def test_a_judge_of_other_clips_or_fewer_steps_or_a_damaged_one_is_trained_anew(clips, tmp_path):
    path = tmp_path / "judge.safetensors"

    def flip_a_bit():
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)

    expected = train_judge(*clips.recordings("train"), 3, clips.audio.sample_rate, steps=3)
    for spoil in (
        lambda: open_judge(path, clips, steps=2),
        lambda: open_judge(path, dataclasses.replace(clips, key="other"), steps=3),
        lambda: path.write_bytes(path.read_bytes()[:5000]),
        lambda: path.write_bytes(b""),
        flip_a_bit,
    ):
        spoil()
        assert open_judge(path, clips, steps=3).digest == expected.digest


def test_a_judge_that_learned_for_longer_is_kept(clips, tmp_path):
    path = tmp_path / "judge.safetensors"
    first = open_judge(path, clips, steps=4)
    again = open_judge(path, clips, steps=2)
    assert (again.steps, again.digest) == (4, first.digest)
    longer = open_judge(path, clips, steps=5)
    assert longer.steps == 5 and longer.digest != first.digest
    assert open_judge(path, clips, steps=4).digest == longer.digest


def test_a_judge_is_named_by_what_it_learned(clips, tmp_path):
    judge = open_judge(tmp_path / "judge.safetensors", clips, steps=2)
    name = judge.digest
    assert len(name) == 8 and int(name, 16) >= 0
    assert open_judge(tmp_path / "judge.safetensors", clips, steps=2).digest == name
    with torch.no_grad():
        judge.network.head.bias[0] += 1
    changed = dataclasses.replace(judge)
    assert changed.digest != name
