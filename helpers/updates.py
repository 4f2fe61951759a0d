"""One update of each player of both recipes, and of the running average of the generator."""

import copy
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from helpers.config import RunConfig, TrainConfig
from helpers.losses import class_loss, discriminator_loss, generator_loss, r1_penalty
from helpers.models import ProjectionDiscriminator, make_discriminator, make_generator, one_hot

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STATISTICS_BATCHES, STATISTICS_SIZE = 16, 64  # sounds from which the averaged generator's statistics are taken


class Players:
    """Both networks with their optimisers, the scaler, and the running average of the generator.

    compiled: with torch.compile. On two CPU cores or more the players then learn side by side, each on its half of
    the cores: two small networks gain more from it than one does from twice the cores.
    """

    def __init__(
        self, config: RunConfig, n_classes: int, device: torch.device, precision: str, compiled: bool = False
    ):
        torch.manual_seed(config.train.seed)
        train, like = config.train, {"device": device, "memory_format": torch.channels_last}
        self.generator = make_generator(config.model, config.audio, n_classes).to(**like)
        self.discriminator = make_discriminator(config.model, config.audio, n_classes).to(**like)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.optimiser_g = _adam(self.generator, train.learning_rate_g, train)
        self.optimiser_d = _adam(self.discriminator, train.learning_rate_d, train)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.amp = {"device_type": device.type, "dtype": PRECISIONS[precision], "enabled": precision != "fp32"}
        self.made: tuple[Tensor, Tensor] | None = None  # the generator's last batch, with its labels
        self.generate, self.judge = self.generator, functools.partial(_judge, self.discriminator)
        self.criticise = functools.partial(_judge, _frozen_view(self.discriminator))
        if compiled:
            options = {"cpp_wrapper": device.type == "cpu"}  # which leaves Python's lock to the other player
            self.generate, self.judge, self.criticise = (
                torch.compile(part, options=options) for part in (self.generate, self.judge, self.criticise)
            )
        beside = compiled and device.type == "cpu" and not config.model.spectral_norm  # whose state both would move
        half = torch.get_num_threads() // 2 if beside else 0
        self.n_threads = half or torch.get_num_threads()  # of each player
        self.compiled = False  # the compiler takes one at a time: the first step is taken in turns
        self.side = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(half,)) if half else None

    def state(self) -> dict:
        """Everything that the next step depends on."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {"made": self.made}

    def load(self, state: dict) -> None:
        """Take up where `state` was taken."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        device = next(self.generator.parameters()).device
        self.made = state["made"] and tuple(part.to(device) for part in state["made"])

    def _parts(self) -> dict:
        names = ("generator", "discriminator", "average", "optimiser_g", "optimiser_d", "scaler")
        return {name: getattr(self, name) for name in names}


def train_step(
    players: Players,
    real: Tensor,
    y: Tensor,
    rng: torch.Generator,
    augmented: Callable[..., Tensor],
    train: TrainConfig,
    step: int,
) -> dict[str, Tensor]:
    """One update of both players, each against the other as it was before the step.

    real (B, 1, H, W) with labels y (B, n_classes), which the generator is asked for too; rng draws on the CPU.
    augmented(x, generator=rng) is what the discriminator sees of x. Its made clips are those of the step before,
    so that the generator runs once a step. Returns the losses.
    """
    z = torch.randn((len(y), players.generator.z_dim), generator=rng).to(real.device)
    own = [torch.Generator().manual_seed(int(seed)) for seed in torch.randint(2**62, (2,), generator=rng)]
    shown_d, shown_g = (functools.partial(augmented, generator=generator) for generator in own)
    if players.made is None:
        with torch.no_grad():
            players.made = players.generator(z, y), y
    gradient_d = functools.partial(_gradient_d, players, real, y, shown_d, train, step)
    if players.side and players.compiled:
        pending = players.side.submit(gradient_d)
        try:
            made, losses = _gradient_g(players, y, z, shown_g, train)
        finally:
            losses_d = pending.result()
    else:
        losses_d = gradient_d()
        made, losses = _gradient_g(players, y, z, shown_g, train)
    for optimiser in (players.optimiser_d, players.optimiser_g):
        players.scaler.step(optimiser)
    players.scaler.update()
    players.made, players.compiled = (made, y), True
    return losses_d | losses


def _gradient_d(
    players: Players, real: Tensor, y: Tensor, shown: Callable, train: TrainConfig, step: int
) -> dict[str, Tensor]:
    made, made_y = players.made
    with torch.autocast(**players.amp):
        real_logits, heard = players.judge(shown(real), y)
        loss = discriminator_loss(real_logits, players.judge(shown(made), made_y)[0])
    losses = {"loss_d": loss.detach()}
    if train.class_weight:
        loss_class = class_loss(heard, y)  # of real clips only: made ones would teach it their faults
        loss = loss + loss_class
        losses["loss_class"] = loss_class.detach()
    if train.r1_gamma > 0 and step % train.r1_every == 0:
        seen = shown(real).detach().requires_grad_()
        penalty = r1_penalty(players.discriminator(seen, y), seen)  # in fp32: fp16 loses its gradient
        loss = loss + train.r1_gamma * train.r1_every * penalty
        losses["r1"] = penalty.detach()
    players.optimiser_d.zero_grad(set_to_none=True)
    players.scaler.scale(loss).backward()
    return losses


def _gradient_g(
    players: Players, y: Tensor, z: Tensor, shown: Callable, train: TrainConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """What was made (B, 1, H, W), and the losses."""
    with torch.autocast(**players.amp):
        made = players.generate(z, y)
        logits, heard = players.criticise(shown(made), y)
        loss = generator_loss(logits)
    losses = {"loss_g": loss.detach()}
    if train.class_weight:
        loss = loss + train.class_weight * class_loss(heard, y)
    players.optimiser_g.zero_grad(set_to_none=True)
    players.scaler.scale(loss).backward()
    return made.detach().float(), losses


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
    torch._foreach_lerp_([ours[name] for name in moving], [theirs[name] for name in moving], 1 - decay)


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
        for labels in (torch.arange(STATISTICS_BATCHES * STATISTICS_SIZE) % n_classes).split(STATISTICS_SIZE):
            z = torch.randn((STATISTICS_SIZE, network.z_dim), generator=rng)
            network(z.to(device), one_hot(labels, n_classes).to(device))
    return network.eval()


def _judge(discriminator: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits (B,), and those of the class that is heard (B, n_classes) where there is a head for it."""
    if isinstance(discriminator, ProjectionDiscriminator):
        return discriminator.judge(x, y)
    return discriminator(x, y), None


def _frozen_view(network: nn.Module) -> nn.Module:
    """The same weights, in the same memory, to which no gradient flows."""
    view = copy.deepcopy(network).requires_grad_(False).eval()
    for ours, theirs in zip(
        (*view.parameters(), *view.buffers()), (*network.parameters(), *network.buffers()), strict=True
    ):
        ours.data = theirs.data
    return view


def _adam(network: nn.Module, learning_rate: float, train: TrainConfig) -> torch.optim.Adam:
    betas = (train.beta1, train.beta2)
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas, eps=1e-8, fused=True)
