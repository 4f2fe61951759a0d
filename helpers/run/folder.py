"""A run's folder: where its files are, its configuration, and its copy if it lies on Drive."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from helpers.config import ConfigError, RunConfig, digest_of
from helpers.data.known_datasets import KNOWN_DATASETS
from helpers.data.sources import KIT
from helpers.files import PROJECT, RunFiles, read_if_there, write_atomically
from helpers.run import colab
from helpers.run.colab import RunError, mount_drive
from helpers.train.drive_copy import DriveCopy, forget_training, newest_generator
from helpers.train.metrics_file import add_quality_file, append_metrics

DROPPED = "; if it was there before, Drive was disconnected: run the cells again"


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

    def _require_drive(self) -> None:
        """Drive may be gone meanwhile: its folder would then be made in its place."""
        if self.root.is_relative_to(colab.DRIVE):
            mount_drive()


def open_run(run_dir: str, use_drive: bool = False) -> RunFolder:
    """The folder of a run. A relative run_dir lies in Drive's `class-sounds`, or in the project.

    >>> open_run("runs/rain").config.name
    'config.json'
    """
    if not run_dir.strip():
        raise ConfigError("run_dir must name a folder, as in runs/demo; got an empty text")
    root = Path(run_dir).expanduser()
    if not root.is_absolute():
        root = (mount_drive() / "class-sounds" if use_drive else PROJECT) / root
    elif use_drive or root.is_relative_to(colab.DRIVE):
        mount_drive()
    work = PROJECT / "data"
    if root.is_relative_to(colab.DRIVE):
        name = f"{root.name}-{digest_of(str(root))}"  # no other run's
        return RunFolder(root, work / "cache" / name, work, work / "runs" / name)
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path):
                raise RunError(
                    f"{path} is a link, which may lead out of the run folder: put there what it "
                    "leads to, or make the whole run folder a link"
                )
    return RunFolder(root, root / "data", work, root)


def resolve_source(data_source: str, use_drive: bool) -> tuple[str, bool]:
    """The absolute form of a data source, and whether it must be copied because it is on Drive.

    A relative path that does not exist here is looked for in the project's folder, then in Drive.
    """
    if data_source in (KIT, *KNOWN_DATASETS):
        return data_source, False
    if use_drive:
        mount_drive()
    for base in (Path.cwd(), PROJECT, colab.DRIVE / "MyDrive"):
        candidate = base / Path(data_source).expanduser()
        if data_source and candidate.exists():
            found = candidate.resolve()
            return str(found), found.is_relative_to(colab.DRIVE)
    return data_source, False
