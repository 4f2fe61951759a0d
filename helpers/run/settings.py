"""The settings of each notebook: their kinds and ranges, checked before anything runs.

Papermill calls them parameters. They are the variables of the cell with the tag `parameters`.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from helpers.config import (
    AUDIO_LIMITS,
    CHANNELS,
    LARGEST_BATCH,
    LEVELS,
    PRECISIONS,
    PRESETS,
    RECIPES,
    SIZES,
    SLICING,
    SMALLEST_BATCH,
    ConfigError,
)
from helpers.run.cell_order import explain_missing_names
from helpers.sound.inversion import METHODS

INJECTED = "# Parameters"  # the first line of the cell that papermill adds
HINT_BOOL = " With papermill write True or False, with a capital."
HINT_NUMBER = " With papermill write a plain number: 0.0001 or 1.0e-4; 1e-4 is read as text."


class SettingError(ConfigError):
    """A setting that does not exist, has the wrong kind, or is out of range."""


@dataclass(frozen=True)
class Setting:
    """One setting: its kind, and its range or choices; or_zero: 0 stands for a default, too."""

    kind: type
    low: float = 0
    high: float = 10**9
    choices: tuple[str, ...] = ()
    or_zero: bool = False

    def check(self, name: str, value):
        """The value in its kind; SettingError says what was expected and what came."""
        if self.kind is bool:
            fits, expected = isinstance(value, bool), "True or False"
        elif self.kind is str:
            fits = isinstance(value, str) and (not self.choices or value in self.choices)
            expected = f"one of {', '.join(self.choices)}" if self.choices else "text in quotes"
        else:
            numbers = (int, float) if self.kind is float else int
            is_number = isinstance(value, numbers) and not isinstance(value, bool)
            in_range = is_number and self.low <= value <= self.high
            fits = in_range or (is_number and self.or_zero and value == 0)
            whole = "whole " if self.kind is int else ""
            expected = f"a {whole}number from {self.low:g} to {self.high:g}"
            expected = f"0, or {expected}" if self.or_zero else expected
        if fits:
            return self.kind(value)
        hint = ""
        if isinstance(value, str) and self.kind is not str:
            hint = HINT_BOOL if self.kind is bool else HINT_NUMBER
        came = f"{type(value).__name__} {value!r}"
        raise SettingError(f"parameter {name} must be {expected}; got {came}.{hint}")


COMMON = {"run_dir": Setting(str), "use_drive": Setting(bool)}
SEED = Setting(int, high=2**31 - 1)
LEARNING_STEPS = Setting(int, low=1, high=100_000)  # of the judge; few suffice to try things out
INTERVAL = Setting(float, low=0.01, high=10_000)  # minutes
NOTEBOOKS: dict[str, dict[str, Setting]] = {
    "01_data": {
        **COMMON,
        "data_source": Setting(str),
        "upload": Setting(bool),
        "record": Setting(bool),
        "own_class": Setting(str),
        "preset": Setting(str, choices=("auto", *PRESETS)),
        "labels": Setting(str),
        "slice_long": Setting(str, choices=SLICING),
        "lead_s": Setting(float, high=10),
        "channels": Setting(str, choices=CHANNELS),
        "level": Setting(str, choices=LEVELS),
        "max_clips_per_class": Setting(int),
        "holdout": Setting(str),
        "kit_clips": Setting(int, low=8, high=100_000),
        "recipe": Setting(str, choices=tuple(RECIPES)),
        "size": Setting(str, choices=tuple(SIZES)),
        **{name: Setting(int, high=most) for name, most in AUDIO_LIMITS.items()},  # 0: the preset's
        "inversion_steps": Setting(int, high=100_000),
        "seed": SEED,
    },
    "02_models": {**COMMON, "timed_steps": Setting(int, low=1, high=1_000)},
    "03_train": {
        **COMMON,
        "minutes": Setting(float, high=100_000),
        "restart": Setting(bool),
        "epochs": Setting(int),
        "steps": Setting(int),
        "batch_size": Setting(int, SMALLEST_BATCH, LARGEST_BATCH, or_zero=True),  # 0: the recipe's
        "learning_rate": Setting(float, high=0.1),  # 0: the recipe's
        "precision": Setting(str, choices=PRECISIONS),
        "checkpoint_minutes": INTERVAL,
        "sample_minutes": INTERVAL,
        "judge_steps": LEARNING_STEPS,
        "num_processes": Setting(int, low=1, high=1_024),
    },
    "04_listen": {
        **COMMON,
        "sounds_per_class": Setting(int, low=1, high=1_000),
        "truncation": Setting(float, low=0.05, high=3),
        "seed": SEED,
        "own_sound": Setting(str),
        "download": Setting(bool),
        "pack_rate": Setting(int, low=4_000, high=192_000, or_zero=True),  # 0: the generator's
        "pack_bits": Setting(int, low=16, high=24),
        "pack_level": Setting(str, choices=LEVELS),
        "inversion": Setting(str, choices=METHODS),
        "griffin_lim_iterations": Setting(int, low=1, high=1_000),
        "trim_silence": Setting(bool),
        "judge_steps": LEARNING_STEPS,
    },
}

FORMS = {  # of the series, and of the notebook that does all in one step
    "00_play": {
        **COMMON,
        "data_source": Setting(str),
        "upload": Setting(bool),
        "own_class": Setting(str),
        "minutes": NOTEBOOKS["03_train"]["minutes"],
        "preset": NOTEBOOKS["01_data"]["preset"],
        "share": Setting(bool),
    },
    **NOTEBOOKS,
}


def read_settings(notebook: str, variables: Mapping) -> SimpleNamespace:
    """The checked settings of a notebook from its variables, as in read_settings("…", globals()).

    The variable `In`, if there is one, lists the cells that were executed. Raises SettingError for
    a name that papermill set and the notebook does not have, a wrong kind, or a value out of range.
    From then on, a cell that misses a name is followed by a sentence that says where it is made.
    """
    explain_missing_names()
    known, injected = FORMS[notebook], set()
    for cell in variables.get("In", ()):
        if cell.lstrip().startswith(INJECTED):
            nodes = [node for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
            targets = [target for node in nodes for target in node.targets]
            injected |= {target.id for target in targets if isinstance(target, ast.Name)}
    unknown = ", ".join(sorted(injected - known.keys()))
    if unknown:
        raise SettingError(
            f"{notebook} has no parameter {unknown}; it has {', '.join(known)}. Nothing was run."
        )
    checked = {name: setting.check(name, variables[name]) for name, setting in known.items()}
    return SimpleNamespace(**checked)
