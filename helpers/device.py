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
    """The precision that "auto" means: bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU.

    A T4 claims bf16 but emulates it, so the capability (8 or more) decides; on a CPU, AVX-512 BF16 or AMX.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        can = getattr(torch.cpu, "get_capabilities", dict)()
        return "bf16" if can.get("avx512_bf16") or can.get("amx_bf16") else "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries that use the global generator)
    torch.manual_seed(seed)


def versions() -> dict[str, str]:
    """The versions that make a run; of the project itself, a digest of its code too."""
    sources = [
        path.read_text(encoding="utf-8") for path in sorted((PROJECT / "helpers").rglob("*.py"))
    ]
    found = {
        "class-sounds": f"{__version__}+{digest_of(*sources)}",
        "python": platform.python_version(),
    }
    for name in SHOWN_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def describe() -> str:
    """A few lines for a notebook's first cell: versions, device, precision."""
    device = pick_device()
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {os.cpu_count()} cores"
    )
    lines = ["  ".join(f"{package} {number}" for package, number in versions().items())]
    return "\n".join(
        [*lines, f"device {name}, precision {pick_precision('auto', device)}, project at {PROJECT}"]
    )
