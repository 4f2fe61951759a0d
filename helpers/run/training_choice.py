"""What 03_train may choose of a run: batch size, learning rate, precision.

The choice is written to config.json, which torchrun's processes read, when it is certain that the
run's checkpoints can go on with it.
"""

import dataclasses

from helpers.config import RECIPES, RunConfig, TrainConfig
from helpers.device import versions
from helpers.run.folder import RunFolder
from helpers.train.changes import check_newest_checkpoint


def choose_training(
    config: RunConfig,
    batch_size: int = 0,
    learning_rate: float = 0.0,
    precision: str = "auto",
    was_trained: bool = False,
) -> RunConfig:
    """A run's configuration with these settings, and with the versions of this machine.

    0 stands for the batch size or learning rate of before in a run that was trained, and in others
    for the recipe's own, also on a GPU: larger batches brought no better sounds in as many steps
    (benchmarks/README.md). learning_rate is the generator's; the discriminator's keeps the recipe's
    ratio to it. Raises ConfigError for a value out of range.
    """
    own = RECIPES[config.model.recipe]["train"]
    usual = config.train if was_trained else own
    rate = learning_rate or usual.learning_rate_g
    train = dataclasses.replace(
        config.train,
        batch_size=batch_size or usual.batch_size,
        learning_rate_g=rate,
        learning_rate_d=rate * (own.learning_rate_d / own.learning_rate_g),
        precision=precision,
    )
    return dataclasses.replace(config, train=train, versions=versions())


def training_to_keep(run: RunFolder, config: RunConfig) -> TrainConfig:
    """The settings of training with which a run goes on: its own, if it was trained with them.

    A run without training, or with another recipe, has those of `config`. Raises RunError if the
    run cannot be read.
    """
    if not run.was_trained():
        return config.train
    before = run.read_config()
    return before.train if before.model.recipe == config.model.recipe else config.train


def save_training_choice(run: RunFolder, config: RunConfig) -> None:
    """Write a run's configuration, if its newest checkpoint was trained with these settings.

    Raises UnusableFileError if it was not, or cannot be read, and RunError if the run's disk or
    Drive fails. config.json is then what it was.
    """
    run.open_drive_copy()  # the newest checkpoint may be another machine's
    check_newest_checkpoint(run.local, config)
    run.write_config(config)
