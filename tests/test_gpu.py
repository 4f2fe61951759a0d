"""The path of a GPU, on an emulated one: devices are never mixed, and a step waits for nothing."""

import warnings

import pytest
import torch
from emulated_gpu import CPU, CUDA, emulated_gpu

from helpers.config import RECIPES
from helpers.data.dataset import TrainAudioSpectrogramDataset
from helpers.gan.augment import Augmenter
from helpers.gan.generate import draw_latents, generate_sounds, make_inverter
from helpers.gan.generator_file import load_generator
from helpers.gan.players import Players, n_augmented, train_step
from helpers.judge.classifier import open_judge
from helpers.judge.evaluation import FIGURES, Evaluator
from helpers.judge.faults import TrainingWarning
from helpers.sound.copy_error import copy_errors
from helpers.sound.inversion import METHODS, MelInverter
from helpers.sound.mel import MelExtractor
from helpers.train.checkpoints import load_newest_checkpoint
from helpers.train.loop import draw_batch, train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

OFTEN, SELDOM = Intervals(0.0, 0.0), Intervals(1e6, 1e6)


@pytest.fixture
def train(tmp_path, datasets):
    """A function: train so many steps in a folder, on a device; its last checkpoint's tensors."""

    def run(config, device, steps, name="run", intervals=SELDOM, watch=None):
        data = datasets[config.model.recipe]
        data = TrainAudioSpectrogramDataset(data.cache, data.normaliser)
        folder, limits = tmp_path / name, Limits(steps=steps)
        train_gan(data, config, folder, device, limits, intervals, "fp32", watch)
        return load_newest_checkpoint(folder / "checkpoints")[0].tensors

    return run


def assert_near(one: dict, other: dict) -> None:
    """Sums that are added up in another order have other last digits, and Adam enlarges them."""
    assert one.keys() == other.keys() and torch.equal(one["rng"], other["rng"])
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0.05, atol=2e-3, msg=name)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_is_the_same_on_both_devices_and_goes_on_on_the_other(tiny_run, train, recipe):
    config = tiny_run(recipe)
    on_cpu = train(config, CPU, 4, "cpu")
    with emulated_gpu():
        train(config, CUDA, 2, "both")
    back = train(config, CPU, 3, "both")
    with emulated_gpu():
        on_both = train(config, CUDA, 4, "both")
        assert_near(on_cpu, on_both)
        assert_near(on_cpu, train(config, CUDA, 4, "gpu"))
    assert len(back) == len(on_both)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_waits_for_nothing(tiny_run, datasets, recipe):
    config, data = tiny_run(recipe, r1_every=2), datasets[recipe]
    with emulated_gpu() as notes:
        data = TrainAudioSpectrogramDataset(data.cache, data.normaliser)
        data.move_to(CUDA)
        rng = torch.Generator().manual_seed(0)
        players = Players(config, data.n_classes, CUDA, "bf16")
        silence = data.normaliser.silence()
        augmented = Augmenter(config.train.augmentations, silence, rng, CUDA)
        for step in range(4):
            if step == 2:  # the first steps make Adam's averages
                notes.counts.clear()
            batch = draw_batch(data, config, step, rng, CUDA)
            augmented.draw(n_augmented(config.train, step), len(batch.y))
            losses = train_step(players, batch, augmented, step)
        assert losses["loss_g"].device == CUDA
    assert notes.of_training() == {}
    copies = sum(count for (kind, *_), count in notes.counts.items() if kind.startswith("no wait"))
    assert copies == 2 * 3  # of items, latents and random numbers


@pytest.fixture
def on_gpu(tiny_run, clips, dataset, tmp_path):
    """A GPU, with a run whose judge, clips and dataset are there."""
    with emulated_gpu():
        data = TrainAudioSpectrogramDataset(dataset.cache, dataset.normaliser)
        evaluator = Evaluator(open_judge(tmp_path / "judge", clips, 20, CUDA), clips)
        yield tiny_run(), data, evaluator


def test_the_training_cell_runs_twice_with_a_judge_that_listens(on_gpu, tmp_path):
    config, data, evaluator = on_gpu
    drawn = []

    def view(mels, waveforms, title, folder):
        drawn.append((mels.device, waveforms.device, title))

    for steps in (2, 4):
        watch = Watch(config, data, tmp_path, evaluator, view, device=CUDA)
        with warnings.catch_warnings(action="ignore", category=TrainingWarning):
            train_gan(data, config, tmp_path, CUDA, Limits(steps=steps), OFTEN, "fp32", watch)
    assert {where for *devices, _ in drawn for where in devices} == {CPU}
    assert drawn[-1][2].startswith("step 4: accuracy")
    generator = load_generator(tmp_path / "generator.safetensors", CUDA)
    z, labels = draw_latents(6, config.model.z_dim), torch.arange(6) % 3
    sounds = generate_sounds(generator, z, labels, make_inverter(generator))
    assert sounds.compressed.device == CPU and sounds.waveforms.shape[0] == 6


def test_all_figures_are_found_on_a_gpu(on_gpu, clips, tiny_audio):
    evaluator = on_gpu[2]
    inverter = MelInverter(tiny_audio)
    inverted = evaluator.judge_inversion(inverter, clips)
    assert inverted.mels.device == inverted.features.device == CPU
    found = evaluator.figures(inverted)
    assert set(found) == set(FIGURES) and found["accuracy"] >= 0
    recognised = evaluator.recognised_by_student(inverted)
    assert recognised.shape == evaluator.test.labels.shape


def test_a_judge_of_a_gpu_is_read_on_a_cpu(on_gpu, clips, tmp_path):
    evaluator = on_gpu[2]
    again = open_judge(tmp_path / "judge", clips, 20)
    assert again.device == CPU and again.digest == evaluator.judge.digest
    sounds = evaluator.test.waveforms[:4]
    there, here = evaluator.judge.listen(sounds), again.listen(sounds.to(CUDA))
    torch.testing.assert_close(there.features.cpu(), here.features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "inverse_mel_scale"])
def test_the_way_back_and_its_errors_are_taken_on_a_gpu(on_gpu, clips, tiny_audio, method):
    waveforms = torch.stack([torch.from_numpy(clips.waveform(clip)) for clip in range(3)])
    mels = MelExtractor(tiny_audio).to(CUDA)(waveforms)
    copies = MelInverter(tiny_audio, method)(mels)
    assert copies.device == CUDA
    found = copy_errors(copies, waveforms.to(CUDA), tiny_audio)
    here = copy_errors(MelInverter(tiny_audio, method)(mels.cpu()), waveforms, tiny_audio)
    assert found == pytest.approx(here, rel=0.05)
