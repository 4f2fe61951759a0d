"""Configuration: what presets are, what errors say, and that nothing is lost in JSON."""

import dataclasses
import json

import pytest

from helpers import config
from helpers.config import (
    AudioConfig,
    ConfigError,
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
    check_classes,
    make_config,
)
from helpers.config_json import from_json, to_json
from helpers.sound.mel import mel_filterbank


@pytest.mark.parametrize(
    ("preset", "seconds", "shape"), [("long", 5.93, (128, 512)), ("short", 1.474, (128, 128))]
)
def test_presets_hold_the_seconds_they_promise(preset, seconds, shape):
    audio = config.PRESETS[preset]
    assert audio.duration_s == pytest.approx(seconds, abs=0.005)
    assert (audio.n_mels, audio.n_frames) == shape
    assert audio.clip_samples == (audio.n_frames - 1) * audio.hop_length


def test_a_size_widens_both_networks_and_the_baseline_has_only_one():
    small, medium, large = (make_config("short", size=size).model for size in config.SIZES)
    assert small == make_config("short").model
    assert medium.generator_width == 2 * small.generator_width
    assert large.discriminator_width == 4 * small.discriminator_width
    assert make_config("cpu", "baseline", "small") == make_config("cpu", "baseline")
    with pytest.raises(ConfigError, match="baseline recipe has one size, small, got 'large'"):
        make_config("cpu", "baseline", "large")
    with pytest.raises(ConfigError, match="size must be one of small, medium, large"):
        make_config("cpu", size="huge")


def test_the_cpu_preset_is_about_a_second():
    assert config.PRESETS["cpu"].duration_s == pytest.approx(1.008)


@pytest.mark.parametrize("recipe", config.RECIPES)
@pytest.mark.parametrize("preset", config.PRESETS)
def test_every_preset_and_recipe_has_a_filter_bank_without_empty_bands(preset, recipe):
    audio = make_config(preset, recipe).audio
    for fitted in (audio, audio.fit_sample_rate(11_025), audio.fit_sample_rate(8_000)):
        assert mel_filterbank(fitted).shape == (fitted.n_freqs, fitted.n_mels)


@pytest.mark.parametrize("recipe", config.RECIPES)
def test_json_and_back_is_the_same(recipe):
    run = dataclasses.replace(
        make_config("short", recipe, n_mels=64),
        data=DataConfig(
            source="/a b/ü", holdout="*-take2.wav", max_clips_per_class=7, digest="abc"
        ),
        classes=("bass drum", "💥", "<script>", "two\nlines"),
        versions={"torch": "2"},
    )
    assert RunConfig.from_json(run.to_json()) == run
    assert from_json(AudioConfig, to_json(run.audio)) == run.audio
    assert from_json(ModelConfig, to_json(run.model)) == run.model


def test_class_names_that_are_no_valid_utf8_survive_a_file(tmp_path):
    run = dataclasses.replace(make_config(), classes=("\udcff\udcfe",))
    (tmp_path / "config.json").write_text(run.to_json(), encoding="utf-8")
    assert RunConfig.from_json((tmp_path / "config.json").read_text(encoding="utf-8")) == run


def test_the_recipes_differ_and_the_baseline_is_the_first_system():
    baseline, modern = make_config("long", "baseline"), make_config("long", "modern")
    assert (baseline.audio.power, baseline.audio.compression, baseline.audio.mel_norm) == (
        2.0,
        "log1p",
        "none",
    )
    assert (modern.audio.power, modern.audio.compression, modern.audio.mel_norm) == (
        1.0,
        "log",
        "slaney",
    )
    assert (baseline.train.r1_gamma, baseline.train.augmentations) == (
        0.0,
        (),
    )  # plain cross-entropy
    assert baseline.model.z_dim == 100


def test_a_low_source_rate_halves_the_geometry_and_keeps_the_picture():
    cpu = config.PRESETS["cpu"]
    fitted = cpu.fit_sample_rate(8_000)
    assert (fitted.sample_rate, fitted.n_fft, fitted.hop_length) == (8_000, 512, 128)
    assert (fitted.n_mels, fitted.n_frames) == (cpu.n_mels, cpu.n_frames)
    assert fitted.duration_s == pytest.approx(cpu.duration_s)
    assert (
        cpu.fit_sample_rate(16_000)
        == cpu.fit_sample_rate(96_000)
        == cpu.fit_sample_rate(8_001)
        == cpu
    )
    assert cpu.fit_sample_rate(4_000).sample_rate == 4_000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_frames": 100}, ["n_frames", "divisible by 16", "100", "try 96"]),
        ({"n_mels": 5}, ["n_mels", "divisible by 16", "try 16"]),
        ({"hop_length": 900}, ["hop_length", "half of n_fft (1024)", "900"]),
        ({"sample_rate": 0}, ["sample_rate", "from 1 to 192000", "0"]),
        ({"sample_rate": 22050.5}, ["sample_rate", "whole", "22050.5"]),
        ({"n_fft": "big"}, ["n_fft", "'big'"]),
        ({"mel_scale": "bark"}, ["mel_scale", "slaney, htk", "'bark'"]),
        ({"mel_norm": None}, ["mel_norm", "slaney, none"]),
        ({"compression": "sqrt"}, ["compression", "log, log1p"]),
        ({"normalisation": "global"}, ["normalisation", "per_bin, per_clip"]),
        ({"power": 3.0}, ["power", "3.0"]),
        ({"f_min_hz": 12_000.0}, ["f_min_hz", "11025"]),
        ({"floor": 0.0}, ["floor", "0.0"]),
    ],
)
def test_a_geometry_that_cannot_work_is_named(fields, words):
    with pytest.raises(ConfigError) as caught:
        AudioConfig(**fields)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ModelConfig(recipe="diffusion"), "recipe must be one of baseline, modern"),
        (lambda: ModelConfig(z_dim=0), "z_dim must be from 1 to 4096"),
        (lambda: TrainConfig(batch_size=1), "batch_size must be at least 2"),
        (lambda: TrainConfig(learning_rate_g=0.0), "learning_rate_g must lie between"),
        (lambda: TrainConfig(learning_rate_d=1.0), "learning_rate_d must lie between"),
        (lambda: TrainConfig(r1_every=0), "r1_every must be at least 1"),
        (lambda: TrainConfig(precision="int8"), "precision must be one of"),
        (lambda: make_config("huge"), "preset must be one of long, short, cpu"),
        (lambda: make_config("cpu", "best"), "recipe must be one of modern, baseline"),
        (lambda: make_config("cpu", n_frames=65), "n_frames must be divisible by 16"),
    ],
)
def test_a_setting_that_cannot_work_is_named(make, word):
    with pytest.raises(ConfigError, match=word):
        make()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["config.json is not valid JSON", "restore it or start a new run folder"]),
        ("   ", ["config.json is not valid JSON"]),
        ('{"audio": {"n_mels": 12', ["config.json is not valid JSON"]),
        ("[]", ["one JSON object", "list"]),
        ("null", ["one JSON object"]),
        ('{"audio": {"n_melz": 12}}', ["AudioConfig has no field n_melz", "n_mels"]),
        ('{"model": {"depth": 3}}', ["ModelConfig has no field depth"]),
        ('{"train": [1]}', ["TrainConfig must be written as an object", "[1]"]),
        (
            '{"train": {"batch_size": "many"}}',
            ["TrainConfig must hold a whole number as batch_size, got 'many'"],
        ),
        ('{"model": {"z_dim": 8.5}}', ["ModelConfig must hold a whole number as z_dim, got 8.5"]),
        ('{"model": {"z_dim": true}}', ["a whole number as z_dim"]),
        ('{"model": {"spectral_norm": []}}', ["true or false as spectral_norm"]),
        ('{"audio": {"floor": 1e999}}', ["a number as floor"]),
        ('{"audio": {"f_min_hz": NaN}}', ["a number as f_min_hz"]),
        ('{"train": {"augmentations": "shift"}}', ["a list of texts as augmentations"]),
        ('{"data": {"source": null}}', ["a text as source"]),
        ('{"train": {"beta1": 2}}', ["beta1 must lie between 0 and 1, got 2"]),
        (
            '{"train": {"augmentations": ["nope"]}}',
            ["augmentations must be one of shift, gain, cutout; got 'nope'"],
        ),
        ('{"train": {"seed": 1180591620717411303424}}', ["seed must be from 0 to 4294967295"]),
        (
            '{"train": {"batch_size": 1000000000}}',
            ["batch_size must be at least 2", "at most 65536"],
        ),
        (
            '{"classes": ["../../evil"]}',
            ["a class must have the name of a folder, got '../../evil'"],
        ),
        ('{"classes": [["dog"]]}', ["a class must have the name of a folder"]),
        ('{"classes": ["dog", "dog"]}', ["2 classes have the name 'dog'"]),
        ('{"model": {"z_dim": ' + "[" * 800 + "]" * 800 + "}}", ["a whole number as z_dim"]),
        ('{"audio": {"n_frames": 40}}', ["n_frames must be divisible by 16"]),
        ('{"classes": 5}', ["classes"]),
        ('{"versions": 5}', ["versions"]),
        ("[" * 100_000, ["config.json is not valid JSON"]),
        ('{"audio": {"n_mels": ' + "1" * 9_999, ["config.json is not valid JSON"]),
    ],
)
def test_damaged_json_is_a_config_error_that_names_the_damage(text, words):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_json(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/abs", "a\0b", "\ud800", "a" * 256, "ü" * 128, 7, None]
)
def test_a_name_that_no_folder_has_is_no_class(name):
    with pytest.raises(ConfigError, match="a class must have the name of a folder"):
        check_classes(["dog", name])


def test_every_name_that_a_folder_has_is_a_class(tmp_path):
    names = [
        "two\nlines",
        "🥁 <b>",
        "back\\slash",
        "caf\udce9",
        "a" * 255,
        " ",
        "...",
        "-rf",
        "\x1b[31m",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    found = [path.name for path in tmp_path.iterdir()]
    assert sorted(found) == sorted(names) and check_classes(found) == tuple(found)


def test_an_older_file_without_a_field_takes_its_default():
    values = json.loads(make_config().to_json())
    del values["train"]["precision"], values["data"]
    assert RunConfig.from_json(json.dumps(values)) == make_config()


def test_digests_tell_texts_apart_and_take_any_file_name():
    assert config.digest_of("a", "b") == config.digest_of("a", "b") != config.digest_of("b", "a")
    assert len(config.digest_of("\udcff")) == 12
