"""Device, precision, seeds, and the versions that made a run."""

import functools
import os
import platform
import random
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from torch import Tensor

from helpers import __version__
from helpers.config import ConfigError, digest_of
from helpers.files import PROJECT

SHOWN_PACKAGES = ("torch", "torchaudio", "numpy", "soundfile", "ipywidgets", "papermill")


def pick_device() -> torch.device:
    """The first CUDA device if this build of torch can use it, else the CPU.

    On a GPU, convolutions in 32 bits are exact from then on, as products of matrices are anyway:
    TF32 rounds to 10 bits, and a sound would depend on the others that are made with it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() and _cuda_works() else "cpu")
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def pick_precision(wanted: str, device: torch.device) -> str:
    """The precision that "auto" means on a device; any other that it has is returned as it is.

    On a GPU: bf16 from compute capability 8, else fp16 (a T4 claims bf16 but emulates it).
    On a CPU: bf16 with AVX-512 BF16 or AMX, else fp32. Raises ConfigError for bf16 on a GPU that
    emulates it.
    """
    if device.type == "cuda":
        best = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
        if wanted == "bf16" != best:
            name = torch.cuda.get_device_name(device)
            raise ConfigError(
                f"precision bf16 is slow on {name}, which only emulates it: give auto or fp16"
            )
    else:
        can = getattr(torch.cpu, "get_capabilities", dict)()
        best = "bf16" if can.get("avx512_bf16") or can.get("amx_bf16") else "fp32"
    return best if wanted == "auto" else wanted


def pick_preset(wanted: str, device: torch.device) -> str:
    """The preset that "auto" means on a device: short on a GPU, cpu elsewhere; others stay."""
    return wanted if wanted != "auto" else "short" if device.type == "cuda" else "cpu"


def copy_to(x: Tensor, device: torch.device) -> Tensor:
    """Copy x to a device; to a GPU without waiting for what it still has to do."""
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


@functools.cache
def _cuda_works() -> bool:
    """Whether this build of torch has code for the GPU. It says so where it has none."""
    try:
        return bool(torch.ones(2, device="cuda").sum().item() == 2)
    except RuntimeError as error:
        print(
            f"the GPU ({torch.cuda.get_device_name(0)}) cannot be used by this build of torch "
            f"({str(error).splitlines()[0]}): everything runs on the CPU"
        )
        return False


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries that use the global generator)
    torch.manual_seed(seed)


def versions() -> dict[str, str]:
    """The versions that make a run; that of the project ends with a digest of its code."""
    paths = sorted((PROJECT / "helpers").rglob("*.py"))
    code = digest_of(*(path.read_text(encoding="utf-8") for path in paths))
    found = {"class-sounds": f"{__version__}+{code}", "python": platform.python_version()}
    for name in SHOWN_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def describe() -> str:
    """Two lines for a notebook's first cell: the versions; device, precision and project."""
    device, name = pick_device(), f"CPU, {os.cpu_count()} cores"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif torch.backends.mps.is_available():
        name += " (Apple's GPU is not used)"
    packages = "  ".join(f"{package} {number}" for package, number in versions().items())
    precision = pick_precision("auto", device)
    return f"{packages}\ndevice {name}, precision {precision}, project at {PROJECT}"
