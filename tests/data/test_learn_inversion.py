"""Training the inversion: better than untrained, repeatable, kept with its clips, or absent."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.config import AudioConfig, DataConfig
from helpers.data.clips import prepare_clips
from helpers.data.learn_inversion import (
    improves_on_untrained,
    load_magnitude_net,
    magnitude_loss,
    open_magnitude_net,
    read_waveforms,
    train_magnitude_net,
)
from helpers.sound.copy_error import copy_errors
from helpers.sound.inversion import MelInverter
from helpers.sound.mel import MelExtractor, expand


def make_tones(audio: AudioConfig, n: int, seed: int) -> torch.Tensor:
    """Decaying tones of any pitch, (n, clip_samples): what is learned of some holds for others."""
    rng, time = np.random.default_rng(seed), np.arange(audio.clip_samples) / audio.sample_rate
    hertz, rate, level = (
        rng.uniform(150, 3500, (n, 1)),
        rng.uniform(5, 40, (n, 1)),
        rng.uniform(0.1, 0.8, (n, 1)),
    )
    return torch.from_numpy(
        (np.sin(2 * np.pi * hertz * time) * np.exp(-rate * time) * level).astype(np.float32)
    )


@pytest.fixture(scope="module")
def tones(tiny_audio):
    return make_tones(tiny_audio, 8, seed=0)


def test_it_is_nearer_to_sounds_it_has_not_heard_than_without_training(tiny_audio):
    network = train_magnitude_net(make_tones(tiny_audio, 600, seed=1), tiny_audio, steps=200)
    unheard = make_tones(tiny_audio, 20, seed=2)
    assert improves_on_untrained(network, unheard)
    mels = MelExtractor(tiny_audio)(unheard)
    found = {
        inverter.method: copy_errors(inverter(mels), unheard, tiny_audio)["spectral convergence"]
        for inverter in (MelInverter(tiny_audio), MelInverter(tiny_audio, network=network))
    }
    assert found["learned"] < 0.8 * found["joint"], found


def test_training_is_repeatable_and_leaves_the_global_generator_alone(tones, tiny_audio):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (train_magnitude_net(tones, tiny_audio, steps=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    other = train_magnitude_net(tones, tiny_audio, steps=3, seed=1)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert any(not torch.equal(v, other.state_dict()[n]) for n, v in first.state_dict().items())


@pytest.mark.parametrize("steps", [1, 2, 3, 19, 20, 21, 40])
def test_any_number_of_steps_trains(tones, tiny_audio, steps):
    network = train_magnitude_net(tones, tiny_audio, steps=steps)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_powers_and_the_other_compression_are_learned_too(tones, tiny_audio):
    audio = dataclasses.replace(
        tiny_audio, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip"
    )
    network = train_magnitude_net(tones, audio, steps=4)
    linear = network(expand(MelExtractor(audio)(tones), audio))
    assert bool(torch.isfinite(linear).all())
    assert any(float(p.abs().max()) > 0 for p in network.head.parameters())


def test_silence_among_the_clips_spoils_nothing(tiny_audio, tones):
    waveforms = torch.cat([tones[:4], torch.zeros(4, tiny_audio.clip_samples)])
    network = train_magnitude_net(waveforms, tiny_audio, steps=4)
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())


def test_the_loss_is_nothing_for_the_truth_and_does_not_depend_on_loudness():
    wanted = torch.rand(3, 20, 10, generator=torch.Generator().manual_seed(0)) + 0.1
    assert float(magnitude_loss(wanted, wanted)) < 2e-3
    off = 1.3 * wanted
    torch.testing.assert_close(
        magnitude_loss(off, wanted), magnitude_loss(20 * off, 20 * wanted), rtol=1e-2, atol=0
    )
    assert magnitude_loss(1.6 * wanted, wanted) > magnitude_loss(off, wanted) > 0.3


def test_clips_are_read_at_random_and_no_more_than_asked_for(clips, tiny_audio):
    everything = read_waveforms(clips)
    assert everything.shape == (len(clips.indices("train")), tiny_audio.clip_samples)
    some = read_waveforms(clips, seconds=4 * tiny_audio.duration_s)
    assert len(some) == 4
    assert not torch.equal(some, read_waveforms(clips, seconds=4 * tiny_audio.duration_s, seed=1))


def made_clips(n: int, tiny_audio, write_sounds, tmp_path_factory):
    """The clips of made sounds, n recordings a class."""
    folder, cache = tmp_path_factory.mktemp("sounds"), tmp_path_factory.mktemp("cache")
    write_sounds(folder, n, seed=1)
    return prepare_clips(folder, tiny_audio, DataConfig(), cache, cache)


@pytest.fixture(scope="module")
def many_clips(tiny_audio, write_sounds, tmp_path_factory):
    """Enough for the network to be worth its training."""
    return made_clips(60, tiny_audio, write_sounds, tmp_path_factory)


@pytest.fixture(scope="module")
def few_clips(tiny_audio, write_sounds, tmp_path_factory):
    """Too few to tell whether it is."""
    return made_clips(5, tiny_audio, write_sounds, tmp_path_factory)


def test_it_is_trained_once_for_the_same_clips(many_clips, tiny_audio, tmp_path):
    path = tmp_path / "inversion.safetensors"
    first = open_magnitude_net(path, many_clips, steps=60)
    written = path.stat().st_mtime_ns
    again = open_magnitude_net(path, many_clips, steps=60)
    assert path.stat().st_mtime_ns == written
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in first.state_dict().items())
    open_magnitude_net(path, many_clips, steps=61)
    assert path.stat().st_mtime_ns != written
    assert load_magnitude_net(path, tiny_audio) is not None
    assert load_magnitude_net(path, dataclasses.replace(tiny_audio, n_mels=32)) is None


def test_damage_is_mended_by_training_again(many_clips, tiny_audio, tmp_path):
    path = tmp_path / "inversion.safetensors"
    open_magnitude_net(path, many_clips, steps=60)
    path.write_bytes(path.read_bytes()[:100])
    assert load_magnitude_net(path, tiny_audio) is None
    assert open_magnitude_net(path, many_clips, steps=60) is not None
    assert load_file(path)


def test_a_network_of_other_clips_or_settings_does_not_stay_behind(
    few_clips, many_clips, tiny_audio, tmp_path
):
    path = tmp_path / "inversion.safetensors"
    for another in ({"clips": few_clips, "steps": 60}, {"clips": many_clips, "steps": 0}):
        assert open_magnitude_net(path, many_clips, steps=60) is not None
        assert open_magnitude_net(path, **another) is None
        assert load_magnitude_net(path, tiny_audio) is None


def test_there_is_none_without_steps_or_where_it_does_not_pay(
    few_clips, many_clips, tiny_audio, tmp_path
):
    path = tmp_path / "inversion.safetensors"
    assert open_magnitude_net(path, many_clips, steps=0) is None
    assert open_magnitude_net(path, few_clips, steps=60) is None
    memory = train_magnitude_net(
        make_tones(tiny_audio, 4, seed=1), tiny_audio, steps=150
    )  # of four sounds by heart
    assert not improves_on_untrained(memory, make_tones(tiny_audio, 20, seed=2))
    assert not path.exists()
