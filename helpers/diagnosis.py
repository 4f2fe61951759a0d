"""What goes wrong in a conditional GAN, found on its output: NaN, silence, one sound for all."""

import torch
from torch import Tensor

SOUNDING_SHARE = 0.02  # of the real clips' share of bins above silence
SPREAD_SHARE = 0.1  # of the real clips' spread

DIVERGED = (
    "the generator's output is not a number: training has diverged. Halve the learning rate, or use precision fp32, "
    "and start again with restart=True."
)


class TrainingWarning(UserWarning):
    """Training goes on, but what it makes will not be worth hearing; the message says what to do."""


def find_faults(generated: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor, silence: Tensor) -> list[str]:
    """One sentence with advice for each fault of a batch of generated spectrograms, beside real ones.

    generated and real (B, 1, n_mels, n_frames) normalised, labels (B,), silence (n_mels,) or (1,).
    """
    if not torch.isfinite(generated).all():
        return [DIVERGED]
    if _sounding(generated, silence) < SOUNDING_SHARE * _sounding(real, silence):
        return [
            "every generated sound is silence. Train longer; if it stays so, lower the learning rate, and see in "
            "01_data that the recordings are not mostly silent."
        ]
    faults = []
    if _spread(generated) < SPREAD_SHARE * _spread(real):
        faults.append(
            "all generated sounds are alike, whatever class is asked for. Lower the learning rate of both players "
            "and start again with restart=True; more recordings help too."
        )
    elif _spread_within(generated, labels) < SPREAD_SHARE * _spread_within(real, real_labels):
        faults.append(
            "the sounds of a class are all alike: the noise is ignored. Go on from here only if that is enough for "
            "you; otherwise lower the learning rate, or give each class more recordings."
        )
    return faults


def _sounding(x: Tensor, silence: Tensor) -> float:
    return float((x > silence.to(x.device).view(1, 1, -1, 1) + 0.1).float().mean())


def _spread(x: Tensor) -> float:
    return float(x.float().std(dim=0, unbiased=False).mean())


def _spread_within(x: Tensor, labels: Tensor) -> float:
    spreads = [_spread(x[labels == label]) for label in labels.unique() if int((labels == label).sum()) > 1]
    return sum(spreads) / len(spreads) if spreads else float("nan")  # nothing to compare
