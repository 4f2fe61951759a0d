"""Instruments for samplers, as text: SFZ, and the presets of DecentSampler."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from helpers.show.plots import printable
from helpers.sound.loops import Loop

MOST_IN_SEQUENCE = 100  # takes in turn, by the definition of SFZ
RELEASE_S = 0.3  # in which a looped sound fades after its key


@dataclass(frozen=True)
class PlayedTake:
    """The path of a sound beside the instrument, with / between folders, and its loop, if any."""

    path: str
    loop: Loop | None


@dataclass(frozen=True)
class PlayedClass:
    """A class, the MIDI key that plays it, and its takes; each press plays the next."""

    name: str
    key: int
    takes: Sequence[PlayedTake]


def sfz_text(classes: Sequence[PlayedClass]) -> str:
    """An SFZ instrument, https://sfzformat.com: a key for each class, its takes in turn.

    Of more takes than SFZ can play in turn, each press plays one at random.
    """
    lines = ["<global> amp_veltrack=100"]
    for one in classes:
        key, n = one.key, len(one.takes)
        in_turn = n <= MOST_IN_SEQUENCE
        lines += ["", f"// {in_line(one.name)}"]
        lines += [
            f"<group> lokey={key} hikey={key} pitch_keycenter={key}"
            + (f" seq_length={n}" if in_turn else "")
        ]
        for number, take in enumerate(one.takes):
            chance = f"lorand={number / n:.6f} hirand={(number + 1) / n:.6f}"
            which = f"seq_position={number + 1}" if in_turn else chance
            lines += [f"<region> {which} {_sfz_mode(take.loop)}", f"sample={take.path}"]
    return "\n".join(lines) + "\n"


def dspreset_text(classes: Sequence[PlayedClass]) -> str:
    """A preset of DecentSampler (XML): a key for each class, its takes in turn."""
    root = ET.Element("DecentSampler", minVersion="1.0.0")
    groups = ET.SubElement(root, "groups")
    for one in classes:
        turns = {"seqMode": "round_robin", "seqLength": str(len(one.takes))}
        group = ET.SubElement(groups, "group", name=in_line(one.name), ampVelTrack="1", **turns)
        for number, take in enumerate(one.takes):
            places = dict.fromkeys(("rootNote", "loNote", "hiNote"), str(one.key))
            places |= {"seqPosition": str(number + 1), **_dspreset_mode(take.loop)}
            ET.SubElement(group, "sample", path=take.path, **places)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def in_line(text: str) -> str:
    """A text, such as the name of a class, in one line of characters that can be printed."""
    return " ".join(printable(text).split())


def _sfz_mode(loop: Loop | None) -> str:
    if loop is None:
        return "loop_mode=one_shot"
    places = f"loop_start={loop.first} loop_end={loop.last}"
    return f"loop_mode=loop_continuous {places} ampeg_release={RELEASE_S}"


def _dspreset_mode(loop: Loop | None) -> dict[str, str]:
    """Without its envelope a sound is played to its end, also where the key is let go."""
    if loop is None:
        return {"loopEnabled": "false", "ampEnvEnabled": "false"}
    places = {"loopStart": str(loop.first), "loopEnd": str(loop.last)}
    return {"loopEnabled": "true", **places, "release": str(RELEASE_S)}
