"""Takes from a microphone in Colab: recorded in the browser, trimmed, seen and heard, then kept."""

import base64
import binascii
import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from IPython.display import display

from helpers.config import PRESETS, DataConfig
from helpers.data.cut_clips import window_levels_db
from helpers.run import colab
from helpers.run.colab import RunError
from helpers.run.own_sounds import check_class, is_asked, keep_take
from helpers.show.plots import printable, waveform_and_mel
from helpers.show.sound_cards import sound_cards
from helpers.sound import ffmpeg
from helpers.sound.audio_files import (
    AudioError,
    fit_length,
    read_audio,
    resample,
    source_info,
    trim_end,
)
from helpers.sound.mel import MelExtractor

SCRIPT = Path(__file__).with_name("browser.js")
MOST_SECONDS = 20  # of a take
BLOCK_S = 0.01  # whose levels are compared
LEAD_S = 0.02  # kept before the sound begins
ROOM_SHARE = 0.1  # of a take's blocks are taken for the noise of the room: the quietest
ABOVE_ROOM_DB = 12  # louder than that by so much is the sound
LOUD_DB, QUIET_DB = 20, 40  # below the loudest block: surely the sound, and surely not
PROBLEMS = {  # by the name of the browser's error
    "NotAllowedError": "the browser does not allow the microphone: press the sign at the left of "
    "the page's address, allow the microphone there, and run this cell again",
    "NotFoundError": "the browser finds no microphone: connect one, and run this cell again",
    "NotReadableError": "the microphone cannot be used: see that no other program uses it, and run "
    "this cell again",
}


def record_takes(folder: Path, class_name: str) -> None:
    """Record one take after the other in Colab, and keep those that are wanted in the class.

    Buttons below the cell say what comes next. Elsewhere than in Colab a sentence says where files
    can be put. Raises ConfigError for a name that no class can have, and RunError where there is no
    microphone, it is not allowed, or a take cannot be kept: takes that were kept before stay.
    """
    class_name = check_class(class_name)
    if not is_asked(folder):
        return
    while _call("ask", f"A sound of {class_name}:", ["Record", "Finish"]) == "Record":
        try:
            waveform, sample_rate = decode_take(_record())
            waveform = trim_take(waveform, sample_rate)
        except AudioError as error:
            print(f"the take {error}")
            continue
        _show(waveform, sample_rate, class_name)
        if _call("ask", "This take:", ["Keep", "Drop"]) == "Keep":
            kept = keep_take(folder / class_name, waveform, sample_rate)
            print(printable(f"kept: {kept}"))


def decode_take(address: str) -> tuple[np.ndarray, int]:
    """The waveform (n,) and its rate in hertz from an address that holds the data of a recording.

    Raises AudioError if it is no recording that ffmpeg reads.
    """
    try:
        content = base64.b64decode(address.partition(";base64,")[2], validate=True)
    except binascii.Error as error:
        raise AudioError(f"came damaged from the browser ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "take.webm")  # whatever its format is: ffmpeg looks into the file
        path.write_bytes(content)
        sample_rate = source_info(path).sample_rate
        waveform, _ = read_audio(path, sample_rate)
        ffmpeg.decode(path).unlink()
    return waveform, sample_rate


def trim_take(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A take (n,) from shortly before its sound begins to where it ends.

    The sound begins with the first block that is clearly louder than the room, and not much quieter
    than the loudest block. Raises AudioError for a take with nothing but silence.
    """
    size = round(BLOCK_S * sample_rate)
    levels = window_levels_db(waveform, size)  # (n_blocks,)
    silence_db, peak = DataConfig().silence_db, levels.max(initial=-math.inf)
    if peak < silence_db:
        raise AudioError(
            f"holds nothing but silence (never louder than {silence_db:g} dB): see that the right "
            "microphone is chosen in the browser and is not muted"
        )
    room = np.quantile(levels, ROOM_SHARE)
    threshold = max(peak - QUIET_DB, min(room + ABOVE_ROOM_DB, peak - LOUD_DB))
    onset = int((levels > threshold).argmax()) * size
    start = max(0, onset - round(LEAD_S * sample_rate))
    return trim_end(waveform[start:], sample_rate, 10 ** (room / 20))


def _show(waveform: np.ndarray, sample_rate: int, title: str) -> None:
    """Show a take (n,) as a picture with a sound card."""
    audio = PRESETS["short"]
    heard = resample(waveform, sample_rate, audio.sample_rate)
    n_frames = 16 * math.ceil((1 + len(heard) / audio.hop_length) / 16)
    audio = dataclasses.replace(audio, n_frames=n_frames)
    heard = fit_length(heard, audio.clip_samples)
    log_mel = MelExtractor(audio)(torch.from_numpy(heard)[None])[0]  # (n_mels, n_frames)
    display(waveform_and_mel(heard, log_mel, audio, title))
    display(sound_cards([waveform], sample_rate, [title]))


def _record() -> str:
    """A take as an address that holds its data. Raises RunError that says why there is none."""
    answer = _call("record", MOST_SECONDS) or {}
    if "sound" in answer:
        return answer["sound"]
    problem, words = answer.get("problem", "no answer"), answer.get("words", "")
    raise RunError(
        PROBLEMS.get(problem)
        or printable(
            f"the browser cannot record ({problem}: {words}): open the notebook in another browser"
        )
    )


def _call(function: str, *arguments):
    """Call a function of browser.js in the notebook's page; returns its value."""
    words = ", ".join(map(json.dumps, arguments))
    return colab.run_in_browser(
        f"(() => {{\n{SCRIPT.read_text()}\nreturn {function}({words});\n}})()"
    )
