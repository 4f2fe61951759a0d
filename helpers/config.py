"""What defines a run: audio geometry, model, training and data, as frozen dataclasses and named presets."""

import dataclasses
import hashlib
import json
import math
import os
import reprlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_type_hints


class ConfigError(ValueError):
    """A setting that cannot work; the message says which, what was expected and what to do."""


def _check_choice(name: str, value, choices: tuple) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


AUGMENTATIONS = ("shift", "gain", "cutout")
AUDIO_LIMITS = {
    "sample_rate": 192_000,
    "n_fft": 16_384,
    "hop_length": 8_192,
    "n_mels": 1_024,
    "n_frames": 8_192,
}
LARGEST_BATCH = 65_536
MAX_NETWORK_WIDTH = 4_096  # of a network's latents, channels and embeddings
MAX_CLASSES = 10_000
MAX_NAME_BYTES = 255  # bytes of a folder's name, of nearly every disk


@dataclass(frozen=True)
class AudioConfig:
    """From waveform to the spectrogram a network sees; the defaults are the long geometry, 5.9 s."""

    sample_rate: int = 22_050
    n_fft: int = 1024
    hop_length: int = (
        256  # a quarter of the window: what Griffin-Lim needs to find a consistent phase
    )
    n_mels: int = 128
    n_frames: int = 512
    f_min_hz: float = 0.0
    mel_scale: str = "slaney"  # "htk" has bands narrower than a bin at 513 bins and 128 mels
    mel_norm: str = "slaney"  # "slaney" (unit area) or "none"
    power: float = 1.0  # 1: magnitude, which inverts better; 2: power
    compression: str = "log"  # "log": log(max(mel, floor)); "log1p": log(1 + mel)
    floor: float = 1e-4  # magnitude mel taken for silence; some 95 dB below a full-scale sine
    normalisation: str = (
        "per_bin"  # "per_bin": data-set statistics; "per_clip": each clip to [-1, 1]
    )

    def __post_init__(self):
        for name, most in AUDIO_LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 < value <= most:
                raise ConfigError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
        for name in ("n_mels", "n_frames"):
            if getattr(self, name) % 16:
                nearest = max(16, round(getattr(self, name) / 16) * 16)
                raise ConfigError(
                    f"{name} must be divisible by 16 (the networks double a small map four times), "
                    f"got {getattr(self, name)}; try {nearest}"
                )
        if self.hop_length > self.n_fft // 2:
            raise ConfigError(
                f"hop_length must be at most half of n_fft ({self.n_fft}) to be inverted, got {self.hop_length}"
            )
        _check_choice("mel_scale", self.mel_scale, ("slaney", "htk"))
        _check_choice("mel_norm", self.mel_norm, ("slaney", "none"))
        _check_choice("compression", self.compression, ("log", "log1p"))
        _check_choice("normalisation", self.normalisation, ("per_bin", "per_clip"))
        _check_choice("power", self.power, (1.0, 2.0))
        if not 0 <= self.f_min_hz < self.f_max_hz:
            raise ConfigError(f"f_min_hz must lie in 0 to {self.f_max_hz}, got {self.f_min_hz}")
        if not 0 < self.floor < 1:
            raise ConfigError(f"floor must lie between 0 and 1, got {self.floor}")

    @property
    def n_freqs(self) -> int:
        return self.n_fft // 2 + 1

    @property
    def f_max_hz(self) -> float:
        return self.sample_rate / 2

    @property
    def clip_samples(self) -> int:
        """Samples of a clip: a centred STFT of them has exactly n_frames frames."""
        return (self.n_frames - 1) * self.hop_length

    @property
    def duration_s(self) -> float:
        return self.clip_samples / self.sample_rate

    @property
    def floor_value(self) -> float:
        """What silence is after compression."""
        return math.log(self.floor) if self.compression == "log" else 0.0

    def fit_sample_rate(self, source_rate: int) -> "AudioConfig":
        """Halve rate, window and hop while the recordings hold nothing above half of the rate.

        The clip keeps its duration and its picture; no band is spent on frequencies that are not there.
        """
        fitted = self
        while source_rate <= fitted.sample_rate / 2 and fitted.n_fft >= 256:
            fitted = dataclasses.replace(
                fitted,
                sample_rate=fitted.sample_rate // 2,
                n_fft=fitted.n_fft // 2,
                hop_length=fitted.hop_length // 2,
            )
        return fitted

    def for_judge(self) -> "AudioConfig":
        """The same geometry with the features that every recipe is judged in."""
        names = ("mel_norm", "power", "compression", "floor", "normalisation")
        default = AudioConfig()
        return dataclasses.replace(self, **{name: getattr(default, name) for name in names})


@dataclass(frozen=True)
class ModelConfig:
    """A generator and a discriminator; their shapes follow from the audio geometry and the classes."""

    recipe: str = "modern"
    z_dim: int = 128
    generator_width: int = (
        16  # channels of the finest residual stage; doubled at each coarser one, up to 256
    )
    discriminator_width: int = 24
    embedding_dim: int = 64  # of the class, in the modern generator
    spectral_norm: bool = (
        False  # baseline discriminator only: in every layer it starts slowly in short runs
    )

    def __post_init__(self):
        _check_choice("recipe", self.recipe, ("baseline", "modern"))
        for name in ("z_dim", "generator_width", "discriminator_width", "embedding_dim"):
            if not 1 <= getattr(self, name) <= MAX_NETWORK_WIDTH:
                raise ConfigError(
                    f"{name} must be from 1 to {MAX_NETWORK_WIDTH}, got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class TrainConfig:
    """How the players are updated. What stops a run (minutes, epochs, steps) is no part of what it is."""

    batch_size: int = (
        16  # a step takes 0.6 of that with 32; one seed each, in about equal time: no worse
    )
    learning_rate_g: float = 5e-4
    learning_rate_d: float = 1e-3
    beta1: float = 0.0  # no momentum against an opponent that moves
    beta2: float = 0.99
    class_weight: float = (
        0.05  # of the class that the discriminator hears, in the generator's loss; 0: no such head
    )
    r1_gamma: float = 0.5
    r1_every: int = 16  # lazy regularisation: the penalty at every 16th step, 16 times as strong
    ema_half_life_images: int = (
        10_000  # less at first, see AVERAGE_RAMP in training; 0: no average is kept
    )
    augmentations: tuple[str, ...] = AUGMENTATIONS
    class_balanced: bool = True
    precision: str = "auto"  # "auto", "fp32", "bf16" or "fp16"
    seed: int = 0

    def __post_init__(self):
        _check_choice("precision", self.precision, ("auto", "fp32", "bf16", "fp16"))
        if not 2 <= self.batch_size <= LARGEST_BATCH:
            raise ConfigError(
                f"batch_size must be at least 2 (batch statistics need it) and at most {LARGEST_BATCH}, "
                f"got {self.batch_size}"
            )
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be from 0 to {2**32 - 1}, got {self.seed}")
        for name in self.augmentations:
            _check_choice("augmentations", name, AUGMENTATIONS)
        for name in ("learning_rate_g", "learning_rate_d"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if self.r1_every < 1:
            raise ConfigError(f"r1_every must be at least 1, got {self.r1_every}")
        object.__setattr__(self, "augmentations", tuple(self.augmentations))


@dataclass(frozen=True)
class DataConfig:
    """Which recordings, and how they become clips."""

    source: str = "kit"
    kit_clips: int = 2_000  # how many the built-in kit makes
    stage: bool = False  # copy the recordings to the local disk first, as from a mounted drive
    slice_long: bool = (
        False  # cut a long recording into several clips instead of keeping its beginning
    )
    silence_db: float = -60.0  # RMS below this, of full scale, is silence
    min_duration_s: float = 0.05
    max_clips_per_class: int = 0  # 0: all
    holdout: str = (
        ""  # glob on the file name of what is kept for testing; "": a seventh, by content
    )
    digest: str = ""  # of the files, filled in by the audit


@dataclass(frozen=True)
class RunConfig:
    """Everything that made a run; `config.json` in its folder."""

    audio: AudioConfig = field(default_factory=AudioConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: DataConfig = field(default_factory=DataConfig)
    classes: tuple[str, ...] = ()
    versions: dict = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)  # ASCII: any folder name survives

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Read what `to_json` wrote. Raises ConfigError naming what is damaged, unknown or out of range."""
        values = _json_object(text, "config.json")
        for name, kind, word in (("classes", list, "a list"), ("versions", dict, "an object")):
            if not isinstance(values.get(name, kind()), kind):
                raise ConfigError(
                    f"config.json must hold {word} of {name}, got {reprlib.repr(values[name])}"
                )
        return cls(
            audio=from_dict(AudioConfig, values.get("audio", {})),
            model=from_dict(ModelConfig, values.get("model", {})),
            train=from_dict(TrainConfig, values.get("train", {})),
            data=from_dict(DataConfig, values.get("data", {})),
            classes=check_classes(values.get("classes", ())),
            versions=dict(values.get("versions", {})),
        )


PRESETS = {
    "long": AudioConfig(),
    "short": AudioConfig(n_frames=128),
    "cpu": AudioConfig(sample_rate=16_000, n_mels=64, n_frames=64),
}
RECIPES = {
    "modern": {"audio": {}, "model": ModelConfig(), "train": TrainConfig()},
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


def make_config(preset: str = "cpu", recipe: str = "modern", **audio_fields: float) -> RunConfig:
    """A run's configuration from the names of a preset and a recipe.

    audio_fields replace the preset's own, as in make_config("long", n_frames=256).
    Raises ConfigError for an unknown name or a geometry that cannot work.
    """
    _check_choice("preset", preset, tuple(PRESETS))
    _check_choice("recipe", recipe, tuple(RECIPES))
    chosen = RECIPES[recipe]
    return RunConfig(
        audio=dataclasses.replace(PRESETS[preset], **{**chosen["audio"], **audio_fields}),
        model=chosen["model"],
        train=chosen["train"],
    )


def from_dict(kind: type, values: dict):
    """A dataclass from a dictionary; ConfigError names a field it does not have."""
    if not isinstance(values, dict):
        raise ConfigError(
            f"{kind.__name__} must be written as an object of fields, got {reprlib.repr(values)}"
        )
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        told = ", ".join(unknown)[:60].encode("unicode_escape").decode()
        raise ConfigError(f"{kind.__name__} has no field {told}; it has {', '.join(sorted(known))}")
    for name, wanted in get_type_hints(kind).items():
        if name in values and not _is_of(values[name], wanted):
            kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
            word = kinds.get(wanted, "a list of texts")
            raise ConfigError(
                f"{kind.__name__} must hold {word} as {name}, got {reprlib.repr(values[name])}"
            )
    return kind(**values)


def check_classes(names) -> tuple[str, ...]:
    """The names of classes, if each can be a folder's: they come from folders, and sounds are written to such.

    Raises ConfigError for names like ../x, which would lead out of a run's folder, and for the same name twice.
    """
    if len(names) > MAX_CLASSES:
        raise ConfigError(f"there can be {MAX_CLASSES} classes, got {len(names)}")
    for name in names:
        if not _is_folder_name(name):
            raise ConfigError(f"a class must have the name of a folder, got {reprlib.repr(name)}")
    for name, n in Counter(names).most_common(1):
        if n > 1:
            raise ConfigError(f"{n} classes have the name {reprlib.repr(name)}")
    return tuple(names)


def to_json(config) -> str:
    """One configuration dataclass as a line of JSON with sorted keys."""
    return json.dumps(dataclasses.asdict(config), sort_keys=True)


def audio_from_json(text: str) -> AudioConfig:
    """An AudioConfig from what `to_json` wrote."""
    return from_dict(AudioConfig, _json_object(text, "the audio configuration"))


def model_from_json(text: str) -> ModelConfig:
    """A ModelConfig from what `to_json` wrote."""
    return from_dict(ModelConfig, _json_object(text, "the model configuration"))


def identity(config: RunConfig) -> dict:
    """What must be the same for a checkpoint to be continued."""
    parts = {
        name: json.loads(to_json(getattr(config, name))) for name in ("audio", "model", "train")
    }
    return parts | {"classes": list(config.classes), "data": {"digest": config.data.digest}}


def differences(before: dict, now: dict) -> list[str]:
    """In words, which fields of the parts of a configuration are not as they were."""
    found = []
    for part, new in now.items():
        old = before.get(part)
        if isinstance(new, dict) and isinstance(old, dict):
            found += [
                f"{part}.{name} {old.get(name)!r}, not {new[name]!r}"
                for name in new
                if old.get(name) != new[name]
            ]
        elif old != new:
            found.append(f"{part} {old}, not {new}")
    return found


def digest_of(*parts: str) -> str:
    """Twelve hexadecimal digits that name these texts: keys of caches and data."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _is_of(value, wanted: type) -> bool:
    """Whether a value from JSON is of a field's type."""
    if wanted is float:
        return (
            type(value) in (int, float) and -1e300 < value < 1e300
        )  # neither infinite nor no number
    if wanted in (int, bool, str):
        return type(value) is wanted
    return isinstance(value, list | tuple) and all(type(part) is str for part in value)


def _is_folder_name(name) -> bool:
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or "\0" in name
        or Path(name).name != name
    ):
        return False
    try:
        return len(os.fsencode(name)) <= MAX_NAME_BYTES
    except UnicodeEncodeError:  # half of a character, as no disk has it
        return False


def _json_object(text: str, what: str) -> dict:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{what} is not valid JSON ({error}); restore it or start a new run folder"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must hold one JSON object, got {type(values).__name__}")
    return values
