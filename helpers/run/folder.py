"""A run's folder: where its files are, its configuration, and its copy if it lies on Drive."""

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from helpers.config import ConfigError, RunConfig, digest_of
from helpers.data.known_datasets import KNOWN_DATASETS
from helpers.data.source_names import KIT, understand_source
from helpers.files import (
    PACK,
    PLAY_PAGE,
    PROJECT,
    RunFiles,
    names_in,
    read_if_there,
    write_atomically,
)
from helpers.run import colab
from helpers.run.colab import RunError, mount_drive, require_drive
from helpers.train.drive_copy import DriveCopy, forget_training, newest_generator
from helpers.train.metrics_file import add_quality_file, append_metrics

DROPPED = "; if it was there before, Drive was disconnected: run the cells again"
BEFORE_A_RUN = {"data", "sounds", "pictures", "notebooks", PLAY_PAGE, PACK}  # do not make a run


@dataclass(frozen=True)
class RunFolder(RunFiles):
    """The files of one run. `cache`, `work` and `here` are always on the local disk."""

    cache: Path
    work: Path  # extracted, made and downloaded recordings
    here: Path  # where training writes: `root`, or a local copy of it if that is on Drive

    local = property(lambda self: RunFiles(self.here))
    is_on_drive = property(lambda self: self.here != self.root)

    def read_config(self, written_by: str = "01_data") -> RunConfig:
        """The run's configuration. RunError names the notebook to run first if there is none."""
        try:
            content = read_if_there(self.config)
            if content is None:
                raise RunError(
                    f"no {self.config}: run {written_by} first, with the same run_dir and use_drive"
                    f"{DROPPED if self.is_on_drive else ''}"
                )
            return RunConfig.from_json(content.decode(errors="replace"))
        except ConfigError as error:
            raise RunError(
                f"{self.config}: {error}. Run {written_by} again, with the same run_dir"
            ) from error
        except OSError as error:
            raise RunError(
                f"{self.config} cannot be read ({error}): see that its disk or Drive is there"
            ) from error

    def write_config(self, config: RunConfig) -> None:
        """Save the run's configuration: a kill leaves the old one or the new one.

        Nothing is written where nothing is new: a full disk needs no room for that. Raises
        RunError where it cannot be written.
        """
        content = config.to_json().encode()
        self._require_drive()
        try:
            if read_if_there(self.config) != content:
                write_atomically(self.config, content)
        except OSError as error:
            raise RunError(
                f"{self.config} cannot be written ({error}): make room, or name another folder "
                "with run_dir"
            ) from error

    def open_drive_copy(self) -> DriveCopy | None:
        """Bring the local copy of a run on Drive up to date; the result sends what is new there.

        None for a run that is not on Drive. Raises RunError if Drive cannot be read.
        """
        drive_copy = DriveCopy(self.here, self.root) if self.is_on_drive else None
        problems = []
        try:
            if drive_copy:
                problems = drive_copy.fetch()
            elif (part := newest_generator(self.root)) != self.generator:  # moved here from a drive
                write_atomically(self.generator, part.read_bytes())
        except OSError as error:
            raise RunError(
                f"{self.root} cannot be read, or {self.here} not be written ({error}): see that "
                "the disks are there and have room, and run this again; if one file stays "
                "unreadable, remove that"
            ) from error
        for problem in problems:
            warnings.warn(problem, stacklevel=2)
        return drive_copy

    def find_generator(self) -> Path:
        """The generator to listen to.

        Raises RunError if the disk cannot be read, or if a run on Drive has none.
        """
        try:
            path = newest_generator(self.root)
            if self.is_on_drive and not path.exists():
                raise RunError(
                    f"no generator in {self.root}: run 03_train first, with the same run_dir and "
                    f"use_drive{DROPPED}"
                )
            return path
        except OSError as error:
            raise RunError(
                f"{self.root} cannot be read ({error}): see that its disk or Drive is there"
            ) from error

    def add_quality(self, line: dict) -> None:
        """Add a measurement to the run's metrics; on Drive as a file of its own."""
        if self.is_on_drive:
            add_quality_file(self.root, line)
        else:
            append_metrics(self.metrics, line)

    def restart(self) -> None:
        """Forget what was trained: checkpoints, metrics, samples and the generator; data stays.

        Raises RunError where they cannot be removed.
        """
        self._require_drive()
        try:
            for root in dict.fromkeys((self.root, self.here)):
                forget_training(root)
        except OSError as error:
            raise RunError(
                f"what was trained in {self.root} cannot be removed ({error}): see that its disk "
                "or Drive is there, and run this again"
            ) from error

    def list_names(self) -> list[str]:
        """The names in the run folder; none if there is no folder. Raises RunError.

        A drive whose connection drops answers "no such file" for files that are there. So its
        listings are asked, from the top, and no answer from one that is listed is an error.
        """
        self._require_drive()
        try:
            if not self.is_on_drive:
                return names_in(self.root)
            folder = colab.DRIVE
            for name in self.root.relative_to(folder).parts:
                if name not in os.listdir(folder):
                    return []
                folder /= name
            return sorted(os.listdir(folder))
        except OSError as error:
            raise RunError(
                f"{self.root} cannot be read ({error}): see that its disk or Drive is there"
            ) from error

    def is_new(self) -> bool:
        """Whether nothing of a run is there, on Drive or in its local copy. Raises RunError."""
        return not {*self.list_names(), *names_in(self.here)} - BEFORE_A_RUN

    def was_trained(self) -> bool:
        """Whether there are checkpoints, on Drive or in its local copy. Raises RunError."""
        names = {*self.list_names(), *names_in(self.here)}
        return self.checkpoints.name in names

    def _require_drive(self) -> None:
        """Drive may be gone meanwhile: its folder would then be made in its place."""
        if self.root.is_relative_to(colab.DRIVE):
            require_drive()


def open_run(run_dir: str, use_drive: bool = False) -> RunFolder:
    """The folder of a run. A relative run_dir lies in the project's folder.

    use_drive: it lies in Drive's `class-sounds` where there is a Drive, which is mounted; a person
    who does not allow that is told. Raises RunError if Drive is not mounted now and the run is
    there: run_dir says so, or this machine had it from there before.

    >>> open_run("runs/rain").config.name
    'config.json'
    """
    if not run_dir.strip():
        raise ConfigError("run_dir must name a folder, as in runs/demo; got an empty text")
    root = Path(run_dir).expanduser()
    if root.is_relative_to(colab.DRIVE):
        require_drive()
    elif use_drive:
        root = _choose_place(root)
    root = PROJECT / root
    work = PROJECT / "data"
    if root.is_relative_to(colab.DRIVE):
        here = _local_copy(root)
        try:
            here.mkdir(parents=True, exist_ok=True)  # says later that this run is on Drive
        except OSError as error:
            raise RunError(
                f"{here} cannot be made ({error}): see that the disk is there"
            ) from error
        return RunFolder(root, work / "cache" / here.name, work, here)
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path):
                raise RunError(
                    f"{path} is a link, which may lead out of the run folder: put there what it "
                    "leads to, or make the whole run folder a link"
                )
    return RunFolder(root, root / "data", work, root)


def _choose_place(run_dir: Path) -> Path:
    """Where a run is kept: in Drive if that can be mounted, else run_dir as it is."""
    on_drive = colab.DRIVE / "MyDrive" / "class-sounds" / run_dir  # run_dir, if that is absolute
    if not (why := mount_drive()):
        before = RunFiles(PROJECT / run_dir).config
        if on_drive != run_dir and os.path.exists(before) and not os.path.exists(on_drive):
            print(
                f"{before.parent} holds a run that was made without Drive: to go on with it, move "
                f"that folder to {on_drive} and run this cell again"
            )
        return on_drive
    if _local_copy(on_drive).exists():
        raise RunError(
            f"the run {run_dir} is on Drive, and Drive was not mounted ({why}): mount it and run "
            "this cell again, or set use_drive = False to begin another run on this machine"
        )
    if colab.in_colab() and on_drive != run_dir:
        print(
            f"Drive was not mounted ({why}): the run is kept on this machine and is lost with it; "
            "mount Drive and run this cell again to keep it"
        )
    return run_dir


def _local_copy(root: Path) -> Path:
    """Where this machine works on a run that is kept on Drive."""
    return PROJECT / "data" / "runs" / f"{root.name}-{digest_of(str(root))}"  # no other run's


def resolve_source(data_source: str) -> tuple[str, bool]:
    """The absolute form of a data source, and whether it must be copied because it is on Drive.

    A relative path that does not exist here is looked for in the project's folder, then in Drive.
    Raises SourceError for what `understand_source` refuses.
    """
    data_source = understand_source(data_source)
    if data_source in (KIT, *KNOWN_DATASETS) or "://" in data_source:
        return data_source, False
    for base in (Path.cwd(), PROJECT, colab.DRIVE / "MyDrive"):
        candidate = base / data_source
        if data_source and candidate.exists():
            found = candidate.resolve()
            return str(found), found.is_relative_to(colab.DRIVE)
    return data_source, False


def run_name(data: str, preset: str, recipe: str) -> str:
    """The name of the run folder: demo for the built-in kit, else that of the data.

    A preset and a recipe that are not the default are added.

    >>> run_name("/data/rain.zip", "cpu", "baseline")
    'rain-baseline'
    """
    stem = re.sub(r"(\.(zip|tar|tgz|gz|bz2|xz))+$", "", Path(data).name, flags=re.IGNORECASE)
    parts = ["demo" if data == "kit" else stem or "run"]
    return "-".join(
        parts + [preset] * (preset not in ("auto", "cpu")) + [recipe] * (recipe != "modern")
    )
