"""Sound cards: sounds as a grid of pictures, each with name, length and level; a click plays it.

A grid is one piece of HTML. Where a viewer takes styles and handlers away, as GitHub and JupyterLab
do with a notebook that is not trusted, names and pictures remain, and the players that it allows.
"""

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from IPython.display import HTML

from helpers.config import ConfigError
from helpers.labels import choose_evenly
from helpers.show.plots import escaped
from helpers.show.thumbnail import thumbnail
from helpers.sound.audio_files import write_wav
from helpers.sound.web_audio import WebAudio, encode_for_page, is_silent, playable

HERE = Path(__file__)
SCRIPT = HERE.with_suffix(".js").read_text(encoding="utf-8")
STYLE = HERE.with_suffix(".css").read_text(encoding="utf-8")
ON_CLICK = html.escape(f"{SCRIPT}\npressCard(event.target);")
# the classic notebook and JupyterLab have meanings of their own for a key on a card
ON_KEY = html.escape('if (event.key === "Enter" || event.key === " ") event.stopPropagation();')
MOST_BYTES = 228_000  # of the sounds in a grid: with pictures and as text some 400 kB at most
SHOWN_SIZE = 'width="168" height="72"'  # where a viewer takes the style away


def sound_cards(
    waveforms: Sequence, sample_rate: int, names: Sequence[str] = (), caption: str = "", most=24
) -> HTML:
    """A grid of cards for waveforms (n,) of any lengths, played at their own level.

    names: up to as many; a sound without one gets its number. Of more than `most`, as many are
    shown, chosen evenly, and the caption says so. A sound that would clip is made quieter, and
    samples that are not numbers become silence. Each picture has a colour range of its own. Raises
    ConfigError for other shapes than (n,).

    >>> cards = sound_cards(waveforms, audio.sample_rate, ["kick", "snare"], "one of each class")
    """
    shown = choose_evenly(len(waveforms), most).tolist()
    sounds = [_as_samples(waveforms[index], index) for index in shown]
    files = encode_for_page([playable(one) for one in sounds], sample_rate, MOST_BYTES)
    titles = [names[index] if index < len(names) else f"sound {index + 1}" for index in shown]
    cards = "".join(
        _card(*of_one, sample_rate) for of_one in zip(titles, sounds, files, strict=True)
    )
    words = _caption(caption, files, len(waveforms))
    return HTML(
        f'<div class="sound-cards" data-lm-suppress-shortcuts="true" onclick="{ON_CLICK}" '
        f'onkeydown="{ON_KEY}"><style>{STYLE}</style>{words}'
        f'<ul class="cards" role="list">{cards}</ul></div>'
    )


def save_and_play(wav, sample_rate: int, filename: str | Path) -> HTML:
    """Write a waveform (n,) as a 16-bit WAV file and return its card.

    >>> card_in_notebook = save_and_play(waveform, 22050, "sounds/rain.wav")
    """
    path = write_wav(Path(filename), _as_samples(wav), sample_rate)
    return sound_cards([wav], sample_rate, [path.stem])


def _as_samples(waveform, index: int = 0) -> np.ndarray:
    """A waveform (n,) as float32 in the main memory."""
    if isinstance(waveform, torch.Tensor):
        waveform = waveform.detach().cpu()
    samples = np.asarray(waveform, dtype=np.float32)
    if samples.ndim != 1:
        raise ConfigError(
            f"sound {index + 1} has the shape {samples.shape}, but must be (n,), one channel: give "
            "a list of such waveforms, also for a single one"
        )
    return samples


def _card(name: str, samples: np.ndarray, file: WebAudio, sample_rate: int) -> str:
    """The list item of one sound."""
    title, words = escaped(name), _in_words(samples, sample_rate)
    picture = base64.b64encode(thumbnail(playable(samples), sample_rate)).decode()
    return (
        f'<li><button type="button" aria-pressed="false" aria-label="Play {title}, {words}" '
        f'title="{title}"><span class="picture"><img src="data:image/png;base64,{picture}" '
        f'{SHOWN_SIZE} alt="spectrogram of {title}, {words}"><i></i></span> '
        f'<b dir="auto">{title}</b> <small>{words}</small></button>'
        f'<audio controls preload="none" src="{file.address}"></audio></li>'
    )


def _in_words(samples: np.ndarray, sample_rate: int) -> str:
    """Length and level of a sound (n,), and what is odd about it."""
    finite = np.isfinite(samples)
    peak = _peak(samples[finite])
    words = [f"{1000 * len(samples) / sample_rate:.0f} ms"]
    words += ["silent"] if is_silent(peak) else [f"peak {20 * math.log10(peak):.1f} dB"]
    words += ["played quieter"] if peak > 1 else []
    words += [] if finite.all() else [f"{np.sum(~finite)} samples are not numbers"]
    return ", ".join(words)


def _caption(caption: str, files: list[WebAudio], n_sounds: int) -> str:
    """The paragraph above the cards; empty if there is nothing to say."""
    words = [caption] if caption else []
    words += [f"({len(files)} of {n_sounds})"] if len(files) < n_sounds else []
    words += [] if files else ["(no sounds)"]
    if not all(file.is_lossless for file in files):
        words.append("(played from MP3, which loses some of the highest tones)")
    return f'<p class="caption">{escaped(" ".join(words))}</p>' if words else ""


def _peak(samples: np.ndarray) -> float:
    return float(np.abs(samples).max(initial=0.0))
