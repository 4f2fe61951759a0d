"""What defines a run: sound, networks, training and data, as frozen dataclasses and presets.

The limits of settings stand here; `run.settings` takes the notebooks' ranges from them.
"""

import dataclasses
import hashlib
import json
import math
import os
import reprlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from helpers.config_json import ConfigError, from_dict, read_object, to_json

SLICING = ("auto", "yes", "no")
CHANNELS = ("mix", "loudest")
LEVELS = ("as is", "even")
AUGMENTATIONS = ("shift", "gain", "cutout")
UPSAMPLINGS = ("transposed", "filtered")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
AUDIO_LIMITS = {
    "sample_rate": 192_000,
    "n_fft": 16_384,
    "hop_length": 8_192,
    "n_mels": 1_024,
    "n_frames": 8_192,
}
SMALLEST_BATCH, LARGEST_BATCH = 2, 65_536  # batch statistics need two clips
MAX_NETWORK_WIDTH = 4_096  # of a network's latents, channels and embeddings
MAX_CLASSES = 10_000
MOST_CHANNELS = 1_024  # of a stage of the modern networks
MAX_NAME_BYTES = 255  # of a folder's name, on nearly every disk


def _require(fits: bool, rule: str, value) -> None:
    if not fits:
        raise ConfigError(f"{rule}, got {value!r}")


def _check_choice(name: str, value, choices: tuple) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


@dataclass(frozen=True)
class AudioConfig:
    """From waveform to the spectrogram that a network sees; the defaults make clips of 5.9 s."""

    sample_rate: int = 22_050
    n_fft: int = 1024
    hop_length: int = 256  # a quarter of the window: Griffin-Lim needs that much overlap
    n_mels: int = 128
    n_frames: int = 512
    f_min_hz: float = 0.0
    mel_scale: str = "slaney"  # "htk" has bands narrower than a bin at 513 bins and 128 mels
    mel_norm: str = "slaney"  # "slaney" (unit area) or "none"
    power: float = 1.0  # 1: magnitude, which inverts better; 2: power
    compression: str = "log"  # "log": log(max(mel, floor)); "log1p": log(1 + mel)
    floor: float = 1e-4  # magnitude mel taken for silence; some 95 dB below a full-scale sine
    normalisation: str = "per_bin"  # by data-set statistics; "per_clip": each clip to [-1, 1]

    def __post_init__(self):
        for name, most in AUDIO_LIMITS.items():
            value = getattr(self, name)
            fits = isinstance(value, int) and 0 < value <= most
            _require(fits, f"{name} must be a whole number from 1 to {most}", value)
        for name in ("n_mels", "n_frames"):
            value = getattr(self, name)
            nearest = max(16, round(value / 16) * 16)
            why = f"the networks double a small map four times; try {nearest}"
            _require(value % 16 == 0, f"{name} must be divisible by 16 ({why})", value)
        half = f"hop_length must be at most half of n_fft ({self.n_fft}) to be inverted"
        _require(self.hop_length <= self.n_fft // 2, half, self.hop_length)
        _check_choice("mel_scale", self.mel_scale, ("slaney", "htk"))
        _check_choice("mel_norm", self.mel_norm, ("slaney", "none"))
        _check_choice("compression", self.compression, ("log", "log1p"))
        _check_choice("normalisation", self.normalisation, ("per_bin", "per_clip"))
        _check_choice("power", self.power, (1.0, 2.0))
        band = f"f_min_hz must lie in 0 to {self.f_max_hz}"
        _require(0 <= self.f_min_hz < self.f_max_hz, band, self.f_min_hz)
        _require(0 < self.floor < 1, "floor must lie between 0 and 1", self.floor)

    n_freqs = property(lambda self: self.n_fft // 2 + 1)
    f_max_hz = property(lambda self: self.sample_rate / 2)
    # A centred STFT of so many samples has exactly n_frames frames.
    clip_samples = property(lambda self: (self.n_frames - 1) * self.hop_length)
    duration_s = property(lambda self: self.clip_samples / self.sample_rate)

    @property
    def floor_value(self) -> float:
        """The value of silence after compression."""
        return math.log(self.floor) if self.compression == "log" else 0.0

    def fit_sample_rate(self, source_rate: int) -> "AudioConfig":
        """Halve rate, window and hop as often as recordings at source_rate (hertz) lose nothing.

        A clip keeps its duration and its picture; no band shows frequencies that are not there.
        """
        fitted = self
        while source_rate <= fitted.sample_rate / 2 and fitted.n_fft >= 256:
            names = ("sample_rate", "n_fft", "hop_length")
            halved = {name: getattr(fitted, name) // 2 for name in names}
            fitted = dataclasses.replace(fitted, **halved)
        return fitted


@dataclass(frozen=True)
class ModelConfig:
    """A generator and a discriminator; the audio geometry and the classes give their shapes."""

    recipe: str = "modern"
    z_dim: int = 128
    generator_width: int = 16  # channels of the finest stage, doubled at each coarser
    upsampling: str = "transposed"  # of `modern`; so in files without this field
    discriminator_width: int = 24
    embedding_dim: int = 64  # of the class, in the modern generator
    spectral_norm: bool = False  # baseline discriminator only: short runs start slowly with it

    def __post_init__(self):
        _check_choice("recipe", self.recipe, ("baseline", "modern"))
        _check_choice("upsampling", self.upsampling, UPSAMPLINGS)
        for name in ("z_dim", "generator_width", "discriminator_width", "embedding_dim"):
            value, rule = getattr(self, name), f"{name} must be from 1 to {MAX_NETWORK_WIDTH}"
            _require(1 <= value <= MAX_NETWORK_WIDTH, rule, value)


@dataclass(frozen=True)
class TrainConfig:
    """How generator and discriminator are updated. When a run stops is no part of it."""

    batch_size: int = 16  # a step takes 0.6 of that with 32; no worse in equal time (one seed)
    learning_rate_g: float = 5e-4
    learning_rate_d: float = 1e-3
    beta1: float = 0.0  # no momentum against an opponent that moves
    beta2: float = 0.99
    class_weight: float = 0.05  # of the class loss in the generator's loss; 0: no class head
    r1_gamma: float = 0.5
    r1_every: int = 16  # lazy regularisation: the penalty at every 16th step, 16 times as strong
    ema_half_life_images: int = 10_000  # of the averaged generator, less at first; 0: no average
    augmentations: tuple[str, ...] = AUGMENTATIONS
    class_balanced: bool = True
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self):
        _check_choice("precision", self.precision, PRECISIONS)
        fits = SMALLEST_BATCH <= self.batch_size <= LARGEST_BATCH
        batch = f"at least {SMALLEST_BATCH} (batch statistics need it) and at most {LARGEST_BATCH}"
        _require(fits, f"batch_size must be {batch}", self.batch_size)
        rule = "must lie between 0 and 1"
        _require(0 <= self.beta1 < 1, f"beta1 {rule}", self.beta1)
        _require(0 <= self.beta2 < 1, f"beta2 {rule}", self.beta2)
        _require(0 < self.learning_rate_g < 1, f"learning_rate_g {rule}", self.learning_rate_g)
        _require(0 < self.learning_rate_d < 1, f"learning_rate_d {rule}", self.learning_rate_d)
        _require(0 <= self.seed < 2**32, f"seed must be from 0 to {2**32 - 1}", self.seed)
        _require(self.r1_every >= 1, "r1_every must be at least 1", self.r1_every)
        for name in self.augmentations:
            _check_choice("augmentations", name, AUGMENTATIONS)
        object.__setattr__(self, "augmentations", tuple(self.augmentations))  # JSON has lists


@dataclass(frozen=True)
class DataConfig:
    """Which recordings, and how they become clips."""

    source: str = "kit"
    kit_clips: int = 2_000  # how many the built-in kit makes
    stage: bool = False  # copy the recordings to the local disk first, as from a mounted drive
    labels: str = "auto"  # how files get their classes; see data/labelling.py
    slice_long: str = "auto"  # several clips of a long recording: yes, no, or in small classes
    lead_s: float = 0.02  # a clip of a long recording begins so much before its sound
    channels: str = "mix"  # of several channels: their mean, or the "loudest" one
    level: str = "as is"  # of clips; "even": all equally loud
    silence_db: float = -60.0  # RMS below this, of full scale, is silence
    min_duration_s: float = 0.05
    max_clips_per_class: int = 0  # 0: all
    holdout: str = ""  # glob of the names of test files; "": a seventh, chosen by content
    digest: str = ""  # of the files, filled in by the audit

    def __post_init__(self):
        for name, choices in (("slice_long", SLICING), ("channels", CHANNELS), ("level", LEVELS)):
            _check_choice(name, getattr(self, name), choices)
        _require(0 <= self.lead_s <= 10, "lead_s must be from 0 to 10 seconds", self.lead_s)


@dataclass(frozen=True)
class RunConfig:
    """Everything that made a run; `config.json` in its folder."""

    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    classes: tuple[str, ...] = ()
    versions: dict = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of config.json, in ASCII so that any folder's name survives."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read what `to_json` wrote; a part that is missing takes its defaults.

        Raises ConfigError that names what is damaged, unknown or out of range.
        """
        values = read_object(text, "config.json")
        for name, kind, word in (("classes", list, "a list"), ("versions", dict, "an object")):
            if not isinstance(values.get(name, kind()), kind):
                got = reprlib.repr(values[name])
                raise ConfigError(f"config.json must hold {word} of {name}, got {got}")
        return cls(
            audio=from_dict(AudioConfig, values.get("audio", {})),
            model=from_dict(ModelConfig, values.get("model", {})),
            train=from_dict(TrainConfig, values.get("train", {})),
            data=from_dict(DataConfig, values.get("data", {})),
            classes=check_classes(values.get("classes", ())),
            versions=values.get("versions", {}),
        )


PRESETS = {
    "long": AudioConfig(sample_rate=44_100, n_fft=2048, hop_length=512),
    "short": AudioConfig(sample_rate=44_100, n_fft=2048, hop_length=512, n_frames=128),
    "cpu": AudioConfig(sample_rate=16_000, n_mels=64, n_frames=64),
}
SIZES = {"small": (16, 24), "medium": (32, 48), "large": (64, 96)}  # widths of the two networks
RECIPES = {
    "modern": {"audio": {}, "model": ModelConfig(upsampling="filtered"), "train": TrainConfig()},
    "baseline": {
        "audio": {
            "mel_norm": "none",
            "power": 2.0,
            "compression": "log1p",
            "normalisation": "per_clip",
        },
        "model": ModelConfig(recipe="baseline", z_dim=100),
        "train": TrainConfig(
            batch_size=32,
            learning_rate_g=2e-4,  # Adam's settings of DCGAN (Radford et al. 2016)
            learning_rate_d=2e-4,
            beta1=0.5,
            beta2=0.999,
            class_weight=0.0,
            r1_gamma=0.0,
            ema_half_life_images=0,
            augmentations=(),
            class_balanced=False,
        ),
    },
}


def make_config(
    preset: str = "cpu", recipe: str = "modern", size: str = "small", **audio_fields: float
) -> RunConfig:
    """A run's configuration from the names of a preset, a recipe and a size of its networks.

    audio_fields replace the preset's own. Raises ConfigError for an unknown name, for another size
    than small with the baseline recipe, or for a geometry that cannot work.

    >>> make_config("long", n_frames=256).audio.n_mels
    128
    """
    _check_choice("preset", preset, tuple(PRESETS))
    _check_choice("recipe", recipe, tuple(RECIPES))
    _check_choice("size", size, tuple(SIZES))
    chosen = RECIPES[recipe]
    model = chosen["model"]
    if size != "small":
        _require(recipe == "modern", f"the {recipe} recipe has one size, small", size)
        widths = {"generator_width": SIZES[size][0], "discriminator_width": SIZES[size][1]}
        model = dataclasses.replace(model, **widths)
    audio = dataclasses.replace(PRESETS[preset], **{**chosen["audio"], **audio_fields})
    return RunConfig(audio, model, chosen["train"])


def check_classes(names) -> tuple[str, ...]:
    """The names of classes, if each can be a folder's name and none occurs twice.

    Classes come from folders, and sounds are written to folders of these names: a name like ../x
    would lead out of a run's folder. Raises ConfigError.
    """
    if len(names) > MAX_CLASSES:
        raise ConfigError(f"there can be {MAX_CLASSES} classes, got {len(names)}")
    for name in names:
        try:
            fits = name not in ("", ".", "..") and Path(name).name == name and "\0" not in name
            fits = fits and len(os.fsencode(name)) <= MAX_NAME_BYTES
        except (TypeError, UnicodeEncodeError):  # no text; or half of a character, as no disk has
            fits = False
        if not fits:
            raise ConfigError(f"a class must have the name of a folder, got {reprlib.repr(name)}")
    for name, n in Counter(names).most_common(1):
        if n > 1:
            raise ConfigError(f"{n} classes have the name {reprlib.repr(name)}")
    return tuple(names)


def checkpoint_identity(config: RunConfig) -> dict:
    """The settings, classes and recordings of a checkpoint, as plain values."""
    parts = {
        name: json.loads(to_json(getattr(config, name))) for name in ("audio", "model", "train")
    }
    return parts | {"classes": list(config.classes), "data": {"digest": config.data.digest}}


def digest_of(*parts: str) -> str:
    """Twelve hexadecimal digits that name these texts: keys of caches and data."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
