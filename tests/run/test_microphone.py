"""Takes from a microphone: the pages of a stand-in for Colab and of a real browser."""

import base64
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from browser import needs_chromium, open_browser

from helpers.config import ConfigError
from helpers.run import microphone
from helpers.run.colab import RunError
from helpers.run.microphone import decode_take, record_takes, trim_take
from helpers.sound.audio_files import AudioError

RATE = 16_000
CODECS = {"webm": "libopus", "mp4": "aac"}  # of Chrome and Firefox, and of Safari
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing")


def in_a_room(sound: np.ndarray, noise: float = 0.001) -> np.ndarray:
    """A sound (n,) with a second of the room before it and half a second after it."""
    waveform = np.pad(sound, (RATE, RATE // 2))
    rng = np.random.default_rng(0)
    return (waveform + noise * rng.standard_normal(len(waveform))).astype(np.float32)


def beep(seconds: float = 0.3, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * 523 * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("level", [0.9, 0.02])
def test_a_take_begins_shortly_before_its_sound_and_ends_with_it(level):
    trimmed = trim_take(in_a_room(beep(level=level), noise=level / 200), RATE)
    assert 0.3 <= len(trimmed) / RATE <= 0.36
    lead = np.abs(trimmed[: RATE // 100]).max()
    assert lead < level / 20 < np.abs(trimmed[RATE // 25 : -RATE // 25]).max()


def test_a_sound_that_fills_its_take_stays_whole():
    rain = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) / 10
    np.testing.assert_array_equal(trim_take(rain, RATE), rain)


def test_a_quiet_swell_is_not_taken_for_the_room():
    swell = beep(1.0) * np.linspace(0, 1, RATE) ** 2
    assert 0.9 <= len(trim_take(in_a_room(swell, noise=1e-4), RATE)) / RATE <= 1.05


@pytest.mark.parametrize("waveform", [np.zeros(RATE), 1e-4 * np.ones(RATE), np.zeros(0)])
def test_a_take_of_silence_is_told(waveform):
    with pytest.raises(AudioError, match="nothing but silence .*is not muted"):
        trim_take(waveform.astype(np.float32), RATE)


@pytest.fixture
def recorded(tmp_path):
    """A function: a waveform (n,) as a browser sends it."""

    def encode(waveform: np.ndarray, kind: str = "webm") -> str:
        source, target = tmp_path / "waveform.wav", tmp_path / f"take.{kind}"
        soundfile.write(source, waveform, RATE)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", source, "-c:a", CODECS[kind]]
        subprocess.run([*command, target], check=True)
        return f"data:audio/{kind};base64,{base64.b64encode(target.read_bytes()).decode()}"

    return encode


@needs_ffmpeg
@pytest.mark.parametrize("kind", CODECS)
def test_what_any_browser_records_is_decoded(recorded, kind):
    waveform, rate = decode_take(recorded(beep(1.0), kind))
    assert len(waveform) / rate == pytest.approx(1, abs=0.1)
    found = np.abs(np.fft.rfft(waveform)).argmax() * rate / len(waveform)
    assert found == pytest.approx(523, abs=3)


@pytest.mark.parametrize("address", ["data:audio/webm;base64,?", "data:audio/webm;base64,AAAA"])
def test_a_damaged_recording_is_told(address):
    with pytest.raises(AudioError, match="came damaged|cannot be decoded|needs ffmpeg"):
        decode_take(address)


@pytest.fixture
def person(colab, monkeypatch):
    """A function: how a page answers one script after the other. What is shown is in its list."""
    shown = []
    monkeypatch.setattr(microphone, "display", shown.append)

    def answer(*answers) -> list:
        waiting = iter(answers)
        sys.modules["google.colab"].output.page = lambda script: next(waiting)
        return shown

    return answer


@needs_ffmpeg
def test_takes_are_seen_and_heard_before_they_are_kept(person, recorded, tmp_path, capsys):
    take, silence = ({"sound": recorded(x)} for x in (in_a_room(beep()), np.zeros(RATE)))
    shown = person(
        *("Record", take, "Keep"),
        *("Record", silence),
        *("Record", take, "Drop"),
        *("Record", take, "Keep", "Finish"),
    )
    record_takes(tmp_path, " dog ")
    kept = sorted(tmp_path.glob("*/*.wav"))
    assert kept == [tmp_path / "dog" / f"take-000{number}.wav" for number in (1, 2)]
    assert [type(one).__name__ for one in shown] == 3 * ["Figure", "HTML"]
    told = capsys.readouterr().out
    assert f"kept: {kept[0]}" in told and "the take holds nothing but silence" in told
    waveform, rate = soundfile.read(kept[0])
    assert rate == 48_000 and 0.28 <= len(waveform) / rate <= 0.4
    person("Record", take, "Keep", "Finish")
    record_takes(tmp_path, "dog")
    assert (tmp_path / "dog" / "take-0003.wav").exists(), "a later session goes on"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"problem": "NotAllowedError", "words": "denied"}, "does not allow the microphone: press"),
        ({"problem": "NotFoundError", "words": "none"}, "finds no microphone: connect one"),
        ({"problem": "TypeError", "words": "no MediaRecorder"}, "TypeError: no MediaRecorder"),
        (None, "the browser cannot record"),
    ],
)
def test_a_browser_that_does_not_record_is_told(person, tmp_path, answer, words):
    person("Record", answer)
    with pytest.raises(RunError, match=words):
        record_takes(tmp_path, "dog")


def test_a_page_that_fails_is_told(colab, tmp_path):
    def fail(script):
        raise ValueError("TypeError: google is not defined")

    sys.modules["google.colab"].output.page = fail
    with pytest.raises(RunError, match="the page did not answer .*google is not defined"):
        record_takes(tmp_path, "dog")


def test_a_class_is_asked_for_and_nobody_is_waited_for(tmp_path, capsys):
    with pytest.raises(ConfigError, match="own_class must name a class"):
        record_takes(tmp_path, "")
    record_takes(tmp_path, "dog")
    assert "upload and record need Colab" in capsys.readouterr().out


PERSON = """(answers) => setInterval(() => {
    const buttons = [...document.querySelectorAll("button")];
    const wanted = buttons.find((button) => button.textContent === answers[0]);
    if (wanted) setTimeout(() => wanted.click(), answers.shift() === "Stop" ? 1200 : 0);
}, 50)"""  # presses one button after the other as they come, and Stop after two beeps


@pytest.fixture(scope="module")
def browser():
    """A browser whose microphone beeps twice a second."""
    with open_browser("--use-fake-device-for-media-stream") as browser:
        yield browser


@pytest.fixture
def page(browser, person):
    """A page in which Colab's scripts run; it has not been asked for its microphone yet."""
    page = browser.new_page()
    page.route("**", lambda route: route.fulfill(body="<p>A cell", content_type="text/html"))
    page.goto("http://127.0.0.1/")
    person()
    sys.modules["google.colab"].output.page = page.evaluate
    yield page
    page.close()


@needs_chromium
@needs_ffmpeg
def test_a_real_browser_records_what_its_microphone_hears(page, tmp_path):
    page.evaluate(PERSON, ["Record", "Stop", "Keep", "Finish"])
    page.context.grant_permissions(["microphone"])
    record_takes(tmp_path, "beep")
    waveform, rate = soundfile.read(tmp_path / "beep" / "take-0001.wav")
    assert 0.02 <= len(waveform) / rate <= 3 and np.abs(waveform).max() > 0.05
    assert page.locator("button").count() == 0, "what was asked is gone"


@needs_chromium
def test_a_real_browser_that_refuses_its_microphone_is_told(page, tmp_path):
    page.evaluate(PERSON, ["Record"])
    with pytest.raises(RunError, match="does not allow the microphone"):
        record_takes(tmp_path, "beep")
