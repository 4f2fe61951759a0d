"""Device, precision, seeds, and the versions that made a run."""

import os
import platform
import random
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from helpers import __version__
from helpers.config import digest_of
from helpers.files import PROJECT

SHOWN_PACKAGES = ("torch", "torchaudio", "numpy", "soundfile", "ipywidgets", "papermill")


def pick_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pick_precision(wanted: str, device: torch.device) -> str:
    """The precision that "auto" means on a device; any other precision is returned as it is.

    On a GPU: bf16 from compute capability 8, else fp16 (a T4 claims bf16 but emulates it).
    On a CPU: bf16 with AVX-512 BF16 or AMX, else fp32.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    can = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if can.get("avx512_bf16") or can.get("amx_bf16") else "fp32"


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
    packages = "  ".join(f"{package} {number}" for package, number in versions().items())
    precision = pick_precision("auto", device)
    return f"{packages}\ndevice {name}, precision {precision}, project at {PROJECT}"
