"""The page, opened from a disk in a real browser without a network: pads, pattern, morph, files."""

import base64
import io
import zipfile

import numpy as np
import pytest
import soundfile
from browser import needs_chromium
from playwright.sync_api import Page, expect

from helpers.gan.generate import make_inverter
from helpers.show import takes
from helpers.show.pads import PADS_JS
from helpers.show.page import Section, write_page, write_sections
from helpers.show.plots import printable
from helpers.show.takes import Takes, render_takes

RATE = 8_000
ODD = ("</script><img src=x>", "<!--<script>", "\"'&amp;\\", "\udcff", "שלום", "🥁" * 30, "x" * 200)
LISTEN = """() => {
  window.heard = [];  // of each start of a sound
  window.peak = 0;  // of what left the speakers
  const { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (when) {
    heard.push({ ms: Math.round(1000 * this.buffer.duration), when });
    return start.apply(this, arguments);
  };
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (to) {
    if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
      const meter = new AnalyserNode(this.context);
      connect.call(this, meter);
      const block = new Float32Array(meter.fftSize);
      setInterval(() => {
        meter.getFloatTimeDomainData(block);
        for (const sample of block) peak = Math.max(peak, Math.abs(sample));
      }, 10);
    }
    return connect.apply(this, arguments);
  };
}"""

pytestmark = needs_chromium


def tone(ms: int) -> np.ndarray:
    """A decaying tone that lasts so many milliseconds, by which a test knows it."""
    time = np.arange(RATE * ms // 1000) / RATE
    return (0.9 * np.sin(2 * np.pi * 500 * time) * np.exp(-time / 0.1)).astype(np.float32)


def length(label: int, take: int) -> int:
    """Milliseconds of a take."""
    return 200 + 50 * (label % 10) + 10 * take


def made(n_classes: int = 3, n_takes: int = 3, n_between: int = 2, names=None) -> Takes:
    """Takes of a length that differs; the steps between last 900 ms and more."""
    return Takes(
        labels=tuple(range(n_classes)),
        names=names or tuple(f"class {label}" for label in range(n_classes)),
        waveforms=[[tone(length(k, take)) for take in range(n_takes)] for k in range(n_classes)],
        between=[[tone(900 + 10 * step) for step in range(n_between)] for _ in range(n_classes)],
        sample_rate=RATE,
        first_seed=7,
    )


@pytest.fixture
def open_page(browser, tmp_path):
    """A function: write takes as a page and open it from the disk, without a network."""
    opened, complaints, requests = [], [], []

    def open_page(sounds: Takes, **texts) -> Page:
        path = write_page(tmp_path / "kit.html", sounds, **texts)
        page = browser.new_page()
        opened.append(page)
        page.context.set_offline(True)
        page.add_init_script(f"({LISTEN})()")
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        expect(page.locator(".pad").first).to_be_visible()
        return page

    yield open_page
    assert complaints == []
    assert {url.split(":")[0] for url in requests} <= {"file", "blob"}
    assert sum(url.startswith("file") for url in requests) == len(opened)
    for page in opened:
        page.close()


def wait_for(page: Page, n: int) -> list[int]:
    """The milliseconds of the sounds that were started, when there are so many."""
    page.wait_for_function("n => heard.length >= n", arg=n)
    return page.evaluate("heard.map((sound) => sound.ms)")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def fill_a_row(page: Page) -> None:
    """Leave a pattern of the first class at each of the 16 steps, by keys alone."""
    is_on = page.locator(".steps [aria-pressed=true]")
    press(page, "Clear")
    expect(is_on).to_have_count(0)
    page.get_by_role("button", name="class 0, step 1", exact=True).focus()
    for _ in range(16):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
    expect(is_on).to_have_count(16)


def test_two_presses_of_a_pad_sound_and_are_two_takes(open_page):
    page = open_page(made())
    for _ in range(4):
        page.locator(".pad").nth(1).click()
    assert wait_for(page, 4) == [length(1, take) for take in (0, 1, 2, 0)]
    page.wait_for_function("() => peak > 0.1")
    expect(page.get_by_role("status").first).to_have_text("class 1, take 1 of 3")


def test_a_pad_is_loud_above_and_soft_below(open_page):
    page = open_page(made(1, 1, 0))
    pad = page.locator(".pad")
    box = pad.bounding_box()
    pad.click(position={"x": 40, "y": box["height"] - 4})
    page.wait_for_function("() => peak > 0")
    page.wait_for_timeout(2 * length(0, 0))
    soft = page.evaluate("peak")
    pad.click(position={"x": 40, "y": 10})
    page.wait_for_function("soft => peak > 3 * soft", arg=soft)


def test_keys_play_while_the_panel_has_the_focus_and_never_elsewhere(open_page):
    page = open_page(made())
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.locator("textarea").press_sequentially("123")
    assert page.locator("textarea").input_value() == "123" and page.evaluate("heard.length") == 0
    page.locator(".pad").first.focus()
    for key in ("2", "Shift+3", "2", "k", "Enter", "9"):
        page.keyboard.press(key)
    assert wait_for(page, 4) == [length(1, 0), length(2, 0), length(1, 1), length(1, 2)]
    expect(page.locator(".pad").nth(1)).to_contain_text("♥ 1")
    page.keyboard.press("Control+1")
    assert page.evaluate("heard.length") == 4


def test_a_rejected_take_is_played_no_more(open_page):
    page = open_page(made())
    pad = page.locator(".pad").first
    for _ in range(2):
        pad.click()
    press(page, "Reject")
    for _ in range(4):
        pad.click()
    assert wait_for(page, 6) == [length(0, take) for take in (0, 1, 2, 0, 2, 0)]
    press(page, "Take 2, rejected")  # is heard, and comes back
    press(page, "Reject")
    pad.click()
    pad.click()
    pad.click()
    assert wait_for(page, 10)[6:] == [length(0, take) for take in (1, 2, 0, 1)]


def test_where_all_takes_are_rejected_the_page_says_so(open_page):
    page = open_page(made(1, 2, 0))
    for _ in range(2):
        page.locator(".pad").click()
        press(page, "Reject")
    page.locator(".pad").click()
    expect(page.get_by_role("status").first).to_contain_text("All takes of class 0 are rejected")
    assert page.evaluate("heard.length") == 2
    expect(page.get_by_role("button", name="Next take")).to_be_disabled()


def test_a_pattern_plays_on_time_and_stops(open_page):
    page = open_page(made())
    fill_a_row(page)
    page.get_by_label("Tempo").first.fill("200")
    press(page, "▶ Play")
    wait_for(page, 9)
    press(page, "■ Stop")
    times = np.diff(page.evaluate("heard.map((sound) => sound.when)"))
    assert np.median(times) == pytest.approx(60 / 200 / 4, abs=1e-9)  # a busy machine may lag once
    n = page.evaluate("heard.length")
    page.wait_for_timeout(400)
    assert page.evaluate("heard.length") == n


def test_a_pattern_plays_the_last_take_or_varies_it(open_page):
    page = open_page(made())
    fill_a_row(page)
    page.get_by_label("Tempo").first.fill("200")
    press(page, "▶ Play")
    assert set(wait_for(page, 3)) == {length(0, 0)}
    press(page, "Vary takes")
    page.wait_for_function("() => new Set(heard.map((sound) => sound.ms)).size === 3")


def test_short_sounds_start_with_a_groove(open_page):
    page = open_page(made(5))
    expect(page.locator(".steps [aria-pressed=true]")).to_have_count(2 + 8 + 2 + 4)


def test_the_slider_plays_the_way_from_one_sound_to_another(open_page):
    page = open_page(made())
    page.get_by_label("Class to morph").select_option("class 2")
    page.get_by_label("From take 1 to take 2").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert wait_for(page, 3) == [900, 910, length(2, 1)]


def test_without_steps_there_is_no_morph(open_page):
    page = open_page(made(n_between=0))
    expect(page.get_by_role("region", name="Pattern")).to_be_visible()
    expect(page.get_by_role("region", name="Morph")).to_be_hidden()


def test_kept_sounds_are_downloaded_as_they_are(open_page):
    sounds = made(names=("a/b", "a:b", "snare"))
    page = open_page(sounds)
    for place in (0, 1, 2, 2):
        page.locator(".pad").nth(place).click()
        press(page, "Keep")
    expect(page.get_by_text("4 sounds kept")).to_be_visible()
    with page.expect_download() as download:
        press(page, "Download kept sounds")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "a_b_1/seed7.wav",
            "a_b_2/seed7.wav",
            "snare/seed7.wav",
            "snare/seed8.wav",
        ]
        samples, rate = soundfile.read(io.BytesIO(archive.read("snare/seed8.wav")), dtype="int16")
    exact = base64.b64decode(sounds.for_browser()["takes"][2][1])
    assert rate == RATE
    np.testing.assert_array_equal(samples, soundfile.read(io.BytesIO(exact), dtype="int16")[0])
    np.testing.assert_allclose(samples / 32_768, sounds.waveforms[2][1], atol=1 / 32_768)


def test_odd_names_are_only_shown(open_page):
    names = tuple(map(printable, ODD))
    page = open_page(made(len(ODD), names=names), title=ODD[0], note=f"{ODD[1]} {ODD[3]}")
    assert page.locator(".pad .name").all_inner_texts() == [*names]
    assert page.locator("img").count() == 0 and page.title() == ODD[0]
    assert page.locator("h1").inner_text() == ODD[0]
    assert "<!--<script> ?" in page.locator("p").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_of_many_classes_sixteen_are_shown_at_once(open_page):
    page = open_page(made(20, 1, 0))
    expect(page.locator(".pad")).to_have_count(16)
    press(page, "17 to 20")
    expect(page.locator(".pad")).to_have_count(4)
    page.keyboard.press("2")
    assert wait_for(page, 1) == [length(17, 0)]


def test_compressed_sounds_play_too(open_page, monkeypatch):
    monkeypatch.setattr(takes, "MOST_BYTES", 1)
    page = open_page(made(1, 2, 0))
    page.locator(".pad").click()
    assert wait_for(page, 1) == [length(0, 0)]
    expect(page.get_by_text("these are compressed")).to_be_visible()


def test_the_page_can_ask_no_server(browser, tmp_path):
    page = browser.new_page()
    page.goto(write_page(tmp_path / "kit.html", made()).as_uri())
    refused = page.evaluate("""async () => {
      const refusals = [];
      document.onsecuritypolicyviolation = (event) => refusals.push(event.effectiveDirective);
      await fetch("http://127.0.0.1:9/").catch(() => 0);
      document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/a.png" }));
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return [...refusals, window.ran ?? "not run"];
    }""")
    assert set(refused) == {"connect-src", "img-src", "script-src-elem", "not run"}
    page.close()


def test_a_page_may_hold_several_pads_each_with_a_heading(browser, tmp_path):
    sections = [Section(made(2, 2, 0), f"of {name}", f"<{name}>") for name in ("dogs", "cats")]
    page = browser.new_page()
    page.add_init_script(f"({LISTEN})()")
    page.goto(write_sections(tmp_path / "two.html", sections, "Two").as_uri())
    expect(page.locator("h2")).to_have_text(["<dogs>", "<cats>"])
    expect(page.locator(".pad")).to_have_count(4)
    page.locator(".pad").nth(3).click()
    assert wait_for(page, 1) == [length(1, 0)]
    page.close()


def test_two_panels_on_a_page_and_its_own_buttons_leave_each_other_alone(browser, tmp_path):
    script = """
      const log = [];
      for (const id of ["a", "b"]) {
        const state = JSON.parse(document.getElementById("sounds").textContent);
        const model = {
          get: (name) => state[name], set: (name, value) => log.push([id, name, value]),
          on() {}, off() {}, save_changes() {} };
        window[id].stop = render({ model, el: window[id] });
      }
      window.log = log;"""
    sounds = write_page(tmp_path / "kit.html", made()).read_text().split('json">')[1]
    path = tmp_path / "two.html"
    path.write_text(
        "<meta charset=utf-8><button class=pad>own</button><div id=a></div><div id=b></div>"
        f'<script type="application/json" id="sounds">{sounds.split("</script>")[0]}</script>'
        f'<script type="module">{PADS_JS}{script}</script>'
    )
    page = browser.new_page()
    page.add_init_script(f"({LISTEN})()")
    page.goto(path.as_uri())
    own = page.locator("button.pad", has_text="own")
    assert own.evaluate("button => getComputedStyle(button).height") != "112px"
    page.locator("#b .pad").first.focus()
    for key in ("2", "k"):
        page.keyboard.press(key)
    assert wait_for(page, 1) == [length(1, 0)]
    assert page.evaluate("log") == [["b", "kept", [[], [0], []]], ["b", "rejected", [[], [], []]]]
    page.evaluate("b.stop()")
    expect(page.locator("#b .pad")).to_have_count(0)
    expect(page.locator("#a .pad")).to_have_count(3)
    page.close()


def test_a_page_is_made_of_a_generator(sound_generator, tmp_path):
    generator = sound_generator()
    inverter = make_inverter(generator, n_iterations=1)
    sounds = render_takes(generator, inverter, n_takes=2, n_steps=0)
    path = write_page(tmp_path / "new" / "kit.html", sounds, "Mine", origin={"step": 6500})
    text = path.read_text(encoding="utf-8")
    assert "<title>Mine</title>" in text
    assert "after 6 500 steps of training. 3 classes: high, low, noise." in text
    assert path.stat().st_size < 100_000
