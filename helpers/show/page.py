"""One HTML file that plays a kit without Python: offline, from a disk, on a telephone."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.files import write_atomically
from helpers.show.plots import escaped
from helpers.show.takes import Takes
from helpers.show.widget_script import widget_script

PADS_JS = widget_script("pads.js")
# What anywidget's model does for pads.js in a notebook, without a Python to tell of it
START = """
for (const section of document.querySelectorAll("section")) {
  const state = JSON.parse(section.querySelector("script").textContent);
  const listeners = new Map();
  const model = {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      listeners.get(`change:${name}`)?.forEach((listener) => listener());
    },
    on: (event, act) => listeners.set(event, [...(listeners.get(event) ?? []), act]),
    off: (event, act) => listeners.set(event, listeners.get(event)?.filter((one) => one !== act)),
    save_changes() {},
  };
  render({ model, el: section.querySelector("div") });
}
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 1180px; padding: 20px 12px; font: 15px/1.5 system-ui, sans-serif;
  background: #f4f4f6; color: #23262d; }}
h1 {{ font-size: 24px; font-weight: 650; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 18px; font-weight: 600; margin: 28px 0 0; overflow-wrap: anywhere; }}
p {{ margin: 4px 0 16px; overflow-wrap: anywhere; color: #565b66; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #0f1114; color: #e6e7ea; }}
  p {{ color: #a4a8b1; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<noscript>These pads need JavaScript.</noscript>
{sections}
<script type="module">{script}</script>
</body>
</html>
"""
SECTION = """<section>
{heading}{about}<div></div>
<script type="application/json">{sounds}</script>
</section>"""


@dataclass(frozen=True)
class Section:
    """Pads of some takes in a page, with a heading and a sentence on them if there are any."""

    takes: Takes
    about: str = ""
    heading: str = ""

    @property
    def html(self) -> str:
        """The section as HTML; nothing in it ends a script."""
        heading = f"<h2>{escaped(self.heading)}</h2>\n" if self.heading else ""
        about = f'<p dir="auto">{escaped(self.about)}</p>\n' if self.about else ""
        sounds = json.dumps(self.takes.for_browser()).replace("<", "\\u003c")
        return SECTION.format(heading=heading, about=about, sounds=sounds)


def write_page(
    path: Path, takes: Takes, title: str = "", note: str = "", origin: dict | None = None
) -> Path:
    """Write a page that plays takes; it has less than 4 MB.

    The page says what made the sounds, with what `read_origin` tells of the generator, and the
    note. Raises OSError if the file cannot be written.

    >>> from helpers.show.takes import render_takes
    >>> path = write_page("kit.html", render_takes(generator, inverter), title="Drum kit")
    """
    about = " ".join(filter(None, (_made_by(takes, origin or {}), note)))
    return write_sections(path, [Section(takes, about)], title)


def write_sections(path: Path, sections: Sequence[Section], title: str = "") -> Path:
    """Write a page with several pads, one below the other."""
    script = PADS_JS + START
    page = PAGE.format(
        policy=_policy(script),
        title=escaped(title or "Pads"),
        sections="\n".join(section.html for section in sections),
        script=script,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())
    return path


def _made_by(takes: Takes, origin: dict) -> str:
    """A sentence that says what made the sounds."""
    n, step = len(takes.names), origin.get("step")
    names = ", ".join(takes.names[:12]) + (f" and {n - 12} more" if n > 12 else "")
    steps = f"{step:,} step{'s' * (step != 1)}".replace(",", " ") if isinstance(step, int) else ""
    learned = f" after {steps} of training" if steps else ""
    kinds = "one class" if n == 1 else f"{n} classes"
    return f"A neural network made these sounds{learned}. {kinds.capitalize()}: {names}."


def _policy(script: str) -> str:
    """A Content Security Policy: this script may run, and nothing may use the network."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
