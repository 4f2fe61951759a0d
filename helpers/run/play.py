"""`make play`: a folder of sounds, some minutes, and a page that plays new ones.

It does with defaults what the notebooks show step by step, in the same run folder.
"""

import argparse
import os
import sys
import warnings
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path

from helpers.config import ConfigError, DataConfig
from helpers.data.archives import SourceError
from helpers.data.audit import DatasetError
from helpers.device import pick_device
from helpers.files import UnusableFileError
from helpers.gan.generate import make_inverter
from helpers.gan.generator_file import SoundGenerator, load_generator, read_origin
from helpers.judge.advice import class_advice, trust_in_judge
from helpers.judge.classifier import JUDGE_STEPS
from helpers.judge.evaluation import Evaluator
from helpers.judge.verdict import ClassVerdict
from helpers.progress import progress_bar, say
from helpers.run.colab import RunError
from helpers.run.folder import RunFolder, open_run, run_name
from helpers.run.gradio_page import build_page, import_gradio
from helpers.run.prepare import KIT_GENERATOR
from helpers.run.settings import FORMS
from helpers.run.whole_run import (
    AUTO,
    learn_way_back,
    measure_in_words,
    open_evaluator,
    prepare_run,
    train_run,
)
from helpers.show.page import write_page
from helpers.show.plots import printable
from helpers.show.sample_pack import write_sample_pack
from helpers.show.takes import Takes, render_takes
from helpers.sound.audio_files import AudioError, write_wav
from helpers.sound.inversion import MelInverter
from helpers.train.loop import TrainingError
from helpers.train.schedule import Limits

WAY_BACK_STEPS = 300  # a quarter of 01_data's, whose longer learned one is kept
N_TAKES = 8  # of each class
PROBLEMS = (ConfigError, SourceError, DatasetError, RunError, UnusableFileError, TrainingError)
PROBLEMS += (AudioError, OSError)
N_SENTENCES = 3  # on what was made
GO_ON = "run the same command again, and it goes on from there"


@dataclass(frozen=True)
class Effort:
    """How much is made and learned, beside the minutes; tests take less."""

    steps: int = 0  # a limit of the training, as minutes are; 0: none
    way_back_steps: int = WAY_BACK_STEPS
    judge_steps: int = JUDGE_STEPS
    kit_clips: int = DataConfig.kit_clips


@dataclass
class Played:
    """The result of `play`: files, generator, how good its sounds are, and sentences on them."""

    run: RunFolder
    generator: SoundGenerator
    inverter: MelInverter
    takes: Takes
    generator_file: Path
    page: Path
    pack: Path
    sentences: list[str] = field(default_factory=list)  # what was made, then how good it is
    verdicts: list[ClassVerdict] = field(default_factory=list)  # none where nothing was measured


def play(
    data: str = "kit",
    minutes: float = 5.0,
    preset: str = AUTO,
    run_dir: str = "",
    *,
    use_drive: bool = False,
    share: bool = False,
    browser: bool = False,
    effort: Effort = Effort(),  # noqa: B008 (frozen)
) -> Played:
    """Learn from sounds for some minutes, and write a page, a pack and WAV files of new ones.

    data is what `open_source` takes. minutes and effort.steps limit the training of the run, with
    what was trained before; 0: no limit, and if both are 0 nothing is trained: a run without a
    generator then plays the built-in kit. run_dir is as `open_run` takes it; "" is named for the
    data. browser: open the page, where there is a display. share: then show a page of gradio at a
    public address, on which others can play and train. Says what was made and how good it is.
    Raises one of PROBLEMS, with a sentence that says what to do.
    """
    if share:
        import_gradio()  # before anything takes minutes
    run = open_run(run_dir or f"runs/{run_name(data, preset, 'modern')}", use_drive)
    limits = Limits(minutes, steps=effort.steps)
    if limits == Limits() and not _has_generator(run):
        say("nothing is trained yet, and minutes are 0: the built-in drum kit plays")
        played = write_what_plays(run, KIT_GENERATOR)
    else:
        played = write_what_plays(run, *_learn(run, data, preset, limits, effort))
    print(printable("\n" + "\n".join(played.sentences)), flush=True)
    if browser:
        show_in_browser(played.page)
    if share:
        build_page(played.generator_file, _play_uploaded).launch(share=True)
    return played


def _learn(
    run: RunFolder, data: str, preset: str, limits: Limits, effort: Effort
) -> tuple[Path, Evaluator | None]:
    """Prepare and train a run: the file of its generator, and what measures its sounds."""
    config, clips = prepare_run(run, data, preset, effort.kit_clips, progress_bar)
    n_clips, n_classes = len(clips.labels), len(clips.classes)
    say(printable(f"{n_clips} clips of {n_classes} classes are ready, in {run.root}"))
    for advice in class_advice(clips):
        say(printable(advice))
    say("first: the way back from a picture to its sound is learned")
    learn_way_back(run, clips, effort.way_back_steps, progress_bar)
    say("second: a judge learns from the recordings; it measures the new sounds")
    evaluator = open_evaluator(run, clips, effort.judge_steps, progress_bar)
    if limits != Limits():
        say("third: the generator learns; Ctrl-C or the stop button ends that early, and it plays")
        result = train_run(run, config, clips, limits, evaluator)
        say(f"training stopped by {result.stopped_by} at step {result.step}")
    kept = run.local.generator
    return kept if kept.exists() else run.find_generator(), evaluator


def _play_uploaded(data: str, run_dir: str, minutes: float) -> tuple[Path, list[str]]:
    """Learn from a visitor's upload; the file of its generator, and sentences on how good it is."""
    played = play(data, minutes, run_dir=run_dir)
    return played.generator_file, played.sentences[N_SENTENCES:]


def write_what_plays(
    run: RunFolder, generator_file: Path, evaluator: Evaluator | None = None
) -> Played:
    """Render sounds of a generator once, and write them as a page, a pack and WAV files."""
    generator = load_generator(generator_file, pick_device())
    inverter = make_inverter(generator)
    takes = render_takes(generator, inverter, N_TAKES)
    origin = read_origin(generator_file)
    title = "Drum kit" if generator_file == KIT_GENERATOR else run.root.name
    page = write_page(run.play_page, takes, title, origin=origin)
    names = [generator.classes[label] for label in takes.labels]
    pairs = [(name, one) for name, own in zip(names, takes.waveforms, strict=True) for one in own]
    note = f"made by a neural network. {takes.left_out}".strip()
    pack = write_sample_pack(run.pack, pairs, takes.sample_rate, note=note)
    for name, own in zip(names, takes.waveforms, strict=True):
        for number, waveform in enumerate(own):
            path = run.sounds / name / f"seed{takes.first_seed + number}.wav"
            write_wav(path, waveform, takes.sample_rate, bits=24)
    played = Played(run, generator, inverter, takes, generator_file, page, pack)
    played.sentences = _what_was_made(played, origin)
    if evaluator:
        words, played.verdicts = measure_in_words(evaluator, generator, inverter)
        played.sentences += words + list(filter(None, [trust_in_judge(evaluator)]))
    return played


def show_in_browser(page: Path) -> bool:
    """Open a page in the browser, if this machine has a display; returns whether one opened it."""
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return (has_display or sys.platform == "darwin") and webbrowser.open(page.as_uri())


def main(words: list[str] | None = None) -> int:
    """Play as the command line asks; 0 if all went well, else 1 and a sentence that says why."""
    asked = _parser().parse_args(words)
    warnings.showwarning = _say_warning
    try:
        for name in ("minutes", "preset"):
            FORMS["00_play"][name].check(name, getattr(asked, name))
        shown = {"share": asked.share == "yes", "browser": asked.open == "yes"}
        settings = asked.data, asked.minutes, asked.preset, asked.run
        play(*settings, **shown, effort=Effort(asked.steps))
    except PROBLEMS as error:
        print(printable(_in_words(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped: {GO_ON}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="kit", help="kit, a known name, a folder or an archive")
    of_run = "of training, with what the run was trained before"
    parser.add_argument("--minutes", type=float, default=5.0, help=of_run)
    parser.add_argument("--steps", type=int, default=0, help=f"{of_run}; 0: no limit")
    parser.add_argument("--preset", default=AUTO)
    parser.add_argument("--run", default="", help="run folder; the default is named for the data")
    choices = ("yes", "no")
    parser.add_argument("--open", default="yes", choices=choices, help="the page, in the browser")
    parser.add_argument("--share", default="no", choices=choices, help="a page for others, too")
    return parser


def _has_generator(run: RunFolder) -> bool:
    return any(name.startswith(run.generator.stem) for name in run.list_names())


def _what_was_made(played: Played, origin: dict) -> list[str]:
    """Three sentences: what was made, how to play it, where the files are."""
    takes, step = played.takes, origin.get("step")
    n_takes, n = max(map(len, takes.waveforms)), len(takes.names)
    of_step = f" at step {step}" if isinstance(step, int) else ""
    made = f"{n_takes} new sounds of each of {n} classes" if n > 1 else f"{n_takes} new sounds"
    return [
        f"The network{of_step} made {made}. {takes.left_out}".strip(),
        f"Play them in {played.page}, which opens in any browser.",
        f"For a sampler, take {played.pack}; the WAV files lie in {played.run.sounds}.",
    ]


def _in_words(error: Exception) -> str:
    """An error as a sentence; that of a disk with what to do."""
    if not isinstance(error, OSError):
        return str(error)
    return f"a file cannot be read or written ({error}): see that the disk has room, then {GO_ON}"


def _say_warning(message, *_, **__) -> None:
    """A warning without the line of code that it comes from."""
    say(printable(str(message)))


if __name__ == "__main__":
    sys.exit(main())
