"""The panels of 04_listen in a real browser: JupyterLab, or with Colab's widgets the classic page.

Which of the two is served depends on the version of ipywidgets that runs the tests.
"""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import papermill
import pytest
from browser import needs_chromium, open_browser
from playwright.sync_api import Locator, Page, expect
from test_notebooks import FOLDER, SMALL, execute

from helpers.files import PROJECT

PATIENCE_MS = 600_000  # for a page that never answers, not for a slow machine

pytestmark = needs_chromium


@dataclass(frozen=True)
class FrontEnd:
    """How a page of Jupyter is served, and where on it a user finds what the test needs."""

    command: tuple[str, ...]
    address: str
    ready: str  # the kernel waits for work
    menu: str
    run_all: str
    prompt: str  # of each code cell: [*]: while it waits or runs, [3]: when it is done
    error: str


LAB = FrontEnd(
    ("jupyterlab", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
    "lab/tree/04_listen.ipynb?reset",
    "text='Python 3 (ipykernel) | Idle'",
    "#jp-MainMenu >> text='Run'",
    ".lm-Menu >> text='Run All Cells'",
    ".jp-Notebook .jp-CodeCell .jp-InputPrompt",
    "[data-mime-type='application/vnd.jupyter.error']",
)
CLASSIC = FrontEnd(
    ("notebook",),
    "notebooks/04_listen.ipynb?",
    ".kernel_idle_icon",
    "#menus >> text='Cell'",
    "#run_all_cells",
    "#notebook .code_cell .input_prompt",
    ".output_error",
)
FRONT_END = CLASSIC if version("ipywidgets").startswith("7.") else LAB


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with 04_listen as it is opened on a small trained run, and the helpers beside it."""
    folder = tmp_path_factory.mktemp("served")
    for name in ("01_data", "03_train"):
        execute(name, folder / "done.ipynb", run_dir=str(folder / "run"), **SMALL[name])
    parameters = {"run_dir": str(folder / "run"), **SMALL["04_listen"]}
    papermill.execute_notebook(
        FOLDER / "04_listen.ipynb", folder / "04_listen.ipynb", parameters, prepare_only=True
    )
    (folder / "helpers").symlink_to(PROJECT / "helpers")
    return folder


@pytest.fixture(scope="module")
def address(folder):
    """The address of 04_listen, served to this machine alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    own = {f"JUPYTER_{what}_DIR": str(folder / "jupyter" / what) for what in ("CONFIG", "DATA")}
    own |= {"JUPYTER_RUNTIME_DIR": str(folder / "jupyter"), "JUPYTER_TOKEN": token}
    words = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *FRONT_END.command, *words],
            cwd=folder,
            env=os.environ | own,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + PATIENCE_MS / 1000
        while not is_served(f"http://127.0.0.1:{port}/api"):
            assert server.poll() is None and time.monotonic() < until, (
                folder / "server.log"
            ).read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/{FRONT_END.address}&token={token}"
    finally:
        server.terminate()
        server.wait()


def is_served(address: str) -> bool:
    try:
        with urllib.request.urlopen(address) as answer:
            return "version" in json.load(answer)
    except OSError:
        return False


@pytest.fixture(scope="module")
def page(address):
    """A page in which all cells of 04_listen were run."""
    expect.set_options(timeout=PATIENCE_MS)
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        expect(page.locator(FRONT_END.ready)).to_be_attached()
        page.locator(FRONT_END.menu).click()
        page.locator(FRONT_END.run_all).click()
        last = page.locator(FRONT_END.prompt).last.filter(has_text=re.compile(r"\[\d+\]"))
        error = page.locator(FRONT_END.error)
        expect(last.or_(error).first).to_be_attached()
        assert error.all_inner_texts() == []
        yield page


def find_panel(page: Page, part: str) -> Locator:
    """The panel with a part; what a page says where it cannot show a panel fails the test."""
    panel = page.locator(f".widget-vbox:has({part})").first
    complaint = page.locator("text=/is not registered|error (displaying|creating|loading) widget/i")
    expect(panel.or_(complaint).first).to_be_attached()
    assert complaint.all_inner_texts() == []
    panel.scroll_into_view_if_needed()
    return panel


def shown_after(panel: Locator, button: str) -> tuple[list[int], list[int]]:
    """The bytes of the picture and of the sound that a panel shows when a button was pressed.

    The sound is played first, by a click on its card.
    """
    parts = panel.locator("img.widget-image"), panel.locator("audio")
    before = [part.get_attribute("src") if part.count() else "" for part in parts]
    panel.locator(button).click()
    for part, source in zip(parts, before, strict=True):
        expect(part).not_to_have_attribute("src", source)
    picture, sound = (part.element_handle() for part in parts)
    panel.page.wait_for_function("image => image.naturalWidth > 0", arg=picture)
    panel.locator(".sound-cards button").click()
    panel.page.wait_for_function("audio => audio.currentTime > 0", arg=sound)
    assert picture.evaluate("image => image.width <= image.naturalWidth"), "blurred"
    read = "async part => Array.from(new Uint8Array(await (await fetch(part.src)).arrayBuffer()))"
    return picture.evaluate(read), sound.evaluate(read)


def test_each_press_of_generate_shows_and_plays_another_sound(page):
    button = "button:has-text('Generate')"
    panel = find_panel(page, button)
    assert panel.locator("audio").count() == 0
    picture, sound = shown_after(panel, button)
    next_picture, next_sound = shown_after(panel, button)
    assert picture != next_picture
    assert sound != next_sound


def test_a_take_of_the_pads_is_kept_in_the_live_notebook(page):
    panel = page.locator(".panel").filter(has=page.locator(".pad"))
    panel.locator(".pad").first.click()
    keep = panel.get_by_role("button", name="Keep")
    keep.click()
    expect(keep).to_have_attribute("aria-pressed", "true")


def test_the_kernel_answers_a_move_of_the_panel_that_steers(page):
    square = page.locator(".square").first
    square.scroll_into_view_if_needed()
    picture = page.locator(".frame img")
    before = picture.get_attribute("src") if picture.count() else ""
    square.click(position={"x": 20, "y": 30})
    expect(picture).not_to_have_attribute("src", before or "none")
    expect(page.locator(".frame")).to_have_attribute("aria-busy", "false")
