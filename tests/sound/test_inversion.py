"""Mel back to sound: a sine comes back at its pitch and level, silence as silence.

The same seed gives the same sound.
"""

import dataclasses
import math

import pytest
import torch
import torchaudio

from helpers.config import AudioConfig, ConfigError
from helpers.sound.audio_files import level_db
from helpers.sound.inversion import (
    MAX_LOUDNESS_FACTOR,
    METHODS,
    MelInverter,
    fade_end,
    match_loudness,
)
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import MelExtractor, expand, mel_filterbank

MODERN = AudioConfig(sample_rate=16_000, n_mels=128, n_frames=32)
BASELINE = dataclasses.replace(
    MODERN, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip"
)
SETTINGS = pytest.mark.parametrize("audio", [MODERN, BASELINE], ids=["modern", "baseline"])
EACH = pytest.mark.parametrize("method", METHODS)


def inverter(audio: AudioConfig, method: str, **options) -> MelInverter:
    """An inverter by a method; the learned one's network has not been trained yet."""
    with torch.random.fork_rng(devices=[]):
        network = MagnitudeNet(audio) if method == "learned" else None
    return MelInverter(audio, method, network=network, **options)


def sine(audio: AudioConfig, hertz: float, peak: float = 0.5) -> torch.Tensor:
    return (
        peak
        * torch.sin(2 * math.pi * hertz * torch.arange(audio.clip_samples) / audio.sample_rate)[
            None
        ]
    )


def peak_bin(waveform: torch.Tensor, audio: AudioConfig) -> int:
    spectrum = torch.stft(
        waveform, audio.n_fft, window=torch.hann_window(audio.n_fft), return_complex=True
    )
    return int(spectrum.abs().mean(dim=1).argmax())


@SETTINGS
@EACH
@pytest.mark.parametrize(
    "hertz", [250, 500, 1000, 1500]
)  # above, a band is wider than a sine and takes level
def test_a_sine_survives_at_its_pitch_and_level(audio, method, hertz):
    waveform = sine(audio, hertz)
    back = inverter(audio, method)(MelExtractor(audio)(waveform))
    assert back.shape == (1, audio.clip_samples)
    assert peak_bin(back[0], audio) == pytest.approx(hertz * audio.n_fft / audio.sample_rate, abs=1)
    middle, most = slice(audio.n_fft, -audio.n_fft), 3 if method == "inverse_mel_scale" else 2
    assert level_db(back[0, middle].numpy()) == pytest.approx(
        level_db(waveform[0, middle].numpy()), abs=most
    )


@SETTINGS
@EACH
def test_silence_comes_back_as_silence(audio, method):
    back = inverter(audio, method)(MelExtractor(audio)(torch.zeros(2, audio.clip_samples)))
    assert back.shape == (2, audio.clip_samples)
    assert not back.any()


@EACH
def test_silence_around_a_sound_stays_quiet(method):
    waveform = torch.zeros(1, MODERN.clip_samples)
    waveform[:, 3000:4000] = sine(MODERN, 1000)[:, :1000]
    back = inverter(MODERN, method)(MelExtractor(MODERN)(waveform))
    assert bool(torch.isfinite(back).all())
    assert level_db(back[0, 5500:].numpy()) < level_db(back[0, 3000:4000].numpy()) - 40


@EACH
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(method, value):
    compressed = torch.zeros(1, MODERN.n_mels, MODERN.n_frames)
    compressed[0, 3, 4] = value
    with pytest.raises(ValueError, match="not numbers.*diverged"):
        inverter(MODERN, method)(compressed)


def test_an_unknown_method_and_a_bank_that_cannot_be_inverted_are_refused():
    with pytest.raises(ConfigError, match="learned, joint, nnls, inverse_mel_scale; got 'vocoder'"):
        MelInverter(MODERN, "vocoder")
    with pytest.raises(ConfigError, match="hold no frequency"):
        MelInverter(AudioConfig(n_fft=512, hop_length=128, mel_scale="htk"))


@EACH
def test_the_same_seed_is_the_same_waveform_and_the_global_generator_is_left_alone(method):
    compressed = MelExtractor(MODERN)(0.1 * torch.randn(2, MODERN.clip_samples))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = inverter(MODERN, method, seed=3)(compressed)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(inverter(MODERN, method, seed=3)(compressed), first)
    assert not torch.equal(inverter(MODERN, method, seed=4)(compressed), first)


@EACH
@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
def test_the_geometry_of_the_first_system_works_on_the_cpu(method, mel_scale):
    audio = AudioConfig(
        n_frames=16,
        mel_norm="none",
        power=2.0,
        compression="log1p",
        normalisation="per_clip",
        mel_scale=mel_scale,
    )
    assert (audio.sample_rate, audio.n_fft, audio.hop_length, audio.n_mels) == (
        22_050,
        1024,
        256,
        128,
    )
    back = inverter(audio, method)(MelExtractor(audio)(sine(audio, 1000)))
    assert back.shape == (1, 3_840)
    assert peak_bin(back[0], audio) == pytest.approx(1000 * 1024 / 22_050, abs=1)


@pytest.mark.parametrize("n_clips", [1, 65])
def test_batches_larger_than_a_chunk_come_back_whole(tiny_audio, n_clips):
    waveforms = torch.stack([sine(tiny_audio, 400 + 20 * index)[0] for index in range(n_clips)])
    back = MelInverter(tiny_audio, n_iterations=4)(MelExtractor(tiny_audio)(waveforms))
    assert back.shape == waveforms.shape
    level = back.square().mean(dim=1).sqrt()
    assert bool((level > 0.1).all())


def mel_error(back: torch.Tensor, waveform: torch.Tensor, audio: AudioConfig) -> float:
    """Root mean square of what the mels differ by, as a share of the loudest."""
    found, wanted = (MelExtractor(audio)(x) for x in (back, waveform))
    return float((found - wanted).square().mean().sqrt())


def test_a_sound_is_the_same_whatever_others_are_made_with_it():
    waveforms = torch.stack([sine(MODERN, hertz)[0] for hertz in (300, 500, 900)])
    mels, inverter = MelExtractor(MODERN)(waveforms), MelInverter(MODERN, n_iterations=4)
    torch.testing.assert_close(inverter(mels)[2:], inverter(mels[2:]), atol=1e-5, rtol=1e-4)


def test_inversion_uses_the_filter_bank_of_the_log_mels():
    extractor = MelExtractor(BASELINE).mel.mel_scale.fb
    torch.testing.assert_close(MelInverter(BASELINE).bank, extractor)
    assert not torch.equal(MelInverter(MODERN).bank, extractor)
    assert isinstance(MelExtractor(MODERN).mel, torchaudio.transforms.MelSpectrogram)


@SETTINGS
def test_keeping_the_mel_comes_nearer_to_it_than_magnitudes_that_are_fixed(audio):
    tones = sum(sine(audio, hertz, 0.2) for hertz in (110, 290, 700, 1900))
    decay = torch.exp(-torch.arange(audio.clip_samples) / 2000.0)
    noise = 0.1 * torch.randn(1, audio.clip_samples, generator=torch.Generator().manual_seed(0))
    for waveform in (tones * decay, noise):
        mel = MelExtractor(audio)(waveform)
        errors = {
            method: mel_error(inverter(audio, method)(mel), waveform, audio) for method in METHODS
        }
        assert max(errors["joint"], errors["learned"]) < 0.9 * min(
            errors["nnls"], errors["inverse_mel_scale"]
        ), errors


@SETTINGS
def test_a_click_at_the_very_start_comes_back_far_nearer_than_by_the_first_systems_way(audio):
    click = torch.zeros(1, audio.clip_samples)
    click[:, :100] = 0.8 * torch.exp(-torch.arange(100) / 20.0)
    mel = MelExtractor(audio)(click)
    errors = {method: mel_error(inverter(audio, method)(mel), click, audio) for method in METHODS}
    assert max(errors["joint"], errors["learned"]) < 0.3 * errors["inverse_mel_scale"], errors


@EACH
@SETTINGS
def test_the_loudness_of_the_mel_comes_back_without_an_offset(audio, method):
    waveform = 0.05 * torch.randn(2, audio.clip_samples, generator=torch.Generator().manual_seed(0))
    waveform[1] *= 0.1
    back = inverter(audio, method)(MelExtractor(audio)(waveform))
    for found, wanted in zip(back, waveform, strict=True):
        assert level_db(found.numpy()) == pytest.approx(level_db(wanted.numpy()), abs=1.0)
    assert bool((back.mean(dim=1).abs() < 0.02 * back.std(dim=1)).all())


def test_loudness_is_matched_clip_by_clip_and_never_by_more_than_a_bound():
    waveform = torch.cat([sine(MODERN, 500), sine(MODERN, 1500)])
    mel = expand(MelExtractor(MODERN)(waveform), MODERN)
    scaled = waveform * torch.tensor([[1.5], [0.7]])
    torch.testing.assert_close(match_loudness(scaled, mel, MODERN), waveform, atol=2e-3, rtol=0)
    assert float(match_loudness(0.01 * waveform, mel, MODERN).max()) == pytest.approx(
        0.01 * MAX_LOUDNESS_FACTOR * float(waveform.max()), rel=1e-3
    )


def test_learned_without_a_network_is_joint_and_with_one_of_another_geometry_an_error(tiny_audio):
    assert MelInverter(MODERN).method == MelInverter(MODERN, "learned").method == "joint"
    assert MelInverter(MODERN, network=MagnitudeNet(MODERN)).method == "learned"
    with pytest.raises(ConfigError, match="trained for .*train it anew"):
        MelInverter(MODERN, network=MagnitudeNet(tiny_audio))
    assert MelInverter(MODERN, "nnls", network=MagnitudeNet(tiny_audio)).method == "nnls"


def test_the_first_systems_way_is_torchaudios():
    mel = MelExtractor(BASELINE)(sine(BASELINE, 700))
    linear = MelInverter(BASELINE, "inverse_mel_scale").linear_spectrogram(expand(mel, BASELINE))
    torch.manual_seed(3)
    expected = torchaudio.transforms.GriffinLim(
        BASELINE.n_fft, 8, hop_length=BASELINE.hop_length, power=2.0, length=BASELINE.clip_samples
    )(linear)
    found = MelInverter(BASELINE, "inverse_mel_scale", 8, seed=3)(mel)
    middle = slice(BASELINE.n_fft, -BASELINE.n_fft)
    ratio = found[0, middle] / expected[0, middle]
    torch.testing.assert_close(
        ratio, ratio.median().expand_as(ratio), atol=1e-3, rtol=1e-3
    )  # but for the loudness


def test_inverse_mel_scale_takes_a_bank_that_torchaudios_default_driver_refuses():
    audio = AudioConfig(
        sample_rate=22_050,
        n_frames=16,
        mel_norm="none",
        power=2.0,
        compression="log1p",
        normalisation="per_clip",
    )
    mel = mel_filterbank(audio).T @ torch.rand(1, audio.n_freqs, 4)
    found = MelInverter(audio, "inverse_mel_scale").linear_spectrogram(mel)
    assert bool(torch.isfinite(found).all()) and float(found.mean()) > 0.1


def test_the_end_is_faded_and_only_the_end():
    waveforms = torch.ones(2, 1000)
    faded = fade_end(waveforms, 100)
    assert bool((faded[:, :900] == 1).all())
    assert bool((faded[:, 900:].diff(dim=1) < 0).all())
    assert float(faded[0, -1]) == pytest.approx(0, abs=1e-6)
    assert bool((waveforms == 1).all())
