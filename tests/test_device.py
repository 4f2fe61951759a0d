"""Precision of each device, seeds, and the versions that are shown and written."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import device
from helpers.config import ConfigError
from helpers.device import pick_precision, pick_preset, seed_everything, versions
from helpers.files import PROJECT


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
    ],
)
def test_a_cpu_computes_in_bf16_only_where_it_has_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_precision("auto", torch.device("cpu")) == expected
    assert pick_precision("fp32", torch.device("cpu")) == "fp32"


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16"), ((7, 9), "fp16")],
)
def test_precision_follows_the_capability(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert pick_precision("auto", torch.device("cuda")) == expected
    assert pick_precision("fp32", torch.device("cuda")) == "fp32"


def test_bf16_is_refused_on_a_gpu_that_emulates_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla T4")
    with pytest.raises(ConfigError, match="bf16 is slow on Tesla T4.*give auto or fp16"):
        pick_precision("bf16", torch.device("cuda"))
    assert pick_precision("fp16", torch.device("cuda")) == "fp16"


@pytest.fixture
def no_code_for_the_gpu(monkeypatch):
    """A GPU of a kind that this build of torch has no code for."""

    def fail(*_, **__):
        raise RuntimeError("CUDA error: no kernel image is available\nand more")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla P100")
    device._cuda_works.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "ones", fail)
        yield
    device._cuda_works.cache_clear()


def test_a_gpu_that_torch_has_no_code_for_is_left_alone_and_said_once(no_code_for_the_gpu, capsys):
    assert device.pick_device() == device.pick_device() == torch.device("cpu")
    assert capsys.readouterr().out == (
        "the GPU (Tesla P100) cannot be used by this build of torch (CUDA error: no kernel image "
        "is available): everything runs on the CPU\n"
    )


def test_on_a_gpu_products_in_32_bits_are_exact(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "_cuda_works", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert device.pick_device() == torch.device("cuda")
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_a_preset_follows_the_device_unless_it_is_chosen():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    found = [pick_preset(wanted, on) for wanted in ("auto", "long") for on in (cpu, gpu)]
    assert found == ["cpu", "short", "long", "long"]


def test_same_seed_same_numbers():
    drawn = []
    for _ in range(2):
        seed_everything(5)
        drawn.append((random.random(), np.random.rand(), float(torch.rand(()))))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_description_names_versions_and_device():
    text = device.describe()
    assert f"torch {torch.__version__.split('+')[0]}" in text
    assert "precision" in text


def test_another_line_of_code_in_any_wing_is_another_version(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "PROJECT", tmp_path)
    (tmp_path / "helpers" / "sound").mkdir(parents=True)
    module = tmp_path / "helpers" / "sound" / "mel.py"
    found = set()
    for code in ("a = 1\n", "a = 1\n", "a = 2\n"):
        module.write_text(code)
        found.add(versions()["class-sounds"])
    assert len(found) == 2


@pytest.mark.parametrize(("given", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_that_wait_give_their_core_away_soon(given, expected):
    code = "import helpers, sys; assert 'torch' not in sys.modules; import helpers.device"
    environment = {name: v for name, v in os.environ.items() if name != "GOMP_SPINCOUNT"}
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=environment | given | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "GOMP_SPINCOUNT" not in told:
        pytest.skip("torch's threads are not those of GNU's OpenMP")
    assert f"GOMP_SPINCOUNT = '{expected}'" in told
