"""Sustained sounds get a loop that nobody hears; sounds that fade get none; the file says where."""

import io
import struct
import wave

import numpy as np
import pytest
import soundfile

from helpers.sound.audio_files import wav_bytes
from helpers.sound.handed_out import hand_out
from helpers.sound.loops import Loop, add_loop, find_sustained, make_loop

RATE = 16_000
TIME = np.arange(2 * RATE) / RATE


def tone(hertz: float, level=0.3, time=TIME) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * time)


NOISE = np.random.default_rng(0).normal(0, 0.1, len(TIME))
SUSTAINED = {
    "tone": tone(220.3),
    "high tone": tone(5_003),
    "short tone": tone(220.3)[: RATE // 2],
    "tone that swells and falls": tone(300)
    * np.clip(np.minimum(TIME / 0.3, (2 - TIME) / 0.4), 0, 1),
    "chord": tone(220, 0.2) + tone(277.2, 0.2) + tone(331.7, 0.1),
    "many harmonics": sum(tone(110.3 * k, 0.1 / k) for k in range(1, 30)),
    "vibrato": 0.3 * np.sin(2 * np.pi * 330 * TIME + 3 * np.sin(2 * np.pi * 5 * TIME)),
    "glide": 0.3 * np.sin(2 * np.pi * (300 * TIME + 15 * TIME**2)),  # no two parts are alike
    "noise": NOISE,
    "short noise": NOISE[: RATE // 2],
}
FADING = {
    "drum": tone(60, 0.9) * np.exp(-12 * TIME),
    "cymbal": NOISE * np.exp(-3 * TIME),
    "gong": (tone(500) * np.exp(-1.15 * TIME))[:RATE],  # 10 dB a second
    "long drum before silence": tone(90) * np.exp(-30 * TIME) + 1e-6 * NOISE,
    "word": tone(200) * (np.sin(2 * np.pi * 3 * TIME) > 0.3),
    "silence": np.zeros(len(TIME)),
    "click": np.eye(1, len(TIME))[0],
    "one sample": np.ones(1),
    "short": tone(300)[: RATE // 20],
}


def sharpness(waveform: np.ndarray) -> np.ndarray:
    """How sharply a waveform bends at each sample; a jump bends it most."""
    return np.abs(np.diff(waveform.astype(np.float64), 2))


def rendered(waveform: np.ndarray, loop: Loop, n_times: int) -> np.ndarray:
    """What a sampler plays while a key is held: up to the loop, then the loop so many times."""
    return np.concatenate(
        [waveform[: loop.first], np.tile(waveform[loop.first : loop.last + 1], n_times)]
    )


@pytest.mark.parametrize("kind", SUSTAINED)
def test_the_loop_of_a_sustained_sound_is_seamless(kind):
    sound = hand_out(SUSTAINED[kind], RATE, RATE)
    looped, loop = make_loop(sound, RATE)
    assert 0 < loop.first < loop.last < len(sound) - 1 and len(looped) == len(sound)
    n = loop.last + 1 - loop.first
    assert n > 0.4 * len(sound), "so short a loop buzzes"
    usual = sharpness(sound[loop.first : loop.last]).max()
    played = rendered(looped, loop, 4)
    seams = sharpness(played).reshape(-1)[
        [loop.first + n * k + d for k in (1, 2, 3) for d in (-2, -1)]
    ]
    assert seams.max() <= 1.05 * usual
    once = sharpness(looped)[loop.first : loop.last + RATE // 20]
    assert once.max() <= 1.3 * usual, "played once, it is smooth too"


@pytest.mark.parametrize("kind", ["tone", "high tone", "short tone", "noise", "vibrato"])
def test_the_level_stays_the_same_round_the_loop(kind):
    sound = hand_out(SUSTAINED[kind], RATE, RATE)
    looped, loop = make_loop(sound, RATE)
    played = rendered(looped, loop, 3)[loop.first :]
    levels = np.sqrt(np.square(played[: len(played) // 640 * 640].reshape(-1, 640)).mean(axis=1))
    assert 20 * np.log10(levels.max() / levels.min()) < 1.5


def test_a_looped_tone_is_nearly_nothing_but_that_tone():
    looped, loop = make_loop(hand_out(tone(440), RATE, RATE), RATE)
    played = rendered(looped, loop, 4)[loop.first :][: 4 * RATE]
    spectrum = np.abs(np.fft.rfft(played * np.hanning(len(played)))) ** 2
    hertz = np.fft.rfftfreq(len(played), 1 / RATE)
    aside = spectrum[abs(hertz - 440) > 10].sum() / spectrum.sum()
    assert 10 * np.log10(aside) < -60


def test_without_the_crossfade_noise_would_jump():
    """The test above can fail: the same loop, cut out of the sound as it was."""
    sound = hand_out(tone(330.7) + tone(507.1), RATE, RATE)
    _, loop = make_loop(sound, RATE)
    wrong = Loop(loop.first + 17, loop.last)
    played = rendered(sound, wrong, 2)
    seam = wrong.last + 1
    assert sharpness(played)[seam - 2 : seam].max() > 2 * sharpness(sound[100:-200]).max()


@pytest.mark.parametrize("kind", FADING)
def test_what_fades_gets_no_loop(kind):
    sound = hand_out(FADING[kind], RATE, RATE)
    looped, loop = make_loop(sound, RATE)
    assert loop is None and looped is sound


def test_the_sustained_part_is_found_between_attack_and_end():
    first, end = find_sustained(SUSTAINED["tone that swells and falls"].astype(np.float32), RATE)
    assert 0.1 * RATE < first < 0.25 * RATE and 1.7 * RATE < end < 1.95 * RATE


def chunks_of(wav: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF file; fails where a size or a pad byte is wrong."""
    name, size, kind = struct.unpack_from("<4sI4s", wav)
    assert (name, size, kind) == (b"RIFF", len(wav) - 8, b"WAVE")
    found, place = {}, 12
    while place < len(wav):
        name, size = struct.unpack_from("<4sI", wav, place)
        assert name not in found and place + 8 + size <= len(wav) and place % 2 == 0
        found[name] = wav[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    assert place == len(wav)
    return found


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("n", [1_000, 1_001])  # 1 001 samples of 24 bits need a pad byte
def test_the_loop_is_in_the_file_and_every_reader_still_reads_it(bits, n):
    plain = wav_bytes(tone(440)[:n], 22_050, bits)
    wav = add_loop(plain, 22_050, Loop(123, 877))
    chunks = chunks_of(wav)
    assert list(chunks) == [b"fmt ", b"data", b"smpl"]
    assert chunks[b"data"] == chunks_of(plain)[b"data"] and len(chunks[b"data"]) == n * bits // 8
    fields = struct.unpack("<15I", chunks[b"smpl"])
    assert fields[2:4] == (45_351, 60) and fields[7:9] == (1, 0)  # nanoseconds; key; loops
    assert fields[9:] == (0, 0, 123, 877, 0, 0)  # forward, both ends inclusive, for ever
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert rate == 22_050 and np.array_equal(samples, soundfile.read(io.BytesIO(plain))[0])
    with wave.open(io.BytesIO(wav)) as other:
        assert (other.getnframes(), other.getframerate(), other.getsampwidth()) == (
            n,
            22_050,
            bits // 8,
        )
        assert other.readframes(n) == chunks[b"data"]
