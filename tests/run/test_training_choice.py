"""What 03_train changes of a run's configuration, and that a refused choice changes nothing."""

import dataclasses
import errno
import json
import os

import pytest

from helpers.config import PRESETS, RECIPES, ConfigError, checkpoint_identity, make_config
from helpers.files import UnusableFileError
from helpers.run import folder
from helpers.run.folder import open_run
from helpers.run.training_choice import choose_training, save_training_choice, training_to_keep
from helpers.train import changes
from helpers.train.checkpoints import Checkpoint, save_checkpoint


def begin(run, config, step: int = 1) -> None:
    """Leave a checkpoint of this configuration, as training does."""
    note = {"identity": json.dumps(checkpoint_identity(config)), "seconds": 1.0}
    save_checkpoint(run.checkpoints, Checkpoint(step, {}, note))


@pytest.mark.parametrize("recipe", RECIPES)
def test_0_is_the_recipes_own_whatever_an_earlier_training_had(recipe):
    config = make_config("cpu", recipe)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=7))
    other = choose_training(config, batch_size=6, learning_rate=0.003, precision="bf16")
    assert (other.train.batch_size, other.train.precision) == (6, "bf16")
    back = choose_training(other)
    assert back.train == config.train and back.versions["torch"]
    assert dataclasses.replace(back, versions={}) == config


def test_a_new_run_has_the_batches_of_its_recipe_and_a_trained_run_keeps_its_own(tmp_path):
    batches = {
        recipe: {
            choose_training(make_config(preset, recipe)).train.batch_size for preset in PRESETS
        }
        for recipe in RECIPES
    }
    assert batches == {"modern": {16}, "baseline": {32}}
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config("short"))
    begun = choose_training(run.read_config(), batch_size=64, learning_rate=0.003)
    save_training_choice(run, begun)
    assert not run.was_trained()
    begin(run, begun)
    again = choose_training(run.read_config(), was_trained=run.was_trained())
    assert again.train == begun.train
    save_training_choice(run, again)


def test_data_prepared_anew_keeps_what_a_run_was_trained_with(tmp_path):
    """As in 01_data, 03_train, 01_data and 03_train again."""
    run, fresh = open_run(str(tmp_path / "run")), make_config("short")
    assert training_to_keep(run, fresh) == fresh.train
    run.write_config(fresh)
    begun = choose_training(run.read_config(), batch_size=6, learning_rate=0.003)
    save_training_choice(run, begun)
    begin(run, begun)
    assert training_to_keep(run, fresh) == begun.train
    run.write_config(dataclasses.replace(fresh, train=training_to_keep(run, fresh)))
    save_training_choice(run, choose_training(run.read_config(), was_trained=True))
    baseline = make_config("short", "baseline")
    assert training_to_keep(run, baseline) == baseline.train


@pytest.mark.parametrize(("recipe", "ratio"), [("modern", 2.0), ("baseline", 1.0)])
def test_one_learning_rate_keeps_the_ratio_of_the_players(recipe, ratio):
    train = choose_training(make_config("cpu", recipe), learning_rate=0.003).train
    assert train.learning_rate_g == 0.003
    assert train.learning_rate_d == pytest.approx(0.003 * ratio)
    own = RECIPES[recipe]["train"]
    again = choose_training(make_config("cpu", recipe), learning_rate=own.learning_rate_g).train
    assert again.learning_rate_d == own.learning_rate_d


def test_a_choice_is_written_when_the_checkpoints_can_go_on_with_it(tmp_path):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    four = choose_training(run.read_config(), batch_size=4)
    save_training_choice(run, four)
    assert run.read_config() == four, "a new run takes any"
    begin(run, four)
    for other in ({"batch_size": 6}, {"batch_size": 4, "learning_rate": 0.003}, {}):
        with pytest.raises(UnusableFileError, match="was trained with other settings .*use them"):
            save_training_choice(run, choose_training(run.read_config(), **other))
        assert run.read_config() == four
    save_training_choice(run, choose_training(run.read_config(), batch_size=4))
    with pytest.raises(ConfigError, match="batch_size must be"):
        choose_training(run.read_config(), batch_size=1)
    run.restart()
    save_training_choice(run, choose_training(run.read_config()))
    assert run.read_config().train == make_config().train


def test_checkpoints_that_cannot_be_read_change_nothing(tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    before = run.config.read_bytes()

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(changes, "load_newest_checkpoint", fail)
    with pytest.raises(UnusableFileError, match="cannot be read .*see that the disk is there"):
        save_training_choice(run, choose_training(run.read_config(), batch_size=4))
    assert run.config.read_bytes() == before


def test_a_run_on_drive_is_asked_for_the_checkpoint_of_another_machine(
    colab, tmp_path, monkeypatch
):
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    run = open_run(str(tmp_path / "drive" / "MyDrive" / "rain"))
    four = choose_training(make_config(), batch_size=4)
    run.write_config(four)
    begin(run, four)
    with pytest.raises(UnusableFileError, match="train.batch_size 4, not 16"):
        save_training_choice(run, choose_training(run.read_config()))
    assert run.read_config() == four
    save_training_choice(run, choose_training(run.read_config(), batch_size=4))
