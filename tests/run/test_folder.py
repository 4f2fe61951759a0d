"""Run folders, Drive (against a stand-in with google.colab's signatures), device and precision."""

import errno
import hashlib
import os
import random
import shutil
import sys
import types

import numpy as np
import pytest
import torch

from helpers import device, files
from helpers.config import ConfigError, make_config
from helpers.device import pick_precision, seed_everything
from helpers.run import colab as runtime
from helpers.run import folder
from helpers.run.colab import RunError
from helpers.run.folder import open_run, resolve_source
from helpers.train.checkpoints import load_newest_checkpoint, save_checkpoint
from helpers.train.metrics_file import append_metrics, read_metrics


@pytest.fixture
def colab(monkeypatch, tmp_path, request):
    """A machine that looks like Colab, and the calls that were made to its Drive."""
    calls, mounted, refused = [], [], "refused" in request.node.name

    def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        calls.append(mountpoint)
        if refused:
            raise ValueError("mount failed")  # what google.colab says when access is not allowed
        if (tmp_path / "drive").exists():
            raise ValueError("Mountpoint must not already contain files")
        (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
        mounted.append(True)

    drive = types.ModuleType("google.colab.drive")
    drive.mount = mount
    package = types.ModuleType("google.colab")
    package.drive = drive
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    for module in (runtime, folder):
        monkeypatch.setattr(module, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(runtime, "COLAB_HOSTNAME", tmp_path / "hostname")
    monkeypatch.setattr(runtime, "_has_frontend", lambda: True)
    monkeypatch.setattr(
        runtime.os.path, "ismount", lambda path: bool(mounted) and path == tmp_path / "drive"
    )
    (tmp_path / "hostname").write_text("colab")
    return calls


def test_drive_is_asked_for_once(colab, tmp_path):
    first, second = open_run("a", use_drive=True), open_run("b", use_drive=True)
    assert colab == [str(tmp_path / "drive")]
    assert first.root == tmp_path / "drive" / "MyDrive" / "class-sounds" / "a"
    assert second.root.parent == first.root.parent
    assert not first.cache.is_relative_to(tmp_path / "drive"), "the cache stays on the local disk"


def test_drive_is_never_mounted_without_a_person(colab, monkeypatch):
    monkeypatch.setattr(runtime, "_has_frontend", lambda: False)
    with pytest.raises(RunError, match="use_drive=False"):
        open_run("a", use_drive=True)
    assert colab == []


def test_drive_that_is_refused_by_its_owner_says_what_else_can_be_done(colab):
    with pytest.raises(
        RunError,
        match=r"Drive was not mounted \(mount failed\): allow it when asked, .* or set use_drive=False",
    ):
        open_run("a", use_drive=True)
    assert len(colab) == 1


def test_a_run_on_drive_is_worked_on_here_and_a_new_one_takes_nothing_up(
    colab, monkeypatch, tmp_path
):
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    assert run.here.parent == tmp_path / "project" / "data" / "runs" and run.here.name.startswith(
        "a-"
    )
    assert (
        run.local.generator == run.here / "generator.safetensors"
        and run.local.local.root == run.here
    )
    append_metrics(run.root / "metrics.jsonl", {"kind": "training", "step": 1})
    save_checkpoint({"step": 1}, run.root / "checkpoints", 1)  # moved there from elsewhere
    mirror = run.open_drive_copy()
    assert (mirror.local, mirror.drive) == (run.here, run.root)
    assert load_newest_checkpoint(run.here / "checkpoints")[0] == {"step": 1}
    (run.root / "checkpoints" / "step-00000001.pt").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="step-00000001.pt cannot be read"):
        run.open_drive_copy()
    run.root.rename(tmp_path / "gone")
    with pytest.raises(
        RunError, match="cannot be read.*see that the disks are there and have room"
    ):
        run.open_drive_copy()
    (tmp_path / "gone").rename(run.root)
    run.restart()
    assert (
        sorted(os.listdir(run.root)) == ["beginning.txt", "config.json"]
        and os.listdir(run.here) == []
    )
    run.open_drive_copy()
    append_metrics(run.here / "metrics.jsonl", {"kind": "training", "step": 1})
    run.config.unlink()
    run.write_config(make_config())
    run.open_drive_copy()
    assert read_metrics(run.here / "metrics.jsonl", "training"), "the run is the same one"
    shutil.rmtree(run.root)  # thrown away on Drive
    run.write_config(make_config())
    with pytest.warns(UserWarning, match="what was here is in .*before-1"):
        run.open_drive_copy()
    assert not read_metrics(run.here / "metrics.jsonl", "training")
    aside = run.here.with_name(f"{run.here.name}.before-1")
    assert read_metrics(aside / "metrics.jsonl", "training"), "nobody asked for it to be removed"


def test_runs_whose_folders_lie_in_one_another_have_each_their_own_copy(
    colab, monkeypatch, tmp_path
):
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    outer, inner = (open_run(name, use_drive=True) for name in ("p", "p/long"))
    for run in (outer, inner):
        run.write_config(make_config())
        run.open_drive_copy()
    append_metrics(inner.here / "metrics.jsonl", {"kind": "training", "step": 1})
    outer.restart()
    assert read_metrics(inner.here / "metrics.jsonl", "training")


def test_an_unmounted_drive_is_mounted_again_before_a_configuration_is_written(colab, tmp_path):
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    (tmp_path / "drive").rename(tmp_path / "unmounted")
    runtime.os.path.ismount = lambda _: False
    run.write_config(make_config("short"))
    assert len(colab) == 2


def test_a_configuration_that_is_there_needs_no_room(tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    monkeypatch.setattr(folder, "write_atomically", None)
    run.write_config(make_config())


def test_a_folder_in_the_place_of_drive_is_not_taken_for_drive(colab, tmp_path):
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    (tmp_path / "drive").rename(tmp_path / "unmounted")
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    runtime.os.path.ismount = lambda _: False
    for again in ({"run_dir": "a", "use_drive": True}, {"run_dir": str(run.root)}):
        with pytest.raises(
            RunError, match=r"must not already contain files\): .*move away what may lie in .*drive"
        ):
            open_run(**again)
    assert len(colab) == 3, "Drive is to be mounted again"


def test_a_run_folder_with_a_link_in_it_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("not ours")
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    names = (
        "metrics.jsonl",
        "checkpoints/step-00000001.pt",
        "sounds/high/seed0_000.wav",
        "samples",
    )
    for link in (run.root / name for name in names):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "precious.txt")
        with pytest.raises(
            RunError, match=f"{link.name} is a link, which may lead out of the run folder"
        ):
            open_run(str(tmp_path / "run"))
        link.unlink()
    (tmp_path / "linked").symlink_to(run.root)
    assert open_run(str(tmp_path / "linked")).read_config() == make_config(), (
        "the folder itself may be one"
    )


def test_a_generator_that_was_being_written_is_put_right_from_its_copy(tmp_path):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    run.generator.write_bytes(b"half of")
    (run.root / "generator.safetensors.copy").write_bytes(b"half of it")
    (run.root / "generator.safetensors.sha256").write_bytes(
        hashlib.sha256(b"another").hexdigest().encode()
    )
    assert run.whole_generator().read_bytes() == b"half of"  # the copy itself is not whole
    (run.root / "generator.safetensors.sha256").write_bytes(
        hashlib.sha256(b"half of it").hexdigest().encode()
    )
    assert run.whole_generator().read_bytes() == b"half of it"
    assert sorted(os.listdir(run.root)) == ["config.json", "generator.safetensors"]


def test_a_generator_beside_one_that_cannot_be_written_is_opened_itself(tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    run.generator.write_bytes(b"half of")
    (run.root / "generator.safetensors.copy").write_bytes(b"half of it")
    (run.root / "generator.safetensors.sha256").write_bytes(
        hashlib.sha256(b"half of it").hexdigest().encode()
    )

    def fail(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files, "write_in_place", fail)
    assert run.whole_generator().read_bytes() == b"half of it"


def test_a_run_that_cannot_be_forgotten_says_why(tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    run.metrics.write_text("{}\n")

    def fail(*_):
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    monkeypatch.setattr(files.os, "truncate", fail)
    with pytest.raises(
        RunError, match="what was trained in .* cannot be removed .*see that its disk or Drive is"
    ):
        run.restart()


def test_a_local_run_has_no_mirror(tmp_path):
    run = open_run(str(tmp_path / "run"))
    assert run.open_drive_copy() is None and run.here == run.root


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"audio": {"n_mels": 7}}']
)
def test_a_damaged_configuration_is_named_with_what_to_do(tmp_path, content):
    run = open_run(str(tmp_path))
    run.config.write_bytes(content)
    with pytest.raises(RunError, match=r"config.json: .*Run 01_data again, with the same run_dir"):
        run.read_config()


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ENOTCONN, errno.ENOSPC, errno.EROFS, errno.EACCES]
)
def test_a_configuration_that_cannot_be_read_or_written_says_why(tmp_path, monkeypatch, number):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(folder.Path, "read_bytes", fail)
        with pytest.raises(
            RunError, match="config.json cannot be read .*see that its disk or Drive is there"
        ):
            run.read_config()
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", fail)
        with pytest.raises(
            RunError, match="config.json cannot be written .*name another folder with run_dir"
        ):
            run.write_config(make_config("short"))
    assert run.read_config() == make_config()
    assert [path.name for path in run.root.iterdir()] == ["config.json"]


def test_drive_off_colab_is_refused():
    with pytest.raises(RunError, match="works on Colab only"):
        open_run("a", use_drive=True)


def test_frontend_is_not_found_outside_a_notebook():
    assert not runtime._has_frontend()


def test_folder_on_drive_is_staged_and_local_one_is_not(colab, tmp_path):
    runtime.mount_drive()
    (tmp_path / "drive" / "MyDrive" / "sounds").mkdir()
    assert resolve_source("sounds", use_drive=True) == (
        str(tmp_path / "drive" / "MyDrive" / "sounds"),
        True,
    )
    (tmp_path / "local").mkdir()
    assert resolve_source(str(tmp_path / "local"), use_drive=False) == (
        str(tmp_path / "local"),
        False,
    )
    assert resolve_source("kit", use_drive=False) == ("kit", False)


def test_relative_run_lies_in_the_project_and_empty_is_refused():
    assert open_run("runs/x").root == folder.PROJECT / "runs" / "x"
    with pytest.raises(ConfigError, match="run_dir must name a folder"):
        open_run(" ")


def test_config_is_written_and_read_and_its_absence_names_the_notebook(tmp_path):
    run = open_run(str(tmp_path / "run"))
    with pytest.raises(RunError, match="run 01_data first"):
        run.read_config()
    run.write_config(make_config())
    assert run.read_config() == make_config()


def test_restart_keeps_data_and_forgets_training(tmp_path):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    for place in (run.checkpoints, run.samples, run.data):
        place.mkdir()
    run.metrics.write_text("{}\n")
    run.restart()
    assert sorted(path.name for path in run.root.iterdir()) == ["config.json", "data"]
    run.restart()


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
