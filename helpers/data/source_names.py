"""What a person types or pastes as the source of the recordings, understood."""

import os
import re
import urllib.parse
import urllib.request

from helpers.data.archives import ARCHIVE_SUFFIXES, SourceError
from helpers.data.known_datasets import KNOWN_DATASETS

KIT = "kit"
QUOTES = "\"'“”‘’`"
ON_GOOGLE = ("drive.google.com", "docs.google.com")


def understand_source(text: str) -> str:
    """The kit, a known data set, a path, or the https address of an archive, as it is meant.

    Blanks, line ends and quotes around it are left out, `file://` becomes a path, `~` and `$HOME`
    the folder that they stand for, and a known name may be in capitals. What exists as it is
    written is taken as it is written. Raises SourceError for a link to Google Drive, another web
    page, and a path of Windows elsewhere: it says what to give instead.

    >>> understand_source(' "Kit" ')
    'kit'
    """
    if not text.strip() or os.path.exists(text):
        return text
    source = text.strip().strip(QUOTES).strip()
    if source.lower() in (KIT, *KNOWN_DATASETS) and not os.path.exists(source):
        return source.lower()
    address = urllib.parse.urlsplit(source)
    if address.scheme == "file":
        return urllib.request.url2pathname(address.path)
    if address.scheme in ("http", "https"):
        return _check_address(source, address)
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", source):
        raise SourceError(
            f"{source!r} is a path on Windows, and this machine has no such disk: copy the folder "
            "here, or to Google Drive, and give the path that it has there"
        )
    return os.path.expanduser(os.path.expandvars(source))


def _check_address(source: str, address: urllib.parse.SplitResult) -> str:
    if address.hostname in ON_GOOGLE:
        raise SourceError(
            f"{source!r} is a link to Google Drive, which only a browser can follow. In Colab set "
            "use_drive = True and give the folder's path, such as /content/drive/MyDrive/sounds; a "
            "folder that was shared with you first needs a shortcut in your Drive. Elsewhere "
            "download it, and give the path of the folder or archive"
        )
    if not address.path.lower().endswith(ARCHIVE_SUFFIXES):
        raise SourceError(
            f"{source!r} is the address of a page, not of an archive: give an address that ends in "
            f"one of {', '.join(ARCHIVE_SUFFIXES)}, or download the recordings and give their path"
        )
    return source
