"""Variety by ear: how far the sounds of a class spread in pitch, brightness, length and onset.

No judge and no network: each trait is measured in the waveform, in units that one hears. And of
classes that are noise, such as hats or rain: whether theirs flutters as noise does.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from helpers.data.clips import ClipCache
from helpers.gan.generate import draw_latents, generate_sounds
from helpers.gan.generator_file import SoundGenerator
from helpers.judge.noise import NOISE, measure_flutter
from helpers.labels import choose_evenly
from helpers.sound.inversion import MelInverter

LOWEST_HZ, HIGHEST_HZ = 50.0, 2_000.0  # of a pitch
PITCH_FRAMES = 8  # of a sound, spread over its loud part
PITCHED = 0.15  # YIN's threshold: below this, a frame repeats itself
BLOCK_S = 0.01
LOUD_DB, AUDIBLE_DB = 20, 40  # below a sound's loudest block: it has begun; it is over
SPAN = (0.1, 0.9)  # quantiles: one odd sound does not make a class varied
MUCH_LESS = 0.5  # a span below this share of the recordings' is worth a word
HALF_TONES = 12  # of an octave
FEWEST_OF_CLASS, SOUNDS_OF_CLASS, MOST_SOUNDS = 10, 40, 240
MUCH_STEADIER = 0.75  # a flutter below this share of the recordings' is worth a word
TRAITS = {"pitch": "half-tones", "brightness": "half-tones", "length": "ms", "onset": "ms"}

Traits = dict[str, Tensor]


def measure_variety(
    generator: SoundGenerator, inverter: MelInverter, clips: ClipCache, seed: int = 0
) -> list[dict]:
    """The rows of `compare_variety` for recordings of each class and as many sounds of a generator.

    Of many classes some are measured, chosen evenly. clips are recordings of the generator's
    classes, rate and length. Raises AudioError if a file is gone.
    """
    measured = choose_evenly(len(clips.classes), MOST_SOUNDS // FEWEST_OF_CLASS).tolist()
    per_class = min(SOUNDS_OF_CLASS, MOST_SOUNDS // len(measured))
    members = [np.flatnonzero(clips.labels == label) for label in measured]
    chosen = np.concatenate([own[choose_evenly(len(own), per_class)] for own in members])
    real = torch.from_numpy(np.stack([clips.waveform(clip) for clip in chosen]))
    labels = torch.from_numpy(clips.labels[chosen])
    z = draw_latents(len(labels), generator.model.z_dim, seed)
    made = torch.as_tensor(generate_sounds(generator, z, labels, inverter).waveforms)
    rate = generator.audio.sample_rate
    ours, theirs = (measure_traits(sounds, rate) for sounds in (made, real))
    rows = compare_variety(ours, labels, theirs, labels, clips.classes)
    flutter, flutter_real = (measure_flutter(sounds, rate)[0] for sounds in (made, real))
    for row in rows:
        of_class = labels == clips.classes.index(row["class"])
        own, own_real = (float(x[of_class].nanmedian()) for x in (flutter, flutter_real))
        if NOISE[0] <= own_real <= NOISE[1] and math.isfinite(own):
            row |= {"flutter": own, "flutter of recordings": own_real}
    return rows


def measure_traits(waveforms: Tensor, sample_rate: int) -> Traits:
    """The traits of sounds (N, n): each (N,), NaN where a sound has none.

    pitch and brightness (the centroid of the spectrum) are in half-tones above LOWEST_HZ, length
    and onset in milliseconds. A sound is as long as it is within AUDIBLE_DB of its loudest block.
    """
    size = max(1, round(BLOCK_S * sample_rate))
    blocks = waveforms[:, : waveforms.shape[1] // size * size].unflatten(1, (-1, size))
    energy = blocks.square().mean(dim=2)  # (N, n_blocks)
    loudest = energy.amax(dim=1, keepdim=True)
    silent = loudest[:, 0] <= 0
    loud, audible = (energy >= loudest * 10 ** (-db / 10) for db in (LOUD_DB, AUDIBLE_DB))
    first, last = loud.int().argmax(dim=1), audible.shape[1] - audible.flip(1).int().argmax(dim=1)
    last_loud = loud.shape[1] - loud.flip(1).int().argmax(dim=1)
    found = {
        "pitch": _half_tones(_pitch_hz(waveforms, first * size, last_loud * size, sample_rate)),
        "brightness": _half_tones(_centroid_hz(waveforms, sample_rate)),
        "length": 1_000 * BLOCK_S * (last - first).float(),
        "onset": 1_000 * BLOCK_S * first.float(),
    }
    return {name: values.masked_fill(silent, math.nan) for name, values in found.items()}


def spans(traits: Traits) -> dict[str, float]:
    """From which to which quantile the values of each trait reach; NaN where fewer than two do."""
    found = {}
    for name, values in traits.items():
        values = values[values.isfinite()]
        low, high = torch.quantile(values, torch.tensor(SPAN)) if len(values) > 1 else (0, math.nan)
        found[name] = float(high - low)
    return found


def compare_variety(
    made: Traits, made_labels: Tensor, real: Traits, real_labels: Tensor, classes: Sequence[str]
) -> list[dict]:
    """A row for each class: the span of each trait, of made sounds and of recordings.

    A pitch counts where at least half of the class's recordings have one. A span that is not known
    is left out.
    """
    rows = []
    for label, name in enumerate(classes):
        ours, theirs = (
            {trait: values[labels == label] for trait, values in traits.items()}
            for traits, labels in ((made, made_labels), (real, real_labels))
        )
        if not len(ours["pitch"]) or not len(theirs["pitch"]):
            continue
        row = {"class": name}
        own, own_real = spans(ours), spans(theirs)
        if theirs["pitch"].isfinite().float().mean() < 0.5:
            own["pitch"] = own_real["pitch"] = math.nan
        for trait in TRAITS:
            both = {trait: own[trait], f"{trait} of recordings": own_real[trait]}
            row |= {what: span for what, span in both.items() if math.isfinite(span)}
        rows.append(row)
    return rows


def variety_in_words(rows: Sequence[dict], most: int = 4) -> list[str]:
    """A sentence for each trait that varies much less than in the recordings, the worst first.

    And one for each class whose noise is steadier than its recordings'.
    """
    found = []
    for row in rows:
        flutter, real = row.get("flutter", math.nan), row.get("flutter of recordings", math.nan)
        if flutter < MUCH_STEADIER * real:
            words = (
                f"{row['class']!r}: its noise flutters {flutter:.2f} as much as white noise, the"
            )
            found.append((flutter / real, f"{words} recordings' {real:.2f}"))
        for trait, unit in TRAITS.items():
            own, real = (row.get(what, math.nan) for what in (trait, f"{trait} of recordings"))
            least = 1.0 if unit == "half-tones" else 2_000 * BLOCK_S  # what can be heard at all
            if real >= least and not own >= MUCH_LESS * real:  # NaN: the made sounds have none
                if math.isnan(own):
                    words = f"{row['class']!r}: the recordings have a {trait}, its sounds do not"
                else:
                    words = f"{row['class']!r}: {trait} spans {own:.0f} {unit}, the recordings'"
                    words += f" {real:.0f}"
                found.append((0.0 if math.isnan(own) else own / real, words))
    return [words for _, words in sorted(found)[:most]]


def _half_tones(hertz: Tensor) -> Tensor:
    return HALF_TONES * torch.log2(hertz / LOWEST_HZ)


def _centroid_hz(waveforms: Tensor, sample_rate: int) -> Tensor:
    """The mean frequency (N,) of sounds (N, n), weighted by magnitude."""
    magnitudes = torch.fft.rfft(waveforms).abs()
    hertz = torch.linspace(0, sample_rate / 2, magnitudes.shape[1])
    return (magnitudes @ hertz) / magnitudes.sum(dim=1)


def _pitch_hz(waveforms: Tensor, start: Tensor, end: Tensor, sample_rate: int) -> Tensor:
    """The pitch (N,) of sounds (N, n) between two samples: the median of that of some frames.

    YIN (de Cheveigné and Kawahara 2002, steps 1 to 5). NaN where less than half of the frames have
    one, or a sound is too short for one.
    """
    longest, shortest = (math.ceil(sample_rate / hertz) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    size = 2 * longest
    n_samples = waveforms.shape[1]
    if n_samples < size:
        return torch.full((len(waveforms),), math.nan)
    begin = start.clamp(max=n_samples - size)  # of the first frame, and of the last one
    final = (end - size).clamp(max=n_samples - size).maximum(begin)
    at = begin[:, None] + (final - begin)[:, None] * torch.linspace(0, 1, PITCH_FRAMES)
    samples = at.long()[..., None] + torch.arange(size)  # (N, frames, size)
    frames = waveforms[torch.arange(len(waveforms))[:, None, None], samples]
    lag = _yin_lags(frames.flatten(0, 1).double(), shortest, longest).unflatten(0, at.shape)
    pitched = lag.isfinite().float().mean(dim=1) >= 0.5
    return (sample_rate / lag).nanmedian(dim=1).values.where(pitched, math.nan).float()


def _yin_lags(frames: Tensor, shortest: int, longest: int) -> Tensor:
    """The lag (M,) at which each frame (M, 2 · longest) repeats itself; NaN where it does not."""
    half = frames[:, :longest]
    spectrum = torch.fft.rfft(frames, 2 * frames.shape[1])
    product = torch.fft.irfft(torch.fft.rfft(half, 2 * frames.shape[1]).conj() * spectrum)
    energy = torch.nn.functional.pad(frames.square().cumsum(dim=1), (1, 0))
    moving = energy[:, longest:-1] - energy[:, :longest]  # of `longest` samples from each lag on
    difference = (moving[:, :1] + moving - 2 * product[:, :longest]).clamp(min=0)
    lags = torch.arange(longest)
    normed = difference * lags / difference.cumsum(dim=1).clamp(min=1e-12)
    normed[:, 0] = 1
    inner = normed[:, 1:-1]
    dips = (inner < PITCHED) & (inner <= normed[:, :-2]) & (inner < normed[:, 2:])
    dips[:, : max(0, shortest - 1)] = False
    first = dips.int().argmax(dim=1) + 1  # of the smallest lag that is one
    before, here, after = (normed.gather(1, (first + step)[:, None])[:, 0] for step in (-1, 0, 1))
    curve = before - 2 * here + after
    shift = torch.where(curve > 0, (before - after) / (2 * curve), torch.zeros_like(curve))
    return (first + shift).where(dips.any(dim=1), math.nan)
