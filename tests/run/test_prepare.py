"""What a notebook without a run gets, and what it never gets under a run_dir that was typed."""

import dataclasses

import pytest
import torch

from helpers.config import DataConfig, make_config
from helpers.data.clips import open_clips
from helpers.data.drum_kit import VOICES
from helpers.files import UnusableFileError
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator, save_generator
from helpers.run import folder, prepare
from helpers.run.colab import RunError
from helpers.run.folder import open_run
from helpers.run.prepare import (
    DEFAULT_RUN_DIR,
    KIT_GENERATOR,
    find_generator,
    read_config_of,
    read_or_prepare,
)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small kit, and a project in tmp_path/project."""
    config = make_config(n_mels=16, n_frames=32)
    config = dataclasses.replace(config, data=DataConfig(kit_clips=48))
    monkeypatch.setattr(prepare, "make_config", lambda preset: config)
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    return config


def test_a_run_is_prepared_once_and_training_can_begin(small, capsys):
    run = open_run(DEFAULT_RUN_DIR, use_drive=True)
    config = read_or_prepare(run, DEFAULT_RUN_DIR)
    told = capsys.readouterr().out
    assert told.startswith(f"no run in {run.root} yet: the built-in drum kit is prepared")
    assert "run 01_data with your folder first" in told
    assert config.classes == tuple(sorted(VOICES)) and config.versions
    assert (config.audio, config.model, config.train) == (small.audio, small.model, small.train)
    clips = open_clips(config, run.data, run.cache, run.work)
    assert len(clips.labels) == 48 and clips.key == config.data.digest
    assert read_or_prepare(run, DEFAULT_RUN_DIR) == run.read_config() == config
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["on_drive", "refused"])
def test_in_colab_it_is_prepared_where_runs_are_kept(name, small, colab, tmp_path, capsys):
    run = open_run(DEFAULT_RUN_DIR, use_drive=True)
    refused = name == "refused"
    kept = tmp_path / ("project" if refused else "drive/MyDrive/class-sounds") / DEFAULT_RUN_DIR
    assert read_or_prepare(run, DEFAULT_RUN_DIR).classes and run.config == kept / "config.json"
    assert run.config.exists() and run.cache.is_relative_to(tmp_path / "project")
    assert capsys.readouterr().out.count("lost with it") == refused
    assert len(colab) == 1


def test_a_typed_run_dir_without_a_run_is_an_error(small, tmp_path):
    for run_dir in ("runs/dmeo", str(tmp_path / "project" / "runs" / "demo")):
        run = open_run(run_dir)
        with pytest.raises(RunError, match="run 01_data first"):
            read_or_prepare(run, run_dir)
        with pytest.raises(UnusableFileError, match="run 03_train first"):
            load_generator(find_generator(run, run_dir))
    assert not (tmp_path / "project").exists()


def test_a_run_without_its_configuration_is_not_taken_for_none(small):
    run = open_run(DEFAULT_RUN_DIR)
    run.checkpoints.mkdir(parents=True)
    with pytest.raises(RunError, match="run 01_data first"):
        read_or_prepare(run, DEFAULT_RUN_DIR)
    run.checkpoints.rmdir()
    run.config.write_text("{")
    with pytest.raises(RunError, match="Run 01_data again"):
        read_or_prepare(run, DEFAULT_RUN_DIR)


def test_an_own_generator_is_preferred_to_that_of_the_kit(small, sound_generator, capsys):
    run = open_run(DEFAULT_RUN_DIR)
    read_or_prepare(run, DEFAULT_RUN_DIR)
    capsys.readouterr()
    assert find_generator(run, DEFAULT_RUN_DIR) == KIT_GENERATOR
    told = capsys.readouterr().out
    assert told.startswith(f"no generator in {run.root} yet: these are sounds of the built-in")
    assert "run 01_data and 03_train" in told
    with pytest.raises(RunError, match="comes with the project is not of this run"):
        read_config_of(KIT_GENERATOR, run)
    save_generator(run.generator, sound_generator())
    assert find_generator(run, DEFAULT_RUN_DIR) == run.generator
    assert read_config_of(run.generator, run) == run.read_config()
    assert capsys.readouterr().out == ""


def test_the_generator_of_the_kit_is_small_and_makes_its_sounds():
    assert KIT_GENERATOR.stat().st_size < 4 * 2**20
    generator = load_generator(KIT_GENERATOR)
    assert generator.classes == tuple(sorted(VOICES)) and generator.inversion is not None
    z, labels = draw_latents(8, generator.model.z_dim), torch.arange(8)
    sounds = generate_sounds(generator, z, labels, make_inverter(generator))
    assert abs(sounds.waveforms).max(axis=1).min() > 0.01, "each class is heard"
