"""A run on a drive that is slow, fills up and goes away: training works on a local copy.

What is sent to the drive are files that never change. Each has a new name with its step and the
start of its SHA-256. A reader takes the newest file whose content matches its name. An older file
goes after a newer one was written and read back whole. So of each kind one is whole at any moment,
however often the drive fails, and two machines on one run cannot damage each other's files.
"""

import os
import uuid
from pathlib import Path

from helpers import files
from helpers.files import RunFiles, StampedFile
from helpers.gan.generator_file import is_whole_generator
from helpers.train import checkpoints, metrics_file
from helpers.train.checkpoints import checkpoint_files, describe_damage, save_packed

SEEN = "seen.txt"  # in the local copy: the run's beginning, and the files on the drive
BEGINNING = "beginning"  # on the drive: a file with a new name when the run is started over
GENERATOR = "generator"
PARTS = {BEGINNING: ".txt", metrics_file.STEM: ".jsonl", GENERATOR: ".safetensors"}


class OvertakenError(OSError):
    """Another machine wrote to the drive. What is trained here is not written over that."""


class DriveCopy:
    """The local copy of a run folder, and the folder on the drive that it is sent to.

    The local copy remembers which files the drive has. Where the drive has another file, another
    machine wrote it. Then the drive counts: this machine sends nothing more, and when it begins
    the next time its copy is set aside.
    """

    def __init__(self, local: Path, drive: Path):
        self.local, self.drive = RunFiles(local), RunFiles(drive)
        self.beginning = ""
        self.newest: StampedFile | None = None  # the newest whole checkpoint on the drive
        self.seen: set[str] = set()  # names of files on the drive that this machine knows of
        self.damaged: list[StampedFile] = []  # checkpoints that were not whole when it began
        self.sent: set[Path] = set()  # files on the drive that were read back whole

    def fetch(self) -> list[str]:
        """Bring the local copy up to what the drive has. Call it before anything is sent.

        Returns a sentence on each checkpoint there that is damaged, and on what was set aside.
        Raises OSError if the drive cannot be read: then nobody knows what it has.
        """
        if not self._list_drive()[BEGINNING]:
            _mark_beginning(self.drive.root)
        listed = self._list_drive()
        self.beginning = listed[BEGINNING][-1].path.name
        self.newest, content, self.damaged = files.read_newest(listed[checkpoints.STEM])
        problems = describe_damage(self.damaged)
        if self._is_overtaken():
            aside = files.set_aside(self.local.root)
            problems.append(
                f"{self.drive.root} was changed by another machine, and counts; what was here is "
                f"in {aside}"
            )
        here, _, _ = files.read_newest(checkpoint_files(self.local.checkpoints))
        self.seen = set()
        self._remember(_names(listed) - {file.path.name for file in self.damaged})
        newer = self.newest is not None and (here is None or self.newest.number > here.number)
        if newer:
            files.write_atomically(self.local.metrics, metrics_file.read_parts(self.drive.metrics))
        if newer or not is_whole_generator(files.read_if_there(self.local.generator)):
            generator = (
                files.read_if_there(self.drive.generator) or files.read_newest(listed[GENERATOR])[1]
            )
            if is_whole_generator(generator):
                files.write_atomically(self.local.generator, generator)
        if newer:  # last: what belongs to it is there
            save_packed(self.local.checkpoints, self.newest.number, content)
        return problems

    def send(self) -> None:
        """Copy what is new to the drive.

        Raises OSError, and has then lost nothing that was there; OvertakenError if another machine
        wrote there.
        """
        listed = self._list_drive()
        self._require_not_overtaken(listed)
        here, content, damaged = files.read_newest(checkpoint_files(self.local.checkpoints))
        problems = describe_damage(damaged)
        step = here.number if here else 0
        metrics, generator = map(files.read_if_there, (self.local.metrics, self.local.generator))
        if metrics is not None:
            self._send_newest(listed[metrics_file.STEM], self.drive.metrics, step, metrics)
        if is_whole_generator(generator):
            self._send_newest(listed[GENERATOR], self.drive.generator, step, generator)
        elif generator is not None:
            problems.append(f"{self.local.generator} is damaged")
        if here is not None and not (self.newest and self.newest.number > step):
            there = here._replace(path=self.drive.checkpoints / here.path.name)
            self._remember(self.seen | {there.path.name})  # first: this machine may go away
            self._put(there.path, content)
            self.newest = there
            older = [file for file in listed[checkpoints.STEM] if file.number < step]
            for file in older[: len(older) - checkpoints.KEPT + 1]:
                files.drop(file.path)
        for folder in (self.local.samples, self.local.pictures):
            for path in [path for path in sorted(folder.rglob("*.*")) if path.is_file()]:
                self._put(self.drive.root / path.relative_to(self.local.root), path.read_bytes())
        files.thin_out(self.drive.samples, files.STEP_FOLDERS_KEPT)
        if problems:
            raise OSError("; ".join(problems))

    def try_to_send(self) -> str:
        """Send at the end of training, and return a sentence on how it went."""
        try:
            self.send()
        except OSError as error:
            return f"not sent to {self.drive.root} ({error}); it is in {self.local.root}"
        return f"sent to {self.drive.root}"

    def _list_drive(self) -> dict[str, list[StampedFile]]:
        """The files that never change on the drive, by their stem.

        A drive whose connection drops answers "no such file" for files that are there. So only
        what a listing names is asked for, and every missing answer is an error.
        """
        root, folder = self.drive.root, self.drive.checkpoints
        if not self.drive.config.is_file():
            raise OSError(f"{root} is not there, or holds no run: is the drive mounted?")
        names = os.listdir(root)
        saved = os.listdir(folder) if folder.name in names else []
        listed = {
            stem: files.stamped_files(root, stem, suffix, names) for stem, suffix in PARTS.items()
        }
        stem, suffix = checkpoints.STEM, checkpoints.SUFFIX
        return listed | {stem: files.stamped_files(folder, stem, suffix, saved)}

    def _is_overtaken(self) -> bool:
        """Whether the local copy is from before another machine wrote to the drive."""
        parts = (self.local.checkpoints, self.local.metrics, self.local.generator)
        seen = (
            (files.read_if_there(self.local.root / SEEN) or b"")
            .decode(errors="replace")
            .split("\n")
        )
        unknown = self.newest is not None and self.newest.path.name not in seen
        return any(part.exists() for part in parts) and (seen[0] != self.beginning or unknown)

    def _require_not_overtaken(self, listed: dict[str, list[StampedFile]]) -> None:
        there = _names(listed)
        still_damaged = {
            file.path.name
            for file in self.damaged
            if file.path.name in there and not file.holds(file.path.read_bytes())
        }
        strange = there - self.seen - still_damaged - {f.path.name for f in listed[BEGINNING]}
        gone = self.newest is not None and self.newest.path.name not in there
        beginning = listed[BEGINNING][-1].path.name if listed[BEGINNING] else ""
        if strange or gone or beginning != self.beginning:
            raise OvertakenError(
                f"{self.drive.root} was changed meanwhile: this run is trained on another machine "
                "too. Stop one of the two. When this is run again, training goes on from what is "
                f"on the drive, and what was trained here is set aside; it is in {self.local.root}"
            )

    def _remember(self, names: set[str]) -> None:
        if names == self.seen:
            return
        lines = "\n".join([self.beginning, *sorted(names)])
        files.write_atomically(self.local.root / SEEN, lines.encode())
        self.seen = names

    def _send_newest(
        self, there: list[StampedFile], plain: Path, step: int, content: bytes
    ) -> None:
        """Send the newest content of a kind. The others of its kind go when it is whole."""
        name = files.stamped_name(plain.stem, step, content, plain.suffix)
        target = next((file.path for file in there if file.holds(content)), plain.with_name(name))
        self._remember(self.seen | {target.name})  # first: this machine may go away
        self._put(target, content)
        for path in {file.path for file in there} - {target}:
            files.drop(path)
        files.drop(plain)  # of a run that was trained elsewhere and moved to the drive

    def _put(self, path: Path, content: bytes) -> None:
        """Write a file that never changes and read it back. What broke off before is replaced."""
        if path in self.sent:
            return
        if files.read_if_there(path) != content:
            files.drop(path)
            files.write_synced(path, content)
            if path.read_bytes() != content:
                raise OSError(f"{path} did not come back as it was written")
        self.sent.add(path)


def _mark_beginning(drive: Path) -> None:
    """Say on a drive that its run begins now. What other machines have of it does not come back."""
    earlier = files.stamped_files(drive, BEGINNING, PARTS[BEGINNING])
    files.add_stamped_file(drive, BEGINNING, PARTS[BEGINNING], uuid.uuid4().hex.encode())
    for file in earlier:
        files.drop(file.path)


def forget_training(folder: Path) -> None:
    """Remove what was trained in a run folder, local or on a drive. Raises OSError."""
    run = RunFiles(folder)
    if files.stamped_files(folder, BEGINNING, PARTS[BEGINNING]):
        _mark_beginning(folder)  # first: what other machines have does not come back
    files.drop_folder(run.checkpoints)
    files.drop_folder(run.samples)
    for stem in (metrics_file.STEM, metrics_file.QUALITY_STEM, GENERATOR):
        for file in files.stamped_files(folder, stem, PARTS.get(stem, metrics_file.SUFFIX)):
            files.drop(file.path)
    for path in (run.metrics, run.generator, folder / SEEN):
        files.drop(path)


def newest_generator(folder: Path) -> Path:
    """The generator of a run folder: generator.safetensors, or its newest whole part on a drive."""
    path = RunFiles(folder).generator
    if path.exists():
        return path
    newest, _, _ = files.read_newest(files.stamped_files(folder, GENERATOR, path.suffix))
    return newest.path if newest else path


def _names(listed: dict[str, list[StampedFile]]) -> set[str]:
    return {file.path.name for kind in listed.values() for file in kind}
