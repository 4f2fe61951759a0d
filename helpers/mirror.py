"""A run on a drive that is slow, fills up and goes away: training works on a local copy, which is sent there."""

import contextlib
import hashlib
from pathlib import Path

from helpers.checkpoints import CheckpointError, Saved, empty_note, newest_whole, save_bytes, saved_in, write_note
from helpers.files import SAMPLES_KEPT, drop, thin_out, write_atomically, write_in_place
from helpers.generators import load_generator
from helpers.records import merge_metrics

SLOTS = ("a", "b")
METRICS, GENERATOR = SENT_WHOLE = ("metrics.jsonl", "generator.safetensors")


class Mirror:
    """The local copy of a run folder, and the folder on the drive.

    Nothing there relies on renaming, which a drive may not do at once, and nothing is removed before it is emptied,
    since a drive keeps what is removed. Two checkpoints have fixed names, checkpoints/a.pt and b.pt, written in
    turns; beside each lies a note of its step and SHA-256, emptied before the checkpoint is written and filled
    after it. Other files are written twice, the first time under the name with .partial; when its SHA-256 is noted
    the other follows, and until that is whole the first one stays. So of everything there is one that is whole at
    any moment, however often a drive fails.
    """

    def __init__(self, local: Path, drive: Path):
        self.local, self.drive = local, drive
        self.newest: Saved | None = None  # on the drive, known to be whole
        self.sent: dict[str, str] = {}  # digests of files as they were sent, and names of samples

    def fetch(self) -> list[str]:
        """Bring the local copy up to what the drive has; a sentence on each checkpoint there that is not whole.

        Raises OSError if the drive cannot be read.
        """
        self._require_drive()
        self.newest, content, problems = newest_whole(self.drive / "checkpoints")
        here, _, _ = newest_whole(self.local / "checkpoints")
        newer = self.newest is not None and (here is None or self.newest.step > here.step)
        if newer:
            save_bytes(content, self.local / "checkpoints", self.newest.step)
        if newer or not (self.local / GENERATOR).exists():
            self._fetch_generator()
        self.local.mkdir(parents=True, exist_ok=True)
        for name in (f"{METRICS}.partial", METRICS):
            merge_metrics(self.local / METRICS, self.drive / name)
        return problems

    def send(self) -> None:
        """Copy what is new to the drive. Raises OSError, and has then lost nothing that was there."""
        self._require_drive()
        for name in SENT_WHOLE:
            if (self.local / name).exists():
                self._send_file(name)
        here, content, _ = newest_whole(self.local / "checkpoints")
        if here is not None and (self.newest is None or here.digest != self.newest.digest):
            self._send_checkpoint(here, content)
        for folder in sorted((self.local / "samples").glob("*")):
            self._send_samples(folder)
        thin_out(self.drive / "samples", SAMPLES_KEPT)

    def _require_drive(self) -> None:
        """Where the drive is not mounted, its folder would be made on the local disk, in the mount's way."""
        if not self.drive.is_dir():
            raise OSError(f"{self.drive} is not there: is the drive mounted?")

    def _fetch_generator(self) -> None:
        for name in (GENERATOR, f"{GENERATOR}.partial"):
            with contextlib.suppress(CheckpointError):
                load_generator(self.drive / name)
                content = (self.drive / name).read_bytes()
                write_atomically(self.local / GENERATOR, lambda new, c=content: new.write_bytes(c))
                return

    def _send_checkpoint(self, here: Saved, content: bytes) -> None:
        whole = self.newest.path.stem if self.newest else ""
        name = next(name for name in SLOTS if name != whole)
        there = here._replace(path=self.drive / "checkpoints" / f"{name}.pt")
        empty_note(there.path)
        write_in_place(there.path, content)
        write_note(there)
        self.newest = there
        for other in saved_in(there.path.parent):
            if other.path.stem not in SLOTS:  # of a run that was trained elsewhere and moved to the drive
                drop(other.path)
                drop(other.path.with_suffix(".sha256"))

    def _send_file(self, name: str) -> None:
        content = (self.local / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if self.sent.get(name) == digest:
            return
        target, partial, note = (self.drive / f"{name}{end}" for end in ("", ".partial", ".sha256"))
        if not _holds(partial, note):  # else it is what is whole: writing the target broke off
            drop(note)
            write_in_place(partial, content)
            write_in_place(note, digest.encode())
        write_in_place(target, content)
        drop(note)
        drop(partial)
        self.sent[name] = digest

    def _send_samples(self, folder: Path) -> None:
        if folder.name not in self.sent:
            for path in sorted(folder.iterdir()):
                write_in_place(self.drive / "samples" / folder.name / path.name, path.read_bytes())
            self.sent[folder.name] = "whole"


def _holds(path: Path, note: Path) -> bool:
    """Whether a file is the one whose SHA-256 was noted."""
    if not (path.exists() and note.exists()):
        return False
    return note.read_bytes() == hashlib.sha256(path.read_bytes()).hexdigest().encode()
