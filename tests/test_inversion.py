"""Mel back to sound: a sine comes back at its pitch and level, silence as silence, the same for the same seed."""

import dataclasses
import math

import pytest
import torch
import torchaudio

from helpers.audio import level_db
from helpers.config import AudioConfig, ConfigError
from helpers.features import MelExtractor, mel_filterbank
from helpers.inversion import METHODS, MelInverter, band_gains, fade_edges, griffin_lim, nnls

MODERN = AudioConfig(sample_rate=16_000, n_mels=128, n_frames=32)
BASELINE = dataclasses.replace(MODERN, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip")
SETTINGS = pytest.mark.parametrize("audio", [MODERN, BASELINE], ids=["modern", "baseline"])
EACH = pytest.mark.parametrize("method", METHODS)


def sine(audio: AudioConfig, hertz: float, peak: float = 0.5) -> torch.Tensor:
    return peak * torch.sin(2 * math.pi * hertz * torch.arange(audio.clip_samples) / audio.sample_rate)[None]


def peak_bin(waveform: torch.Tensor, audio: AudioConfig) -> int:
    spectrum = torch.stft(waveform, audio.n_fft, window=torch.hann_window(audio.n_fft), return_complex=True)
    return int(spectrum.abs().mean(dim=1).argmax())


@SETTINGS
@EACH
@pytest.mark.parametrize("hertz", [250, 500, 1000, 1500])  # above, a band is wider than a sine and takes level
def test_a_sine_survives_at_its_pitch_and_level(audio, method, hertz):
    waveform = sine(audio, hertz)
    back = MelInverter(audio, method)(MelExtractor(audio)(waveform))
    assert back.shape == (1, audio.clip_samples)
    assert peak_bin(back[0], audio) == pytest.approx(hertz * audio.n_fft / audio.sample_rate, abs=1)
    middle = slice(audio.n_fft, -audio.n_fft)
    assert level_db(back[0, middle].numpy()) == pytest.approx(level_db(waveform[0, middle].numpy()), abs=2)


@SETTINGS
@EACH
def test_silence_comes_back_as_silence(audio, method):
    back = MelInverter(audio, method)(MelExtractor(audio)(torch.zeros(2, audio.clip_samples)))
    assert back.shape == (2, audio.clip_samples)
    assert not back.any()


@EACH
def test_silence_around_a_sound_stays_quiet(method):
    waveform = torch.zeros(1, MODERN.clip_samples)
    waveform[:, 3000:4000] = sine(MODERN, 1000)[:, :1000]
    back = MelInverter(MODERN, method)(MelExtractor(MODERN)(waveform))
    assert bool(torch.isfinite(back).all())
    assert level_db(back[0, 5500:].numpy()) < level_db(back[0, 3000:4000].numpy()) - 40


@EACH
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(method, value):
    compressed = torch.zeros(1, MODERN.n_mels, MODERN.n_frames)
    compressed[0, 3, 4] = value
    with pytest.raises(ValueError, match="not numbers.*diverged"):
        MelInverter(MODERN, method)(compressed)


def test_an_unknown_method_and_a_bank_that_cannot_be_inverted_are_refused():
    with pytest.raises(ConfigError, match="joint, nnls, inverse_mel_scale; got 'vocoder'"):
        MelInverter(MODERN, "vocoder")
    with pytest.raises(ConfigError, match="hold no frequency"):
        MelInverter(AudioConfig(n_fft=512, hop_length=128, mel_scale="htk"))


@EACH
def test_the_same_seed_is_the_same_waveform_and_the_global_generator_is_left_alone(method):
    compressed = MelExtractor(MODERN)(0.1 * torch.randn(2, MODERN.clip_samples))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = MelInverter(MODERN, method, seed=3)(compressed)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(MelInverter(MODERN, method, seed=3)(compressed), first)
    assert not torch.equal(MelInverter(MODERN, method, seed=4)(compressed), first)


@SETTINGS
def test_least_squares_by_multiplication_is_not_negative_and_beats_inverse_mel_scale(audio):
    bank, rng = mel_filterbank(audio), torch.Generator().manual_seed(0)
    linear = torch.rand(2, audio.n_freqs, 16, generator=rng) ** 8  # sparse mixtures
    mel = bank.T @ linear
    errors = {}
    for method in METHODS:
        found = MelInverter(audio, method).linear_spectrogram(mel)
        assert found.shape == linear.shape
        assert bool((found >= 0).all())
        errors[method] = float((bank.T @ found - mel).norm() / mel.norm())
    assert errors["nnls"] < errors["inverse_mel_scale"]
    assert errors["nnls"] < 0.02


def test_least_squares_by_multiplication_comes_closer_with_every_step_and_keeps_silence():
    bank = mel_filterbank(MODERN)
    mel = bank.T @ (torch.rand(1, MODERN.n_freqs, 8, generator=torch.Generator().manual_seed(0)) ** 8)
    mel[..., 3] = 0
    errors = [float((bank.T @ nnls(mel, bank, n) - mel).norm()) for n in (1, 5, 25, 100)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    assert not nnls(mel, bank)[..., 3].any()


@EACH
@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
def test_the_geometry_of_the_first_system_works_on_the_cpu(method, mel_scale):
    audio = AudioConfig(
        n_frames=16, mel_norm="none", power=2.0, compression="log1p", normalisation="per_clip", mel_scale=mel_scale
    )
    assert (audio.sample_rate, audio.n_fft, audio.hop_length, audio.n_mels) == (22_050, 1024, 256, 128)
    back = MelInverter(audio, method)(MelExtractor(audio)(sine(audio, 1000)))
    assert back.shape == (1, 3_840)
    assert peak_bin(back[0], audio) == pytest.approx(1000 * 1024 / 22_050, abs=1)


@pytest.mark.parametrize("n_clips", [1, 65])
def test_batches_larger_than_a_chunk_come_back_whole(tiny_audio, n_clips):
    waveforms = torch.stack([sine(tiny_audio, 400 + 20 * index)[0] for index in range(n_clips)])
    back = MelInverter(tiny_audio, n_iterations=4)(MelExtractor(tiny_audio)(waveforms))
    assert back.shape == waveforms.shape
    level = back.square().mean(dim=1).sqrt()
    assert bool((level > 0.1).all())


def click(audio: AudioConfig) -> torch.Tensor:
    """A short click at the very start of a clip."""
    waveform = torch.zeros(1, audio.clip_samples)
    waveform[:, :100] = 0.8 * torch.exp(-torch.arange(100) / 20.0)
    return waveform


def mel_error(back: torch.Tensor, waveform: torch.Tensor, audio: AudioConfig) -> float:
    """Root mean square of what the mels differ by, as a share of the loudest."""
    found, wanted = (MelExtractor(audio)(x) for x in (back, waveform))
    return float((found - wanted).square().mean().sqrt())


@SETTINGS
def test_keeping_the_mel_comes_nearer_to_it_than_magnitudes_that_are_fixed(audio):
    tones = sum(sine(audio, hertz, 0.2) for hertz in (110, 290, 700, 1900))
    decay = torch.exp(-torch.arange(audio.clip_samples) / 2000.0)
    for waveform in (click(audio), tones * decay, 0.1 * torch.randn(1, audio.clip_samples)):
        mel = MelExtractor(audio)(waveform)
        errors = {method: mel_error(MelInverter(audio, method)(mel), waveform, audio) for method in METHODS}
        assert errors["joint"] < 0.9 * errors["nnls"], errors


def test_a_click_at_the_start_stays_there_where_mirrored_edges_smear_it():
    waveform = click(MODERN)
    linear = torch.stft(
        waveform,
        MODERN.n_fft,
        MODERN.hop_length,
        window=torch.hann_window(MODERN.n_fft),
        pad_mode="constant",
        return_complex=True,
    ).abs()
    ours = griffin_lim(linear, MelInverter(MODERN).phase, MODERN, 32)
    torch.manual_seed(0)
    mirrored = torchaudio.transforms.GriffinLim(
        MODERN.n_fft, 32, hop_length=MODERN.hop_length, power=1.0, length=MODERN.clip_samples
    )(linear)
    smeared = [float(x[0, 256:].square().sum() / x.square().sum()) for x in (ours, mirrored)]
    assert smeared[0] < 0.1 * smeared[1]


def test_the_phase_of_a_spectrogram_that_has_one_is_kept():
    waveform = 0.1 * torch.randn(2, MODERN.clip_samples, generator=torch.Generator().manual_seed(0))
    spectrum = torch.stft(
        waveform,
        MODERN.n_fft,
        MODERN.hop_length,
        window=torch.hann_window(MODERN.n_fft),
        pad_mode="constant",
        return_complex=True,
    )
    for index in range(2):
        phase = spectrum[index].angle()
        back = griffin_lim(spectrum[index : index + 1].abs(), phase, MODERN, 5)
        torch.testing.assert_close(back[0], waveform[index], atol=1e-4, rtol=0)


def test_gains_are_one_where_the_mel_is_right_and_what_is_missing_elsewhere():
    bank = mel_filterbank(MODERN)
    linear = torch.rand(1, MODERN.n_freqs, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    mel = bank.T @ linear
    heard = bank.sum(dim=1) > 0
    torch.testing.assert_close(band_gains(linear, mel, bank), torch.ones_like(linear), atol=1e-4, rtol=0)
    torch.testing.assert_close(band_gains(linear, 3 * mel, bank)[:, heard], 3 * torch.ones_like(linear)[:, heard])
    assert not band_gains(linear, 0 * mel, bank)[:, heard].any()
    assert bool((band_gains(linear, 1000 * mel, bank)[:, heard] == 10).all())


def test_a_sound_is_the_same_whatever_others_are_made_with_it():
    waveforms = torch.stack([sine(MODERN, hertz)[0] for hertz in (300, 500, 900)])
    mels, inverter = MelExtractor(MODERN)(waveforms), MelInverter(MODERN, n_iterations=4)
    torch.testing.assert_close(inverter(mels)[2:], inverter(mels[2:]), atol=1e-5, rtol=1e-4)


def test_the_end_is_faded_and_only_the_end():
    waveforms = torch.ones(2, 1000)
    faded = fade_edges(waveforms, 100)
    assert bool((faded[:, :900] == 1).all())
    assert bool((faded[:, 900:].diff(dim=1) < 0).all())
    assert float(faded[0, -1]) == pytest.approx(0, abs=1e-6)
    assert bool((waveforms == 1).all())


def test_inversion_uses_the_filter_bank_of_the_features():
    extractor = MelExtractor(BASELINE).mel.mel_scale.fb
    torch.testing.assert_close(MelInverter(BASELINE).bank, extractor)
    assert not torch.equal(MelInverter(MODERN).bank, extractor)
    assert isinstance(MelExtractor(MODERN).mel, torchaudio.transforms.MelSpectrogram)
