"""What has changed since a run was trained, and whether its training can go on.

More or fewer recordings, and new classes, are gone on with. Other settings are not, nor is a run
that has lost a class: what it has learned of that would be gone for good.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from helpers.config import DataConfig, ModelConfig, RunConfig, check_classes, checkpoint_identity
from helpers.config_json import differences
from helpers.data.audit import AuditRow
from helpers.data.clips import ClipCache
from helpers.files import RunFiles, UnusableFileError
from helpers.train.checkpoints import START_OVER, Checkpoint, load_newest_checkpoint

RECORDINGS = ("classes", "data")  # the parts of a checkpoint's identity that may change
NAMED = 5  # classes in a sentence


class TrainedOn(NamedTuple):
    """The step, settings, classes and files of a checkpoint."""

    step: int
    settings: dict
    classes: tuple[str, ...]
    digest: str  # of the clips
    files: dict[str, set[str]] | None  # their digests by class; None: by an earlier version


class Changes(NamedTuple):
    """The changes since a run was trained: in words, and the files that are new to it."""

    words: str
    new_files: list[AuditRow]


def pack_files(audit: Iterable[AuditRow]) -> Tensor:
    """The digests of the files that clips are made of, by class, as bytes for a checkpoint."""
    text = json.dumps({name: sorted(digests) for name, digests in _used_files(audit).items()})
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def check_can_go_on(checkpoint: Checkpoint, config: RunConfig, root: Path) -> TrainedOn:
    """Read on what the run in `root` was trained, if `config` can go on with its checkpoint.

    Raises UnusableFileError, with what to do, if it cannot.
    """
    with of_another_version(root):
        trained = _read(checkpoint)
        obstacle = _find_obstacle(trained, checkpoint_identity(config))
    if obstacle:
        raise UnusableFileError(f"{root} {obstacle}")
    return trained


def check_newest_checkpoint(files: RunFiles, config: RunConfig) -> None:
    """Raise UnusableFileError if a run's newest checkpoint cannot be gone on with, or not be read.

    A run without a checkpoint can be trained with any settings.
    """
    try:
        checkpoint, _ = load_newest_checkpoint(files.checkpoints)
    except OSError as error:
        raise UnusableFileError(
            f"{files.checkpoints} cannot be read ({error}): see that the disk is there, and run "
            "this again; nothing in it was changed"
        ) from error
    if checkpoint:
        check_can_go_on(checkpoint, config, files.root)


def changes_since_training(files: RunFiles, model: ModelConfig, clips: ClipCache) -> Changes:
    """Compare clips with those that the newest checkpoint of a run was trained on.

    The words end with what 03_train will do. They say so where nothing was trained yet, and where
    the checkpoint cannot be read.
    """
    data = DataConfig(digest=clips.key)
    now = checkpoint_identity(RunConfig(clips.audio, model, data=data, classes=clips.classes))
    del now["train"]  # 03_train chooses it
    try:
        checkpoint, _ = load_newest_checkpoint(files.checkpoints)
        if checkpoint is None:
            return Changes("nothing is trained in this run folder yet", [])
        with of_another_version(files.root):
            trained = _read(checkpoint)
            obstacle = _find_obstacle(trained, now)
    except (OSError, UnusableFileError) as error:
        return Changes(f"what was trained in this run folder cannot be compared: {error}", [])
    same = trained.digest == clips.key
    found = "the same recordings" if same else describe_changes(trained, clips)
    next_step = f"03_train goes on from step {trained.step} with them"
    if obstacle:
        next_step = f"03_train refuses them: {files.root} {obstacle}"
    words = f"against the trained run (step {trained.step}): {found}\n{next_step}"
    return Changes(words, _new_files(trained, clips.audit))


def describe_changes(trained: TrainedOn, clips: ClipCache) -> str:
    """In words, which files and classes are new or gone in other clips than those trained on."""
    known = trained.files
    if known is None:
        return "other recordings"
    new = Counter(row.label for row in _new_files(trained, clips.audit))
    now = _used_files(clips.audit)
    gone = Counter({name: len(of - now.get(name, set())) for name, of in known.items()})
    both = sorted({*clips.classes} & {*trained.classes})
    new_names = sorted({*clips.classes} - {*trained.classes})
    gone_names = sorted({*trained.classes} - {*clips.classes})
    found = [
        _list([f"{_count(new[name], 'new file')} in {name!r}" for name in both if new[name]]),
        _list([f"{_count(gone[name], 'file')} gone from {name!r}" for name in both if gone[name]]),
    ]
    if new_names:
        named = [f"{name!r} ({_count(new[name], 'file')})" for name in new_names]
        found.append(f"{_count(len(new_names), 'new class', 'new classes')}: {_list(named)}")
    if gone_names:
        named = _list([repr(name) for name in gone_names])
        found.append(f"{_count(len(gone_names), 'class', 'classes')} gone: {named}")
    return "; ".join(filter(None, found)) or "the same files, made into clips in another way"


@contextlib.contextmanager
def of_another_version(root: Path) -> Iterator[None]:
    """Raise UnusableFileError where a whole checkpoint does not hold what this version wants."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RuntimeError) as error:
        raise UnusableFileError(
            f"the checkpoints of {root} are of networks that this version does not build: use the "
            f"version that began the run, {START_OVER}"
        ) from error


def _read(checkpoint: Checkpoint) -> TrainedOn:
    identity = json.loads(checkpoint.note["identity"])
    settings = {part: value for part, value in identity.items() if part not in RECORDINGS}
    files, packed = None, checkpoint.tensors.get("files")
    if packed is not None:
        found = json.loads(packed.numpy().tobytes())
        files = {name: set(digests) for name, digests in found.items()}
    classes = check_classes(identity["classes"])
    return TrainedOn(checkpoint.step, settings, classes, identity["data"]["digest"], files)


def _find_obstacle(trained: TrainedOn, now: dict) -> str:
    """Why a run cannot go on, and what to do, to be read behind its folder; "" if it can."""
    wanted = {part: value for part, value in now.items() if part not in RECORDINGS}
    if found := differences(trained.settings, wanted):
        again = f"use them again, {START_OVER}"
        return f"was trained with other settings ({'; '.join(found)}): {again}"
    if gone := [repr(name) for name in trained.classes if name not in now["classes"]]:
        return (
            f"was trained with classes that have no recordings now ({_list(gone)}; a folder with "
            f"another name is another class): bring them back and run 01_data again, {START_OVER}"
        )
    if trained.files is None and trained.digest != now["data"]["digest"]:
        return (
            "was trained by an earlier version, which did not keep the statistics of the "
            f"recordings: go on with that version, {START_OVER}"
        )
    return ""


def _used_files(audit: Iterable[AuditRow]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in audit:
        if row.status == "kept":
            found.setdefault(row.label, set()).add(row.digest)
    return found


def _new_files(trained: TrainedOn, audit: Iterable[AuditRow]) -> list[AuditRow]:
    """The rows of the files that are used now, and were not in this class."""
    known = trained.files
    if known is None:
        return []
    kept = [row for row in audit if row.status == "kept"]
    return [row for row in kept if row.digest not in known.get(row.label, ())]


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def _list(parts: Sequence[str]) -> str:
    """Some of the parts, with commas between them, and how many more there are."""
    more = len(parts) - NAMED
    return ", ".join([*parts[:NAMED], *([f"and {more} more"] if more > 0 else [])])
