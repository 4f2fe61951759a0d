"""The panel that steers: what Python makes of a request, and what a person does in a real browser.

In the browser a stand-in answers as Python does, with a tone whose length tells the place.
"""

import base64
import io
import json

import numpy as np
import pytest
import soundfile
import torch
from browser import needs_chromium
from playwright.sync_api import Page, expect
from traitlets import TraitError

from helpers.gan.generate import make_inverter
from helpers.judge.directions import Direction
from helpers.show.plots import printable
from helpers.show.steer import STEER_JS, kept_sounds, make_steer
from helpers.show.thumbnail import thumbnail

RATE = 8_000
ODD = ("</script><img src=x>", "\"'&amp;\\", "\udcff", "שלום", "🥁" * 30, "x" * 200)
LONGER = Direction("length", ("shorter", "longer"), torch.eye(8)[0], 30.0, "ms")


@pytest.fixture
def steer(sound_generator):
    generator = sound_generator()
    steer = make_steer(generator, make_inverter(generator, n_iterations=1), [LONGER])
    steer.said = []
    steer.send = lambda content, buffers=None: steer.said.append((content, buffers))
    return steer


def ask(steer, what="move", state=None, **change) -> tuple[dict, list]:
    """What the panel answers to a request of a browser."""
    request = {"view": "a", "number": 7, "what": what, "state": (state or steer.first) | change}
    steer._handle_custom_msg(request, [])
    return steer.said[-1]


def test_a_move_is_answered_with_its_sound_and_its_picture(steer):
    answer, (sound, picture) = ask(steer, x=0.25, label=2, amounts=[1.5])
    assert (answer["view"], answer["number"], answer["state"]["x"]) == ("a", 7, 0.25)
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    assert rate == RATE and samples.any()
    assert picture.startswith(b"\x89PNG")
    assert ask(steer, x=0.25, label=2, amounts=[1.5])[1][0] == sound, "a place is a sound"
    others = {"x": 0.75}, {"label": 1}, {"amounts": [-1.5]}, {"spread": 0.5}, {"share": 0.5}
    assert ask(steer, x=1, y=0, share=1, spread=1, amounts=[0])[1], "as JSON has whole numbers"
    for other in others:
        assert ask(steer, **({"x": 0.25, "label": 2, "amounts": [1.5]} | other))[1][0] != sound


def test_more_like_this_keeps_the_sound_in_the_middle_of_new_corners(steer):
    here = steer.first | {"x": 0.1, "y": 0.9, "amounts": [1.0]}
    before = steer.sounds_of(here).compressed
    answer, _ = ask(steer, "like", here)
    state = answer["state"]
    assert (state["corners"], state["x"], state["y"], state["amounts"]) == (1, 0.5, 0.5, [0.0])
    near = (steer.sounds_of(state).compressed - before).square().mean()
    far = (steer.sounds_of(ask(steer, "new", state)[0]["state"]).compressed - before).square()
    assert near < 0.2 * far.mean()
    assert steer.sounds_of(here).compressed.equal(before), "undo finds the old corners"


def test_new_corners_are_others_each_time(steer):
    first, again = (ask(steer, "new")[0]["state"]["corners"] for _ in range(2))
    assert (first, again) == (1, 2)
    assert not torch.equal(steer.corners[1], steer.corners[2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": 1.5}, "x must be 0 to 1, got 1.5"),
        ({"x": None}, "TypeError"),
        ({"spread": 9}, "spread must be 0.3 to 1.5"),
        ({"label": 3}, "a class must be 0 to 2, got 3"),
        ({"corners": 4}, "corners must be 0 to 0, got 4"),
        ({"amounts": []}, "need 1 amounts"),
        ({"more": 1}, "a state has amounts, corners"),
    ],
)
def test_an_error_is_told_to_the_browser(steer, change, words):
    answer, buffers = ask(steer, **change)
    assert words in answer["error"] and buffers is None and answer["number"] == 7


def test_a_generator_that_diverged_is_told_to_the_browser(steer):
    torch.nn.init.constant_(steer.generator.network.to_spectrogram.bias, float("nan"))
    assert "the generator has diverged" in ask(steer)[0]["error"]


def test_kept_sounds_have_their_class_and_their_sound(steer):
    assert kept_sounds(steer) == []
    first = steer.first | {"label": 2}
    mixed = steer.first | {"label": 2, "second": 0, "share": 0.75}
    steer.set_state({"kept": [first, mixed]})  # as a browser does
    kept = kept_sounds(steer)
    assert [sound.label for sound in kept] == [2, 0]
    np.testing.assert_array_equal(kept[0].waveform, steer.sounds_of(first).trimmed()[0])
    with pytest.raises(TraitError, match="kept must hold states of this panel"):
        steer.kept = [first | {"corners": 3}]
    with pytest.raises(TraitError, match="kept must hold states of this panel"):
        steer.kept = [first | {"x": None}]


@pytest.mark.parametrize("n_classes", [1, 1000])
def test_there_may_be_one_class_or_a_thousand(sound_generator, n_classes):
    generator = sound_generator(classes=[f"class {n}" for n in range(n_classes)])
    steer = make_steer(generator, make_inverter(generator, n_iterations=1))
    state = steer.first | {"label": n_classes - 1}
    assert steer.directions == [] and len(steer.names) == n_classes
    assert steer.sounds_of(state).waveforms.shape == (1, generator.audio.clip_samples)


def test_where_nothing_can_be_steered_a_sentence_stands(steer):
    data, *_ = steer._repr_mimebundle_()
    assert data["text/plain"] == "Steer through 3 classes: run this cell to hear them."
    assert steer.get_state()["_esm"] == STEER_JS


# ---- In a browser ----

STAND_IN = """
  window.heard = [];  // milliseconds of each sound that was started
  const { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function () {
    heard.push(Math.round(1000 * this.buffer.duration));
    return start.apply(this, arguments);
  };
  window.requests = [];
  window.mute = false;  // answers nothing
  const { state, sounds, picture } = JSON.parse(document.getElementById("state").textContent);
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const listeners = {};
  let nCorners = 1;
  window.answer = (request, changes = {}) => {
    const { view, number, what } = request;
    const own = what === "move" ? request.state
      : { ...request.state, corners: nCorners++, x: 0.5, y: 0.5 };
    const sound = sounds[Math.round(10 * own.x)];
    const content = { view, number, state: own, ...changes };
    listeners["msg:custom"](content, [bytes(sound), bytes(picture)]);
  };
  const model = {
    get: (name) => state[name],
    set(name, value) { state[name] = value; listeners[`change:${name}`]?.(); },
    on: (event, act) => (listeners[event] = act),
    off: (event) => delete listeners[event],
    save_changes() { window.saved = state.kept; },
    send(request) {
      requests.push(structuredClone(request));
      if (!mute) setTimeout(() => answer(request));
    },
  };
  window.stop = render({ model, el: document.getElementById("steer") });
"""


@pytest.fixture
def open_page(browser, tmp_path):
    """A function: a page with a panel of classes of some names, in the middle of its square.

    A sound of x lasts 100 ms, and 10 times as many more as there are tenths in x.
    """
    complaints, opened = [], []

    def open_page(names=("high", "low", "noise")) -> Page:
        amounts, limits = [0.0], {"spread": [0.3, 1.5], "steps": 4.0}
        first = {"x": 0.5, "y": 0.5, "label": 0, "second": 1, "share": 0.0, "spread": 1.0}
        state = {
            "names": [printable(name) for name in names],
            "directions": [{"back": "shorter", "along": "longer", "change": 30.0, "unit": "ms"}],
            "limits": limits,
            "first": first | {"amounts": amounts, "corners": 0},
            "clip_s": 1.0,
            "kept": [],
        }
        sounds = [flac(100 + 10 * tenth) for tenth in range(11)]
        picture = base64.b64encode(thumbnail(np.ones(800, np.float32), RATE)).decode()
        content = {"state": state, "sounds": sounds, "picture": picture}
        data = json.dumps(content).replace("<", "\\u003c")
        path = tmp_path / "steer.html"
        path.write_text(
            '<!DOCTYPE html><meta charset="utf-8"><div id="steer"></div>'
            f'<script type="application/json" id="state">{data}</script>'
            f'<script type="module">{STEER_JS}{STAND_IN}</script>'
        )
        page = browser.new_page()
        opened.append(page)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(path.as_uri())
        expect(page.locator(".frame img[src]")).to_be_visible()
        return page

    yield open_page
    assert complaints == []
    for page in opened:
        page.close()


def flac(ms: int) -> str:
    file = io.BytesIO()
    tone = 0.5 * np.sin(np.arange(RATE * ms // 1000))
    soundfile.write(file, tone, RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(file.getvalue()).decode()


def wait_for(page: Page, *heard: int) -> None:
    """Wait until exactly these sounds were started, in milliseconds."""
    page.wait_for_function("n => heard.length >= n", arg=len(heard))
    assert page.evaluate("heard") == [*heard]


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def at(page: Page) -> list[float]:
    """Where the dot is, in hundredths of the square."""
    return page.locator(".dot").evaluate(
        "dot => [dot.style.left, dot.style.top].map((text) => Math.round(parseFloat(text)))"
    )


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Go with a pressed pointer through places of the square."""
    box = page.locator(".square").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()


@needs_chromium
def test_a_drag_plays_and_is_one_move_to_undo(open_page):
    page = open_page()
    assert page.evaluate("heard") == [], "it is silent until something is moved"
    drag(page, (0.1, 0.2))
    wait_for(page, 110)
    page.evaluate("mute = true")
    drag(page, (0.3, 0.2), (0.4, 0.3), (0.6, 0.3), (0.7, 0.3), (0.9, 0.4))
    assert page.evaluate("requests.map(({ state }) => state.x)") == [0.5, 0.1, 0.3]
    page.evaluate("mute = false")
    page.evaluate("answer(requests[2])")
    for x, ms, what in ((0.9, 190, None), (0.1, 110, "Undo"), (0.5, 150, "Undo")):
        if what:
            press(page, what)
        page.wait_for_function("ms => heard.at(-1) === ms", arg=ms)
        assert at(page)[0] == 100 * x
    asked = page.evaluate("requests.map(({ state }) => state.x)")
    assert asked == [0.5, 0.1, 0.3, 0.9, 0.1, 0.5], "what lay between was never asked for"
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


@needs_chromium
def test_while_a_sound_is_made_the_panel_says_so_and_old_answers_are_dropped(open_page):
    page = open_page()
    page.evaluate("mute = true")
    drag(page, (0.2, 0.2))
    expect(page.locator(".frame")).to_have_attribute("aria-busy", "true")
    page.evaluate("answer({...requests[1], number: 99})")
    page.evaluate("answer({...requests[1], view: 'another'})")
    assert page.evaluate("heard") == []
    expect(page.locator(".frame")).to_have_attribute("aria-busy", "true")
    page.evaluate("answer(requests[1])")
    wait_for(page, 120)
    expect(page.locator(".frame")).to_have_attribute("aria-busy", "false")


@needs_chromium
def test_an_error_of_python_is_shown_and_the_next_move_plays(open_page):
    page = open_page()
    page.evaluate("mute = true")
    drag(page, (0.2, 0.2))
    page.evaluate("answer(requests[1], { error: '<b>ValueError</b>: diverged' })")
    expect(page.get_by_role("alert")).to_contain_text("<b>ValueError</b>: diverged")
    page.evaluate("mute = false")
    drag(page, (0.3, 0.2))
    wait_for(page, 130)
    expect(page.get_by_role("alert")).to_be_hidden()


@needs_chromium
def test_without_python_the_panel_says_what_to_do(open_page):
    page = open_page()
    page.evaluate("void (requests.push = () => { throw new Error('no comm') })")
    drag(page, (0.2, 0.2))
    expect(page.get_by_role("alert")).to_have_text("No Python answers. Run this cell to steer.")


@needs_chromium
def test_keys_alone_move_keep_and_undo(open_page):
    page = open_page()
    page.locator(".square").focus()
    for key in ("Shift+ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft", "p", "k", "u"):
        page.keyboard.press(key)
        page.wait_for_function(
            "() => !document.querySelector('#steer > div').shadowRoot.querySelector('[data-busy]')"
        )
        page.wait_for_timeout(30)
    wait_for(page, 170, 170, 170, 160, 160, 170)
    assert at(page) == [65, 55]
    assert page.evaluate("saved.map(({ x, y }) => [x, y])") == [[0.6, 0.55]]
    page.get_by_label("shorter to longer").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("Class", exact=True).focus()
    page.keyboard.press("n")  # in a list a letter chooses
    expect(page.get_by_role("status").first).to_have_text("noise")
    last = page.evaluate("requests.at(-1).state")
    assert (last["amounts"], last["label"], last["corners"]) == ([0.25], 2, 0)


@needs_chromium
def test_kept_sounds_are_listed_gone_back_to_and_removed(open_page):
    page = open_page()
    drag(page, (0.2, 0.2))
    wait_for(page, 120)
    press(page, "Keep")
    page.get_by_label("Share of the second class").focus()
    page.keyboard.press("ArrowRight")
    drag(page, (0.8, 0.2))
    page.wait_for_function("heard.at(-1) === 180")
    press(page, "Keep")
    expect(page.get_by_text("2 sounds kept")).to_be_visible()
    press(page, "Go to kept sound 1, high")
    page.wait_for_function("heard.at(-1) === 120")
    assert at(page) == [20, 20]
    press(page, "Remove kept sound 1, high")
    press(page, "Go to kept sound 1, 95 % high, 5 % low")
    page.wait_for_function("heard.at(-1) === 180")
    assert page.evaluate("saved.length") == 1


@needs_chromium
def test_new_corners_and_more_like_this_can_be_undone(open_page):
    page = open_page()
    drag(page, (0.2, 0.2))
    wait_for(page, 120)
    press(page, "New corners")
    wait_for(page, 120, 150)
    drag(page, (0.3, 0.3))
    wait_for(page, 120, 150, 130)
    press(page, "More like this")
    wait_for(page, 120, 150, 130, 150)
    asked = page.evaluate("requests.map(({ what, state }) => [what, state.corners])")
    assert asked[1:] == [["move", 0], ["new", 0], ["move", 1], ["like", 1]]
    for ms, place in ((130, [30, 30]), (150, [50, 50]), (120, [20, 20])):
        press(page, "Undo")
        page.wait_for_function("ms => heard.at(-1) === ms", arg=ms)
        assert at(page) == place
    assert page.evaluate("requests.at(-1).state.corners") == 0


@needs_chromium
def test_odd_names_are_only_shown_and_one_class_is_not_mixed(open_page):
    page = open_page(ODD)
    assert page.locator("select").first.locator("option").all_inner_texts() == [
        printable(name) for name in ODD
    ]
    assert page.locator("img").count() == 1
    page.set_viewport_size({"width": 400, "height": 800})
    drag(page, (0.2, 0.2))
    press(page, "Keep")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = open_page(ODD[:1])
    expect(page.get_by_label("Second class", exact=True)).to_be_hidden()
    page.evaluate("stop()")
    expect(page.locator(".square")).to_have_count(0)
