"""A training step as CUDA graphs: what a GPU has launched once, it repeats without being told.

A step launches hundreds of small operations, and a GPU computes them faster than Python asks for
them. A graph asks once.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from helpers.gan.augment import Augmenter
from helpers.gan.players import (
    Batch,
    Players,
    follow_generator,
    r1_is_due,
    train_step,
    update_players,
)
from helpers.progress import say

WARM_UPS = 3  # steps before one is captured: they allocate what it keeps (PyTorch's CUDA notes)
TOLERANCE = 0.02  # of the losses of a captured step: sums may be added up in another order

Losses = dict[str, Tensor]


class CapturedStep:
    """`train_step` on a GPU, captured when it is first called, with and without the R1 penalty.

    All batches must have one size. The players must not be loaded anew meanwhile: a graph knows
    weights and averages by their place in memory. Where a step cannot be captured, or gives other
    losses than a plain one, that is said. Compiled networks are then tried as they are, and at last
    plain steps go on.
    """

    def __init__(self):
        self.captured: dict[bool, _Form] | None = {}  # by whether R1 is due; None: plain steps

    def __call__(self, players: Players, batch: Batch, augmented: Augmenter, step: int) -> Losses:
        """As `train_step`, with the numbers that `augmented` has drawn for this step."""
        if self.captured is None:
            return train_step(players, batch, augmented, step)
        try:
            due = r1_is_due(players.train, step)
            if due not in self.captured:
                self.captured[due] = _Form(players, batch, augmented, step)
        except RuntimeError as error:
            players.discriminator.requires_grad_(True)  # it may have ended in the generator's part
            reason = str(error).strip().splitlines()[0]
            if players.compiled:
                say(f"the networks are not compiled ({reason})")
                players.compile(False)
                self.captured = {}
                return self(players, batch, augmented, step)
            self.captured = None
            say(f"the step could not be captured ({reason}): training goes on without, slower")
            return train_step(players, batch, augmented, step)
        losses = self.captured[due].replay(batch, augmented)
        follow_generator(players, step)
        return losses


class _Form:
    """A captured step, and the tensors that it reads its batch and its random numbers from."""

    def __init__(self, players: Players, batch: Batch, augmented: Augmenter, step: int):
        for optimiser in (players.optimiser_g, players.optimiser_d):
            for group in optimiser.param_groups:
                group["capturable"] = True
        self.batch = Batch(*(part.clone() for part in batch))
        self.numbers = torch.stack(augmented.drawn)
        still = copy.copy(augmented)

        def run() -> Losses:
            still.drawn = list(self.numbers)
            return update_players(players, self.batch, still, step)

        before = players.tensors()
        try:
            for _ in range(WARM_UPS):
                run()
            restore(players, before)
            wanted = {name: loss.clone() for name, loss in run().items()}
            restore(players, before)
            self.run = capture_graph(run)
            found = self.run()
        finally:
            restore(players, before)
        for name, loss in wanted.items():
            if not torch.allclose(found[name], loss, rtol=TOLERANCE, atol=TOLERANCE):
                raise RuntimeError(
                    f"captured, {name} is {float(found[name]):.4f}, and {float(loss):.4f} otherwise"
                )

    def replay(self, batch: Batch, augmented: Augmenter) -> Losses:
        for own, given in zip(self.batch, batch, strict=True):
            own.copy_(given)
        self.numbers.copy_(torch.stack(augmented.drawn))
        return {name: loss.clone() for name, loss in self.run().items()}


def capture_graph(run: Callable[[], Losses]) -> Callable[[], Losses]:
    """A CUDA graph of `run`, as a function that replays it and returns the losses' tensors."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        losses = run()

    def replay() -> Losses:
        graph.replay()
        return losses

    return replay


@torch.no_grad()
def restore(players: Players, before: dict[str, Tensor]) -> None:
    """Give the players the numbers that `Players.tensors` gave, in the memory that they have.

    An optimiser's averages that were not there before become 0, as they are before a first step.
    The scale of fp16 stays: it only adapts.
    """
    for name, value in players.tensors_in_place().items():
        if name in before:
            value.copy_(before[name])
        else:
            value.zero_()
