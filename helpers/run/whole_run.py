"""What 01_data, 03_train and 04_listen do with their defaults: prepare, train, measure."""

import dataclasses
from collections.abc import Callable

from helpers.config import DataConfig, RunConfig, make_config
from helpers.data.audit import DatasetError, common_sample_rate
from helpers.data.clips import VERY_FEW_CLIPS, ClipCache, prepare_clips, remove_older_caches
from helpers.data.dataset import TrainAudioSpectrogramDataset, fit_clip_normaliser
from helpers.data.learn_inversion import STEPS, load_magnitude_net, open_magnitude_net
from helpers.data.sources import Source, open_source
from helpers.device import pick_device, pick_precision, pick_preset
from helpers.gan.generator_file import SoundGenerator
from helpers.judge.classifier import JUDGE_STEPS, open_judge
from helpers.judge.evaluation import Evaluator, can_measure, find_mismatch
from helpers.judge.verdict import ClassVerdict, judge_classes, verdict_in_words
from helpers.run.folder import RunFolder, resolve_source
from helpers.run.own_sounds import choose_source
from helpers.run.training_choice import choose_training, save_training_choice, training_to_keep
from helpers.show.fixed_batch import FixedBatchView
from helpers.show.plots import printable
from helpers.sound.inversion import MelInverter
from helpers.sound.magnitudes import MagnitudeNet
from helpers.train.loop import TrainResult, train_gan
from helpers.train.schedule import Intervals, Limits
from helpers.train.watch import Watch

AUTO = "auto"


def prepare_run(
    run: RunFolder,
    data_source: str,
    preset: str = AUTO,
    kit_clips: int = DataConfig.kit_clips,
    progress: Callable | None = None,
) -> tuple[RunConfig, ClipCache]:
    """Make the clips of a run, and write its configuration: what 01_data does with its defaults.

    A run of the same recordings keeps its own settings, unless a preset is named. Of a run that was
    trained otherwise nothing is overwritten. Raises SourceError or DatasetError where there is too
    little to learn from, UnusableFileError where the run cannot go on so, and RunError.
    """
    name, stage = resolve_source(choose_source(run, data_source))
    before = _settings_before(run, name, preset)
    own_labels = "folders" if name == str(run.recordings) else AUTO
    data = before.data if before else DataConfig(name, kit_clips, stage, own_labels)
    how = {"kit_clips": data.kit_clips, "labels": data.labels, "stage": data.stage}
    source = open_source(name, run.work, **how, progress=progress)
    if source.words:
        print(printable(source.words.splitlines()[0]))
    config = before or _new_settings(run, source, data, preset)
    made = source.folder, config.audio, config.data, run.data, run.cache
    clips = prepare_clips(*made, progress)
    _require_enough(clips, data_source)
    data = dataclasses.replace(config.data, digest=clips.key)
    config = dataclasses.replace(config, data=data, classes=clips.classes)
    was_trained = run.was_trained()
    config = choose_training(config, precision=config.train.precision, was_trained=was_trained)
    save_training_choice(run, config)
    remove_older_caches(clips, config.data, run.cache)
    return config, clips


def learn_way_back(
    run: RunFolder, clips: ClipCache, steps: int, progress: Callable | None = None
) -> MagnitudeNet | None:
    """The run's way back to sound, learned in so many steps; one that learned for longer stays."""
    trained_for_longer = {"clips": clips.key, "steps": str(STEPS)}
    network = load_magnitude_net(run.inversion, clips.audio, trained_for_longer)
    return network or open_magnitude_net(run.inversion, clips, steps, pick_device(), progress)


def open_evaluator(
    run: RunFolder,
    clips: ClipCache,
    judge_steps: int = JUDGE_STEPS,
    progress: Callable | None = None,
) -> Evaluator | None:
    """The run's judge with its recordings; None where too few of them are held out."""
    if not can_measure(clips):
        return None
    return Evaluator(open_judge(run.judge, clips, judge_steps, pick_device(), progress), clips)


def train_run(
    run: RunFolder,
    config: RunConfig,
    clips: ClipCache,
    limits: Limits,
    evaluator: Evaluator | None = None,
    intervals: Intervals = Intervals(),  # noqa: B008 (frozen)
) -> TrainResult:
    """Train a run until a limit, from where it was; its best generator is then in its file.

    Raises what `train_gan` raises, and RunError if Drive cannot be read.
    """
    device = pick_device()
    dataset = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))
    local, drive_copy = run.local, run.open_drive_copy()
    view = FixedBatchView(config.classes, config.audio)
    inversion = load_magnitude_net(run.inversion, config.audio)
    watch = Watch(config, dataset, local.root, evaluator, view, inversion, device)
    precision = pick_precision(config.train.precision, device)
    send = drive_copy.send if drive_copy else None
    result = train_gan(
        dataset, config, local.root, device, limits, intervals, precision, watch, send
    )
    if not local.generator.exists():
        watch(result.step, result.seconds / 60, result.generator)
    if drive_copy:
        print(drive_copy.try_to_send())
    return result


def measure_in_words(
    evaluator: Evaluator, generator: SoundGenerator, inverter: MelInverter, seed: int = 0
) -> tuple[list[str], list[ClassVerdict]]:
    """How good the sounds are: three sentences, and a verdict on each class, the weakest first.

    The figures are those of 04_listen but for the score, for which a second judge would have to
    learn. No sentence where the generator was made for other classes or clips.
    """
    if find_mismatch(generator, evaluator.clips):
        return [], []
    judged = evaluator.judge_generator(generator, evaluator.test.labels, inverter, seed)
    kinds = {"generated": judged} | evaluator.limits
    rows = [{"sounds": kind} | evaluator.figures(sounds) for kind, sounds in kinds.items()]
    verdicts = judge_classes(evaluator.compare_classes(judged))
    return verdict_in_words(rows, verdicts), verdicts


def _settings_before(run: RunFolder, source: str, preset: str) -> RunConfig | None:
    """The settings of a run that is there, if it is of this source and no preset is named."""
    if preset != AUTO or run.config.name not in run.list_names():
        return None
    before = run.read_config()
    return before if before.data.source == source else None


def _new_settings(run: RunFolder, source: Source, data: DataConfig, preset: str) -> RunConfig:
    """The settings that 01_data chooses for these recordings."""
    config = make_config(pick_preset(preset, pick_device()))
    rate = common_sample_rate(source.folder)
    return dataclasses.replace(
        config,
        audio=config.audio.fit_sample_rate(rate) if rate else config.audio,
        data=dataclasses.replace(data, labels=source.labels, holdout=source.holdout),
        train=training_to_keep(run, config),
    )


def _require_enough(clips: ClipCache, data_source: str) -> None:
    n = len(clips.indices("train"))
    if n < VERY_FEW_CLIPS:
        raise DatasetError(
            f"{data_source!r} gives {n} clip{'s' if n != 1 else ''} to learn from, which is too "
            f"few: a class needs {VERY_FEW_CLIPS} or more, and 100 are a good start"
        )
