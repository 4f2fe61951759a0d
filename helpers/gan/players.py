"""One update of each player of both recipes, and of the running average of the generator."""

import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from helpers.config import RunConfig, TrainConfig
from helpers.gan.losses import class_loss, discriminator_loss, generator_loss, r1_penalty
from helpers.gan.networks import ProjectionDiscriminator, make_discriminator, make_generator
from helpers.gan.processes import average_gradients, n_processes, sync_batch_norms
from helpers.labels import one_hot

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STATISTICS_BATCHES, STATISTICS_SIZE = (
    16,
    64,
)  # sounds from which the averaged generator's statistics are taken


class Players:
    """Both networks with their optimisers, the scaler, and the running average of the generator."""

    def __init__(
        self,
        config: RunConfig,
        n_classes: int,
        device: torch.device,
        precision: str,
        compiled: bool = False,
    ):
        torch.manual_seed(config.train.seed)
        train, like = config.train, {"device": device, "memory_format": torch.channels_last}
        self.generator = make_generator(config.model, config.audio, n_classes).to(**like)
        self.discriminator = make_discriminator(config.model, config.audio, n_classes).to(**like)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        if n_processes() > 1:
            sync_batch_norms(self.generator)
        self.optimiser_g = _adam(self.generator, train.learning_rate_g, train)
        self.optimiser_d = _adam(self.discriminator, train.learning_rate_d, train)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.amp = {
            "device_type": device.type,
            "dtype": PRECISIONS[precision],
            "enabled": precision != "fp32",
        }
        self.generate, self.judge = self.generator, self._judge
        if compiled:
            self.generate, self.judge = torch.compile(self.generate), torch.compile(self.judge)

    def make(self, z: Tensor, y: Tensor) -> Tensor:
        """Sounds (B, 1, H, W) of latents z (B, z_dim) and labels y (B, n_classes), for one update of each player."""
        with torch.autocast(**self.amp):
            return self.generate(z, y)

    def _judge(self, x: Tensor, y: Tensor, n_batches: int = 1) -> tuple[Tensor, Tensor | None]:
        """Logits (B,), and those of the class that is heard (B, n_classes) where there is a head for it."""
        if isinstance(self.discriminator, ProjectionDiscriminator):
            return self.discriminator.judge(x, y, n_batches)
        return self.discriminator(x, y), None

    def state(self) -> dict:
        """Everything that the next step depends on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load(self, state: dict) -> None:
        """Take up where `state` was taken. Raises ValueError, KeyError or RuntimeError if it is of other networks."""
        for name, part in self._parts().items():
            if isinstance(part, torch.optim.Optimizer):
                _load_averages(part, state[name])
            elif (
                name != "scaler" or state[name]
            ):  # of fp32 or bf16 it is empty, and training may go on in fp16
                part.load_state_dict(state[name])

    def _parts(self) -> dict:
        names = ("generator", "discriminator", "average", "optimiser_g", "optimiser_d", "scaler")
        return {name: getattr(self, name) for name in names}


def _load_averages(optimiser: torch.optim.Adam, state: dict) -> None:
    """Load an optimiser's state, its settings apart, which are the configuration's.

    `Optimizer.load_state_dict` takes tensors of any shape and layout as they are, and a step reads and writes beyond
    the end of those that are not laid out as the parameters.
    """
    parameters = dict(
        enumerate(parameter for group in optimiser.param_groups for parameter in group["params"])
    )
    averages = {}
    for index, given in state["state"].items():
        like = parameters[index].detach().cpu()
        wanted = {"step": torch.Size(), "exp_avg": like.shape, "exp_avg_sq": like.shape}
        if {
            name: value.shape for name, value in given.items() if value.dtype == torch.float32
        } != wanted:
            raise ValueError(f"the averages of parameter {index} are not of its shape")
        averages[index] = {"step": given["step"].clone()}
        averages[index] |= {
            name: torch.empty_like(like).copy_(given[name]) for name in ("exp_avg", "exp_avg_sq")
        }
    optimiser.load_state_dict(
        {"state": averages, "param_groups": optimiser.state_dict()["param_groups"]}
    )


def train_step_d(
    players: Players,
    real: Tensor,
    made: Tensor,
    y: Tensor,
    augmented: Callable,
    train: TrainConfig,
    step: int,
) -> dict[str, Tensor]:
    """One update of the discriminator on real and made (B, 1, H, W), both of labels y (B, n_classes)."""
    with torch.autocast(**players.amp):
        shown = torch.cat(
            [augmented(real), augmented(made.detach())]
        )  # (2B, 1, H, W): one pass costs less than two
        logits, heard = players.judge(shown, torch.cat([y, y]), 2)
        loss = discriminator_loss(*logits.chunk(2))
    losses = {"loss_d": loss.detach()}
    if train.class_weight:
        loss_class = class_loss(
            heard[: len(y)], y
        )  # of real clips only: made ones would teach it their faults
        loss = loss + loss_class
        losses["loss_class"] = loss_class.detach()
    if train.r1_gamma > 0 and step % train.r1_every == 0:
        shown = augmented(real).detach().requires_grad_()
        with torch.autocast(**(players.amp | {"enabled": players.amp["dtype"] is torch.bfloat16})):
            logits = players.discriminator(shown, y)
        penalty = r1_penalty(logits, shown)  # in fp32 instead of fp16, which loses its gradient
        loss = loss + train.r1_gamma * train.r1_every * penalty
        losses["r1"] = penalty.detach()
    _update(players.optimiser_d, players.scaler, loss)
    return losses


def train_step_g(
    players: Players, made: Tensor, y: Tensor, augmented: Callable, train: TrainConfig
) -> dict[str, Tensor]:
    """One update of the generator by what it made (B, 1, H, W) of labels y (B, n_classes)."""
    players.discriminator.requires_grad_(False)
    with torch.autocast(**players.amp):
        logits, heard = players.judge(augmented(made), y)
        loss = generator_loss(logits)
    losses = {"loss_g": loss.detach()}
    if train.class_weight:
        loss = loss + train.class_weight * class_loss(heard, y)
    _update(players.optimiser_g, players.scaler, loss)
    players.scaler.update()
    players.discriminator.requires_grad_(True)
    return losses


@functools.cache
def can_compile() -> bool:
    """Whether torch.compile works here: it needs a C++ compiler and Python's headers."""
    try:
        return bool(torch.compile(lambda x: x + 1)(torch.zeros(2)).eq(1).all())
    except Exception:  # whatever is missing, training goes on without
        return False


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Move the weights and batch statistics of `average` towards those of `generator` by 1 - decay."""
    ours, theirs = average.state_dict(), generator.state_dict()
    moving = [name for name, value in ours.items() if value.is_floating_point()]
    torch._foreach_lerp_(
        [ours[name] for name in moving], [theirs[name] for name in moving], 1 - decay
    )


def with_own_statistics(generator: nn.Module, n_classes: int) -> nn.Module:
    """A copy whose batch norms have seen its own sounds, of all classes alike, in place of what they had seen.

    BigGAN's standing statistics (Brock et al. 2019, appendix B): those that an average of weights gathers along its
    way are of other weights.
    """
    network = copy.deepcopy(generator)
    device, rng = next(network.parameters()).device, torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over batches
    network.train()
    with torch.no_grad():
        for labels in (torch.arange(STATISTICS_BATCHES * STATISTICS_SIZE) % n_classes).split(
            STATISTICS_SIZE
        ):
            z = torch.randn((STATISTICS_SIZE, network.z_dim), generator=rng)
            network(z.to(device), one_hot(labels, n_classes).to(device))
    return network.eval()


def _adam(network: nn.Module, learning_rate: float, train: TrainConfig) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), learning_rate, (train.beta1, train.beta2), eps=1e-8, fused=True
    )


def _update(optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    average_gradients(
        parameter for group in optimiser.param_groups for parameter in group["params"]
    )
    scaler.step(optimiser)
