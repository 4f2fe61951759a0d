"""Where the notebooks run: Colab or not, Drive or not, the run folder's paths, device, precision, seeds, versions."""

import contextlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from helpers.config import ConfigError, RunConfig, digest_of
from helpers.data.known_datasets import KNOWN
from helpers.data.sources import KIT
from helpers.files import PROJECT, WrittenTwice, drop, drop_folder, read_if_there, write_atomically
from helpers.run.colab import DRIVE, RunError, mount_drive
from helpers.train.drive_copy import BEGINNING, SEEN, SENT_WHOLE, DriveCopy, mark_beginning


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. The folder moves as a whole; `cache`, `work` and `here` are on the local disk."""

    root: Path
    cache: Path
    work: Path  # extracted, made and downloaded recordings
    here: (
        Path  # where training writes: `root`, or a copy of it on the local disk if that is on Drive
    )

    config = property(lambda self: self.root / "config.json")
    data = property(lambda self: self.root / "data")
    checkpoints = property(lambda self: self.root / "checkpoints")
    generator = property(lambda self: self.root / "generator.safetensors")
    metrics = property(lambda self: self.root / "metrics.jsonl")
    judge = property(lambda self: self.root / "judge.safetensors")
    inversion = property(lambda self: self.root / "inversion.safetensors")
    samples = property(lambda self: self.root / "samples")
    sounds = property(lambda self: self.root / "sounds")
    pictures = property(lambda self: self.root / "pictures")
    notebooks = property(lambda self: self.root / "notebooks")
    local = property(lambda self: RunFolder(self.here, self.cache, self.work, self.here))

    def read_config(self, written_by: str = "01_data") -> RunConfig:
        """The run's configuration; RunError names the notebook to run first if there is none."""
        try:
            content = read_if_there(self.config)
            if content is None:
                raise RunError(
                    f"no {self.config}: run {written_by} first, with the same run_dir and use_drive"
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
        """Save the run's configuration: a kill leaves the old one or the new one. RunError where it cannot be.

        Nothing is written where nothing is new: a full disk needs no room for that.
        """
        content = config.to_json().encode()
        self._require_drive()
        try:
            if read_if_there(self.config) != content:
                write_atomically(self.config, lambda partial: partial.write_bytes(content))
        except OSError as error:
            raise RunError(
                f"{self.config} cannot be written ({error}): make room, or name another folder with run_dir"
            ) from error

    def open_drive_copy(self) -> DriveCopy | None:
        """What sends the local copy of a run on Drive there, the copy brought up to date; None of another run.

        Raises RunError if Drive cannot be read.
        """
        mirror = DriveCopy(self.here, self.root) if self.here != self.root else None
        problems = []
        try:
            if mirror:
                problems = mirror.fetch()
            for name in () if mirror else SENT_WHOLE:
                WrittenTwice(self.root / name).mend()
        except OSError as error:
            raise RunError(
                f"{self.root} cannot be read, or {self.here} not be written ({error}): see that the disks are there "
                "and have room, and run this again; if one file stays unreadable, remove that"
            ) from error
        for problem in problems:
            warnings.warn(problem, stacklevel=2)
        return mirror

    def whole_generator(self) -> Path:
        """The exported generator; where a machine went away while it wrote that or the metrics, from the copies."""
        for name in SENT_WHOLE:
            with contextlib.suppress(
                OSError
            ):  # a drive that cannot be written to: the copy itself is opened
                WrittenTwice(self.root / name).mend()
        with contextlib.suppress(OSError):  # whoever opens it says that it cannot be read
            return WrittenTwice(self.generator).whole()
        return self.generator

    def _require_drive(self) -> None:
        """Drive may have gone away meanwhile: its folder would then be made in its place."""
        if self.root.is_relative_to(DRIVE):
            mount_drive()

    def restart(self) -> None:
        """Forget what was trained: checkpoints, metrics, samples and the generator; the data stays.

        Raises RunError where they cannot be removed.
        """
        self._require_drive()
        try:
            if self.here != self.root or (self.root / BEGINNING).exists():
                mark_beginning(self.root)  # first: what other machines have does not come back
            for root in {self.root, self.here}:
                for name in ("checkpoints", "samples"):
                    drop_folder(root / name)
                for name in SENT_WHOLE:
                    WrittenTwice(root / name).drop()
                drop(root / SEEN)
        except OSError as error:
            raise RunError(
                f"what was trained in {self.root} cannot be removed ({error}): see that its disk or Drive is there, "
                "and run this again"
            ) from error


def open_run(run_dir: str, use_drive: bool = False) -> RunFolder:
    """The paths of a run. A relative run_dir lies in Drive's `class-sounds` folder, or in the project's folder."""
    if not run_dir.strip():
        raise ConfigError("run_dir must name a folder, as in runs/demo; got an empty text")
    root = Path(run_dir).expanduser()
    if not root.is_absolute():
        root = (mount_drive() / "class-sounds" if use_drive else PROJECT) / root
    elif use_drive or root.is_relative_to(DRIVE):
        mount_drive()
    work = PROJECT / "data"
    if root.is_relative_to(DRIVE):
        here = (
            work / "runs" / f"{root.name}-{digest_of(str(root))}"
        )  # beside, never in, that of another run
        return RunFolder(root, work / "cache" / root.name, work, here)
    for folder, folders, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path):
                raise RunError(
                    f"{path} is a link, which may lead out of the run folder: put there what it leads to, or make "
                    "the whole run folder a link"
                )
    return RunFolder(root, root / "data", work, root)


def resolve_source(data_source: str, use_drive: bool) -> tuple[str, bool]:
    """The absolute form of a data source, and whether it is to be staged because it lies on Drive.

    A relative path that does not exist here is looked for in the project's folder, then in Drive.
    """
    if data_source in (KIT, *KNOWN):
        return data_source, False
    if use_drive:
        mount_drive()
    for base in (Path.cwd(), PROJECT, DRIVE / "MyDrive"):
        candidate = base / Path(data_source).expanduser()
        if data_source and candidate.exists():
            return str(candidate.resolve()), candidate.resolve().is_relative_to(DRIVE)
    return data_source, False
