"""Archives from anywhere: extracted whole or not at all, never outside their folder, never more than fits."""

import contextlib
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from helpers.config import digest_of
from helpers.files import KEPT_FREE_BYTES, in_mebibytes
from helpers.progress import tracked


class SourceError(ValueError):
    """Recordings that cannot be had; the message says what, where, what was expected and what to do."""


ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
CLASS_FOLDERS = "put each class's files in a subfolder of its own, as in sounds/dog/, sounds/rain/"
MOST_MEMBERS = 1_000_000
MOST_TIMES = (
    200  # an archive's own size: recordings halve at best, and only silence shrinks much more
)
HARMLESS_BYTES = 2**30  # may be any number of times as large


def extract_archive(archive: Path, work_dir: Path, progress: Callable | None = None) -> Path:
    """Extract an archive below work_dir, once: the folder is named after its name, size and time of change.

    Raises SourceError for a damaged or encrypted archive, a member that would leave the folder, or more than fits.
    """
    status = archive.stat()
    key = digest_of(archive.name, str(status.st_size), str(status.st_mtime_ns))[:8]
    target = work_dir / f"{archive_stem(archive)}-{key}"
    if not target.is_dir():
        extract_to(archive, target, progress)
    return target


def archive_stem(archive: Path) -> str:
    """The name without the suffix of an archive. Raises SourceError for another kind of file."""
    for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True):
        if archive.name.lower().endswith(suffix):
            return archive.name[: -len(suffix)]
    raise SourceError(
        f"{str(archive)!r} is a file but no archive ({', '.join(ARCHIVE_SUFFIXES)}); give an archive or a "
        f"folder, and {CLASS_FOLDERS}"
    )


def extract_to(
    archive: Path,
    target: Path,
    progress: Callable | None,
    finish: Callable[[Path], object] = lambda _: None,
) -> None:
    """Extract and finish beside the target and rename at the end: a target that exists is complete."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        unpack = _unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar
        unpack(archive, partial, progress)
        finish(partial)
        partial.rename(target)
    except (UnicodeDecodeError, NotImplementedError) as error:
        raise SourceError(
            f"{str(archive)!r} holds member names or a compression that cannot be read ({error}); "
            "pack it again as a common .zip, or extract it yourself and give the folder"
        ) from error
    except DAMAGE as error:
        raise SourceError(
            f"{str(archive)!r} cannot be extracted to {str(target.parent)!r} ({error or type(error).__name__}); "
            "if the disk is not full, the archive is damaged or incomplete: download or copy it again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Limits:
    """What an archive may unpack to: so many members, so many times its size, no more than the disk holds."""

    def __init__(self, archive: Path, folder: Path):
        self.archive, self.size = archive, archive.stat().st_size
        self.free = shutil.disk_usage(folder).free - KEPT_FREE_BYTES
        self.n_members = self.n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Count the next member, before it is written. Raises SourceError where it is one too many."""
        self.n_members += 1
        self.n_bytes += n_bytes
        why = ""
        if self.n_members > MOST_MEMBERS:
            why = f"holds more than {MOST_MEMBERS:,} files. Pack fewer, or extract it yourself and give the folder"
        elif self.n_bytes > max(HARMLESS_BYTES, MOST_TIMES * self.size):
            why = (
                f"unpacks to more than {MOST_TIMES} times its size, as made to fill a disk. If you trust it, extract "
                "it yourself and give the folder"
            )
        elif self.n_bytes > self.free:
            why = (
                f"unpacks to {in_mebibytes(self.n_bytes)} or more, and only {in_mebibytes(max(0, self.free))} "
                "are free: make room"
            )
        if why:
            raise SourceError(f"{str(self.archive)!r} {why}")


def _unpack_zip(archive: Path, folder: Path, progress: Callable | None) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.filename.endswith("/")]
        limits = _Limits(archive, folder)
        for member in members:
            limits.add(member.file_size)
            member.filename = _zip_name(member)
            _check_member(
                archive,
                member.filename,
                stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG),
            )
            if member.flag_bits & 1:
                raise SourceError(
                    f"{str(archive)!r} is encrypted; extract it with its password and give the folder"
                )
        for member in tracked(progress, members, len(members), f"Extracting {archive.name}"):
            opened.extract(member, folder)


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name; many tools write UTF-8 without saying so, which zipfile reads as code page 437."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return (
        name.replace("\\", "/") if member.create_system == 0 else name
    )  # 0: Windows, where some write \


def _unpack_tar(archive: Path, folder: Path, progress: Callable | None) -> None:
    limits = _Limits(archive, folder)
    with tarfile.open(archive) as opened:
        for member in tracked(progress, opened, None, f"Extracting {archive.name}"):
            limits.add(member.size)
            _check_member(archive, member.name, member.isfile() or member.isdir())
            opened.extract(member, folder, filter="data")
        while opened.fileobj.read(1 << 20):
            pass  # only at its end does a compressed file compare its checksum


def _check_member(archive: Path, name: str, is_plain: bool) -> None:
    """Raise SourceError for a member that is no plain file or folder, or would leave the target folder."""
    if not name:
        raise SourceError(
            f"{str(archive)!r} holds a member without a name: it is damaged; download or copy it again"
        )
    outside = re.match(r"[\\/]|[A-Za-z]:[\\/]", name) or ".." in re.split(r"[\\/]", name)
    if outside or not is_plain:
        what = "leads out of its folder" if outside else "is a link or a device, not a file"
        raise SourceError(
            f"The member {name!r} of {str(archive)!r} {what}, so nothing was extracted. Pack plain files in "
            "class folders; if you trust the archive, extract it yourself and give the folder"
        )
