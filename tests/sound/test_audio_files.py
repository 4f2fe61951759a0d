"""Audio files: every format in, every kind of damage named, levels kept on the way out."""

import numpy as np
import pytest
import soundfile
from failing import files_of_at_most

from helpers.sound import audio_files as audio
from helpers.sound.audio_files import (
    SILENT_DB,
    SUFFIXES,
    AudioError,
    fit_length,
    level_db,
    nearby_rate,
    read_audio,
    read_clip,
    resample,
    resample_blocks,
    stream_audio,
    trim_end,
    write_wav,
)


def sine(hertz: float, rate: int, seconds: float = 0.5, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def peak_hz(waveform: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.fft.rfftfreq(len(waveform), 1 / rate)[spectrum.argmax()])


@pytest.mark.parametrize(
    ("name", "format", "subtype"),
    [
        ("a.wav", "WAV", "PCM_16"),
        ("a.WAV", "WAV", "PCM_24"),
        ("b.wav", "WAV", "FLOAT"),
        ("c.wav", "WAV", "PCM_U8"),
        ("a.flac", "FLAC", "PCM_16"),
        ("a.ogg", "OGG", "VORBIS"),
        ("a.Mp3", "MP3", "MPEG_LAYER_III"),
        ("a.AIFF", "AIFF", "PCM_16"),
        ("a.aifc", "AIFF", "FLOAT"),
        ("a.au", "AU", "PCM_16"),
        ("a.caf", "CAF", "PCM_24"),
        ("a.w64", "W64", "PCM_16"),
        ("a.oga", "OGG", "VORBIS"),
        ("a.opus", "OGG", "OPUS"),
    ],
)
def test_every_format_is_read_at_its_length_pitch_and_level(tmp_path, name, format, subtype):
    assert name.lower().endswith(SUFFIXES)
    path = tmp_path / name
    with open(path, "wb") as file:
        soundfile.write(file, sine(1000, 16_000), 16_000, format=format, subtype=subtype)
    waveform, info = read_audio(path, 16_000)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert (info.sample_rate, info.n_channels) == (16_000, 1)
    assert len(waveform) == pytest.approx(8_000, abs=1200 if subtype == "MPEG_LAYER_III" else 0)
    assert peak_hz(waveform, 16_000) == pytest.approx(1000, abs=3)
    assert level_db(waveform[2000:6000]) == pytest.approx(-9.03, abs=0.3)


def test_stereo_at_96_khz_becomes_mono_at_16_khz(tmp_path):
    path = tmp_path / "x.flac"
    left, right = sine(1000, 96_000, 1.0, 0.6), sine(2500, 96_000, 1.0, 0.2)
    soundfile.write(path, np.stack([left, right], axis=1), 96_000, subtype="PCM_24")
    waveform, info = read_audio(path, 16_000)
    assert (info.sample_rate, info.n_channels, info.duration_s) == (96_000, 2, 1.0)
    assert waveform.shape == (16_000,)
    assert peak_hz(waveform, 16_000) == pytest.approx(1000, abs=1)
    middle = slice(2000, -2000)
    expected = (sine(1000, 16_000, 1.0, 0.6) + sine(2500, 16_000, 1.0, 0.2)) / 2
    np.testing.assert_allclose(waveform[middle], expected[middle], atol=2e-3)


def test_resampling_down_leaves_nothing_that_would_fold_back():
    above = resample(sine(6000, 16_000), 16_000, 8_000)
    assert level_db(above[500:-500]) < -50
    below = resample(sine(1000, 16_000), 16_000, 8_000)
    assert level_db(below[500:-500]) == pytest.approx(-9.03, abs=0.1)


def write_good(path, seconds=0.5):
    soundfile.write(path, sine(440, 8_000, seconds), 8_000)
    return path.read_bytes()


def make_empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("this is no sound\n" * 40)


def make_cut_header(path):
    path.write_bytes(write_good(path)[:30])


def make_no_samples(path):
    soundfile.write(path, np.zeros(0, np.float32), 8_000)


def make_nan(path):
    samples = sine(440, 8_000)
    samples[17] = np.nan
    soundfile.write(path, samples, 8_000, subtype="FLOAT")


def make_infinite(path):
    samples = sine(440, 8_000)
    samples[-1] = np.inf
    soundfile.write(path, samples, 8_000, subtype="FLOAT")


def make_noise_bytes(path):
    path.write_bytes(np.random.default_rng(0).bytes(4096))


def make_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_empty, "is empty"),
        (make_text, "not readable as audio"),
        (make_cut_header, "not readable as audio|no samples"),
        (make_no_samples, "holds no samples"),
        (make_nan, "not numbers"),
        (make_infinite, "not numbers"),
        (make_noise_bytes, "not readable as audio"),
        (make_folder, "not readable as audio"),
        (lambda path: None, "cannot be opened"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(tmp_path, make, reason):
    make(tmp_path / "x.wav")
    with pytest.raises(AudioError, match=reason):
        read_audio(tmp_path / "x.wav", 8_000)


def test_a_wav_cut_in_its_samples_gives_what_is_there_and_never_more(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(write_good(path, 1.0)[: 44 + 2 * 3000])
    waveform, info = read_audio(path, 8_000)
    assert waveform.shape == (3000,)
    assert info.duration_s == 3000 / 8_000
    np.testing.assert_allclose(waveform, sine(440, 8_000, 1.0)[:3000], atol=1e-4)


@pytest.mark.parametrize("peak", [0.01, 0.5, 1.0])
def test_writing_keeps_the_level(tmp_path, peak):
    path = write_wav(tmp_path / "new" / "x.wav", sine(440, 8_000, peak=peak), 8_000)
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 8_000 and soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_allclose(samples, sine(440, 8_000, peak=peak), atol=1e-4)


def test_writing_scales_down_what_would_clip(tmp_path):
    loud = sine(440, 8_000, peak=4.0)
    samples, _ = soundfile.read(write_wav(tmp_path / "x.wav", loud, 8_000), dtype="float32")
    assert soundfile.info(tmp_path / "x.wav").subtype == "PCM_16"
    finer, _ = soundfile.read(write_wav(tmp_path / "y.wav", loud, 8_000, bits=24))
    assert soundfile.info(tmp_path / "y.wav").subtype == "PCM_24"
    quiet = 1e-6 * np.ones(100)
    assert soundfile.read(write_wav(tmp_path / "z.wav", quiet, 8_000, bits=24))[0].all()
    np.testing.assert_allclose(finer, samples, atol=1e-4)
    np.testing.assert_allclose(samples, loud / 4, atol=1e-4)
    assert np.abs(samples).max() == pytest.approx(1, abs=1e-3)


def test_writing_takes_nan_silence_and_nothing(tmp_path):
    for waveform in (np.array([0.1, np.nan, -0.1]), np.zeros(10), np.zeros(0)):
        samples, _ = soundfile.read(write_wav(tmp_path / "x.wav", waveform, 8_000))
        np.testing.assert_allclose(samples, np.nan_to_num(waveform), atol=1e-4)


def test_a_sound_that_finds_no_room_is_named_and_leaves_no_half(tmp_path):
    with files_of_at_most(500), pytest.raises(OSError, match=r"a\.wav"):
        write_wav(tmp_path / "a.wav", np.ones(4_000), 8_000)
    assert not (tmp_path / "a.wav").exists()


def test_levels():
    full = sine(1000, 16_000, 1.0, peak=1.0)
    assert level_db(full) == pytest.approx(-3.01, abs=0.01)
    assert level_db(full / 10) == pytest.approx(-23.01, abs=0.01)
    assert level_db(np.zeros(100, np.float32)) == level_db(np.zeros(0, np.float32)) == SILENT_DB


def test_fit_length_crops_the_end_and_pads_with_silence():
    waveform = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(fit_length(waveform, 3), [0, 1, 2])
    np.testing.assert_array_equal(fit_length(waveform, 7), [0, 1, 2, 3, 4, 0, 0])


def test_the_silence_at_an_end_is_trimmed_and_nothing_that_is_heard():
    sound = np.zeros(8_000, np.float32)
    sound[100:2_000] = 0.5 * np.sin(np.arange(1_900) / 5)
    sound[5_000] = 0.5e-3 * 0.5  # 66 dB below the peak
    trimmed = trim_end(sound, 8_000)
    assert 1_990 < len(trimmed) <= 2_040
    assert np.array_equal(trimmed[:1_990], sound[:1_990])
    sound[7_000] = 0.1
    assert len(trim_end(sound, 8_000)) > 7_000


def test_an_end_that_is_cut_while_it_is_heard_is_faded():
    sound = np.zeros(8_000, np.float32)
    sound[:3_000] = 0.5
    trimmed = trim_end(sound, 8_000)
    assert trimmed[-1] == 0
    assert np.abs(np.diff(trimmed)).max() <= 0.5
    assert sound[2_999] == 0.5


def decay(peak: float, seconds_for_60_db: float) -> np.ndarray:
    """A decaying tone, one second at 8 kHz."""
    time = np.arange(8_000) / 8_000
    return (peak * 10 ** (-3 * time / seconds_for_60_db) * np.sin(2_500 * time)).astype(np.float32)


def energy(waveform: np.ndarray) -> float:
    return float(np.square(waveform, dtype=np.float64).sum())


@pytest.mark.parametrize("peak", [0.9, 0.02])
def test_noise_of_a_known_level_is_trimmed_as_silence_is(peak):
    sound, noise = decay(peak, 0.3), 8e-5 * np.random.default_rng(0).standard_normal(8_000)
    noisy = (sound + noise).astype(np.float32)
    trimmed = trim_end(noisy, 8_000, silence_rms=1e-4)
    assert 0.1 < len(trimmed) / 8_000 < 0.35
    gone, whole = energy(sound[len(trimmed) :]), energy(sound)
    assert gone < 1.01e-6 * whole or gone < 8_000 * 1e-4**2
    assert len(trim_end(decay(0.9, 0.3) + 1e-2, 8_000, silence_rms=1e-4)) == 8_000, "a hum is heard"


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8])
def test_what_is_cut_off_has_a_millionth_of_the_energy(seconds):
    sound = decay(0.5, seconds)
    sound[4_000:4_800] += 2e-3 * np.sin(np.arange(800)).astype(np.float32)  # an echo, 48 dB below
    n_left = len(trim_end(sound, 8_000))
    assert n_left >= 4_800
    assert energy(sound[n_left:]) <= 1e-6 * energy(sound)


@pytest.mark.parametrize(
    "sound", [np.zeros(100, np.float32), np.ones(100, np.float32), np.zeros(0, np.float32)]
)
def test_what_is_silent_or_full_is_not_trimmed(sound):
    assert np.array_equal(trim_end(sound, 8_000), sound)


@pytest.mark.parametrize("from_rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("to_rate", [8_000, 22_050])
@pytest.mark.parametrize("size", [501, 4_000, 100_000])
def test_blocks_are_resampled_as_the_whole_is(from_rate, to_rate, size):
    waveform = np.random.default_rng(0).standard_normal(20_011).astype(np.float32)
    blocks = (waveform[start : start + size] for start in range(0, len(waveform), size))
    found = np.concatenate(list(resample_blocks(blocks, from_rate, to_rate)))
    np.testing.assert_allclose(found, resample(waveform, from_rate, to_rate), atol=1e-5)


def test_a_long_file_comes_in_blocks_and_a_clip_is_read_no_further_than_needed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(audio, "BLOCK_VALUES", 3_000)
    waveform = sine(440, 16_000, 2.0)
    soundfile.write(tmp_path / "x.wav", np.stack([waveform, waveform], axis=1), 16_000)
    info, blocks = stream_audio(tmp_path / "x.wav", 16_000)
    sizes = [len(block) for block in blocks]
    assert max(sizes) == 1_500 and sum(sizes) == 32_000 and info.duration_s == 2.0
    np.testing.assert_allclose(
        read_clip(tmp_path / "x.wav", 16_000, 4_000, 800), waveform[4_000:4_800], atol=1e-4
    )
    assert not read_clip(tmp_path / "x.wav", 16_000, 31_900, 800)[100:].any()
    whole = read_audio(tmp_path / "x.wav", 8_000)[0]
    np.testing.assert_allclose(
        read_clip(tmp_path / "x.wav", 8_000, 5_000, 800), whole[5_000:5_800], atol=1e-4
    )
    soundfile.write(tmp_path / "nan.wav", np.append(waveform, np.nan), 16_000, subtype="FLOAT")
    read_clip(tmp_path / "nan.wav", 16_000, 0, 800)
    with pytest.raises(AudioError, match="not numbers"):
        list(stream_audio(tmp_path / "nan.wav", 16_000)[1])


@pytest.fixture(scope="module")
def long_waveform():
    """A minute at 16 kHz, of which no two parts are alike, with a pause."""
    time = np.arange(60 * 16_000) / 16_000
    noise = np.random.default_rng(0).standard_normal(len(time))
    waveform = 0.3 * np.sin(2 * np.pi * (300 + 5 * time) * time) + 0.05 * noise
    waveform[300_000:330_000] = 0
    return waveform.astype(np.float32)


def write_in_parts(path, waveform, rate, format, subtype) -> None:
    with soundfile.SoundFile(path, "w", rate, 1, subtype, format=format) as file:
        for start in range(0, len(waveform), 8_192):
            file.write(waveform[start : start + 8_192])


@pytest.mark.parametrize("to_rate", [16_000, 11_025])
@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "GSM610"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
    ],
)
def test_a_clip_of_a_long_file_is_that_of_the_whole_in_every_format(
    tmp_path, monkeypatch, long_waveform, format, subtype, to_rate
):
    path, rate = tmp_path / "x", 8_000 if subtype == "GSM610" else 16_000
    write_in_parts(path, long_waveform, rate, format, subtype)
    whole = read_audio(path, to_rate)[0]
    monkeypatch.setattr(audio, "BLOCK_VALUES", 100_000)
    monkeypatch.setattr(audio, "LAST_PART", 2**17)
    np.testing.assert_allclose(
        np.concatenate(list(stream_audio(path, to_rate)[1])), whole, atol=1e-5
    )
    n = len(whole)
    for start in (0, 1, n // 3, n // 2 + 7, 2 * n // 3 + 1, n - 30_000, n - 2_000, n - 100, n + 9):
        expected = fit_length(whole[start:], 1_500)
        found = read_clip(path, to_rate, start, 1_500)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=f"from {start}")


def test_a_clip_at_the_end_of_a_long_file_is_read_without_what_lies_before(
    tmp_path, monkeypatch, long_waveform
):
    write_in_parts(tmp_path / "x.flac", long_waveform, 16_000, "FLAC", "PCM_16")
    monkeypatch.setattr(audio, "LAST_PART", 2**16)
    monkeypatch.setattr(audio, "BLOCK_VALUES", 4_096)
    read, n_read = soundfile.SoundFile.read, []

    def count(*arguments, **options):
        block = read(*arguments, **options)
        n_read.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", count)
    read_clip(tmp_path / "x.flac", 16_000, 800_000, 1_000)
    assert sum(n_read) < 40_000


def test_a_clip_of_a_file_with_a_hole_is_that_of_the_whole(tmp_path, monkeypatch, long_waveform):
    path = tmp_path / "x.ogg"
    write_in_parts(path, long_waveform, 16_000, "OGG", "VORBIS")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3] + content[len(content) // 3 + 9_000 :])
    whole, info = read_audio(path, 16_000)
    assert len(whole) < info.duration_s * 16_000 - 1_000
    monkeypatch.setattr(audio, "LAST_PART", 2**16)
    found = read_clip(path, 16_000, 600_000, 1_500, len(whole) / 16_000)
    np.testing.assert_allclose(found, whole[600_000:601_500], atol=1e-5)


def test_a_header_that_promises_more_than_there_is_gives_what_there_is(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(440, 8_000, 1.0), 8_000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = (
        b"\xf0\xff\xff\xff"  # the sizes of the file and of its samples: 4 GiB
    )
    path.write_bytes(content)
    info, blocks = stream_audio(path, 8_000)
    assert sum(len(block) for block in blocks) == 8_000
    assert info.duration_s == 1.0


def test_many_channels_at_a_high_rate_come_in_blocks_of_the_same_size(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_VALUES", 24_000)
    waveform = sine(440, 192_000, 0.1)
    soundfile.write(tmp_path / "x.wav", np.tile(waveform[:, None], (1, 24)), 192_000)
    info, blocks = stream_audio(tmp_path / "x.wav", 192_000)
    blocks = list(blocks)
    assert (info.n_channels, max(len(block) for block in blocks)) == (24, 1_000)
    np.testing.assert_allclose(np.concatenate(blocks), waveform, atol=1e-4)


def test_rates_that_share_nothing_are_taken_for_ones_that_do(tmp_path):
    assert nearby_rate(44_100, 16_000) == 44_100 and nearby_rate(48_000, 11_025) == 48_000
    assert nearby_rate(16_001, 16_000) == 16_000
    for from_rate in (22_254, 44_101, 191_999, 7_919):
        for to_rate in (8_000, 16_000, 11_025, 22_050):
            assert nearby_rate(from_rate, to_rate) == pytest.approx(from_rate, rel=0.01)
    waveform = resample(sine(1_000, 22_254, 1.0), 22_254, 16_000)
    assert len(waveform) == pytest.approx(16_000, abs=10)
    assert peak_hz(waveform, 16_000) == pytest.approx(1_000, abs=2)


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2_000_000_000])
def test_rates_that_no_recording_has_are_refused(tmp_path, rate):
    path = tmp_path / "x.wav"
    soundfile.write(path, sine(440, 8_000), 8_000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"has {rate} Hz: 1000 to 1000000 are read"):
        read_audio(path, 8_000)
