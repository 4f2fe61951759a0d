"""Archives from anywhere: extracted whole or not at all, never outside their folder."""

import contextlib
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from helpers.config import digest_of
from helpers.files import KEPT_FREE_BYTES, in_mebibytes, one_at_a_time
from helpers.progress import tracked

ARCHIVE_SUFFIXES = (".tar.bz2", ".tar.gz", ".tar.xz", ".tar", ".tgz", ".zip")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)
HOW_TO_ARRANGE = "put each class's files in a subfolder of its own, as in sounds/dog/, sounds/rain/"
MOST_MEMBERS = 1_000_000
MOST_TIMES = 200  # an archive's own size: recordings halve at best, only silence shrinks much more
HARMLESS_BYTES = 2**30  # may be any number of times as large


class SourceError(ValueError):
    """Recordings that cannot be had; the message says where, what was expected and what to do."""


def extract_archive(archive: Path, work_dir: Path, progress: Callable | None = None) -> Path:
    """Extract an archive below work_dir, once.

    The folder has the archive's name and a digest of its size and time of change. Raises
    SourceError for a damaged or encrypted archive, a member that would leave the folder, or more
    than fits.
    """
    status = archive.stat()
    key = digest_of(archive.name, str(status.st_size), str(status.st_mtime_ns))[:8]
    target = work_dir / f"{archive_stem(archive)}-{key}"
    with one_at_a_time(target):
        if not target.is_dir():
            extract(archive, target, progress)
    return target


def archive_stem(archive: Path) -> str:
    """An archive's name without its suffix. Raises SourceError for another kind of file.

    >>> archive_stem(Path("my sounds.tar.gz"))
    'my sounds'
    """
    for suffix in ARCHIVE_SUFFIXES:
        if archive.name.lower().endswith(suffix):
            return archive.name[: -len(suffix)]
    raise SourceError(
        f"{str(archive)!r} is a file but no archive ({', '.join(ARCHIVE_SUFFIXES)}); give an "
        f"archive or a folder, and {HOW_TO_ARRANGE}"
    )


def extract(
    archive: Path,
    target: Path,
    progress: Callable | None,
    finish: Callable[[Path], None] = lambda _: None,
) -> None:
    """Extract beside the target, call `finish`, then rename: a target that exists is complete."""
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
            f"{str(archive)!r} cannot be extracted to {str(target.parent)!r} "
            f"({error or type(error).__name__}); if the disk is not full, the archive is damaged "
            "or incomplete: download or copy it again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack_zip(archive: Path, folder: Path, progress: Callable | None) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.filename.endswith("/")]
        for member in members:
            member.filename = _zip_name(member)
        plain = (stat.S_IFMT(m.external_attr >> 16) in (0, stat.S_IFREG) for m in members)
        listed = ((m.filename, m.file_size, p) for m, p in zip(members, plain, strict=True))
        _check_members(archive, folder, listed)
        if any(member.flag_bits & 1 for member in members):
            raise SourceError(
                f"{str(archive)!r} is encrypted; extract it with its password and give the folder"
            )
        for member in tracked(progress, members, len(members), f"Extracting {archive.name}"):
            opened.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path, progress: Callable | None) -> None:
    """Read a tar file twice, because it has no directory: first its members and its checksum."""
    with tarfile.open(archive) as opened:
        found = tracked(progress, opened, None, f"Reading {archive.name}")
        _check_members(archive, folder, ((m.name, m.size, m.isfile() or m.isdir()) for m in found))
        while opened.fileobj.read(1 << 20):
            pass  # only at its end does a compressed file compare its checksum
        members = opened.getmembers()
        shown = tracked(progress, members, len(members), f"Extracting {archive.name}")
        opened.extractall(folder, shown, filter="data")


def _check_members(archive: Path, folder: Path, members: Iterable[tuple[str, int, bool]]) -> None:
    """Raise SourceError if a member would leave the folder, or all of them would not fit.

    A member is its name, its size in bytes, and whether it is a plain file or folder.
    """
    limit = max(HARMLESS_BYTES, MOST_TIMES * archive.stat().st_size)
    free = shutil.disk_usage(folder).free - KEPT_FREE_BYTES
    n_bytes = 0
    for n_members, (name, size, is_plain) in enumerate(members, 1):
        n_bytes += size
        why = _why_not(name, is_plain)
        if n_members > MOST_MEMBERS:
            why = f"holds more than {MOST_MEMBERS:,} files: pack fewer, or extract it yourself"
        elif n_bytes > limit:
            why = (
                f"unpacks to more than {MOST_TIMES} times its size, as if made to fill a disk: if "
                "you trust it, extract it yourself"
            )
        elif n_bytes > free:
            why = (
                f"unpacks to {in_mebibytes(n_bytes)} or more, and only "
                f"{in_mebibytes(max(0, free))} are free: make room, or extract it elsewhere"
            )
        if why:
            raise SourceError(f"{str(archive)!r} {why} and give the folder. Nothing was extracted")


def _why_not(name: str, is_plain: bool) -> str:
    """Why a member of this name is not extracted, or "" if it may be."""
    if not name:
        return "holds a member without a name: it is damaged; download it again, or extract it"
    if re.match(r"[\\/]|[A-Za-z]:[\\/]", name) or ".." in re.split(r"[\\/]", name):
        return f"holds {name!r}, which leads out of its folder: pack plain files, or extract it"
    if not is_plain:
        return f"holds {name!r}, which is a link or a device: pack plain files, or extract it"
    return ""


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name. Many tools write UTF-8 and do not say so; zipfile takes that for cp437."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    by_windows = member.create_system == 0 or "/" not in name  # some tools name another system
    return name.replace("\\", "/") if by_windows else name
