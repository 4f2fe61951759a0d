"""A finished file for the person's own computer, in Colab, JupyterLab and the classic notebook."""

import base64
import os
from pathlib import Path
from urllib.parse import quote

from IPython.display import HTML

from helpers.files import PROJECT, in_mebibytes
from helpers.run.colab import can_ask, download_file
from helpers.show.plots import escaped

MOST_BYTES_IN_PAGE = 8 * 2**20  # the notebook keeps what its pages hold
BUTTON = (
    "display:inline-block; padding:.4em 1em; border:1px solid; border-radius:.4em; "
    "color:inherit; text-decoration:none"
)
WRAPPED = "overflow-wrap:anywhere"  # a path has no blanks to break a line at


def offer_download(path: str | Path) -> HTML:
    """In Colab, download a file to the person's computer; elsewhere, show a button that does.

    Within the project, which `make lab` serves, the button is a link. Anywhere else it holds the
    file itself, because a link may lead nowhere; of a large file the page then only says where it
    is. Raises OSError if it cannot be read, RunError if Colab's download fails.

    >>> from helpers.show.sample_pack import write_sample_pack
    >>> button = offer_download(write_sample_pack("dogs.zip", {"dog": waveforms}, 22_050))
    """
    path = Path(path).resolve()
    n_bytes = path.stat().st_size
    name, place = (escaped(text) for text in (path.name, str(path)))
    size = in_mebibytes(n_bytes) if n_bytes >= 2**20 else f"{n_bytes / 1024:,.0f} KiB"
    if can_ask():
        download_file(path)
        return HTML(
            f"<p style='{WRAPPED}'>{name} ({size}) goes to your downloads. It is also {place}.</p>"
        )
    if path.is_relative_to(PROJECT):
        return _button(name, size, place, quote(os.path.relpath(path)))
    if n_bytes > MOST_BYTES_IN_PAGE:
        how = "Find it in the file browser of Jupyter, and choose Download from its menu."
        return HTML(f"<p style='{WRAPPED}'>{name} ({size}) is <code>{place}</code>. {how}</p>")
    content = base64.b64encode(path.read_bytes()).decode()
    return _button(name, size, place, f"data:application/octet-stream;base64,{content}")


def _button(name: str, size: str, place: str, address: str) -> HTML:
    link = f'<a download="{name}" href="{address}" style="{BUTTON}">Download {name} ({size})</a>'
    return HTML(f'<p>{link}</p><p style="{WRAPPED}">It is also {place}.</p>')
