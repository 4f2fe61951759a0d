"""A drum kit made by signal processing: labelled one-shots of eight classes, the same for the same seed."""

import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers.config import ConfigError
from helpers.sound.audio_files import write_wav

KIT_FILE = "kit.json"  # written last: a folder that has it is finished
KIT_VERSION = 1  # raised when a voice changes, so that kits made before are made again
MIN_SAMPLE_RATE = 8_000
MIN_DURATION_S, MAX_DURATION_S = (
    0.1,
    0.95,
)  # the longest fits the 1.008 s clip of the smallest network
DECAY_60_DB = np.log(1000)  # time constants of an exponential until it is 60 dB down
METAL_RATIOS = (
    1.0,
    1.48,
    1.80,
    2.55,
    2.63,
    3.90,
)  # six square waves without a common pitch: a cymbal


def kick(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Bass drum: a sine that falls to 42-62 Hz, driven, with a click. Float32 (n_samples,)."""
    decay_s, end_hz = _log_uniform(rng, 0.04, 0.13), _log_uniform(rng, 42, 62)
    start_hz, sweep_s = end_hz * rng.uniform(2.5, 6), _log_uniform(rng, 0.012, 0.045)
    click, drive = rng.uniform(0, 0.5), _log_uniform(rng, 0.3, 5)
    time = _time(decay_s, sample_rate)
    body = _sweep(time, start_hz, end_hz, sweep_s) * np.exp(-time / decay_s)
    noise = _noise(rng, len(time), sample_rate, rng.uniform(800, 2500), 6000)
    return _finish(rng, _drive(body, drive) + click * noise * np.exp(-time / 0.003), sample_rate)


def tom(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Tom: a sine at 95-230 Hz that falls less than a kick's, and a skin mode. Float32 (n_samples,)."""
    decay_s, end_hz = _log_uniform(rng, 0.06, 0.13), _log_uniform(rng, 95, 230)
    bend, sweep_s = rng.uniform(1.2, 1.8), _log_uniform(rng, 0.03, 0.09)
    skin, stick, drive = rng.uniform(0.1, 0.5), rng.uniform(0.02, 0.25), _log_uniform(rng, 0.3, 2.5)
    time = _time(decay_s, sample_rate)
    body = _sweep(time, end_hz * bend, end_hz, sweep_s) * np.exp(-time / decay_s)
    mode_hz = end_hz * rng.uniform(1.52, 1.66)
    body += skin * _sweep(time, mode_hz * bend, mode_hz, sweep_s) * np.exp(-2 * time / decay_s)
    noise = _noise(rng, len(time), sample_rate, 400, rng.uniform(2000, 5000))
    return _finish(rng, _drive(body, drive) + stick * noise * np.exp(-time / 0.008), sample_rate)


def snare(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Snare drum: two modes of the skin at 160-430 Hz under wide noise. Float32 (n_samples,)."""
    wire_s, skin_s = _log_uniform(rng, 0.04, 0.11), _log_uniform(rng, 0.02, 0.06)
    low_hz, ratio = _log_uniform(rng, 160, 240), rng.uniform(1.55, 1.8)
    wires, drive = rng.uniform(0.35, 0.8), _log_uniform(rng, 0.3, 3)
    time = _time(max(wire_s, skin_s), sample_rate)
    skin = _sweep(time, low_hz * 1.4, low_hz, 0.01)
    skin += 0.6 * _sweep(time, low_hz * ratio * 1.3, low_hz * ratio, 0.01)
    noise = _noise(
        rng, len(time), sample_rate, _log_uniform(rng, 900, 2500), rng.uniform(6000, 10_000)
    )
    mixed = (1 - wires) * skin * np.exp(-time / skin_s) + wires * noise * np.exp(-time / wire_s)
    return _finish(rng, _drive(mixed, drive), sample_rate)


def closed_hat(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Closed hi-hat: metal above 4-7 kHz, time constant 8-28 ms. Float32 (n_samples,)."""
    return _hat(rng, sample_rate, _log_uniform(rng, 0.008, 0.028))


def open_hat(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Open hi-hat: metal above 4-7 kHz, time constant 70-140 ms. Float32 (n_samples,)."""
    return _hat(rng, sample_rate, _log_uniform(rng, 0.07, 0.14))


def clap(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Hand clap: three to five bursts of noise around 1-2 kHz, then a tail. Float32 (n_samples,)."""
    n_bursts, spacing_s = int(rng.integers(3, 6)), rng.uniform(0.008, 0.014)
    burst_s, tail_s, tail = (
        rng.uniform(0.002, 0.005),
        _log_uniform(rng, 0.03, 0.1),
        rng.uniform(0.4, 0.9),
    )
    centre_hz, width = _log_uniform(rng, 1000, 1900), rng.uniform(1.3, 2.2)
    time = _time(tail_s, sample_rate)
    starts = spacing_s * (np.arange(n_bursts) + np.append(0, rng.uniform(-0.2, 0.2, n_bursts - 1)))
    since = time - starts[:, None]  # (n_bursts, n_samples), seconds since each burst
    envelope = np.where(since >= 0, np.exp(-np.maximum(since, 0) / burst_s), 0).max(axis=0)
    envelope += tail * np.where(since[-1] >= 0, np.exp(-np.maximum(since[-1], 0) / tail_s), 0)
    noise = _noise(rng, len(time), sample_rate, centre_hz / width, centre_hz * width)
    return _finish(rng, _drive(noise * envelope, _log_uniform(rng, 0.3, 2)), sample_rate)


def rim(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Rim shot: a click of two tones, 380-650 Hz and 1.4-2.6 kHz, gone within 0.1 s. Float32 (n_samples,)."""
    decay_s, low_hz, high_hz = (
        _log_uniform(rng, 0.005, 0.015),
        rng.uniform(380, 650),
        rng.uniform(1400, 2600),
    )
    balance, stick, drive = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.4), _log_uniform(rng, 0.5, 4)
    time = _time(decay_s, sample_rate)
    tones = balance * _sweep(time, low_hz, low_hz, 1) + (1 - balance) * _sweep(
        time, high_hz, high_hz, 1
    )
    noise = _noise(rng, len(time), sample_rate, 2000, rng.uniform(4000, 9000))
    body = _drive(tones * np.exp(-time / decay_s), drive)
    return _finish(rng, body + stick * noise * np.exp(-time / 0.002), sample_rate)


def cowbell(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Cowbell: two square waves a rough fifth apart, the lower at 430-680 Hz. Float32 (n_samples,)."""
    decay_s, low_hz = _log_uniform(rng, 0.05, 0.13), _log_uniform(rng, 430, 680)
    ratio = rng.uniform(1.42, 1.55)
    strike, strike_s = rng.uniform(0.5, 2), rng.uniform(0.006, 0.02)
    time = _time(decay_s, sample_rate)
    squares = _square(time, low_hz, 0.0) + rng.uniform(0.6, 1) * _square(time, low_hz * ratio, 0.0)
    tone = _band(squares, sample_rate, low_hz * rng.uniform(0.6, 1.2), low_hz * rng.uniform(3, 8))
    envelope = np.exp(-time / decay_s) + strike * np.exp(-time / strike_s)
    return _finish(rng, _drive(tone * envelope, _log_uniform(rng, 0.2, 1.5)), sample_rate)


VOICES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "kick": kick,
    "snare": snare,
    "closed_hat": closed_hat,
    "open_hat": open_hat,
    "clap": clap,
    "tom": tom,
    "rim": rim,
    "cowbell": cowbell,
}


def make_clip(voice: str, index: int, seed: int, sample_rate: int) -> np.ndarray:
    """One sound of a class, float32 of shape (n_samples,), 0.1 to 0.95 s long, peak at most 0.99.

    The same voice, index, seed and rate (in hertz) give the same samples, whatever was made before.
    Raises ConfigError (a ValueError) for an unknown voice or a rate or number out of range.
    """
    if voice not in VOICES:
        raise ConfigError(f"voice must be one of {', '.join(VOICES)}; got {voice!r}")
    _check_at_least("index", index, 0)
    _check_at_least("seed", seed, 0)
    _check_at_least("sample_rate", sample_rate, MIN_SAMPLE_RATE)
    rng = np.random.default_rng([seed, list(VOICES).index(voice), index])
    return VOICES[voice](rng, sample_rate)


def make_kit(
    folder: Path,
    n_clips: int = 2000,
    seed: int = 0,
    sample_rate: int = 22_050,
    progress: Callable | None = None,
) -> Path:
    """Write n_clips sounds, split evenly, as folder/<class>/<class>_0000.wav; returns the folder.

    A finished kit of the same settings is kept; another, or an unfinished one, is made again, and of its
    files only those named like the kit's own are removed. progress wraps an iterable and takes total=, like
    tqdm. Raises ConfigError (a ValueError) for fewer clips than classes or a rate below 8 000 Hz.
    """
    _check_at_least("n_clips", n_clips, len(VOICES))
    _check_at_least("seed", seed, 0)
    _check_at_least("sample_rate", sample_rate, MIN_SAMPLE_RATE)
    folder = Path(folder)
    settings = {
        "version": KIT_VERSION,
        "n_clips": n_clips,
        "seed": seed,
        "sample_rate": sample_rate,
    }
    jobs = [(voice, index) for voice, count in _split(n_clips).items() for index in range(count)]
    if _is_finished(folder, settings, jobs):
        return folder
    _remove_kit(folder)

    def write(job: tuple[str, int]) -> Path:
        return write_wav(_clip_path(folder, *job), make_clip(*job, seed, sample_rate), sample_rate)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(write, jobs)
        for _ in progress(written, total=n_clips) if progress else written:
            pass
    (folder / KIT_FILE).write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _hat(rng: np.random.Generator, sample_rate: int, decay_s: float) -> np.ndarray:
    time = _time(decay_s, sample_rate)
    base_hz, metal = _log_uniform(rng, 280, 520), rng.uniform(0.2, 0.9)
    phases = rng.uniform(0, 1, len(METAL_RATIOS))
    squares = sum(_square(time, base_hz * r, p) for r, p in zip(METAL_RATIOS, phases, strict=True))
    low_hz, high_hz = _log_uniform(rng, 4000, 7000), rng.uniform(8000, 14_000)
    tone = _band(squares, sample_rate, low_hz, high_hz)
    noise = _noise(rng, len(time), sample_rate, low_hz, high_hz)
    mixed = (metal * tone + (1 - metal) * noise) * np.exp(-time / decay_s)
    return _finish(rng, _drive(mixed, _log_uniform(rng, 0.3, 2)), sample_rate)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _time(decay_s: float, sample_rate: int) -> np.ndarray:
    """Seconds (n_samples,) until a sound of this time constant is 60 dB down; 0.1 to 0.95 in all."""
    duration_s = min(max(DECAY_60_DB * decay_s, MIN_DURATION_S), MAX_DURATION_S)
    return np.arange(round(duration_s * sample_rate)) / sample_rate


def _sweep(time: np.ndarray, start_hz: float, end_hz: float, sweep_s: float) -> np.ndarray:
    """A sine whose frequency falls from start to end with the time constant sweep_s."""
    return np.sin(
        2 * np.pi * (end_hz * time + (start_hz - end_hz) * sweep_s * (1 - np.exp(-time / sweep_s)))
    )


def _square(time: np.ndarray, hz: float, phase: float) -> np.ndarray:
    return np.where((time * hz + phase) % 1 < 0.5, 1.0, -1.0)


def _noise(
    rng: np.random.Generator, n_samples: int, sample_rate: int, low_hz: float, high_hz: float
) -> np.ndarray:
    return _band(rng.standard_normal(n_samples), sample_rate, low_hz, high_hz)


def _band(samples: np.ndarray, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """A steady sound without what is below low_hz and above high_hz (24 dB an octave), at a peak of 1."""
    low_hz = min(low_hz, 0.4 * sample_rate)  # something is left of a hat at a low rate
    hz = np.maximum(np.fft.rfftfreq(len(samples), 1 / sample_rate), 1e-3)
    gain = 1 / np.sqrt((1 + (low_hz / hz) ** 8) * (1 + (hz / high_hz) ** 8))
    filtered = np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))
    return filtered / np.abs(filtered).max()


def _drive(samples: np.ndarray, amount: float) -> np.ndarray:
    return np.tanh(amount * samples) / np.tanh(amount)


def _finish(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """No DC, ends faded, a peak drawn from -14 to -0.5 dB of full scale; float32 (n_samples,)."""
    n_in, n_out = round(0.0005 * sample_rate), len(samples) // 4
    samples = samples * np.minimum(1, np.arange(1, len(samples) + 1) / n_in)
    samples[-n_out:] *= np.cos(np.linspace(0, np.pi / 2, n_out)) ** 2
    shape = np.exp(-DECAY_60_DB * np.linspace(0, 1, len(samples))) * np.linspace(1, 0, len(samples))
    samples -= shape * samples.sum() / shape.sum()  # shaped like the sound: the end stays silent
    return (samples * 10 ** (rng.uniform(-14, -0.5) / 20) / np.abs(samples).max()).astype(
        np.float32
    )


def _check_at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _split(n_clips: int) -> dict[str, int]:
    share, extra = divmod(n_clips, len(VOICES))
    return {voice: share + (number < extra) for number, voice in enumerate(VOICES)}


def _clip_path(folder: Path, voice: str, index: int) -> Path:
    return folder / voice / f"{voice}_{index:04d}.wav"


def _is_finished(folder: Path, settings: dict, jobs: list[tuple[str, int]]) -> bool:
    try:
        found = json.loads((folder / KIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found == settings and all(_clip_path(folder, *job).is_file() for job in jobs)


def _remove_kit(folder: Path) -> None:
    (folder / KIT_FILE).unlink(missing_ok=True)
    for voice in VOICES:
        for path in (folder / voice).glob(f"{voice}_*.wav"):
            if re.fullmatch(rf"{voice}_\d{{4,}}\.wav", path.name):
                path.unlink()
