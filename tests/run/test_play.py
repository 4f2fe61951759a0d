"""One step from a folder to a page that plays: what is made, going on, a sentence for errors."""

import dataclasses
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
import soundfile
from making import make_sounds, zip_folder

from helpers.config import PRESETS
from helpers.data import learn_inversion
from helpers.data.clips import open_clips
from helpers.files import PROJECT, UnusableFileError
from helpers.gan.generator_file import load_generator, read_origin, save_generator
from helpers.network_file import save_network
from helpers.run import folder, gradio_page, own_sounds, play, whole_run
from helpers.run.colab import RunError
from helpers.run.folder import open_run
from helpers.run.headless import execute_notebook
from helpers.run.prepare import DEFAULT_RUN_DIR, read_or_prepare
from helpers.sound.magnitudes import MagnitudeNet
from helpers.train.metrics_file import read_metrics

LITTLE = play.Effort(steps=2, way_back_steps=0, judge_steps=2, kit_clips=48)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path, tiny_run):
    """A project in tmp_path/project with a tiny preset, and no display."""
    made = {name: tiny_run() for name in PRESETS}
    longer = dataclasses.replace(made["cpu"].audio, n_frames=32)
    made["long"] = dataclasses.replace(made["cpu"], audio=longer)
    monkeypatch.setattr(whole_run, "make_config", made.__getitem__)
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(own_sounds, "PROJECT", tmp_path / "project")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def steps_trained(run) -> list[int]:
    return [line["step"] for line in read_metrics(run.metrics, "training")]


def test_a_folder_becomes_a_page_a_pack_and_files_and_goes_on(sound_folder, tmp_path, capsys):
    played = play.play(str(sound_folder), 0, effort=LITTLE)
    run, told = played.run, capsys.readouterr().out
    assert run.root == tmp_path / "project" / "runs" / sound_folder.name
    assert f"24 clips of 3 classes are ready, in {run.root}" in told
    assert re.search(r"The network at step [12] made 8 new sounds of each of 3 classes\.", told)
    for sentence in (
        f"Play them in {run.root / 'play.html'}, which opens in any browser.",
        f"take {run.root / 'pack.zip'}; the WAV files lie in {run.sounds}.",
    ):
        assert sentence in told
    assert re.search(r"sounds pass for recordings of their class: \d+ of 100", told)
    assert {one.name for one in played.verdicts} <= {"high", "low", "noise"}

    page = played.page.read_text(encoding="utf-8")
    assert re.search(r"after (1 step|2 steps) of training\. 3 classes: high, low, noise\.", page)
    with zipfile.ZipFile(played.pack) as pack:
        names = pack.namelist()
    assert sum(name.endswith(".wav") for name in names) == 24 and "pack.sfz" in names
    assert len(list(run.sounds.rglob("*.wav"))) == 24
    assert soundfile.info(run.sounds / "low" / "seed7.wav").subtype == "PCM_24"

    more = dataclasses.replace(LITTLE, steps=4)
    again = play.play(str(sound_folder), 0, effort=more)
    assert steps_trained(run) == [2, 4]
    assert again.run.read_config() == run.read_config()
    assert "training stopped by steps at step 4" in capsys.readouterr().out
    best = read_origin(run.generator)["step"]
    assert re.search(f"after {best} steps? of training", again.page.read_text(encoding="utf-8"))

    play.play(str(sound_folder), 0, effort=dataclasses.replace(LITTLE, steps=0))
    assert steps_trained(run) == [2, 4], "nothing was trained, and the run's own generator played"

    with pytest.raises(UnusableFileError, match="was trained with other settings"):
        play.play(str(sound_folder), 0, "long", str(run.root), effort=more)
    assert run.read_config() == again.run.read_config(), "a run that is refused stays as it was"


def test_the_notebooks_and_this_go_on_with_one_run(sound_folder):
    """A preset that is not the default stays that of the run."""
    run = play.play(str(sound_folder), 0.005, "long", DEFAULT_RUN_DIR, effort=LITTLE).run
    config = read_or_prepare(run, DEFAULT_RUN_DIR)
    clips = open_clips(config, run.data, run.cache, run.work)
    assert config.classes == load_generator(run.generator).classes == clips.classes
    assert config.data.source == str(sound_folder) and config.data.digest == clips.key
    assert whole_run.prepare_run(run, str(sound_folder))[0] == config
    assert config.audio.n_frames == 32 and run.judge.exists()


def test_a_way_back_that_01_data_has_learned_stays(clips, tmp_path):
    run = open_run(str(tmp_path / "run"))
    trained_on = {"clips": clips.key, "steps": str(learn_inversion.STEPS)}
    save_network(run.inversion, MagnitudeNet(clips.audio), trained_on)
    before = run.inversion.read_bytes()
    assert whole_run.learn_way_back(run, clips, steps=1) is not None
    assert run.inversion.read_bytes() == before


def test_without_minutes_the_kit_plays_and_no_run_is_begun(capsys):
    played = play.play(minutes=0)
    told = capsys.readouterr().out
    assert "minutes are 0: the built-in drum kit plays" in told and played.verdicts == []
    assert "8 new sounds of each of 8 classes" in told
    assert "<title>Drum kit</title>" in played.page.read_text(encoding="utf-8")
    assert played.run.is_new(), "a notebook still prepares the run"


def test_one_class_alone_plays(tmp_path, write_sounds, capsys):
    write_sounds(tmp_path / "made", 14, seed=0)
    played = play.play(str(tmp_path / "made" / "low"), 0, effort=LITTLE)
    assert played.generator.classes == ("low",)
    told = capsys.readouterr().out
    assert "made 8 new sounds." in told and "sounds pass for recordings" in told


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def tiny_kit(self, monkeypatch, tmp_path, sound_generator):
        """In place of the kit's generator a tiny one, which takes no time."""
        tiny = save_generator(tmp_path / "tiny.safetensors", sound_generator())
        monkeypatch.setattr(play, "KIT_GENERATOR", tiny)

    def fails(self, capsys, *words: str) -> str:
        """The one line of error with which the command ends."""
        assert play.main([*words, "--steps", "1"]) == 1
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert "Traceback" not in told
        return told

    def test_each_mistake_is_told_in_a_sentence(self, tmp_path, write_sounds, capsys):
        empty = tmp_path / "empty"
        empty.mkdir()
        make_sounds(tmp_path / "few", "a.wav", "b.wav")
        assert "There is no folder or archive" in self.fails(capsys, "--data", str(tmp_path / "x"))
        assert "holds no audio" in self.fails(capsys, "--data", str(empty))
        told = self.fails(capsys, "--data", str(tmp_path / "few"))
        assert "gives 1 clip to learn from, which is too few" in told and "few'" in told
        assert "minutes must be a number from 0" in self.fails(capsys, "--minutes", "-1")
        assert "preset must be one of auto" in self.fails(capsys, "--preset", "huge")

    def test_a_full_disk_is_told_with_what_to_do(self, monkeypatch, capsys):
        def full(*_, **__):
            raise OSError(28, "No space left on device", "pack.zip")

        monkeypatch.setattr(play, "write_sample_pack", full)
        assert play.main(["--minutes", "0"]) == 1
        told = capsys.readouterr().err
        assert "No space left on device" in told and "see that the disk has room" in told

    def test_ctrl_c_before_the_training_says_how_to_go_on(self, monkeypatch, capsys):
        def pressed(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(play, "prepare_run", pressed)
        assert play.main([]) == 1
        assert "stopped: run the same command again" in capsys.readouterr().err

    def test_the_page_opens_where_it_is_seen_and_not_where_that_is_not_wanted(self, monkeypatch):
        addresses = []
        monkeypatch.setattr(play.webbrowser, "open", lambda url: addresses.append(url) or True)
        monkeypatch.setattr(play.sys, "platform", "linux")
        assert not play.show_in_browser(Path("/a/play.html")) and addresses == []
        monkeypatch.setenv("DISPLAY", ":0")
        assert play.main(["--minutes", "0", "--open", "no"]) == 0
        assert addresses == []
        assert play.main(["--minutes", "0"]) == 0
        assert addresses == [(folder.PROJECT / "runs/demo/play.html").as_uri()]


def test_the_notebook_plays_what_it_has_learned(sound_folder, tmp_path):
    """In a real kernel, with small settings in the place of those of `play`."""
    notebook = nbformat.read(PROJECT / "notebooks" / "00_play.ipynb", as_version=4)
    number = next(n for n, cell in enumerate(notebook.cells) if "played = play(" in cell.source)
    little = "from functools import partial\nfrom helpers.run.play import Effort\n"
    little += "play = partial(play, effort=Effort(2, 0, 2))"
    notebook.cells.insert(number, nbformat.v4.new_code_cell(little))
    nbformat.write(notebook, tmp_path / "00_play.ipynb")
    run_dir = str(tmp_path / "run")
    settings = {"run_dir": run_dir, "data_source": str(sound_folder), "minutes": 0}
    where = {"cwd": PROJECT / "notebooks"}
    done = execute_notebook(tmp_path / "00_play.ipynb", tmp_path / "done.ipynb", settings, **where)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    told = "".join(output.get("text", "") for output in outputs)
    assert "The network at step 2 made 8 new sounds of each of 3 classes." in told
    assert "Traceback" not in told and (tmp_path / "run" / "generator.safetensors").exists()
    shown = str([output.get("data", {}) for output in outputs])
    assert "Pads of 3 classes" in shown and "pack.zip" in shown


def test_uploaded_files_are_kept_once_and_are_one_source(tmp_path):
    make_sounds(tmp_path, "dog_1.wav", "cat_1.wav")
    archive = zip_folder(make_sounds(tmp_path / "in", "dog/a.wav"), tmp_path / "mine.zip")
    sounds = [tmp_path / "dog_1.wav", tmp_path / "cat_1.wav"]
    source, run_dir = own_sounds.keep_uploaded(sounds)
    assert own_sounds.keep_uploaded(sounds) == (source, run_dir)
    assert sorted(path.name for path in Path(source).iterdir()) == ["cat_1.wav", "dog_1.wav"]
    source, other = own_sounds.keep_uploaded([archive])
    assert source.endswith("mine.zip") and other != run_dir and other.startswith("runs/uploaded-")
    with pytest.raises(RunError, match="nothing is uploaded yet"):
        own_sounds.keep_uploaded([])


def test_sharing_without_gradio_is_refused_before_anything_is_made(monkeypatch, capsys):
    monkeypatch.setitem(play.sys.modules, "gradio", None)
    assert play.main(["--share", "yes"]) == 1
    assert "share needs gradio, which is not installed" in capsys.readouterr().err
    assert not folder.PROJECT.exists()


def test_a_page_of_gradio_plays_and_trains_what_is_uploaded(tmp_path, sound_folder):
    """Served to this machine alone, and used as a browser does."""
    pytest.importorskip("gradio")
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    def learn(data: str, run_dir: str, minutes: float):
        played = play.play(data, 0, run_dir=run_dir, effort=LITTLE)
        return played.generator_file, played.sentences

    page = gradio_page.build_page(play.KIT_GENERATOR, learn)
    _, address, _ = page.launch(share=False, server_name="127.0.0.1", prevent_thread_lock=True)
    try:
        client = Client(address, verbose=False)
        players = client.predict(2, 3, 0, 2.0, api_name="/play")
        files = [one["value"] for one in players if one.get("visible")]
        assert len(files) == 3
        samples, rate = soundfile.read(files[0])
        assert rate == 16_000 and abs(samples).max() > 0.01
        archive = zip_folder(sound_folder, tmp_path / "mine.zip")
        told = client.predict([handle_file(str(archive))], 1.0, api_name="/train")
        assert "The network at step 2 made 8 new sounds of each of 3 classes." in str(told)
        assert len(client.predict(2, 1, 0, 2.0, api_name="/play")) == gradio_page.MOST_SOUNDS
        with pytest.raises(AppError, match="nothing is uploaded yet"):
            client.predict([], 1.0, api_name="/train")
    finally:
        page.close()
        shutil.rmtree(tmp_path / "project", ignore_errors=True)
