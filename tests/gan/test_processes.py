"""Several processes are one: each has the weights that one process would have."""

import dataclasses
import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from making import part_of
from torch import nn

from helpers.config import ConfigError
from helpers.gan import processes
from helpers.gan.networks import class_spread
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint
from helpers.train.loop import train_gan
from helpers.train.schedule import Intervals, Limits

CPU = torch.device("cpu")
RECIPES = ("baseline", "modern")


def train(dataset, config, folder: Path, steps: int) -> Checkpoint:
    torch.set_num_threads(1)
    train_gan(dataset, config, folder, CPU, Limits(steps=steps), Intervals(1e6, 1e6))
    return load_newest_checkpoint(folder / "checkpoints")[0]


def one_of_two(rank: int, folder: Path, jobs: list) -> list:
    """The results of some jobs in one of two processes; a job is a function and arguments."""
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = (folder / "port").read_text()
    processes.join_processes()
    try:
        return [function(rank, *arguments) for function, *arguments in jobs]
    finally:
        processes.leave_processes()


def in_two_processes(folder: Path, *jobs) -> list[tuple]:
    """The results of each job in both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(free.getsockname()[1]))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        both = [pool.submit(one_of_two, rank, folder, list(jobs)) for rank in (0, 1)]
        return list(zip(*(future.result(timeout=120) for future in both), strict=True))


def of_a_batch(rank: int, x: torch.Tensor, y: torch.Tensor) -> dict:
    """Statistics and gradients of a batch's halves."""
    x = processes.own_share(x).clone().requires_grad_()
    norm, spread = nn.BatchNorm2d(3), class_spread(x, processes.own_share(y))
    processes.sync_batch_norms(norm)
    normed = norm(x)
    loss = (normed.square() * x).sum() + (spread**2).sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), x)
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.full((2,), float(rank))
    processes.average_gradients([parameter])
    said = (
        processes.broadcast_from_first(f"from {rank}"),
        processes.true_in_all_processes(rank == 0),
        processes.true_in_all_processes(True),
    )
    values = {"normed": normed, "spread": spread, "gradient": gradient, "second": second}
    values |= norm.state_dict() | {
        "mean gradient": parameter.grad,
        "first": torch.tensor(processes.is_first()),
    }
    return {name: value.detach() for name, value in values.items()} | {"said": said}


def train_together(rank: int, dataset, config, folder: Path, steps: int):
    state = train(dataset, config, folder, steps) if rank == 0 else None
    if rank:  # it writes nothing, and returns when the first does
        result = train_gan(dataset, config, folder, CPU, Limits(steps=steps), Intervals(1e6, 1e6))
        return dict(result.generator.named_parameters())
    return state


def weights(state: Checkpoint, network: str) -> torch.Tensor:
    own = sorted((n, v) for n, v in state.tensors.items() if n.startswith(f"{network}."))
    return torch.cat([value.flatten() for _, value in own if value.is_floating_point()])


def difference(one, other, start, network: str) -> float:
    """How far two trainings are apart, as a share of how far they came."""
    moved = (weights(one, network) - weights(start, network)).norm()
    return float((weights(one, network) - weights(other, network)).norm() / moved)


@pytest.fixture(scope="module")
def together(datasets, tiny_run, tmp_path_factory):
    """All that two processes do, in one start of them; runs by recipe lie in the folder."""
    folder = tmp_path_factory.mktemp("two")
    torch.manual_seed(0)
    x, y = torch.randn(8, 3, 4, 5), torch.eye(3)[[0, 0, 1, 2, 0, 1, 2, 2]]
    jobs = [(of_a_batch, x, y)]
    for recipe in RECIPES:
        config = tiny_run(recipe, batch_size=8)
        train(datasets[recipe], config, folder / f"{recipe}-begun-alone", 2)
        jobs.append((train_together, datasets[recipe], config, folder / recipe, 4))
        jobs.append((train_together, datasets[recipe], config, folder / f"{recipe}-begun-alone", 4))
    two = part_of(datasets["modern"], ("high", "noise"))
    config, grown = tiny_run(batch_size=8), part_of(datasets["modern"], ("high", "low", "noise"))
    for name in ("widened-alone", "widened"):
        train(two, dataclasses.replace(config, classes=two.cache.classes), folder / name, 2)
    train(grown, config, folder / "widened-alone", 3)
    jobs.append((train_together, grown, config, folder / "widened", 3))
    return folder, (x, y), in_two_processes(folder, *jobs)


def test_statistics_and_their_gradients_are_those_of_the_whole_batch(together):
    _, (x, y), results = together
    whole = of_a_batch(0, x, y)
    halves = results[0]
    for name in ("normed", "spread", "gradient", "second"):
        torch.testing.assert_close(
            torch.cat([half[name] for half in halves]), whole[name], rtol=1e-4, atol=1e-5
        )
    for half in halves:
        torch.testing.assert_close(half["running_mean"], whole["running_mean"])
        torch.testing.assert_close(half["running_var"], whole["running_var"])
        assert half["num_batches_tracked"] == 1
        assert half["mean gradient"].tolist() == [0.5, 0.5]
        assert half["said"] == ("from 0", False, True)
    assert [bool(half["first"]) for half in halves] == [True, False]
    assert whole["said"] == ("from 0", True, True) and whole["mean gradient"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_stay_identical_and_train_as_one(
    together, datasets, tiny_run, tmp_path, recipe
):
    folder, _, results = together
    config = tiny_run(recipe, batch_size=8)
    start = train(datasets[recipe], config, tmp_path / "start", 1)
    alone = train(datasets[recipe], config, tmp_path / "alone", 4)
    first, second = results[1 + 2 * RECIPES.index(recipe)]
    kept = "average" if recipe == "modern" else "generator"
    for name, value in second.items():
        assert torch.equal(value, first.tensors[f"{kept}.{name}"]), name
    for network in ("generator", "discriminator"):
        assert difference(first, alone, start, network) < 0.05
    assert torch.equal(first.tensors["rng"], alone.tensors["rng"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_goes_on_with_another_number_of_processes(
    together, datasets, tiny_run, tmp_path, recipe
):
    folder, _, results = together
    config = tiny_run(recipe, batch_size=8)
    start = train(datasets[recipe], config, tmp_path / "start", 2)
    alone = train(datasets[recipe], config, tmp_path / "start", 4)
    longer = train(datasets[recipe], config, tmp_path / "start", 6)
    joined, _ = results[2 + 2 * RECIPES.index(recipe)]
    assert joined.step == 4
    again_alone = train(datasets[recipe], config, folder / recipe, 6)
    for network in ("generator", "discriminator"):
        assert difference(joined, alone, start, network) < 0.05
        assert difference(again_alone, longer, start, network) < 0.1


def test_two_processes_widen_a_run_as_one_does(together):
    folder, _, results = together
    first, second = results[-1]
    for name, value in second.items():
        assert torch.equal(value, first.tensors[f"average.{name}"]), name
    alone, _ = load_newest_checkpoint(folder / "widened-alone" / "checkpoints")
    for name in ("generator.embedding.weight", "discriminator.projection.weight"):
        assert first.tensors[name].shape[1] == 3
        torch.testing.assert_close(first.tensors[name], alone.tensors[name], rtol=0, atol=2e-3)


def test_a_process_on_its_own_leaves_everything_as_it_is():
    x = torch.randn(4, 3)
    assert (
        processes.own_share(x)
        is processes.sum_over_processes(x)
        is processes.gather_batches(x)
        is x
    )
    assert (
        processes.n_processes() == 1
        and processes.is_first()
        and not processes.true_in_all_processes(False)
    )


def test_a_batch_that_cannot_be_shared_is_refused(dataset, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.train.loop.n_processes", lambda: 3)
    with pytest.raises(
        ConfigError, match="batch_size 4 cannot be shared by 3 processes: give a multiple"
    ):
        train_gan(dataset, tiny_run(), tmp_path, CPU, Limits(steps=1))
