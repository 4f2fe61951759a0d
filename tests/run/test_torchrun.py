"""Several processes are begun only where each has a device."""

import pytest
import torch

from helpers.run import torchrun
from helpers.run.colab import RunError


def test_more_processes_than_gpus_are_refused_before_one_is_begun(monkeypatch, tmp_path):
    monkeypatch.setattr(torchrun, "pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torchrun.subprocess, "Popen", pytest.fail)
    with pytest.raises(RunError, match="num_processes is 2, and there are 1; give at most so many"):
        torchrun.launch_processes(2, tmp_path)
