"""The script of a widget: a file of its own, behind the parts that all widgets share."""

from pathlib import Path

HERE = Path(__file__).parent


def widget_script(name: str) -> str:
    """The text of a script in this folder, with widget_parts.js before it.

    >>> script = widget_script("pads.js")
    """
    texts = ((HERE / each).read_text(encoding="utf-8") for each in ("widget_parts.js", name))
    return "\n".join(texts)
