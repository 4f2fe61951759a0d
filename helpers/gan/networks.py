"""Generators and discriminators: the first system's pair, and the residual pair of the modern recipe."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.config import AudioConfig, ModelConfig
from helpers.gan.processes import gather_batches, n_processes


class CGAN_Generator(nn.Module):  # noqa: N801 (the name this system is known by)
    """Latent and one-hot label, concatenated, through a linear layer and four transposed convolutions."""

    def __init__(self, z_dim: int, n_classes: int, n_mels: int = 128, n_frames: int = 512):
        super().__init__()
        self.z_dim = z_dim
        self.first_map = (256, n_mels // 16, n_frames // 16)
        self.fc = nn.Linear(z_dim + n_classes, math.prod(self.first_map))
        self.layers = nn.Sequential(
            nn.BatchNorm2d(256),
            nn.ReLU(),
            *_upsample(256, 128),
            *_upsample(128, 64),
            *_upsample(64, 32),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Latents (B, z_dim) and one-hot labels (B, n_classes) to spectrograms (B, 1, n_mels, n_frames)."""
        h = self.fc(torch.cat([z, y], dim=1))  # (B, 256 · H/16 · W/16)
        return self.layers(h.view(-1, *self.first_map))  # (B, 256, H/16, W/16) -> (B, 1, H, W)


class CGAN_Discriminator(nn.Module):  # noqa: N801
    """The label as a second image channel, then strided convolutions to one logit."""

    def __init__(
        self, n_classes: int, n_mels: int = 128, n_frames: int = 512, spectral_norm: bool = False
    ):
        super().__init__()
        wrap = nn.utils.parametrizations.spectral_norm if spectral_norm else nn.Identity()
        self.image_shape = (1, n_mels, n_frames)
        self.label_map = wrap(nn.Linear(n_classes, n_mels * n_frames))
        widths = (2, 32, 64, 128, 256)
        layers = []
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [wrap(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = wrap(nn.Linear(256 * (n_mels // 16) * (n_frames // 16), 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Spectrograms (B, 1, n_mels, n_frames) and one-hot labels (B, n_classes) to logits (B,)."""
        label = self.label_map(y).view(-1, *self.image_shape)  # (B, 1, H, W)
        return self.head(self.layers(torch.cat([x, label], dim=1))).squeeze(1)  # (B, 1) -> (B,)


class ResidualGenerator(nn.Module):
    """Residual stages at four resolutions, each normalised over the batch and scaled by the latent and the class.

    Conditional batch norm with the latent at every stage is BigGAN's (Brock et al. 2019, appendix B).
    """

    def __init__(
        self, z_dim: int, n_classes: int, n_mels: int, n_frames: int, width: int, embedding_dim: int
    ):
        super().__init__()
        self.z_dim = z_dim
        widths = [min(256, width * 2**k) for k in (3, 2, 1, 0)]
        self.embedding = nn.Linear(n_classes, embedding_dim, bias=False)
        condition_dim = z_dim + embedding_dim
        self.first_map = (widths[0], n_mels // 16, n_frames // 16)
        self.fc = nn.Linear(condition_dim, math.prod(self.first_map))
        self.blocks = nn.ModuleList(_ConditionalBlock(c, condition_dim) for c in widths)
        finest = max(8, width // 2)
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1)
            for n_in, n_out in zip(widths, [*widths[1:], finest], strict=True)
        )
        self.last_norm = nn.BatchNorm2d(finest)
        self.to_spectrogram = nn.Conv2d(finest, 1, 3, padding=1)
        keep_scale(self)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Latents (B, z_dim) and one-hot labels (B, n_classes) to spectrograms (B, 1, n_mels, n_frames)."""
        condition = torch.cat(
            [z, pixel_norm(self.embedding(y))], dim=1
        )  # (B, z_dim + embedding_dim)
        h = self.fc(condition).view(-1, *self.first_map)  # (B, C, H/16, W/16)
        for block, upsample in zip(self.blocks, self.upsamplers, strict=True):
            h = upsample(block(h, condition))  # (B, C', 2H', 2W')
        return self.to_spectrogram(F.leaky_relu(self.last_norm(h), 0.2))


class ProjectionDiscriminator(nn.Module):
    """Residual, without batch norm; the class enters by projection (Miyato and Koyama 2018, eq. 3).

    A second head says which class it hears (the auxiliary classifier of Odena et al. 2017).
    """

    def __init__(self, n_classes: int, n_mels: int, n_frames: int, width: int):
        super().__init__()
        widths = [min(256, width * 2**k) for k in (0, 1, 2, 3)]
        self.stem = nn.Conv2d(1, widths[0], 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            _DownBlock(n_in, n_out) for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)
        )
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.from_spread = nn.Linear(1, widths[-1], bias=False)
        n_features = widths[-1] * (n_mels // 16)  # time is averaged away, frequency is kept
        self.head = nn.Linear(n_features, 1)
        self.projection = nn.Linear(n_classes, n_features, bias=False)
        self.classifier = nn.Linear(n_features, n_classes)
        keep_scale(self)
        nn.init.normal_(self.from_spread.weight, std=0.1)  # what a channel of it would add at first

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Spectrograms (B, 1, n_mels, n_frames) and one-hot labels (B, n_classes) to logits (B,)."""
        return self.judge(x, y)[0]

    def judge(self, x: Tensor, y: Tensor, n_batches: int = 1) -> tuple[Tensor, Tensor]:
        """The same, and the logits (B, n_classes) of the class that is heard, which y does not enter.

        x may hold several batches of equal size, one after another: no clip is compared with those of another.
        """
        h = self.stem(x)  # (B, C, H/2, W/2)
        for block in self.blocks:
            h = block(h)  # (B, 2C, H/2, W/2) and so on, to (B, 8C, H/16, W/16)
        h = F.leaky_relu(h, 0.2)
        heard = self.classifier(h.mean(dim=3).flatten(1))
        spread = self.from_spread(class_spread(h, y, n_batches))[:, :, None, None]  # (B, 8C, 1, 1)
        h = F.leaky_relu(self.last(h) + spread, 0.2)
        h = h.mean(dim=3).flatten(1)  # (B, 8C · H/16)
        match = (self.projection(y) * h).sum(dim=1) / math.sqrt(h.shape[1])
        return self.head(h).squeeze(1) + match, heard


def keep_scale(network: nn.Module) -> None:
    """Initialise convolutions so that signals keep their size from layer to layer (He et al. 2015, eq. 14)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            nn.init.zeros_(layer.bias)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square over channels (ProGAN, Karras et al. 2018, sec. 4.2); any (B, C, ...)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def class_spread(x: Tensor, y: Tensor, n_batches: int = 1) -> Tensor:
    """Mean standard deviation over the clips of the same class, (B, C, H, W), one-hot (B, n_classes) to (B, 1).

    ProGAN's batch statistic (Karras et al. 2018, sec. 3) within classes: where a single class has collapsed to one
    sound, it becomes easy to see. Alone in its class: 0. Of n_batches one after another, each is taken by itself; the
    clips of other processes count, if several train together.
    """
    with torch.autocast(x.device.type, enabled=False):  # squares need their digits
        batch = torch.arange(n_batches, device=x.device).repeat_interleave(len(x) // n_batches)
        same = (y.float() @ gather_batches(y.float()).T) * (
            batch[:, None] == batch.repeat(n_processes())
        )  # (B, all)
        share = same / same.sum(dim=1, keepdim=True)
        flat = gather_batches(x.flatten(1).float())
        flat = flat - flat.mean(dim=0)
        variance = share @ flat.square() - (share @ flat).square()  # (B, C · H · W)
        return (variance.clamp_min(0) + 1e-8).sqrt().mean(dim=1, keepdim=True).to(x.dtype)


def make_generator(model: ModelConfig, audio: AudioConfig, n_classes: int) -> nn.Module:
    """The generator of a recipe: (B, z_dim), (B, n_classes) -> (B, 1, n_mels, n_frames)."""
    if model.recipe == "baseline":
        return CGAN_Generator(model.z_dim, n_classes, audio.n_mels, audio.n_frames)
    return ResidualGenerator(
        model.z_dim,
        n_classes,
        audio.n_mels,
        audio.n_frames,
        model.generator_width,
        model.embedding_dim,
    )


def make_discriminator(model: ModelConfig, audio: AudioConfig, n_classes: int) -> nn.Module:
    """The discriminator of a recipe: (B, 1, n_mels, n_frames), (B, n_classes) -> (B,) logits."""
    if model.recipe == "baseline":
        return CGAN_Discriminator(n_classes, audio.n_mels, audio.n_frames, model.spectral_norm)
    return ProjectionDiscriminator(
        n_classes, audio.n_mels, audio.n_frames, model.discriminator_width
    )


class _ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift come from the latent and the class; (B, C, H, W), (B, D) to (B, C, H, W)."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale_shift = nn.Linear(condition_dim, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale_shift(condition)[:, :, None, None].chunk(
            2, dim=1
        )  # each (B, C, 1, 1)
        return self.norm(x) * (1 + scale) + shift


class _ConditionalBlock(nn.Module):
    """Two convolutions on a residual path; (B, C, H, W) and (B, D) to (B, C, H, W)."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm1 = _ConditionalNorm(channels, condition_dim)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = _ConditionalNorm(channels, condition_dim)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(self.norm1(x, condition), 0.2))
        return x + self.conv2(F.leaky_relu(self.norm2(h, condition), 0.2))


class _DownBlock(nn.Module):
    """Residual, halving both axes; (B, C, H, W) to (B, C', H/2, W/2)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_in, 3, padding=1)
        self.conv2 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.leaky_relu(x, 0.2))
        h = self.conv2(F.leaky_relu(F.avg_pool2d(h, 2), 0.2))
        return (self.skip(F.avg_pool2d(x, 2)) + h) / math.sqrt(2)


def _upsample(n_in: int, n_out: int) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    ]
