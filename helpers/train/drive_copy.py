"""A run on a drive that is slow, fills up and goes away: training works on a local copy, which is sent there."""

import uuid
from pathlib import Path

from helpers.files import (
    SAMPLES_KEPT,
    WrittenTwice,
    drop,
    read_if_there,
    set_aside,
    thin_out,
    write_atomically,
    write_in_place,
)
from helpers.gan.generator_file import is_whole_generator
from helpers.train.checkpoints import (
    UNREADABLE,
    Saved,
    empty_note,
    is_whole,
    newest_whole,
    save_bytes,
    saved_in,
    write_note,
)
from helpers.train.metrics_file import add_quality

SLOTS = ("a", "b")
METRICS, GENERATOR = SENT_WHOLE = ("metrics.jsonl", "generator.safetensors")
SENT_FOLDERS = ("samples", "pictures")
BEGINNING = "beginning.txt"  # on the drive: a word that changes when the run is started over
SEEN = "seen.txt"  # here: that word, and the digests of the checkpoints that the drive may have


class OvertakenError(OSError):
    """A drive that another machine wrote to; what is trained here is not written over that."""


class DriveCopy:
    """The local copy of a run folder, and the folder on the drive.

    What is sent to the drive is not renamed there, which a drive may not do at once, and nothing is removed before it
    is emptied, since a drive keeps what is removed. Two checkpoints have fixed names, checkpoints/a.pt and b.pt,
    written in turns; beside each lies a note of its step and SHA-256, emptied before the checkpoint is written and
    filled after it. Metrics and generator are written twice. So of each there is one that is whole at any moment,
    however often a drive fails.

    The local copy remembers which checkpoints the drive may have. Where the drive has another, another machine wrote
    it, and it is then the drive that counts: while this machine trains it sends nothing, and when it begins the next
    time its copy is set aside.
    """

    def __init__(self, local: Path, drive: Path):
        self.local, self.drive = local, drive
        self.newest: Saved | None = None  # on the drive, known to be whole
        self.damaged: set[str] = (
            set()
        )  # digests that the drive noted of what was not that when it was fetched
        self.seen: list[str] = []  # what is in the file of this name
        self.sent: dict[str, object] = {}  # contents or times of files as they were sent

    def fetch(self) -> list[str]:
        """Bring the local copy up to what the drive has; to be called before anything is sent.

        Returns a sentence on each checkpoint there that is not whole, and on what was set aside. Raises OSError if
        the drive cannot be read: then nobody knows what it has.
        """
        self._require_drive()
        beginning = self._read_beginning() or self._begin()
        noted = saved_in(
            self.drive / "checkpoints"
        )  # before they are read: what comes later is not known
        self.newest, content, problems = newest_whole(self.drive / "checkpoints")
        older = {saved.digest for saved in noted if self.newest and saved.step <= self.newest.step}
        self.damaged = {saved.digest for saved in noted} - older
        if self._is_overtaken(beginning):
            aside = set_aside(self.local)
            problems.append(
                f"{self.drive} was changed by another machine, and counts; what was here is in {aside}"
            )
        here, _, _ = newest_whole(self.local / "checkpoints")
        self._remember([beginning, *sorted(older), *([self.newest.digest] if self.newest else [])])
        newer = self.newest is not None and (here is None or self.newest.step > here.step)
        self._fetch_metrics(newer)
        if newer or not is_whole_generator(read_if_there(self.local / GENERATOR)):
            self._fetch_generator()
        if newer:  # last: what belongs to it is there
            save_bytes(content, self.local / "checkpoints", self.newest.step)
        return problems

    def send(self) -> None:
        """Copy what is new to the drive.

        Raises OSError, and has then lost nothing that was there: OvertakenError if another machine wrote there.
        """
        self._require_drive()
        self._require_not_overtaken()
        metrics = WrittenTwice(self.drive / METRICS).read()
        if metrics != self.sent.get(
            METRICS
        ):  # 04_listen added to it, or another machine began to send
            add_quality(self.local / METRICS, metrics)
            for name in SENT_WHOLE:
                self.sent.pop(name, None)
        problems = []
        for name in SENT_WHOLE:
            problems += self._send_whole(name)
        here, content, damaged = newest_whole(self.local / "checkpoints")
        if here is not None and (self.newest is None or _goes_on(here, self.newest)):
            self._send_checkpoint(here, content)
        for folder in SENT_FOLDERS:
            for path in sorted((self.local / folder).rglob("*.*")):
                if path.is_file():
                    self._send_once(path)
        thin_out(self.drive / "samples", SAMPLES_KEPT)
        if problems or damaged:
            raise OSError("; ".join(problems + damaged))

    def try_to_send(self) -> str:
        """The same at the end of training, when nothing is to stop for it: a sentence on how it went."""
        try:
            self.send()
        except OSError as error:
            return f"not sent to {self.drive} ({error}); it is in {self.local}"
        return f"sent to {self.drive}"

    def _require_drive(self) -> None:
        """Where the drive is not mounted, its folder would be made on the local disk, in the mount's way."""
        if not (self.drive / "config.json").is_file():
            raise OSError(f"{self.drive} is not there, or holds no run: is the drive mounted?")

    def _read_beginning(self) -> str:
        return " ".join(
            (read_if_there(self.drive / BEGINNING) or b"").decode(errors="replace").split()
        )

    def _begin(self) -> str:
        mark_beginning(self.drive)
        return self._read_beginning()

    def _is_overtaken(self, beginning: str) -> bool:
        """Whether the local copy is of what the drive had before another machine wrote there."""
        seen = (read_if_there(self.local / SEEN) or b"").decode(errors="replace").splitlines()
        other = self.newest is not None and self.newest.digest not in seen
        holds = any((self.local / name).exists() for name in ("checkpoints", *SENT_WHOLE))
        return holds and (seen[:1] != [beginning] or other)

    def _require_not_overtaken(self) -> None:
        there = saved_in(self.drive / "checkpoints")
        unsaid = {UNREADABLE, ""}  # a note that broke off, or that was never written
        strange = [
            saved for saved in there if saved.digest not in unsaid | self.damaged | set(self.seen)
        ]
        arrived = [
            saved for saved in there if saved.digest in self.damaged - unsaid and is_whole(saved)
        ]
        gone = self.newest is not None and not any(
            saved.path == self.newest.path and saved.digest in unsaid | {self.newest.digest}
            for saved in there
        )
        if strange or arrived or gone or [self._read_beginning()] != self.seen[:1]:
            raise OvertakenError(
                f"{self.drive} was changed meanwhile: this run is trained on another machine too"
            )

    def _remember(self, seen: list[str]) -> None:
        write_atomically(self.local / SEEN, lambda new: new.write_text("\n".join(seen)))
        self.seen = seen

    def _fetch_metrics(self, newer: bool) -> None:
        there, path = WrittenTwice(self.drive / METRICS).read(), self.local / METRICS
        if newer:  # the lines of training are those of its checkpoint
            here = read_if_there(path)
            write_atomically(path, lambda new: new.write_bytes(there or b""))
            add_quality(path, here)
        else:
            add_quality(path, there)

    def _fetch_generator(self) -> None:
        content = WrittenTwice(self.drive / GENERATOR).read()
        if is_whole_generator(content):
            write_atomically(self.local / GENERATOR, lambda new: new.write_bytes(content))

    def _send_checkpoint(self, here: Saved, content: bytes) -> None:
        whole = self.newest.path.stem if self.newest else ""
        name = next(name for name in SLOTS if name != whole)
        there = here._replace(path=self.drive / "checkpoints" / f"{name}.pt")
        empty_note(there.path)
        now = {saved.digest for saved in saved_in(there.path.parent)}
        kept = [digest for digest in self.seen[1:] if digest in now]
        self._remember(
            [self.seen[0], *kept, here.digest]
        )  # before it is there, lest this machine go away after
        self.damaged.discard(here.digest)
        write_in_place(there.path, content)
        write_note(there)
        self.newest = there
        for other in saved_in(there.path.parent):
            if (
                other.path.stem not in SLOTS
            ):  # of a run that was trained elsewhere and moved to the drive
                drop(other.path)
                drop(other.path.with_suffix(".sha256"))

    def _send_whole(self, name: str) -> list[str]:
        content = read_if_there(self.local / name)
        if content is None or self.sent.get(name) == content:
            return []
        if name == GENERATOR and not is_whole_generator(content):
            return [f"{self.local / name} is damaged"]
        WrittenTwice(self.drive / name).write(content)
        self.sent[name] = content
        return []

    def _send_once(self, path: Path) -> None:
        name, stamp = str(path.relative_to(self.local)), path.stat().st_mtime_ns
        if self.sent.get(name) != stamp:
            write_in_place(self.drive / name, path.read_bytes())
            self.sent[name] = stamp


def mark_beginning(drive: Path) -> None:
    """Say on a drive that its run begins now: what other machines have of it is not to come back."""
    write_in_place(drive / BEGINNING, uuid.uuid4().hex.encode())


def _goes_on(here: Saved, there: Saved) -> bool:
    return here.digest != there.digest and here.step >= there.step
