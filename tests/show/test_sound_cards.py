"""Sound cards: what they say and hold, and in a real browser what a click and a key do."""

import base64
import html
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from browser import needs_chromium
from playwright.sync_api import expect

from helpers.config import ConfigError
from helpers.show.sound_cards import save_and_play, sound_cards
from helpers.sound.web_audio import encode_for_page

RATE = 16_000
SITE = "http://127.0.0.1/"  # is answered by the test itself
PLAYING = "[aria-pressed=true]"
ODD_NAMES = ["<b>\"x\"&'y'</b>", "שלום", "🥁\ud800\x07", "a" * 300, "</button><script>x()</script>"]


def tone(hertz: float = 1000, seconds: float = 0.4, level: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def parts(cards, tag: str, attribute: str) -> list[str]:
    """The values of an attribute in the HTML, in order."""
    found = re.findall(f'<{tag}[^>]*? {attribute}="([^"]*)"', cards.data)
    return [html.unescape(value) for value in found]


def pictures(cards) -> list[np.ndarray]:
    """How bright each picture is, (rows, columns), from 0 to 1."""
    contents = [base64.b64decode(source.split(",")[1]) for source in parts(cards, "img", "src")]
    return [plt.imread(io.BytesIO(content))[..., :3].mean(axis=-1) for content in contents]


def heard(cards) -> list[np.ndarray]:
    contents = [base64.b64decode(source.split(",")[1]) for source in parts(cards, "audio", "src")]
    return [soundfile.read(io.BytesIO(one), dtype="float32")[0] for one in contents]


def test_a_card_says_name_length_and_level_and_plays_what_it_got():
    waveforms = [tone(), tone(level=0.001)]
    cards = sound_cards(waveforms, RATE, ["loud", "quiet"], "two tones")
    assert parts(cards, "button", "aria-label") == [
        "Play loud, 400 ms, peak -6.0 dB",
        "Play quiet, 400 ms, peak -60.0 dB",
    ]
    assert parts(cards, "img", "alt")[1] == "spectrogram of quiet, 400 ms, peak -60.0 dB"
    assert ">two tones</p>" in cards.data
    for samples, waveform in zip(heard(cards), waveforms, strict=True):
        np.testing.assert_allclose(samples, waveform, atol=1 / 32_768)


def test_what_is_played_is_what_is_written(tmp_path):
    card = save_and_play(tone(), RATE, str(tmp_path / "new" / "rain.wav"))
    info = soundfile.info(tmp_path / "new" / "rain.wav")
    assert (info.samplerate, info.subtype) == (RATE, "PCM_16")
    written, _ = soundfile.read(tmp_path / "new" / "rain.wav", dtype="float32")
    np.testing.assert_allclose(heard(card)[0], written, atol=1 / 32_768)
    assert parts(card, "button", "title") == ["rain"]


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, list])
def test_cards_take_arrays_tensors_and_lists(make):
    (samples,) = heard(sound_cards([make(tone())], RATE))
    np.testing.assert_allclose(samples, tone(), atol=1 / 32_768)


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (np.zeros(800), "50 ms, silent"),
        (np.full(800, 1e-6), "50 ms, silent"),
        (np.zeros(0), "0 ms, silent"),
        (np.full(800, np.nan), "50 ms, silent, 800 samples are not numbers"),
        (np.r_[tone(), np.inf], "400 ms, peak -6.0 dB, 1 samples are not numbers"),
        (tone(level=4), "400 ms, peak 12.0 dB, played quieter"),
    ],
)
def test_odd_sounds_are_said_and_played(waveform, words):
    cards = sound_cards([waveform], RATE)
    assert parts(cards, "button", "aria-label") == [f"Play sound 1, {words}"]
    (samples,), (picture,) = heard(cards), pictures(cards)
    assert len(samples) == max(1, len(waveform)) and np.isfinite(samples).all()
    assert (np.abs(samples).max() == 0) == ("silent" in words) == (picture.max() < 0.01)


def test_a_picture_shows_pitch_and_time_and_has_its_own_range():
    late = np.r_[np.zeros(RATE // 2, np.float32), tone(seconds=0.5)]
    quiet, low, high = pictures(sound_cards([late / 1000, tone(200), tone(6000)], RATE))
    assert quiet.max() == low.max() == high.max() > 0.8
    rows = [int(one.mean(axis=1).argmax()) / len(one) for one in (high, quiet, low)]
    assert rows[0] < rows[1] < rows[2], "high tones above"
    onset = int((quiet.max(axis=0) > 0.4).argmax()) / quiet.shape[1]
    assert onset == pytest.approx(0.5, abs=0.05)


def test_of_many_some_are_shown_evenly_and_the_caption_says_so():
    cards = sound_cards([tone(seconds=0.01)] * 100, RATE, [str(n) for n in range(99)], most=3)
    assert parts(cards, "button", "title") == ["0", "50", "sound 100"]
    assert ">(3 of 100)</p>" in cards.data
    assert "(no sounds)" in sound_cards([], RATE).data


def test_a_waveform_of_another_shape_is_refused_with_words():
    with pytest.raises(ConfigError, match=r"sound 1 has the shape \(\), .* also for a single one"):
        sound_cards(tone(), RATE)
    with pytest.raises(ConfigError, match=r"sound 2 has the shape \(2, 6400\)"):
        sound_cards([tone(), np.stack([tone(), tone()])], RATE)


def test_24_cards_stay_small_whatever_sounds():
    rng, n = np.random.default_rng(0), 66_150
    noise = [0.2 * rng.standard_normal(n) for _ in range(24)]
    cards = sound_cards(noise, 44_100)
    assert "played from MP3" in cards.data and len(cards.data) < 400_000
    decays = np.exp(-np.arange(n) / 44_100 * 40)
    cards = sound_cards([one * decays for one in noise], 44_100)
    assert len(cards.data) < 400_000
    assert all(1_000 < len(one) < 400_000 / 24 for one in parts(cards, "audio", "src"))


def test_pictures_are_small():
    sources = parts(sound_cards([np.random.default_rng(0).normal(size=RATE)], RATE), "img", "src")
    assert len(base64.b64decode(sources[0].split(",")[1])) < 4_000


@pytest.fixture
def show(browser):
    """A function: a page with a body, of which the frames find theirs by its name."""
    opened, errors = [], []

    def open_page(body: str, frames: dict[str, str] | None = None, **options):
        page = browser.new_page(**options)
        opened.append(page)
        bodies = {"": body, **(frames or {})}
        head = (
            '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        )
        page.route(
            f"{SITE}**",
            lambda route: route.fulfill(
                body=head + bodies[route.request.url.removeprefix(SITE)], content_type="text/html"
            ),
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(SITE)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert errors == []


def time_of(page, index: int = 0) -> float:
    return page.locator("audio").nth(index).evaluate("audio => audio.currentTime")


def wait_until_heard(page, index: int = 0) -> None:
    """Wait until the time of a sound has gone on twice, and its line with it."""
    audio = page.locator("audio").nth(index).element_handle()
    for _ in range(2):
        before = audio.evaluate("audio => audio.currentTime")
        page.wait_for_function(
            """([audio, before]) => {
              const line = audio.parentElement.querySelector("i").style.left;
              return audio.currentTime > before && parseFloat(line) / 100 * audio.duration > before;
            }""",
            arg=[audio, before],
        )


@needs_chromium
def test_a_click_plays_with_a_line_and_a_second_one_stops(show):
    page = show(sound_cards([tone(seconds=60)], RATE, ["long"]).data)
    button, line = page.locator("button"), page.locator("button i")
    assert not line.is_visible()
    button.click()
    wait_until_heard(page)
    expect(button).to_have_attribute("aria-pressed", "true")
    assert line.is_visible()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert time_of(page) == 0 and not line.is_visible()


@needs_chromium
def test_nothing_moves_where_the_reader_wants_no_motion(show):
    page = show(sound_cards([tone(seconds=60)], RATE).data, reduced_motion="reduce")
    page.locator("button").click()
    wait_until_heard(page)
    expect(page.locator(PLAYING)).to_have_count(1)
    assert not page.locator("button i").is_visible()


@needs_chromium
def test_at_its_end_a_sound_stops_and_can_be_played_again(show):
    page = show(sound_cards([tone(seconds=0.05)], RATE).data)
    for _ in range(2):
        page.locator("button").click()
        page.wait_for_function("document.querySelector('audio').ended")
        expect(page.locator(PLAYING)).to_have_count(0)


@needs_chromium
def test_only_one_sound_plays_in_a_page_and_in_its_frames(show):
    cards = sound_cards([tone(seconds=60), tone(500, seconds=60)], RATE).data
    frames = {name: cards for name in ("one", "two")}
    page = show(cards + cards + "".join(f'<iframe src="{SITE}{name}"></iframe>' for name in frames),
                frames)  # fmt: skip
    places = [page.main_frame, *page.main_frame.child_frames]
    presses = [(0, 0), (0, 1), (0, 3), (1, 0), (2, 1), (0, 2)]
    for frame, index in presses:
        button = places[frame].locator("button").nth(index)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        for place in places:
            expect(place.locator(PLAYING)).to_have_count(int(place is places[frame]))
            silent = "() => [...document.querySelectorAll('audio')].filter((a) => !a.paused).length"
            assert place.evaluate(silent) == int(place is places[frame])


@needs_chromium
def test_the_keyboard_alone_plays_and_stops_and_the_focus_is_seen(show):
    page = show(sound_cards([tone(seconds=60), tone(seconds=60)], RATE).data)
    page.evaluate("() => { document.body.onkeydown = (event) => keys.push(event.key); keys = [] }")
    page.keyboard.press("Tab")
    first, second = page.locator("button").all()
    expect(first).to_be_focused()
    assert first.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    wait_until_heard(page)
    page.keyboard.press("Space")
    expect(first).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Tab")
    expect(second).to_be_focused()
    page.keyboard.press("Space")
    wait_until_heard(page, 1)
    assert page.evaluate("keys") == ["Tab", "Tab"], "the notebook does not act on the other keys"


@needs_chromium
def test_cards_that_a_widget_puts_into_the_page_play(show):
    page = show("<div id=widget></div>")
    data = sound_cards([tone(seconds=60)], RATE).data
    page.evaluate("html => { document.getElementById('widget').innerHTML = html }", data)
    page.locator("button").click()
    wait_until_heard(page)


@needs_chromium
def test_a_sound_that_the_browser_refuses_is_said(show):
    page = show(sound_cards([tone()], RATE).data)
    page.locator("audio").evaluate("audio => { audio.src = 'data:audio/flac;base64,AAAA' }")
    page.locator("button").click()
    expect(page.locator("button small")).to_have_text("this browser cannot play it")
    expect(page.locator(PLAYING)).to_have_count(0)


@needs_chromium
def test_without_styles_and_handlers_pictures_names_and_players_remain(show):
    page = show(sound_cards([tone(), tone()], RATE, ["low", "high"]).data)
    assert not page.locator("audio").first.is_visible()
    page.evaluate("""() => {
      document.querySelectorAll("style").forEach((style) => style.remove());
      const grid = document.querySelector(".sound-cards");
      for (const name of ["onclick", "onkeydown"]) grid.removeAttribute(name);
    }""")
    for name, item in zip(("low", "high"), page.locator("li").all(), strict=True):
        assert item.inner_text().strip() == f"{name} 400 ms, peak -6.0 dB"
    for part in page.locator("img, audio").all():
        assert part.is_visible()
    assert page.locator("img").first.bounding_box()["height"] == 72


@needs_chromium
def test_odd_names_are_shown_as_they_are(show):
    page = show(sound_cards([tone()] * len(ODD_NAMES), RATE, ODD_NAMES, "<i>odd</i>").data)
    shown = page.locator("button b").all_inner_texts()
    assert shown == [*ODD_NAMES[:2], "🥁?\N{REPLACEMENT CHARACTER}", *ODD_NAMES[3:]]
    assert page.locator("p.caption").inner_text() == "<i>odd</i>"
    assert page.locator("button").count() == len(ODD_NAMES)
    assert page.get_by_role("button", name=f"Play {ODD_NAMES[0]}").count() == 1


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "columns"), [(400, 2), (1400, 8)])
def test_cards_fit_narrow_and_wide_pages_and_leave_the_rest_alone(show, width, columns, scheme):
    around = "<p id=p>text</p><button id=b>b</button><ul id=u><li id=l><small id=s>x</small></ul>"
    names = ["a" * 90, *map(str, range(19))]
    cards = sound_cards([tone()] * 20, RATE, names).data
    look = """() => ["p", "b", "u", "l", "s"].map((id) => {
      const style = getComputedStyle(document.getElementById(id));
      return [style.font, style.color, style.margin, style.padding, style.border, style.display];
    })"""
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = show(around + cards, **options)
    assert page.evaluate(look) == show(around, **options).evaluate(look)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = [card.bounding_box()["y"] for card in page.locator("li:has(audio)").all()]
    assert tops.count(tops[0]) == columns
    colour = page.locator("button b").first.evaluate("name => getComputedStyle(name).color")
    assert colour == ("rgb(0, 0, 0)" if scheme == "light" else "rgb(255, 255, 255)")


@needs_chromium
@pytest.mark.parametrize(("most_bytes", "kind"), [(10**6, "flac"), (1, "mpeg")])
def test_what_the_browser_decodes_begins_on_time_at_its_level(show, most_bytes, kind):
    rate, time = 44_100, np.arange(61_740) / 44_100
    click = 0.8 * np.sin(6_300 * time) * np.exp(-15 * time)
    sound = np.r_[np.zeros(4_410), click]
    (file,) = encode_for_page([sound], rate, most_bytes)
    assert file.media_type == f"audio/{kind}"
    decoded = show("").evaluate(
        """async ([source, rate]) => {
          const bytes = Uint8Array.from(atob(source.split(",")[1]), (c) => c.charCodeAt(0));
          const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer);
          return Array.from(sound.getChannelData(0));
        }""",
        [file.address, rate],
    )
    onsets = [int((np.abs(one) > 0.1).argmax()) for one in (decoded, sound)]
    assert abs(onsets[0] - onsets[1]) / rate < 0.002, "seconds"
    level_db = 10 * np.log10(np.sum(np.square(decoded)) / np.sum(sound**2))
    assert abs(level_db) < 0.2
    assert abs(len(decoded) - len(sound)) / rate < 0.03
