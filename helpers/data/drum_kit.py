"""A drum kit made by signal processing: eight classes, the same sounds for the same seed."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers.config import ConfigError
from helpers.progress import n_workers, tracked
from helpers.sound.audio_files import write_wav

KIT_FILE = "kit.json"  # written last: a folder that has it is finished
KIT_VERSION = 1  # raised when a voice changes, so that kits made before are made again
MIN_SAMPLE_RATE = 8_000
MIN_DURATION_S = 0.1
MAX_DURATION_S = 0.95  # the longest fits the 1.008 s clip of the smallest network
DECAY_60_DB = np.log(1000)  # time constants of an exponential until it is 60 dB down
METAL_RATIOS = (1.0, 1.48, 1.80, 2.55, 2.63, 3.90)  # square waves without a common pitch: a cymbal


class _Synth:
    """Random numbers and parts of sounds at one sample rate; a sound is (n_samples,)."""

    def __init__(self, rng: np.random.Generator, sample_rate: int):
        self.rng, self.uniform, self.sample_rate = rng, rng.uniform, sample_rate

    def log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.uniform(np.log(low), np.log(high))))

    def time(self, decay_s: float) -> np.ndarray:
        """Seconds (n_samples,) until a sound of this time constant is 60 dB down; 0.1 to 0.95 s."""
        duration_s = min(max(DECAY_60_DB * decay_s, MIN_DURATION_S), MAX_DURATION_S)
        return np.arange(round(duration_s * self.sample_rate)) / self.sample_rate

    def noise(self, n_samples: int, low_hz: float, high_hz: float) -> np.ndarray:
        return self.band(self.rng.standard_normal(n_samples), low_hz, high_hz)

    def band(self, samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
        """A sound without what is below low_hz and above high_hz (24 dB an octave), its peak 1."""
        low_hz = min(low_hz, 0.4 * self.sample_rate)  # something is left of a hat at a low rate
        hz = np.maximum(np.fft.rfftfreq(len(samples), 1 / self.sample_rate), 1e-3)
        gain = 1 / np.sqrt((1 + (low_hz / hz) ** 8) * (1 + (hz / high_hz) ** 8))
        filtered = np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))
        return filtered / np.abs(filtered).max()

    def finish(self, samples: np.ndarray) -> np.ndarray:
        """No DC, ends faded, a peak drawn from -14 to -0.5 dB of full scale; float32."""
        n_in = round(0.0005 * self.sample_rate)
        n_out = len(samples) // 4
        samples = samples * np.minimum(1, np.arange(1, len(samples) + 1) / n_in)
        samples[-n_out:] *= np.cos(np.linspace(0, np.pi / 2, n_out)) ** 2
        shape = np.exp(-DECAY_60_DB * np.linspace(0, 1, len(samples)))
        shape = shape * np.linspace(1, 0, len(samples))
        samples -= shape * samples.sum() / shape.sum()  # shaped like the sound: its end is silent
        peak = 10 ** (self.uniform(-14, -0.5) / 20)
        return (samples * peak / np.abs(samples).max()).astype(np.float32)


def _kick(synth: _Synth) -> np.ndarray:
    """Bass drum: a sine that falls to 42-62 Hz, driven, with a click."""
    decay_s = synth.log_uniform(0.04, 0.13)
    end_hz = synth.log_uniform(42, 62)
    start_hz = end_hz * synth.uniform(2.5, 6)
    sweep_s = synth.log_uniform(0.012, 0.045)
    click = synth.uniform(0, 0.5)
    drive = synth.log_uniform(0.3, 5)
    time = synth.time(decay_s)
    body = _sweep(time, start_hz, end_hz, sweep_s) * np.exp(-time / decay_s)
    noise = synth.noise(len(time), synth.uniform(800, 2500), 6000)
    return synth.finish(_drive(body, drive) + click * noise * np.exp(-time / 0.003))


def _tom(synth: _Synth) -> np.ndarray:
    """Tom: a sine at 95-230 Hz that falls less than a kick's, and a skin mode."""
    decay_s = synth.log_uniform(0.06, 0.13)
    end_hz = synth.log_uniform(95, 230)
    bend = synth.uniform(1.2, 1.8)
    sweep_s = synth.log_uniform(0.03, 0.09)
    skin = synth.uniform(0.1, 0.5)
    stick = synth.uniform(0.02, 0.25)
    drive = synth.log_uniform(0.3, 2.5)
    time = synth.time(decay_s)
    body = _sweep(time, end_hz * bend, end_hz, sweep_s) * np.exp(-time / decay_s)
    mode_hz = end_hz * synth.uniform(1.52, 1.66)
    body += skin * _sweep(time, mode_hz * bend, mode_hz, sweep_s) * np.exp(-2 * time / decay_s)
    noise = synth.noise(len(time), 400, synth.uniform(2000, 5000))
    return synth.finish(_drive(body, drive) + stick * noise * np.exp(-time / 0.008))


def _snare(synth: _Synth) -> np.ndarray:
    """Snare drum: two modes of the skin at 160-430 Hz under wide noise."""
    wire_s = synth.log_uniform(0.04, 0.11)
    skin_s = synth.log_uniform(0.02, 0.06)
    low_hz = synth.log_uniform(160, 240)
    ratio = synth.uniform(1.55, 1.8)
    wires = synth.uniform(0.35, 0.8)
    drive = synth.log_uniform(0.3, 3)
    time = synth.time(max(wire_s, skin_s))
    skin = _sweep(time, low_hz * 1.4, low_hz, 0.01)
    skin += 0.6 * _sweep(time, low_hz * ratio * 1.3, low_hz * ratio, 0.01)
    noise = synth.noise(len(time), synth.log_uniform(900, 2500), synth.uniform(6000, 10_000))
    mixed = (1 - wires) * skin * np.exp(-time / skin_s) + wires * noise * np.exp(-time / wire_s)
    return synth.finish(_drive(mixed, drive))


def _hat(synth: _Synth, decay_s: float) -> np.ndarray:
    """Hi-hat: metal above 4-7 kHz."""
    time = synth.time(decay_s)
    base_hz = synth.log_uniform(280, 520)
    metal = synth.uniform(0.2, 0.9)
    phases = synth.uniform(0, 1, len(METAL_RATIOS))
    squares = sum(_square(time, base_hz * r, p) for r, p in zip(METAL_RATIOS, phases, strict=True))
    low_hz = synth.log_uniform(4000, 7000)
    high_hz = synth.uniform(8000, 14_000)
    tone = synth.band(squares, low_hz, high_hz)
    noise = synth.noise(len(time), low_hz, high_hz)
    mixed = (metal * tone + (1 - metal) * noise) * np.exp(-time / decay_s)
    return synth.finish(_drive(mixed, synth.log_uniform(0.3, 2)))


def _clap(synth: _Synth) -> np.ndarray:
    """Hand clap: three to five bursts of noise around 1-2 kHz, then a tail."""
    n_bursts = int(synth.rng.integers(3, 6))
    spacing_s = synth.uniform(0.008, 0.014)
    burst_s = synth.uniform(0.002, 0.005)
    tail_s = synth.log_uniform(0.03, 0.1)
    tail = synth.uniform(0.4, 0.9)
    centre_hz = synth.log_uniform(1000, 1900)
    width = synth.uniform(1.3, 2.2)
    time = synth.time(tail_s)
    moved = np.append(0, synth.uniform(-0.2, 0.2, n_bursts - 1))
    starts = spacing_s * (np.arange(n_bursts) + moved)
    since = time - starts[:, None]  # (n_bursts, n_samples), seconds since each burst
    envelope = np.where(since >= 0, np.exp(-np.maximum(since, 0) / burst_s), 0).max(axis=0)
    envelope += tail * np.where(since[-1] >= 0, np.exp(-np.maximum(since[-1], 0) / tail_s), 0)
    noise = synth.noise(len(time), centre_hz / width, centre_hz * width)
    return synth.finish(_drive(noise * envelope, synth.log_uniform(0.3, 2)))


def _rim(synth: _Synth) -> np.ndarray:
    """Rim shot: a click of tones at 380-650 Hz and 1.4-2.6 kHz, gone in 0.1 s."""
    decay_s = synth.log_uniform(0.005, 0.015)
    low_hz = synth.uniform(380, 650)
    high_hz = synth.uniform(1400, 2600)
    balance = synth.uniform(0.3, 0.7)
    stick = synth.uniform(0.05, 0.4)
    drive = synth.log_uniform(0.5, 4)
    time = synth.time(decay_s)
    tones = balance * _sweep(time, low_hz, low_hz, 1)
    tones = tones + (1 - balance) * _sweep(time, high_hz, high_hz, 1)
    noise = synth.noise(len(time), 2000, synth.uniform(4000, 9000))
    body = _drive(tones * np.exp(-time / decay_s), drive)
    return synth.finish(body + stick * noise * np.exp(-time / 0.002))


def _cowbell(synth: _Synth) -> np.ndarray:
    """Cowbell: two square waves a rough fifth apart, the lower at 430-680 Hz."""
    decay_s = synth.log_uniform(0.05, 0.13)
    low_hz = synth.log_uniform(430, 680)
    ratio = synth.uniform(1.42, 1.55)
    strike = synth.uniform(0.5, 2)
    strike_s = synth.uniform(0.006, 0.02)
    time = synth.time(decay_s)
    squares = _square(time, low_hz, 0.0)
    squares = squares + synth.uniform(0.6, 1) * _square(time, low_hz * ratio, 0.0)
    tone = synth.band(squares, low_hz * synth.uniform(0.6, 1.2), low_hz * synth.uniform(3, 8))
    envelope = np.exp(-time / decay_s) + strike * np.exp(-time / strike_s)
    return synth.finish(_drive(tone * envelope, synth.log_uniform(0.2, 1.5)))


VOICES: dict[str, Callable[[_Synth], np.ndarray]] = {
    "kick": _kick,
    "snare": _snare,
    "closed_hat": lambda synth: _hat(synth, synth.log_uniform(0.008, 0.028)),
    "open_hat": lambda synth: _hat(synth, synth.log_uniform(0.07, 0.14)),
    "clap": _clap,
    "tom": _tom,
    "rim": _rim,
    "cowbell": _cowbell,
}


def make_clip(voice: str, index: int, seed: int, sample_rate: int) -> np.ndarray:
    """One sound of a class, float32 (n_samples,), 0.1 to 0.95 s long, its peak at most 0.99.

    The same voice, index, seed and rate (in hertz) give the same samples, whatever was made
    before. Raises ConfigError for an unknown voice, or a rate or number out of range.
    """
    if voice not in VOICES:
        raise ConfigError(f"voice must be one of {', '.join(VOICES)}; got {voice!r}")
    _check_at_least(0, index=index, seed=seed)
    _check_at_least(MIN_SAMPLE_RATE, sample_rate=sample_rate)
    rng = np.random.default_rng([seed, list(VOICES).index(voice), index])
    return VOICES[voice](_Synth(rng, sample_rate))


def make_kit(
    folder: Path,
    n_clips: int = 2000,
    seed: int = 0,
    sample_rate: int = 22_050,
    progress: Callable | None = None,
) -> Path:
    """Write n_clips sounds, split evenly, as folder/<class>/<class>_0000.wav; returns the folder.

    A finished kit of the same settings is kept. Another kit, or an unfinished one, is made again;
    of its files only those named like the kit's own are removed. Raises ConfigError for fewer
    clips than classes or a rate below 8 000 Hz.
    """
    _check_at_least(len(VOICES), n_clips=n_clips)
    _check_at_least(0, seed=seed)
    _check_at_least(MIN_SAMPLE_RATE, sample_rate=sample_rate)
    settings = {"version": KIT_VERSION, "n_clips": n_clips, "seed": seed}
    settings["sample_rate"] = sample_rate
    share, extra = divmod(n_clips, len(VOICES))
    counts = {voice: share + (number < extra) for number, voice in enumerate(VOICES)}
    jobs = [(voice, index) for voice, count in counts.items() for index in range(count)]
    paths = [folder / voice / f"{voice}_{index:04d}.wav" for voice, index in jobs]
    if _read_settings(folder) == settings and all(path.is_file() for path in paths):
        return folder
    (folder / KIT_FILE).unlink(missing_ok=True)
    for voice in VOICES:
        for path in (folder / voice).glob(f"{voice}_*.wav"):
            if re.fullmatch(rf"{voice}_\d{{4,}}\.wav", path.name):
                path.unlink()

    def write(path: Path, job: tuple[str, int]) -> Path:
        return write_wav(path, make_clip(*job, seed, sample_rate), sample_rate)

    with ThreadPoolExecutor(n_workers()) as pool:
        for _ in tracked(progress, pool.map(write, paths, jobs), n_clips, "making the drum kit"):
            pass
    (folder / KIT_FILE).write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _sweep(time: np.ndarray, start_hz: float, end_hz: float, sweep_s: float) -> np.ndarray:
    """A sine whose frequency falls from start to end with the time constant sweep_s."""
    fallen = (start_hz - end_hz) * sweep_s * (1 - np.exp(-time / sweep_s))
    return np.sin(2 * np.pi * (end_hz * time + fallen))


def _square(time: np.ndarray, hz: float, phase: float) -> np.ndarray:
    return np.where((time * hz + phase) % 1 < 0.5, 1.0, -1.0)


def _drive(samples: np.ndarray, amount: float) -> np.ndarray:
    return np.tanh(amount * samples) / np.tanh(amount)


def _check_at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _read_settings(folder: Path) -> dict | None:
    try:
        return json.loads((folder / KIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
