"""Log-mels: where energy lands, and what is lost (nothing above the floor)."""

import dataclasses
import math

import pytest
import torch
import torchaudio

from helpers.config import AudioConfig, ConfigError, make_config
from helpers.sound.mel import MelExtractor, compress, expand, floor_rms, mel_filterbank

LOG = AudioConfig(sample_rate=16_000, n_mels=64, n_frames=32)
LOG1P = dataclasses.replace(make_config("cpu", "baseline").audio, n_frames=32)


def sine(audio: AudioConfig, hertz: float, peak: float = 0.5) -> torch.Tensor:
    return (
        peak
        * torch.sin(2 * math.pi * hertz * torch.arange(audio.clip_samples) / audio.sample_rate)[
            None
        ]
    )


@pytest.mark.parametrize("audio", [LOG, LOG1P])
@pytest.mark.parametrize("band", [8, 20, 40, 60])
def test_a_sine_lands_in_the_band_that_holds_it(audio, band):
    hertz = float(mel_filterbank(audio)[:, band].argmax()) * audio.sample_rate / audio.n_fft
    compressed = MelExtractor(audio)(sine(audio, hertz))
    assert compressed.shape == (1, audio.n_mels, audio.n_frames)
    assert int(compressed[0, :, 4:-4].mean(dim=1).argmax()) == pytest.approx(band, abs=1)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_white_noise_of_the_floors_level_has_a_mel_at_the_floor(power):
    audio = dataclasses.replace(LOG, power=power)
    noise = torch.randn(16, audio.clip_samples, generator=torch.Generator().manual_seed(0))
    louder = 100 ** (1 / power)  # so that the floor cuts nothing off
    mels = MelExtractor(audio)(louder * floor_rms(audio) * noise)[:, :, 4:-4].exp()
    assert float(mels.mean()) == pytest.approx(100 * audio.floor, rel=0.05)


def test_a_mel_without_a_floor_has_no_level_of_silence():
    assert floor_rms(LOG1P) == 0


def test_twice_the_amplitude_is_log_2_more_magnitude_and_log_4_more_power():
    quiet, loud = (MelExtractor(LOG)(sine(LOG, 1000, peak)).max() for peak in (0.25, 0.5))
    assert float(loud - quiet) == pytest.approx(math.log(2), abs=1e-3)
    quiet, loud = (
        MelExtractor(LOG1P)(sine(LOG1P, 1000, peak)).max().expm1() for peak in (0.25, 0.5)
    )
    assert float(loud / quiet) == pytest.approx(4, rel=1e-3)


def test_a_clip_begins_in_silence_and_not_in_an_echo_of_itself():
    waveform = torch.zeros(1, LOG.clip_samples)
    waveform[0, 100:200] = 0.5
    n_before = 4
    later = torch.nn.functional.pad(waveform, (n_before * LOG.hop_length, 0))
    extractor = MelExtractor(LOG)
    torch.testing.assert_close(
        extractor(waveform)[..., :8], extractor(later)[..., n_before : n_before + 8]
    )


@pytest.mark.parametrize("audio", [LOG, LOG1P])
def test_expand_undoes_compress(audio):
    mel = torch.logspace(-3, 3, 50)
    torch.testing.assert_close(expand(compress(mel, audio), audio), mel, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("audio", [LOG, LOG1P])
def test_silence_stays_exactly_0(audio):
    compressed = MelExtractor(audio)(torch.zeros(2, audio.clip_samples))
    assert bool((compressed == compressed[0, 0, 0]).all())
    assert float(compressed[0, 0, 0]) == pytest.approx(audio.floor_value)
    for through in (compressed, compressed.half().float(), compressed - 0.5):
        assert bool((expand(through, audio) == 0).all())


@pytest.mark.parametrize(("rate", "n_fft"), [(44_100, 1024), (22_050, 512)])
def test_the_htk_scale_leaves_bands_empty_where_the_slaney_scale_leaves_none(rate, n_fft):
    audio = AudioConfig(sample_rate=rate, n_fft=n_fft, hop_length=n_fft // 4, mel_scale="htk")
    bank = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, 0.0, rate / 2, 128, rate, mel_scale="htk"
    )
    n_empty = int((bank.amax(dim=0) == 0).sum())
    assert n_empty > 0
    for make in (mel_filterbank, MelExtractor):
        with pytest.raises(
            ConfigError, match=f"{n_empty} of 128 mel bands hold no frequency.*htk scale.*slaney"
        ):
            make(audio)
    bank = mel_filterbank(dataclasses.replace(audio, mel_scale="slaney"))
    assert bank.shape == (n_fft // 2 + 1, 128)
    assert bool((bank.amax(dim=0) > 0).all())
