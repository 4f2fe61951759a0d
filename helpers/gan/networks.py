"""Generators and discriminators: a plain pair for `baseline`, a residual pair for `modern`.

Shapes: B clips, C channels, H mel bins, W frames. Labels are one-hot rows (B, n_classes).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import MOST_CHANNELS, AudioConfig, ModelConfig
from helpers.gan.processes import gather_batches, n_processes


class CGAN_Generator(nn.Module):  # noqa: N801 (the name this system is known by)
    """Latent and label, concatenated, through a linear layer and four transposed convolutions."""

    def __init__(self, z_dim: int, n_classes: int, n_mels: int = 128, n_frames: int = 512):
        super().__init__()
        self.z_dim = z_dim
        self.first_map = (256, n_mels // 16, n_frames // 16)
        self.fc = nn.Linear(z_dim + n_classes, math.prod(self.first_map))
        layers = [nn.BatchNorm2d(256), nn.ReLU()]
        for n_in, n_out in pairwise((256, 128, 64, 32)):
            layers += [_doubling(n_in, n_out), nn.BatchNorm2d(n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _doubling(32, 1), nn.Tanh())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Latents (B, z_dim) and labels y to spectrograms (B, 1, n_mels, n_frames) in [-1, 1]."""
        h = self.fc(torch.cat([z, y], dim=1))  # (B, 256 · H/16 · W/16)
        h = self.layers[:-2](
            h.view(-1, *self.first_map)
        )  # (B, 256, H/16, W/16) -> (B, 32, H/2, W/2)
        return in_fp32(self.layers[-2:], h)  # (B, 1, H, W)


class CGAN_Discriminator(nn.Module):  # noqa: N801
    """The label as a second image channel, then strided convolutions to one logit."""

    def __init__(self, n_classes: int, n_mels=128, n_frames=512, spectral_norm=False):
        super().__init__()
        wrap = nn.utils.parametrizations.spectral_norm if spectral_norm else nn.Identity()
        self.image_shape = (1, n_mels, n_frames)
        self.label_map = wrap(nn.Linear(n_classes, n_mels * n_frames))
        layers = []
        for n_in, n_out in pairwise((2, 32, 64, 128, 256)):
            layers += [wrap(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = wrap(nn.Linear(256 * (n_mels // 16) * (n_frames // 16), 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Spectrograms (B, 1, n_mels, n_frames) and labels y to logits (B,) of being real."""
        label = self.label_map(y).view(-1, *self.image_shape)  # (B, 1, H, W)
        return self.head(self.layers(torch.cat([x, label], dim=1))).squeeze(1)  # (B, 1) -> (B,)


class ResidualGenerator(nn.Module):
    """Four residual stages, from coarse to fine, and with "filtered" upsampling one at full size.

    Latent and class set scale and shift of each batch norm (Brock et al. 2019, appendix B).
    "transposed" is for generators of earlier versions: they draw a faint grid.
    """

    def __init__(self, model: ModelConfig, audio: AudioConfig, n_classes: int):
        super().__init__()
        self.z_dim = model.z_dim
        widths = [min(MOST_CHANNELS, model.generator_width * 2**k) for k in (3, 2, 1, 0)]
        self.embedding = nn.Linear(n_classes, model.embedding_dim, bias=False)
        condition_dim = model.z_dim + model.embedding_dim
        self.first_map = (widths[0], audio.n_mels // 16, audio.n_frames // 16)
        self.fc = nn.Linear(condition_dim, math.prod(self.first_map))
        self.blocks = nn.ModuleList(_ConditionalBlock(c, condition_dim) for c in widths)
        filtered = model.upsampling == "filtered"
        finest = max(16, model.generator_width) if filtered else max(8, model.generator_width // 2)
        double = _filtered_doubling if filtered else _doubling
        self.upsamplers = nn.ModuleList(double(*pair) for pair in pairwise([*widths, finest]))
        self.finest = _ConditionalBlock(finest, condition_dim) if filtered else None
        self.last_norm = nn.BatchNorm2d(finest)
        self.to_spectrogram = nn.Conv2d(finest, 1, 3, padding=1)
        self.apply(_keep_scale)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Latents (B, z_dim) and labels y to spectrograms (B, 1, n_mels, n_frames), unbounded."""
        condition = torch.cat([z, pixel_norm(self.embedding(y))], dim=1)  # (B, condition_dim)
        h = self.fc(condition).view(-1, *self.first_map)  # (B, C, H/16, W/16)
        for block, upsample in zip(self.blocks, self.upsamplers, strict=True):
            h = upsample(block(h, condition))  # (B, C', 2H', 2W')
        if self.finest is not None:
            h = self.finest(h, condition)
        return in_fp32(self.to_spectrogram, F.leaky_relu(self.last_norm(h), 0.2))


class ProjectionDiscriminator(nn.Module):
    """Residual, without batch norm; the class enters by projection (Miyato and Koyama 2018, eq. 3).

    A second head classifies the sound (the auxiliary classifier of Odena et al. 2017).
    """

    def __init__(self, model: ModelConfig, audio: AudioConfig, n_classes: int):
        super().__init__()
        widths = [min(MOST_CHANNELS, model.discriminator_width * 2**k) for k in (0, 1, 2, 3)]
        self.stem = nn.Conv2d(1, widths[0], 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(_HalvingBlock(*pair) for pair in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.from_spread = nn.Linear(1, widths[-1], bias=False)
        n_features = widths[-1] * (audio.n_mels // 16)  # time is averaged away, frequency is kept
        self.head = nn.Linear(n_features, 1)
        self.projection = nn.Linear(n_classes, n_features, bias=False)
        self.classifier = nn.Linear(n_features, n_classes)
        self.apply(_keep_scale)
        # as much as the spread would add as one more input channel of `last`
        nn.init.normal_(self.from_spread.weight, std=0.1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Spectrograms (B, 1, n_mels, n_frames) and labels y to logits (B,) of being real."""
        return self.forward_with_class(x, y)[0]

    def forward_with_class(self, x: Tensor, y: Tensor, n_batches: int = 1) -> tuple[Tensor, Tensor]:
        """Logits (B,) of x being real, and logits (B, n_classes) of its class, which ignore y.

        x (B, 1, n_mels, n_frames) and y may hold n_batches batches of equal size, one after
        another. Clips are then compared within their own batch only.
        """
        h = self.stem(x)  # (B, C, H/2, W/2)
        for block in self.blocks:
            h = block(h)  # (B, 2C, H/4, W/4), then (B, 4C, H/8, W/8), then (B, 8C, H/16, W/16)
        h = F.leaky_relu(h, 0.2)
        class_logits = self.classifier(h.mean(dim=3).flatten(1))  # (B, 8C · H/16) -> (B, n_classes)
        spread = self.from_spread(class_spread(h, y, n_batches))[:, :, None, None]  # (B, 8C, 1, 1)
        h = F.leaky_relu(self.last(h) + spread, 0.2).mean(dim=3).flatten(1)  # (B, 8C · H/16)
        match = (self.projection(y) * h).sum(dim=1) / math.sqrt(h.shape[1])
        return self.head(h).squeeze(1) + match, class_logits


def make_generator(model: ModelConfig, audio: AudioConfig, n_classes: int) -> nn.Module:
    """The generator of a recipe: latents (B, z_dim) and labels to (B, 1, n_mels, n_frames)."""
    if model.recipe == "baseline":
        return CGAN_Generator(model.z_dim, n_classes, audio.n_mels, audio.n_frames)
    return ResidualGenerator(model, audio, n_classes)


def make_discriminator(model: ModelConfig, audio: AudioConfig, n_classes: int) -> nn.Module:
    """The discriminator of a recipe: (B, 1, n_mels, n_frames) and labels to logits (B,)."""
    if model.recipe == "baseline":
        return CGAN_Discriminator(n_classes, audio.n_mels, audio.n_frames, model.spectral_norm)
    return ProjectionDiscriminator(model, audio, n_classes)


def in_fp32(layer: nn.Module, x: Tensor) -> Tensor:
    """layer(x) in 32 bits. The gradient of a last layer's bias is a sum over all pixels of a batch:
    in fp16 it overflows.
    """
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())


def pixel_norm(x: Tensor) -> Tensor:
    """Divide x (B, C, ...) by its root mean square over channels (Karras et al. 2018, sec. 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def class_spread(x: Tensor, y: Tensor, n_batches: int = 1) -> Tensor:
    """Standard deviation among clips of the same class, mean over features: (B, 1).

    x is (B, C, H, W), y its labels. ProGAN's batch statistic (Karras et al. 2018, sec. 3) within
    each class shows a class that has collapsed to one sound. A clip alone in its class gets 0.
    Each of n_batches batches, one after another, counts by itself. If several processes train
    together, the clips of all of them count.
    """
    with torch.autocast(x.device.type, enabled=False):  # squares need all their digits
        batch = torch.arange(n_batches, device=x.device).repeat_interleave(len(x) // n_batches)
        same_batch = batch[:, None] == batch.repeat(n_processes())  # (B, clips of all processes)
        same = (y.float() @ gather_batches(y.float()).T) * same_batch
        share = same / same.sum(dim=1, keepdim=True)
        flat = gather_batches(x.flatten(1).float())  # (clips of all processes, C · H · W)
        flat = flat - flat.mean(dim=0)
        variance = share @ flat.square() - (share @ flat).square()  # (B, C · H · W)
        return (variance.clamp_min(0) + 1e-8).sqrt().mean(dim=1, keepdim=True).to(x.dtype)


def _keep_scale(layer: nn.Module) -> None:
    """Initialise a convolution so that signals keep their size (He et al. 2015, eq. 14)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, a=0.2)
        nn.init.zeros_(layer.bias)


def _doubling(n_in: int, n_out: int) -> nn.Module:
    return nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1)  # (B, n_out, 2H, 2W)


class _Smooth(nn.Module):
    """Filters (B, C, H, W) with [1, 2, 1] / 4 on both axes, which no pattern of 2 x 2 passes."""

    def __init__(self, channels: int):
        super().__init__()
        weights = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = (weights[:, None] * weights).expand(channels, 1, 3, 3).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel.to(x.dtype), padding=1, groups=len(self.kernel))


def _filtered_doubling(n_in: int, n_out: int) -> nn.Module:
    """Transposed convolution and a filter (StyleGAN2's, Karras et al. 2020, appendix B)."""
    return nn.Sequential(_doubling(n_in, n_out), _Smooth(n_out))  # (B, n_out, 2H, 2W)


class _ConditionalNorm(nn.Module):
    """Batch norm of (B, C, H, W) with scale and shift from a condition (B, D)."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale_shift = nn.Linear(condition_dim, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale_shift = self.scale_shift(condition)[:, :, None, None]  # (B, 2C, 1, 1)
        scale, shift = scale_shift.chunk(2, dim=1)
        return self.norm(x) * (1 + scale) + shift


class _ConditionalBlock(nn.Module):
    """Adds to (B, C, H, W) two convolutions, each after a norm with a condition (B, D)."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm1 = _ConditionalNorm(channels, condition_dim)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = _ConditionalNorm(channels, condition_dim)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(self.norm1(x, condition), 0.2))
        return x + self.conv2(F.leaky_relu(self.norm2(h, condition), 0.2))


class _HalvingBlock(nn.Module):
    """Residual; halves both axes: (B, C, H, W) to (B, C', H/2, W/2)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_in, 3, padding=1)
        self.conv2 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(x, 0.2))
        h = self.conv2(F.leaky_relu(F.avg_pool2d(h, 2), 0.2))
        return (self.skip(F.avg_pool2d(x, 2)) + h) / math.sqrt(2)
