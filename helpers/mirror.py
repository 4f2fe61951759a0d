"""A run on a drive that is slow, fills up and goes away: training works on a local copy, which is sent there."""

import hashlib
from pathlib import Path

from helpers.checkpoints import UNREADABLE, Saved, empty_note, newest_whole, save_bytes, saved_in, write_note
from helpers.files import SAMPLES_KEPT, drop, names_in, read_if_there, thin_out, write_atomically, write_in_place
from helpers.generators import is_generator
from helpers.records import merge_metrics

SLOTS = ("a", "b")
METRICS, GENERATOR = SENT_WHOLE = ("metrics.jsonl", "generator.safetensors")
ENDS = ("", ".copy", ".sha256")  # of what is sent whole
SENT_FOLDERS = ("samples", "pictures")
KNOWN, KNOWN_KEPT = "known.txt", 100
ARRIVED = "arrived"  # among what is known: what stands before it is on the drive


class Mirror:
    """The local copy of a run folder, and the folder on the drive.

    Nothing there relies on renaming, which a drive may not do at once, and nothing is removed before it is emptied,
    since a drive keeps what is removed. Two checkpoints have fixed names, checkpoints/a.pt and b.pt, written in
    turns; beside each lies a note of its step and SHA-256, emptied before the checkpoint is written and filled
    after it. Other files are written twice, the first time under the name with .copy; when its SHA-256 is noted
    the other follows, and until that is whole the first one stays. So of everything there is one that is whole at
    any moment, however often a drive fails.

    The local copy remembers the digests of the checkpoints that it sent or fetched. A drive whose newest is another
    was written to by another machine, and it is then the drive that counts: while this machine trains it sends
    nothing, and when it begins the next time its copy is set aside.
    """

    def __init__(self, local: Path, drive: Path):
        self.local, self.drive = local, drive
        self.newest: Saved | None = None  # on the drive, known to be whole
        self.found: set[str] = set()  # digests of what the drive had when it was fetched, whole or not
        self.sent: dict[str, object] = {}  # digests or stamps of files as they were sent

    def fetch(self) -> list[str]:
        """Bring the local copy up to what the drive has.

        Returns a sentence on each checkpoint there that is not whole, and on what was set aside. Raises OSError if
        the drive cannot be read: then nobody knows what it has.
        """
        self._require_drive()
        mend(self.drive)
        self.newest, content, problems = newest_whole(self.drive / "checkpoints")
        here, _, _ = newest_whole(self.local / "checkpoints")
        self.found, known = {saved.digest for saved in saved_in(self.drive / "checkpoints")}, self._known()
        emptied = self.newest is None and not problems and ARRIVED in known
        gone_on = self.newest is not None and self.newest.digest not in known
        if emptied or (gone_on and (here is not None or known)):
            aside, here = set_aside(self.local), None
            problems.append(f"{self.drive} was changed by another machine, and counts; what was here is in {aside}")
        self.local.mkdir(parents=True, exist_ok=True)
        newer = self.newest is not None and (here is None or self.newest.step > here.step)
        if newer:
            save_bytes(content, self.local / "checkpoints", self.newest.step)
            self._remember(self.newest.digest, ARRIVED)
        if newer or not is_generator(read_if_there(self.local / GENERATOR)):
            self._fetch_generator()
        merge_metrics(self.local / METRICS, self.drive / METRICS)
        return problems

    def send(self) -> None:
        """Copy what is new to the drive. Raises OSError, and has then lost nothing that was there."""
        self._require_drive()
        self._require_own_checkpoints()
        mend(self.drive)
        merge_metrics(self.local / METRICS, self.drive / METRICS, "quality")  # what 04_listen added there meanwhile
        for name in SENT_WHOLE:
            self._send_whole(name)
        here, content, _ = newest_whole(self.local / "checkpoints")
        if here is not None and (self.newest is None or _goes_on(here, self.newest)):
            self._send_checkpoint(here, content)
        for folder in SENT_FOLDERS:
            for path in sorted((self.local / folder).rglob("*.*")):
                self._send_once(path)
        thin_out(self.drive / "samples", SAMPLES_KEPT)

    def try_to_send(self) -> str:
        """The same at the end of training, when nothing is to stop for it: a sentence on how it went."""
        try:
            self.send()
        except OSError as error:
            return f"not sent to {self.drive} ({error}): run this again when it is there; it is in {self.local}"
        return f"sent to {self.drive}"

    def _require_drive(self) -> None:
        """Where the drive is not mounted, its folder would be made on the local disk, in the mount's way."""
        if not (self.drive / "config.json").is_file():
            raise OSError(f"{self.drive} is not there, or holds no run: is the drive mounted?")

    def _require_own_checkpoints(self) -> None:
        """Raise OSError where somebody else wrote to the drive since this machine did."""
        there = {saved.digest for saved in saved_in(self.drive / "checkpoints")}
        missing = self.newest is not None and self.newest.digest not in there
        if missing or there - self.found - {UNREADABLE, *self._known()}:  # unreadable: our own, broken off
            raise OSError(f"{self.drive} was changed meanwhile: is this run trained or restarted on another machine?")

    def _known(self) -> list[str]:
        return (read_if_there(self.local / KNOWN) or b"").decode(errors="replace").split()

    def _remember(self, *words: str) -> None:
        known = self._known()
        lines = "\n".join([*known, *(word for word in words if word not in known[-2:])][-KNOWN_KEPT:])
        write_atomically(self.local / KNOWN, lambda new: new.write_text(lines))

    def _fetch_generator(self) -> None:
        content = read_if_there(self.drive / GENERATOR)
        if is_generator(content):
            write_atomically(self.local / GENERATOR, lambda new: new.write_bytes(content))

    def _send_checkpoint(self, here: Saved, content: bytes) -> None:
        whole = self.newest.path.stem if self.newest else ""
        name = next(name for name in SLOTS if name != whole)
        there = here._replace(path=self.drive / "checkpoints" / f"{name}.pt")
        self._remember(here.digest)  # first: whenever this machine goes away, the drive has what it knows
        empty_note(there.path)
        write_in_place(there.path, content)
        write_note(there)
        self._remember(ARRIVED)
        self.newest = there
        for other in saved_in(there.path.parent):
            if other.path.stem not in SLOTS:  # of a run that was trained elsewhere and moved to the drive
                drop(other.path)
                drop(other.path.with_suffix(".sha256"))

    def _send_whole(self, name: str) -> None:
        content = read_if_there(self.local / name)
        digest = hashlib.sha256(content or b"").hexdigest()
        if content is None or self.sent.get(name) == digest or (name == GENERATOR and not is_generator(content)):
            return
        target, copy, note = (self.drive / f"{name}{end}" for end in ENDS)
        drop(note)
        write_in_place(copy, content)
        write_in_place(note, digest.encode())
        write_in_place(target, content)
        drop(note)
        drop(copy)
        self.sent[name] = digest

    def _send_once(self, path: Path) -> None:
        name, stamp = str(path.relative_to(self.local)), path.stat().st_mtime_ns
        if self.sent.get(name) != stamp:
            write_in_place(self.drive / name, path.read_bytes())
            self.sent[name] = stamp


def mend(folder: Path) -> None:
    """Write again what was being written when a machine went away, from the copy that was whole before."""
    for name in SENT_WHOLE:
        target, copy, note = (folder / f"{name}{end}" for end in ENDS)
        digest = read_if_there(note)
        content = read_if_there(copy) if digest else None
        if content is not None and hashlib.sha256(content).hexdigest().encode() == digest:
            write_in_place(target, content)
            drop(note)
            drop(copy)


def set_aside(folder: Path) -> Path:
    """Rename a folder so that another can take its place; its new name, which was nobody's."""
    taken = names_in(folder.parent)
    number = next(n for n in range(1, len(taken) + 2) if f"{folder.name}.before-{n}" not in taken)
    return folder.rename(folder.with_name(f"{folder.name}.before-{number}"))


def _goes_on(here: Saved, there: Saved) -> bool:
    return here.digest != there.digest and here.step >= there.step
