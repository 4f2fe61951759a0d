"""What the benchmarks share: intervals that hold the truth, damages, listeners from outside."""

import importlib.util

import pytest
import torch

from benchmarks.common import bootstrap_interval, mean_figures
from benchmarks.ears import MissingEarError, Probe, SpeechEmbedding
from benchmarks.hearing import JudgeListener, Sounds, compare, damage_all
from helpers.config import DataConfig
from helpers.data.clips import prepare_clips
from helpers.judge.classifier import train_judge
from helpers.judge.evaluation import Evaluator


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng, inside = torch.Generator().manual_seed(0), 0
    for trial in range(40):
        sets = [torch.randn(30, generator=rng) for _ in range(3)]
        low, high = bootstrap_interval(lambda x: {"mean": float(x.mean())}, sets, seed=trial)[
            "mean"
        ]
        inside += low < 0 < high
    assert 32 <= inside <= 40


def test_an_interval_is_narrow_where_all_seeds_agree_and_wide_where_they_differ():
    agree, differ = [torch.ones(20)] * 3, [torch.zeros(20), torch.ones(20), 2 * torch.ones(20)]
    narrow, wide = (
        bootstrap_interval(lambda x: {"mean": float(x.mean())}, sets)["mean"]
        for sets in (agree, differ)
    )
    assert narrow == (1, 1)
    assert wide[1] - wide[0] > 1
    assert mean_figures([{"a": 1.0}, {"a": 3.0}]) == {"a": 2.0}


def test_the_judge_notices_every_damage_to_sounds_and_to_variety(
    tmp_path, write_sounds, tiny_audio
):
    write_sounds(tmp_path / "sounds", 40, seed=5)
    data = DataConfig(holdout="*[05].wav")
    clips = prepare_clips(tmp_path / "sounds", tiny_audio, data, tmp_path, tmp_path)
    judge = train_judge(*clips.recordings("train"), 3, tiny_audio.sample_rate, steps=60)
    waveforms, labels = clips.recordings("test")
    sets = damage_all(Sounds(waveforms.float(), labels), clips.audio)
    rows = compare(sets, [JudgeListener(Evaluator(judge, clips))])
    found = {
        row["sounds"]: [float(x) for x in row["judge: accuracy, distance, coverage"].split(", ")]
        for row in rows
    }
    assert found["recordings"] == [1, 1, 1]
    accuracy, distance, coverage = zip(*found.values(), strict=True)
    assert max(accuracy) < 1.2 and min(distance) > 0.7 and max(coverage) < 1.2
    for damage in ("noise 10 dB below", "reversed in time", "mel blurred over 5 x 5"):
        assert found[damage][0] < 0.9 and found[damage][1] > 2
    for damage in ("one clip for all of a class", "half of the classes"):
        assert found[damage][1] > 1.2 and found[damage][2] < 0.8


def test_a_probe_names_classes_that_lie_apart():
    rng, labels = torch.Generator().manual_seed(0), torch.arange(3).repeat(30)
    centres = 4 * torch.randn((3, 8), generator=rng)
    x, other = (centres[labels] + torch.randn((90, 8), generator=rng) for _ in range(2))
    assert float((Probe(x, labels)(other) == labels).float().mean()) > 0.9


@pytest.mark.skipif(importlib.util.find_spec("pyopen_wakeword") is not None, reason="it is there")
def test_a_listener_that_is_not_installed_is_named_with_the_command():
    with pytest.raises(MissingEarError, match=r"pyopen_wakeword is not installed: python -m pip"):
        SpeechEmbedding()
