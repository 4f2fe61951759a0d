"""Run folders, Drive (against a stand-in with google.colab's signatures), device and precision."""

import errno
import os
import re
import shutil

import pytest

from helpers import files
from helpers.config import ConfigError, make_config
from helpers.gan.generator_file import save_generator
from helpers.run import colab as runtime
from helpers.run import folder
from helpers.run.colab import RunError
from helpers.run.folder import open_run, resolve_source, run_name
from helpers.train.checkpoints import Checkpoint, load_newest_checkpoint, save_checkpoint
from helpers.train.metrics_file import append_metrics, read_metrics


def test_a_run_on_drive_is_worked_on_here_and_a_new_one_takes_nothing_up(colab, tmp_path):
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    assert run.here.parent == tmp_path / "project" / "data" / "runs"
    assert run.here.name.startswith("a-")
    assert run.local.generator == run.here / "generator.safetensors"
    append_metrics(run.metrics, {"kind": "training", "step": 1})
    saved = save_checkpoint(run.checkpoints, Checkpoint(1, {}, {}))  # moved there from elsewhere
    drive_copy = run.open_drive_copy()
    assert (drive_copy.local.root, drive_copy.drive.root) == (run.here, run.root)
    assert load_newest_checkpoint(run.local.checkpoints)[0].step == 1
    saved.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="step-00000001.* cannot be read"):
        run.open_drive_copy()
    run.root.rename(tmp_path / "gone")
    with pytest.raises(RunError, match="cannot be read.*see that the disks are there and have"):
        run.open_drive_copy()
    (tmp_path / "gone").rename(run.root)
    run.restart()
    beginning, config = sorted(os.listdir(run.root))
    assert beginning.startswith("beginning-00000002.") and config == "config.json"
    assert os.listdir(run.here) == []
    run.open_drive_copy()
    append_metrics(run.local.metrics, {"kind": "training", "step": 1})
    run.config.unlink()
    run.write_config(make_config())
    run.open_drive_copy()
    assert read_metrics(run.local.metrics, "training"), "the run is the same one"
    shutil.rmtree(run.root)  # thrown away on Drive
    run.write_config(make_config())
    with pytest.warns(UserWarning, match="what was here is in .*before-1"):
        run.open_drive_copy()
    assert not read_metrics(run.local.metrics, "training")
    aside = run.here.with_name(f"{run.here.name}.before-1")
    assert read_metrics(aside / "metrics.jsonl", "training"), "nobody asked for it to be removed"


def test_a_measurement_of_a_run_on_drive_is_a_new_file_and_of_another_a_line(colab, tmp_path):
    on_drive, local = open_run("a", use_drive=True), open_run(str(tmp_path / "run"))
    for run in (on_drive, local):
        run.write_config(make_config())
        for accuracy in (0.5, 0.75):
            run.add_quality({"kind": "quality", "accuracy": accuracy})
        lines = read_metrics(run.metrics, "quality")
        assert [line["accuracy"] for line in lines] == [0.5, 0.75]
    assert len(list(on_drive.root.glob("quality-*.jsonl"))) == 2 and local.metrics.exists()


def test_a_run_on_drive_that_seems_not_to_be_there_says_that_drive_may_be_disconnected(colab):
    with pytest.raises(RunError, match="run 01_data first.*Drive was disconnected"):
        open_run("a", use_drive=True).read_config()


def test_a_generator_that_seems_not_to_be_there_says_that_drive_may_be_disconnected(
    colab, tmp_path, sound_generator
):
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    with pytest.raises(RunError, match="run 03_train first.*Drive was disconnected"):
        run.find_generator()
    save_generator(run.generator, sound_generator())
    assert run.find_generator() == run.generator
    local = open_run(str(tmp_path / "local"))
    assert local.find_generator() == local.generator, "which load_generator then misses"


def test_runs_whose_folders_lie_in_one_another_have_each_their_own_copy(colab):
    outer, inner = (open_run(name, use_drive=True) for name in ("p", "p/long"))
    assert len({run.cache for run in (outer, inner, open_run("q/long", use_drive=True))}) == 3
    for run in (outer, inner):
        run.write_config(make_config())
        run.open_drive_copy()
    append_metrics(inner.local.metrics, {"kind": "training", "step": 1})
    outer.restart()
    assert read_metrics(inner.local.metrics, "training")


def test_an_unmounted_drive_is_mounted_again_before_a_configuration_is_written(colab, tmp_path):
    run = open_run("a", use_drive=True)
    run.write_config(make_config())
    unmount(tmp_path)
    run.write_config(make_config("short"))
    assert len(colab) == 2


def test_a_configuration_that_is_there_needs_no_room(tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    monkeypatch.setattr(folder, "write_atomically", None)
    run.write_config(make_config())


def test_a_run_folder_with_a_link_in_it_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("not ours")
    run = open_run(str(tmp_path / "run"))
    run.write_config(make_config())
    names = (
        "metrics.jsonl",
        "checkpoints/step-00000001.e3b0c442.safetensors",
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


def test_a_local_run_has_no_drive_copy(tmp_path):
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


def unmount(folder) -> None:
    (folder / "drive").rename(folder / "google")
    runtime.os.path.ismount = lambda _: False


REFUSED = r"Drive was not mounted \({}\): the run is kept on this machine and is lost with it; "
REFUSED += "mount Drive and run this cell again to keep it\n"


def test_a_refused_drive_is_said_once_and_the_run_is_kept_here(colab, tmp_path, capsys):
    run = open_run("runs/a", use_drive=True)
    assert run.root == run.here == tmp_path / "project" / "runs" / "a"
    assert re.fullmatch(REFUSED.format("mount failed"), capsys.readouterr().out)
    run.write_config(make_config())
    resolve_source("sounds")
    run.restart()
    assert len(colab) == 1, "the cell that opens the run asks, no other"
    open_run("runs/a", use_drive=True)
    assert len(colab) == 2


def test_without_a_person_the_run_is_kept_here_unless_drive_is_mounted(
    colab, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(runtime, "_has_frontend", lambda: False)
    assert open_run("a", use_drive=True).root == tmp_path / "project" / "a"
    assert re.fullmatch(REFUSED.format("no person is there .*"), capsys.readouterr().out)
    assert open_run(str(tmp_path / "b"), use_drive=True).root == tmp_path / "b"
    assert capsys.readouterr().out == "" and colab == []
    monkeypatch.setattr(runtime.os.path, "ismount", lambda _: True)
    assert open_run("a", use_drive=True).is_on_drive


def test_off_colab_a_run_lies_in_the_project_and_nothing_is_said(capsys):
    assert open_run("runs/x", use_drive=True) == open_run("runs/x")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("use_drive", [False, True])
def test_a_run_folder_on_a_drive_that_is_refused_is_an_error(colab, tmp_path, use_drive):
    with pytest.raises(RunError, match=r"Drive was not mounted \(mount failed\)"):
        open_run(str(tmp_path / "drive" / "MyDrive" / "a"), use_drive)
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("person", [True, False])
def test_a_run_that_was_on_drive_is_never_begun_again_on_this_machine(
    colab, tmp_path, monkeypatch, person
):
    assert open_run("runs/a", use_drive=True).is_on_drive
    unmount(tmp_path)
    (tmp_path / "drive").mkdir()  # in its place, so that it cannot be mounted
    monkeypatch.setattr(runtime, "_has_frontend", lambda: person)
    with pytest.raises(RunError, match="the run runs/a is on Drive.*or set use_drive = False"):
        open_run("runs/a", use_drive=True)
    assert open_run("runs/a").root == tmp_path / "project" / "runs" / "a"
    assert open_run("runs/b", use_drive=True).root == tmp_path / "project" / "runs" / "b"


def test_a_run_from_before_drive_was_mounted_is_named(colab, tmp_path, capsys):
    before = open_run("runs/a")
    before.write_config(make_config())
    run = open_run("runs/a", use_drive=True)
    assert f"{before.root} holds a run that was made without Drive" in capsys.readouterr().out
    run.root.parent.mkdir(parents=True)
    shutil.move(before.root, run.root)
    assert open_run("runs/a", use_drive=True).read_config() == make_config()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("use_drive", [False, True])
def test_a_run_is_new_until_something_of_it_is_there(colab, use_drive):
    run = open_run("runs/a", use_drive)
    assert run.is_new()
    for path in (run.sounds, run.data):
        path.mkdir(parents=True)
    assert run.is_new()
    for name in ("config.json", "metrics.jsonl", "generator-00000004.3f9a1c20.safetensors"):
        (run.root / name).touch()
        assert not run.is_new()
        (run.root / name).unlink()
    append_metrics(run.local.metrics, {"kind": "training", "step": 1})
    assert not run.is_new(), "this machine has trained it"


def test_a_drive_that_hides_a_run_is_not_taken_for_one_without_it(colab, tmp_path, monkeypatch):
    run = open_run("runs/a", use_drive=True)
    run.write_config(make_config())
    listdir = os.listdir
    folders = [run.root, *run.root.parents][:5]
    assert folders[-1] == tmp_path / "drive"
    for hidden in folders:

        def fail(folder, hidden=hidden):
            if folder == hidden:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return listdir(folder)

        monkeypatch.setattr(folder.os, "listdir", fail)
        with pytest.raises(RunError, match="cannot be read .*see that its disk or Drive is there"):
            run.is_new()


def test_a_disk_without_a_place_for_the_local_copy_says_so(colab, tmp_path):
    (tmp_path / "project").write_text("a file")
    with pytest.raises(RunError, match="data/runs/a-.* cannot be made "):
        open_run("a", use_drive=True)


def test_folder_on_drive_is_staged_and_local_one_is_not(colab, tmp_path):
    runtime.require_drive()
    (tmp_path / "drive" / "MyDrive" / "sounds").mkdir()
    assert resolve_source("sounds") == (str(tmp_path / "drive" / "MyDrive" / "sounds"), True)
    (tmp_path / "local").mkdir()
    assert resolve_source(str(tmp_path / "local")) == (str(tmp_path / "local"), False)
    assert resolve_source("kit") == ("kit", False)


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
    ("data", "preset", "recipe", "expected"),
    [
        ("kit", "auto", "modern", "demo"),
        ("kit", "cpu", "modern", "demo"),
        ("kit", "cpu", "baseline", "demo-baseline"),
        ("/data/fsdd.zip", "cpu", "modern", "fsdd"),
        ("my sounds.tar.gz", "short", "modern", "my sounds-short"),
        ("/data/Sounds.ZIP", "long", "baseline", "Sounds-long-baseline"),
        ("/data/v1.2 kit/", "cpu", "modern", "v1.2 kit"),
    ],
)
def test_run_is_named_for_what_made_it(data, preset, recipe, expected):
    assert run_name(data, preset, recipe) == expected
