"""A notebook that is opened on its own: the built-in drum kit for it, and a generator of it.

Only the default run_dir is filled so. A run_dir that a person typed is theirs: what is missing
there is an error, or a typing mistake would train the drum kit.
"""

import dataclasses
from pathlib import Path

from helpers.config import RunConfig, make_config
from helpers.data.clips import open_clips
from helpers.device import pick_device, pick_preset, versions
from helpers.files import PROJECT
from helpers.run.colab import RunError
from helpers.run.folder import RunFolder

DEFAULT_RUN_DIR = "runs/demo"
KIT_GENERATOR = PROJECT / "data" / "kit.safetensors"  # comes with the project; see data/README.md


def read_or_prepare(run: RunFolder, run_dir: str, progress=None) -> RunConfig:
    """The configuration of a run; where there is no run under the default run_dir, a new one.

    That is what 01_data writes with its defaults, but for the learned way back to sound, which
    takes longer: 01_data adds it when it is run. Raises RunError if there is no run under another
    run_dir, or it cannot be read or written.
    """
    if run_dir != DEFAULT_RUN_DIR or not run.is_new():
        return run.read_config()
    print(
        f"no run in {run.root} yet: the built-in drum kit is prepared, in some ten seconds; for "
        "sounds of your own run 01_data with your folder first, under a run_dir of its own, and "
        "give that here"
    )
    config = make_config(pick_preset("auto", pick_device()))
    clips = open_clips(config, run.data, run.cache, run.work, progress)
    data = dataclasses.replace(config.data, digest=clips.key)
    config = dataclasses.replace(config, data=data, classes=clips.classes, versions=versions())
    run.write_config(config)
    return config


def find_generator(run: RunFolder, run_dir: str) -> Path:
    """The generator of a run; where there is none under the default run_dir, that of the kit.

    Raises RunError if the disk cannot be read.
    """
    names = run.list_names() if run_dir == DEFAULT_RUN_DIR else [run.generator.name]
    if any(name.startswith(run.generator.stem) for name in names):
        return run.find_generator()
    print(
        f"no generator in {run.root} yet: these are sounds of the built-in drum kit, by the "
        "generator that comes with the project; to train your own, run 01_data and 03_train"
    )
    return KIT_GENERATOR


def read_config_of(generator_file: Path, run: RunFolder) -> RunConfig:
    """The configuration with which a run made its generator.

    Raises RunError if it cannot be read, or if the generator comes with the project: its figures
    are not the run's.
    """
    if generator_file == KIT_GENERATOR:
        raise RunError("the generator that comes with the project is not of this run")
    return run.read_config()
