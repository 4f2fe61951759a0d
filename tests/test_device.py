"""Precision of each device, seeds, and the versions that are shown and written."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import device
from helpers.device import pick_precision, seed_everything, versions
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
