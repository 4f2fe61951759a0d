"""What the notebooks can be told: each parameter's kind and range, checked before anything runs."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from helpers.config import AUDIO_LIMITS, PRESETS, RECIPES, ConfigError
from helpers.sound.inversion import METHODS

INJECTED = "# Parameters"  # the first line of the cell that papermill adds
MOST = 10**9


class SettingError(ConfigError):
    """A parameter that does not exist, has the wrong kind, or is out of range."""


@dataclass(frozen=True)
class Setting:
    """One parameter: its kind, and its range or choices."""

    kind: type
    low: float = 0
    high: float = MOST
    choices: tuple[str, ...] = ()

    def check(self, name: str, value):
        """The value in its kind; SettingError says what was expected and what came."""
        if self.kind is bool:
            return self._require(isinstance(value, bool), name, value, "True or False")
        if self.kind is str:
            allowed = f"one of {', '.join(self.choices)}" if self.choices else "text in quotes"
            fits = isinstance(value, str) and (not self.choices or value in self.choices)
            return self._require(fits, name, value, allowed)
        numeric = isinstance(value, (int, float) if self.kind is float else int) and not isinstance(
            value, bool
        )
        words = f"a {'whole ' if self.kind is int else ''}number from {self.low:g} to {self.high:g}"
        return self.kind(
            self._require(numeric and self.low <= value <= self.high, name, value, words)
        )

    def _require(self, fits: bool, name: str, value, expected: str):
        if fits:
            return value
        hint = ""
        if isinstance(value, str) and self.kind is bool:
            hint = " With papermill write True or False, with a capital."
        elif isinstance(value, str) and self.kind in (int, float):
            hint = " With papermill write a plain number: 0.0001 or 1.0e-4; 1e-4 is read as text."
        raise SettingError(
            f"parameter {name} must be {expected}; got {type(value).__name__} {value!r}.{hint}"
        )


COMMON = {"run_dir": Setting(str), "use_drive": Setting(bool)}
SEED = Setting(int, high=2**31 - 1)
NOTEBOOKS: dict[str, dict[str, Setting]] = {
    "01_data": {
        **COMMON,
        "data_source": Setting(str),
        "preset": Setting(str, choices=tuple(PRESETS)),
        "recipe": Setting(str, choices=tuple(RECIPES)),
        **{name: Setting(int, high=most) for name, most in AUDIO_LIMITS.items()},
        "slice_long": Setting(bool),
        "max_clips_per_class": Setting(int),
        "holdout": Setting(str),
        "kit_clips": Setting(int, low=8, high=100_000),
        "inversion_steps": Setting(int, high=100_000),
        "seed": SEED,
    },
    "02_models": {**COMMON, "timed_steps": Setting(int, low=1, high=1_000)},
    "03_train": {
        **COMMON,
        "minutes": Setting(float, high=100_000),
        "epochs": Setting(int),
        "steps": Setting(int),
        "batch_size": Setting(int, high=4_096),
        "learning_rate": Setting(float, high=0.1),
        "precision": Setting(str, choices=("auto", "fp32", "bf16", "fp16")),
        "checkpoint_minutes": Setting(float, low=0.01, high=10_000),
        "sample_minutes": Setting(float, low=0.01, high=10_000),
        "judge_steps": Setting(int, low=1, high=100_000),
        "num_processes": Setting(int, 1, 1_024),
        "restart": Setting(bool),
    },
    "04_listen": {
        **COMMON,
        "sounds_per_class": Setting(int, low=1, high=1_000),
        "truncation": Setting(float, low=0.05, high=3),
        "seed": SEED,
        "inversion": Setting(str, choices=METHODS),
        "griffin_lim_iterations": Setting(int, low=1, high=1_000),
        "trim_silence": Setting(bool),
        "judge_steps": Setting(int, low=1, high=100_000),
    },
}


def read_settings(notebook: str, variables: Mapping) -> SimpleNamespace:
    """The checked parameters of a notebook from its variables, `globals()`, where `In` lists its executed cells.

    Raises SettingError for an injected name the notebook does not have, a wrong kind, or a value out of range.
    """
    known = NOTEBOOKS[notebook]
    unknown = sorted(_injected_names(variables.get("In", ())) - set(known))
    if unknown:
        raise SettingError(
            f"{notebook} has no parameter {', '.join(unknown)}; it has {', '.join(known)}. Nothing was run."
        )
    return SimpleNamespace(
        **{name: parameter.check(name, variables[name]) for name, parameter in known.items()}
    )


def _injected_names(history: Sequence[str]) -> set[str]:
    cells = [cell for cell in history if cell.lstrip().startswith(INJECTED)]
    targets = [
        t
        for cell in cells
        for node in ast.parse(cell).body
        if isinstance(node, ast.Assign)
        for t in node.targets
    ]
    return {target.id for target in targets if isinstance(target, ast.Name)}
