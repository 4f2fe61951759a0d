"""Faults of generated sounds that one hears at once, each with what to do about it."""

import torch
from torch import Tensor

SILENT_SHARE = 0.02  # a sound that fills less of its mel, beside real clips' mean, is silence
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.01  # of a sound's samples at full scale; a single peak is no fault
ALIKE_SHARE = 0.1  # sounds that vary less than this share of real clips' variation are alike
DIVERGED = (
    "the generator's output is not a number: training has diverged. Halve the learning rate, or "
    "use precision fp32, and start again with restart=True."
)
ALL_SILENT = (
    "every generated sound is silence. Train longer; if it stays so, lower the learning rate, and "
    "see in 01_data that the recordings are not mostly silent."
)
TOO_LOUD = (
    "louder than full scale and would be clipped. If the recordings are that loud themselves, "
    "lower their level; otherwise train longer."
)
ALL_ALIKE = (
    "all generated sounds are alike, whatever class is asked for. Lower the learning rate of both "
    "players and start again with restart=True; more recordings help too."
)
CLASSES_ALIKE = (
    "the sounds of a class are all alike: the noise is ignored. Go on from here only if that is "
    "enough for you; otherwise lower the learning rate, or give each class more recordings."
)


class TrainingWarning(UserWarning):
    """Training goes on, but its sounds are not worth hearing; the message says what to do."""


def find_faults(
    waveforms: Tensor, mels: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor
) -> list[str]:
    """One sentence with advice for each fault of generated sounds; empty if there is none.

    waveforms (B, n) of full scale 1, their log-mels (B, n_mels, n_frames) and labels (B,); real
    (M, n_mels, n_frames) are log-mels of real clips after the same inversion; real_labels (M,).
    """
    if not torch.isfinite(waveforms).all():
        return [DIVERGED]
    n, silence = len(mels), min(float(mels.min()), float(real.min()))
    filled, filled_real = ((x > silence + 0.5).float().mean(dim=(1, 2)) for x in (mels, real))
    n_silent = int((filled < SILENT_SHARE * filled_real.mean()).sum())
    if n_silent == n:
        return [ALL_SILENT]
    clipped_share = (waveforms.abs() > FULL_SCALE).float().mean(dim=1)  # (B,)
    n_clipped = int((clipped_share > CLIPPED_SHARE).sum())
    faults = []
    if n_silent * 10 > n:
        faults.append(f"{n_silent} of {n} generated sounds are silent. Train longer.")
    if n_clipped * 10 > n:
        faults.append(f"{n_clipped} of {n} generated sounds are {TOO_LOUD}")
    if _variation(mels) < ALIKE_SHARE * _variation(real):
        faults.append(ALL_ALIKE)
    elif _variation(mels, labels) < ALIKE_SHARE * _variation(real, real_labels):
        faults.append(CLASSES_ALIKE)
    return faults


def _variation(x: Tensor, labels: Tensor | None = None) -> float:
    """Standard deviation over sounds (N, ...), averaged over all else; with labels, within a class.

    NaN, which no number is below or above, where no class has two sounds.
    """
    if labels is None:
        return float(x.float().std(dim=0, unbiased=False).mean())
    groups = [x[labels == label] for label in labels.unique()]
    found = [_variation(group) for group in groups if len(group) > 1]
    return sum(found) / len(found) if found else float("nan")
