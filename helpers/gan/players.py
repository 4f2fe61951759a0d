"""The two players of both recipes, and one update of each: the step that training repeats.

The generator also has a running average of its weights. It is what one listens to.
"""

import copy
import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from helpers.config import RunConfig, TrainConfig
from helpers.gan.losses import class_loss, discriminator_loss, generator_loss, r1_penalty
from helpers.gan.networks import ProjectionDiscriminator, make_discriminator, make_generator
from helpers.gan.processes import average_gradients, n_processes, sync_batch_norms
from helpers.labels import one_hot
from helpers.network_file import with_prefix, without_prefix

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
AVERAGE_RAMP = 0.05  # the half-life is at most this share of the images seen so far (ADA, 2020)
STATISTICS_BATCHES = 16  # batches of sounds from which the average's batch statistics are taken
STATISTICS_SIZE = 64
LOSS_SCALE = 1024.0  # of fp16 at first: torch's own 65 536 overflows for the first ten steps
NETWORKS = ("generator", "discriminator", "average")
OPTIMISERS = ("optimiser_g", "optimiser_d")
# torch.compile looks for CUDA on a machine without a GPU too, and warns where it finds half of it
logging.getLogger("torch.utils.cpp_extension").addFilter(
    lambda record: "No CUDA runtime" not in record.msg
)


class Batch(NamedTuple):
    """The clips of one step: real ones, their labels, and the noise for as many made ones."""

    real: Tensor  # (B, 1, n_mels, n_frames) normalised log-mels
    y: Tensor  # (B, n_classes) one-hot
    z: Tensor  # (B, z_dim)


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
        self.train = config.train
        like = {"device": device, "memory_format": torch.channels_last}
        self.generator = make_generator(config.model, config.audio, n_classes).to(**like)
        self.discriminator = make_discriminator(config.model, config.audio, n_classes).to(**like)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        if n_processes() > 1:
            sync_batch_norms(self.generator)
        self.optimiser_g = _adam(self.generator, self.train.learning_rate_g, self.train)
        self.optimiser_d = _adam(self.discriminator, self.train.learning_rate_d, self.train)
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=LOSS_SCALE, enabled=precision == "fp16"
        )
        self.amp = {
            "device_type": device.type,
            "dtype": PRECISIONS[precision],
            "enabled": precision != "fp32",
        }
        self.compile(compiled)

    def compile(self, compiled: bool) -> None:
        """Use the networks compiled by torch.compile, which happens when they are first used."""
        self.compiled = compiled
        self.generate = torch.compile(self.generator) if compiled else self.generator
        self.discriminate = torch.compile(self._discriminate) if compiled else self._discriminate

    def make(self, z: Tensor, y: Tensor) -> Tensor:
        """Made clips (B, 1, H, W) of noise z (B, z_dim) and labels y (B, n_classes)."""
        with torch.autocast(**self.amp):
            return self.generate(z, y)

    def _discriminate(
        self, x: Tensor, y: Tensor, n_batches: int = 1
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (B,), and those of the class (B, n_classes) if the discriminator names it."""
        if isinstance(self.discriminator, ProjectionDiscriminator):
            return self.discriminator.forward_with_class(x, y, n_batches)
        return self.discriminator(x, y), None

    def to_listen_to(self) -> nn.Module:
        """The running average if one is kept, else the generator itself."""
        return self.average if self.train.ema_half_life_images else self.generator

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next step depends on, by name."""
        found = self.tensors_in_place()
        scaler = {name: torch.tensor(value) for name, value in self.scaler.state_dict().items()}
        found |= with_prefix("scaler", scaler)
        return {name: value.detach().clone() for name, value in found.items()}

    def tensors_in_place(self) -> dict[str, Tensor]:
        """The weights and the optimisers' averages themselves, by name."""
        found = {}
        for name in NETWORKS:
            found |= with_prefix(name, getattr(self, name).state_dict())
        for name in OPTIMISERS:
            for index, averages in getattr(self, name).state_dict()["state"].items():
                found |= with_prefix(f"{name}.{index}", averages)
        return found

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave; ValueError or RuntimeError if it is of other networks."""
        for name in NETWORKS:
            getattr(self, name).load_state_dict(without_prefix(name, tensors))
        for name in OPTIMISERS:
            _load_averages(getattr(self, name), without_prefix(name, tensors))
        scaler = without_prefix("scaler", tensors)
        if scaler and self.scaler.is_enabled():  # a run may go on in fp16 after another precision
            self.scaler.load_state_dict({name: value.item() for name, value in scaler.items()})


def train_step(
    players: Players, batch: Batch, augmented: Callable[[Tensor], Tensor], step: int
) -> dict[str, Tensor]:
    """One update of the discriminator, then of the generator, then of its average.

    `augmented` changes real and made clips (B, 1, H, W) alike before the discriminator sees them.
    `step` counts from 0. Returns the losses as scalars on the device, without waiting for it.
    """
    losses = update_players(players, batch, augmented, step)
    follow_generator(players, step)
    return losses


def update_players(
    players: Players, batch: Batch, augmented: Callable[[Tensor], Tensor], step: int
) -> dict[str, Tensor]:
    """`train_step` without the generator's average."""
    players.generator.train()
    made = players.make(batch.z, batch.y)
    losses = update_discriminator(players, batch.real, made, batch.y, augmented, step)
    return losses | update_generator(players, made, batch.y, augmented)


def follow_generator(players: Players, step: int) -> None:
    """Move the generator's average, if one is kept: the more slowly, the longer it was trained."""
    train = players.train
    if train.ema_half_life_images:
        images = (step + 1) * train.batch_size
        half_life = min(train.ema_half_life_images, AVERAGE_RAMP * images)
        update_average(players.average, players.generator, 0.5 ** (train.batch_size / half_life))


def update_discriminator(
    players: Players, real: Tensor, made: Tensor, y: Tensor, augmented: Callable, step: int
) -> dict[str, Tensor]:
    """One update of the discriminator on real and made (B, 1, H, W), both of labels y."""
    train = players.train
    with torch.autocast(**players.amp):
        shown = torch.cat([augmented(real), augmented(made.detach())])  # (2B, 1, H, W): one pass
        logits, class_logits = players.discriminate(shown, torch.cat([y, y]), 2)
        loss = discriminator_loss(*logits.chunk(2))
    losses = {"loss_d": loss.detach()}
    if train.class_weight:
        # of real clips only: made ones would teach it their faults
        loss_class = class_loss(class_logits[: len(y)], y)
        loss = loss + loss_class
        losses["loss_class"] = loss_class.detach()
    if r1_is_due(train, step):
        shown = augmented(real).detach().requires_grad_()
        # in fp32 instead of fp16, which loses its gradient
        with torch.autocast(**(players.amp | {"enabled": players.amp["dtype"] is torch.bfloat16})):
            logits = players.discriminator(shown, y)
        penalty = r1_penalty(logits, shown)
        loss = loss + train.r1_gamma * train.r1_every * penalty
        losses["r1"] = penalty.detach()
    _update(players.optimiser_d, players.scaler, loss)
    return losses


def update_generator(
    players: Players, made: Tensor, y: Tensor, augmented: Callable
) -> dict[str, Tensor]:
    """One update of the generator by what it made (B, 1, H, W) of labels y (B, n_classes)."""
    players.discriminator.requires_grad_(False)
    with torch.autocast(**players.amp):
        logits, class_logits = players.discriminate(augmented(made), y)
        loss = generator_loss(logits)
    losses = {"loss_g": loss.detach()}
    if players.train.class_weight:
        loss = loss + players.train.class_weight * class_loss(class_logits, y)
    _update(players.optimiser_g, players.scaler, loss)
    players.scaler.update()
    players.discriminator.requires_grad_(True)
    return losses


def r1_is_due(train: TrainConfig, step: int) -> bool:
    """Whether a step takes the R1 penalty, and so augments real clips once more."""
    return train.r1_gamma > 0 and step % train.r1_every == 0


def n_augmented(train: TrainConfig, step: int) -> int:
    """How many batches a step augments: real and made ones, made ones again, real ones for R1."""
    return 3 + r1_is_due(train, step)


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Move the weights and batch statistics of `average` towards the generator's by 1 - decay."""
    ours = average.state_dict()
    theirs = generator.state_dict()
    moving = [name for name, value in ours.items() if value.is_floating_point()]
    own = [ours[name] for name in moving]
    torch._foreach_lerp_(own, [theirs[name] for name in moving], 1 - decay)


def with_own_statistics(generator: nn.Module, n_classes: int) -> nn.Module:
    """A copy whose batch norms have the statistics of its own sounds, all classes alike.

    These are BigGAN's standing statistics (Brock et al. 2019, appendix B). An average of weights
    needs them: the statistics that it gathers along its way are of other weights.
    """
    network = copy.deepcopy(generator)
    device = next(network.parameters()).device
    rng = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over batches
    network.train()
    labels = torch.arange(STATISTICS_BATCHES * STATISTICS_SIZE) % n_classes
    with torch.no_grad():
        for part in labels.split(STATISTICS_SIZE):
            z = torch.randn((STATISTICS_SIZE, network.z_dim), generator=rng)
            network(z.to(device), one_hot(part, n_classes).to(device))
    return network.eval()


@functools.cache
def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works here: it needs a C++ compiler and Python's headers.

    On a GPU it needs Triton, too, and is tried from compute capability 8 on.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        zeros = torch.zeros(2, device=device)
        return bool(torch.compile(lambda x: x + 1)(zeros).eq(1).all())
    except Exception:  # whatever is missing, training goes on without
        return False


def _adam(network: nn.Module, learning_rate: float, train: TrainConfig) -> torch.optim.Adam:
    betas = (train.beta1, train.beta2)
    return torch.optim.Adam(network.parameters(), learning_rate, betas, eps=1e-8, fused=True)


def _update(optimiser: torch.optim.Adam, scaler: torch.amp.GradScaler, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    average_gradients(optimiser.param_groups[0]["params"])
    scaler.step(optimiser)


def _load_averages(optimiser: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Load Adam's averages; its settings are the configuration's.

    Raises ValueError for averages of another shape: `Optimizer.load_state_dict` takes tensors of
    any shape and layout, and a step would then read and write beyond their end.
    """
    state = {}
    for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
        given = without_prefix(str(index), tensors)
        like = parameter.detach().cpu()
        wanted = {"step": torch.Size(), "exp_avg": like.shape, "exp_avg_sq": like.shape}
        if not given:
            continue  # a parameter that never had a gradient
        if {name: v.shape for name, v in given.items() if v.dtype == torch.float32} != wanted:
            raise ValueError(f"the averages of parameter {index} are not of its shape")
        state[index] = {"step": given["step"].clone()}
        state[index] |= {
            n: torch.empty_like(like).copy_(given[n]) for n in ("exp_avg", "exp_avg_sq")
        }
    if sum(map(len, state.values())) != len(tensors):
        raise ValueError("there are averages of parameters that these networks do not have")
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
