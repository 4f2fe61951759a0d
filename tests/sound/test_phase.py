"""Phase: the STFT and its inverse, a start that already fits, and Griffin-Lim from it."""

import dataclasses
import math

import pytest
import torch
import torchaudio

from helpers.config import AudioConfig
from helpers.sound.mel import mel_filterbank
from helpers.sound.phase import griffin_lim, istft, magnitude_of, phase_start, stft

AUDIO = AudioConfig(sample_rate=16_000, n_mels=128, n_frames=32)


def noise(seed: int = 0, n_clips: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(
        n_clips, AUDIO.clip_samples, generator=torch.Generator().manual_seed(seed)
    )


def tones() -> torch.Tensor:
    """A chord that dies away, and a glide, (2, clip_samples)."""
    time = torch.arange(AUDIO.clip_samples) / AUDIO.sample_rate
    chord = sum(torch.sin(2 * math.pi * hertz * time) for hertz in (220, 450, 900.5)) * torch.exp(
        -6 * time
    )
    return 0.2 * torch.stack([chord, torch.sin(2 * math.pi * (300 * time + 500 * time.square()))])


def click() -> torch.Tensor:
    """A short click at the very start of a clip, (1, clip_samples)."""
    waveform = torch.zeros(1, AUDIO.clip_samples)
    waveform[:, :100] = 0.8 * torch.exp(-torch.arange(100) / 20.0)
    return waveform


def magnitudes(waveforms: torch.Tensor) -> torch.Tensor:
    return magnitude_of(stft(waveforms, AUDIO)).transpose(1, 2)


def convergence(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Worst clip's distance of magnitudes, as a share of their norm."""
    difference = magnitudes(found) - magnitudes(wanted)
    return float(
        (difference.flatten(1).norm(dim=1) / magnitudes(wanted).flatten(1).norm(dim=1)).max()
    )


@pytest.mark.parametrize("hop_length", [64, 100, 256])  # 100 does not divide the window
def test_the_stft_and_its_inverse_are_torchs(hop_length):
    audio = dataclasses.replace(AUDIO, n_fft=512, n_mels=32, hop_length=hop_length)
    waveforms = torch.randn(3, audio.clip_samples, generator=torch.Generator().manual_seed(0))
    frames, window = stft(waveforms, audio), torch.hann_window(512)
    expected = torch.stft(
        waveforms, 512, hop_length, window=window, pad_mode="constant", return_complex=True
    )
    torch.testing.assert_close(frames.transpose(1, 2), expected)
    changed = frames * torch.rand(frames.shape, generator=torch.Generator().manual_seed(1))
    back = torch.istft(
        changed.transpose(1, 2), 512, hop_length, window=window, length=audio.clip_samples
    )
    torch.testing.assert_close(istft(changed, audio), back, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(istft(frames, audio), waveforms, atol=1e-5, rtol=1e-4)


def test_magnitudes_are_torchs():
    z = stft(noise(), AUDIO)
    torch.testing.assert_close(magnitude_of(z), z.abs())


def random_phase(seed: int = 0) -> torch.Tensor:
    angle = (
        2
        * math.pi
        * torch.rand((AUDIO.n_freqs, AUDIO.n_frames), generator=torch.Generator().manual_seed(seed))
    )
    return torch.polar(torch.ones_like(angle), angle)


@pytest.mark.parametrize(("sounds", "most"), [(tones, 0.15), (click, 0.5), (noise, 0.5)])
def test_phases_from_the_gradients_fit_without_an_iteration(sounds, most):
    waveforms = sounds()
    linear = magnitudes(waveforms)
    phase = phase_start(linear, AUDIO)
    assert phase.shape == linear.shape
    torch.testing.assert_close(phase.abs()[linear > 1e-3], torch.ones_like(linear)[linear > 1e-3])
    assert convergence(griffin_lim(linear, phase, AUDIO, 0), waveforms) < most
    assert convergence(griffin_lim(linear, random_phase(), AUDIO, 0), waveforms) > 1.2 * most


@pytest.mark.parametrize(("sounds", "n_random"), [(tones, 24), (click, 12), (noise, 12)])
def test_few_iterations_from_the_start_beat_more_from_random_phases(sounds, n_random):
    waveforms = sounds()
    linear = magnitudes(waveforms)
    few = griffin_lim(linear, phase_start(linear, AUDIO), AUDIO, 8)
    more = griffin_lim(linear, random_phase(), AUDIO, n_random)
    assert convergence(few, waveforms) < convergence(more, waveforms)


def test_phases_follow_from_magnitudes_of_each_power():
    linear = magnitudes(tones())
    squared = phase_start(linear.square(), dataclasses.replace(AUDIO, power=2.0))
    loud = linear > 1e-2 * linear.max()
    torch.testing.assert_close(
        squared[loud], phase_start(linear, AUDIO)[loud], atol=1e-3, rtol=1e-3
    )


def test_a_seed_turns_every_phase_by_one_angle():
    linear = magnitudes(tones())
    ratio = phase_start(linear, AUDIO, seed=1) / phase_start(linear, AUDIO, seed=0)
    torch.testing.assert_close(ratio, ratio[0, 100, 5].expand_as(ratio), atol=1e-4, rtol=1e-4)
    assert abs(ratio[0, 100, 5] - 1) > 0.1


def test_silence_has_no_phase_and_makes_no_sound():
    silence = torch.zeros(1, AUDIO.n_freqs, AUDIO.n_frames)
    assert not griffin_lim(silence, phase_start(silence, AUDIO), AUDIO, 4).any()


def test_the_phase_of_a_spectrogram_that_has_one_is_kept():
    waveforms = noise()
    frames = stft(waveforms, AUDIO).transpose(1, 2)
    back = griffin_lim(frames.abs(), torch.sgn(frames), AUDIO, 5)
    torch.testing.assert_close(back, waveforms, atol=1e-4, rtol=0)


def test_a_click_at_the_start_stays_there_where_mirrored_edges_smear_it():
    linear = magnitudes(click())
    ours = griffin_lim(linear, phase_start(linear, AUDIO), AUDIO, 32)
    torch.manual_seed(0)
    mirrored = torchaudio.transforms.GriffinLim(
        AUDIO.n_fft, 32, hop_length=AUDIO.hop_length, power=1.0, length=AUDIO.clip_samples
    )(linear)
    smeared = [float(x[0, 256:].square().sum() / x.square().sum()) for x in (ours, mirrored)]
    assert smeared[0] < 0.1 * smeared[1]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_magnitudes_that_are_free_within_a_band_come_nearer_to_the_mel(power):
    audio, bank = dataclasses.replace(AUDIO, power=power), mel_filterbank(AUDIO)
    mel = bank.T @ magnitudes(tones()).pow(power)
    flat = (bank / bank.sum(dim=1, keepdim=True).clamp_min(1e-9)) @ (mel / bank.sum(dim=0)[:, None])
    errors = []
    for kept in (None, mel):
        back = griffin_lim(flat, phase_start(flat, audio), audio, 12, kept)
        errors.append(float((bank.T @ magnitudes(back).pow(power) - mel).norm() / mel.norm()))
    assert errors[1] < 0.6 * errors[0]
