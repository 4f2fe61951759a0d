"""The judge's network: a small convolutional classifier of pictures of sounds."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.judge.picture import TIME_BANDS, VIEWS, Picture

STEM = (24, 16)  # channels from the tone view and from the time view
WIDTHS = (sum(STEM), 48, 64, 96)
KIND_DIM = 64
FORM_BANDS = 4  # groups of rows in which a map's means and deviations are taken
MIN_STD_SHARE = 0.1  # of the largest, so that a nearly silent band is not blown up to noise


class Trunk(nn.Module):
    """Convolutions over both views of a sound: maps of three sizes, from fine to coarse."""

    def __init__(self):
        super().__init__()
        self.tone = nn.Conv2d(1, STEM[0], 8, stride=4, padding=2)
        self.time = nn.Conv2d(1, STEM[1], (5, 32), stride=(1, 16), padding=(2, 8))
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU())
            for n_in, n_out in zip(WIDTHS, WIDTHS[1:], strict=False)
        )

    def forward(self, tone: Tensor, time: Tensor) -> list[Tensor]:
        """Views (B, 1, 128, T) and (B, 1, 32, 4 T) to maps: the first (B, 40, 32, T/4).

        The second is half as large on both axes, the last two are half of that.
        """
        maps = [F.relu(self.norm(torch.cat([self.tone(tone), self.time(time)], dim=1)))]
        for layer in self.layers[:-1]:
            maps.append(F.max_pool2d(layer(maps[-1]), 2, ceil_mode=True))
        return [*maps, self.layers[-1](maps[-1])]


class JudgeNetwork(nn.Module):
    """Names the class of a sound from its picture.

    `kind` and `form` are what distances are taken in. The first tells the classes apart. The second
    comes from a copy of the convolutions that is never trained: training forgets what the classes
    do not need, and that is where sounds of one class differ.
    """

    def __init__(self, n_classes: int):
        super().__init__()
        self.trunk = Trunk()
        self.untrained = copy.deepcopy(self.trunk).requires_grad_(False)
        self.mix = nn.Sequential(nn.Linear(2 * WIDTHS[-1] * (TIME_BANDS // 4), KIND_DIM), nn.ReLU())
        self.head = nn.Linear(KIND_DIM, n_classes)
        for view, bands in VIEWS.items():
            self.register_buffer(f"{view}_mean", torch.zeros(bands, 1))
            self.register_buffer(f"{view}_std", torch.ones(bands, 1))

    def train(self, mode: bool = True) -> "JudgeNetwork":
        """As of any module, but the untrained copy never follows batches."""
        super().train(mode)
        self.untrained.eval()
        return self

    def forward(self, picture: Picture) -> Tensor:
        """A picture of B sounds to class logits (B, n_classes)."""
        kind = self.kind(picture)
        return self.head(F.dropout(kind, 0.3, self.training))

    def kind(self, picture: Picture) -> Tensor:
        """The classifier's last hidden layer (B, KIND_DIM)."""
        last = self.trunk(*self.normalise(picture))[-1]  # (B, C, rows, frames)
        pooled = torch.cat([last.mean(dim=3), last.amax(dim=3)], dim=1)  # over time
        return self.mix(pooled.flatten(1))

    def form(self, picture: Picture) -> Tensor:
        """Means and deviations over time (B, S) of the maps of the untrained convolutions."""
        found = []
        for one in self.untrained(*self.normalise(picture)):
            rows = F.adaptive_avg_pool2d(one, (FORM_BANDS, one.shape[3]))
            found += [rows.mean(dim=3).flatten(1), rows.std(dim=3, correction=0).flatten(1)]
        return torch.cat(found, dim=1)

    def normalise(self, picture: Picture) -> tuple[Tensor, Tensor]:
        """Each view (B, bands, frames) by its bands' mean and deviation: (B, 1, bands, frames)."""
        tone = (picture.tone - self.tone_mean) / self.tone_std
        time = (picture.time - self.time_mean) / self.time_std
        return tone[:, None], time[:, None]

    def fit_normaliser(self, picture: Picture) -> None:
        """Take the mean and deviation of each band from the picture of the training clips."""
        for view in VIEWS:
            bands = getattr(picture, view).unbind(dim=1)  # (N, frames) each
            mean, std = (torch.stack(x) for x in zip(*map(_mean_and_std, bands), strict=True))
            getattr(self, f"{view}_mean")[:, 0] = mean
            getattr(self, f"{view}_std")[:, 0] = std.clamp_min(MIN_STD_SHARE * std.max() + 1e-3)


def _mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.float().mean(), x.float().std(correction=0)
