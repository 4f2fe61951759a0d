"""A pack that any maker can use: files in order, smooth loops, instruments that play them."""

import io
import re
import struct
import tracemalloc
import xml.etree.ElementTree as ET
import zipfile

import numpy as np
import pytest
import soundfile

from helpers.config import ConfigError
from helpers.data.cut_clips import EVEN_DB, loudest_window_db
from helpers.show.sample_pack import write_sample_pack
from helpers.sound.handed_out import hand_out

RATE = 16_000
TIME = np.arange(RATE) / RATE
# what the reference of DecentSampler's format has of each element
DOCUMENTED = {
    "group": {"name", "ampVelTrack", "seqMode", "seqLength"},
    "sample": {"path", "rootNote", "loNote", "hiNote", "seqPosition", "loopEnabled", "loopStart"}
    | {"loopEnd", "ampEnvEnabled", "release"},
}
ODD_NAMES = (
    *("Dog", "dog", "CON", "a/b:c*?", "dots. .", "e=f $g #h", "..", "x" * 300, "ü" * 200),
    *(
        "🐕 狗 كلب",
        "bro\udcffken",
        "new\nline",
        "<b>\"quoted\" & 'so'</b>",
        "README.txt",
        "pack.sfz",
    ),
)


def drum(hertz: float, level=0.8) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * TIME) * np.exp(-15 * TIME)).astype(np.float32)


def tone(hertz: float, level=0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


TAKES = {
    "kick": [drum(60), drum(65, 0.4), drum(70)],
    "organ": [tone(220.5), tone(223.1)],
    "rain": [np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)],
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> zipfile.ZipFile:
    path = tmp_path_factory.mktemp("packs") / "pack.zip"
    return zipfile.ZipFile(write_sample_pack(path, TAKES, RATE, note="made by <me>", licence="CC0"))


def open_pack(path, takes, sample_rate=RATE, **settings) -> zipfile.ZipFile:
    return zipfile.ZipFile(write_sample_pack(path / "pack.zip", takes, sample_rate, **settings))


def sound_in(pack: zipfile.ZipFile, name: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(pack.read(name)), dtype="float64")


def wav_names(pack: zipfile.ZipFile) -> list[str]:
    return [name for name in pack.namelist() if name.endswith(".wav")]


def loop_of(wav: bytes) -> tuple[int, int] | None:
    """First and last sample of the loop in a WAV file, read chunk by chunk."""
    place = 12
    while place < len(wav):
        name, size = struct.unpack_from("<4sI", wav, place)
        if name == b"smpl":
            return struct.unpack_from("<2I", wav, place + 8 + 36 + 8)
        place += 8 + size + size % 2
    return None


def regions_of(sfz: str) -> list[dict[str, str]]:
    """The regions of an SFZ file with what they inherit; values may hold blanks."""
    scopes, regions = {}, []
    text = re.sub(r"//.*", "", sfz)
    for header, body in re.findall(r"<(\w+)>([^<]*)", text):
        opcodes = dict(re.findall(r"(\w+)=(.*?)\s*(?=\s\w+=|\n|$)", body))
        if header == "region":
            regions.append(scopes.get("global", {}) | scopes.get("group", {}) | opcodes)
        else:
            scopes[header] = opcodes
    return regions


def samples_of(dspreset: bytes) -> list[dict[str, str]]:
    """The samples of a DecentSampler preset with what they inherit from their group."""
    root = ET.fromstring(dspreset)
    assert root.tag == "DecentSampler" and [child.tag for child in root] == ["groups"]
    groups = root.findall("groups/group")
    for kind, names in DOCUMENTED.items():
        assert all(set(element.attrib) <= names for element in root.iter(kind))
    return [group.attrib | sample.attrib for group in groups for sample in group.findall("sample")]


def test_files_have_names_that_sort(pack):
    assert pack.namelist() == [
        "README.txt",
        "pack.sfz",
        "pack.dspreset",
        *(f"kick/kick_0{n}.wav" for n in (1, 2, 3)),
        *(f"organ/organ_0{n}.wav" for n in (1, 2)),
        "rain/rain_01.wav",
    ]
    assert pack.testzip() is None


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("target_rate", [0, 44_100])
def test_each_sound_is_there_at_its_level_and_ends_in_silence(tmp_path, bits, target_rate):
    pack = open_pack(tmp_path, TAKES, bits=bits, target_rate=target_rate)
    rate = target_rate or RATE
    made = [waveform for takes in TAKES.values() for waveform in takes]
    for name, waveform in zip(wav_names(pack), made, strict=True):
        assert soundfile.info(io.BytesIO(pack.read(name))).subtype == f"PCM_{bits}"
        samples, own_rate = sound_in(pack, name)
        assert own_rate == rate and samples.ndim == 1
        assert len(samples) <= len(waveform) * rate / RATE
        if not loop_of(pack.read(name)):
            np.testing.assert_allclose(
                samples, hand_out(waveform, RATE, rate), atol=2.0 ** (1 - bits)
            )
        assert np.abs(samples).max() == pytest.approx(np.abs(waveform).max(), rel=0.1)
        assert samples[0] == 0 and abs(samples[-1]) < 1e-4 * np.abs(samples).max()
        assert abs(samples.mean()) < 0.005


def test_a_drum_ends_where_its_sound_ends(pack):
    samples, _ = sound_in(pack, "kick/kick_01.wav")
    assert 0.4 < len(samples) / RATE < 0.6, "60 dB at 15 nepers a second take 0.46 s"


def test_levels_are_made_even_if_asked(tmp_path):
    takes = {"kick": [drum(60, 0.05), drum(60, 0.5)], "organ": [tone(220, 0.01), tone(220, 0.4)]}
    pack = open_pack(tmp_path, takes, level="even")
    for name in wav_names(pack):
        assert loudest_window_db(sound_in(pack, name)[0]) == pytest.approx(EVEN_DB, abs=0.1)
    assert "made equally loud" in pack.read("README.txt").decode()


def test_what_exceeds_full_scale_is_made_quieter_and_said(tmp_path):
    pack = open_pack(tmp_path, {"loud": [drum(60, 3.0), drum(60)]})
    assert np.abs(sound_in(pack, "loud/loud_01.wav")[0]).max() == pytest.approx(1, abs=1e-3)
    assert "1 made quieter to fit full scale" in pack.read("README.txt").decode()


def test_sustained_sounds_have_the_same_loop_in_all_files_and_drums_have_none(pack):
    regions = {one["sample"]: one for one in regions_of(pack.read("pack.sfz").decode())}
    presets = {one["path"]: one for one in samples_of(pack.read("pack.dspreset"))}
    for name in wav_names(pack):
        loop, region, preset = loop_of(pack.read(name)), regions[name], presets[name]
        if name.startswith("kick"):
            assert loop is None and region["loop_mode"] == "one_shot"
            assert "loop_start" not in region and preset["loopEnabled"] == "false"
            continue
        assert region["loop_mode"] == "loop_continuous" and float(region["ampeg_release"]) > 0
        assert (int(region["loop_start"]), int(region["loop_end"])) == loop
        assert preset["loopEnabled"] == "true"
        assert (int(preset["loopStart"]), int(preset["loopEnd"])) == loop
        samples, _ = sound_in(pack, name)
        assert 0 < loop[0] < loop[1] < len(samples)
        played = np.concatenate([samples[: loop[1] + 1], samples[loop[0] :]])
        bends = np.abs(np.diff(played, 2))
        assert bends[loop[1] - 1 : loop[1] + 1].max() <= 1.05 * bends[: loop[1] - 10].max()


def test_each_class_has_a_key_and_its_takes_come_in_turn(pack):
    regions = regions_of(pack.read("pack.sfz").decode())
    presets = samples_of(pack.read("pack.dspreset"))
    expected = [("kick", 36, 3), ("organ", 37, 2), ("rain", 38, 1)]
    expected = [(f"{c}/{c}_0{k}.wav", key, k, n) for c, key, n in expected for k in range(1, n + 1)]
    for region, preset, (path, key, position, n) in zip(regions, presets, expected, strict=True):
        assert region["sample"] == preset["path"] == path
        assert {region[name] for name in ("lokey", "hikey", "pitch_keycenter")} == {str(key)}
        assert {preset[name] for name in ("loNote", "hiNote", "rootNote")} == {str(key)}
        assert (region["seq_position"], region["seq_length"]) == (str(position), str(n))
        assert (preset["seqPosition"], preset["seqLength"]) == (str(position), str(n))
        assert preset["seqMode"] == "round_robin"


def test_more_takes_than_can_come_in_turn_come_at_random(tmp_path):
    pack = open_pack(tmp_path, {"tick": [drum(400)[:800]] * 101})
    names = wav_names(pack)
    assert names == sorted(names) and names[0] == "tick/tick_001.wav"
    regions = regions_of(pack.read("pack.sfz").decode())
    ends = [0.0] + [float(one["hirand"]) for one in regions]
    assert [float(one["lorand"]) for one in regions] == ends[:-1] and ends[-1] == 1
    assert "seq_length" not in regions[0]


def test_odd_names_of_classes_become_files_that_every_system_takes(tmp_path):
    pack = open_pack(tmp_path, {name: [drum(200)[:2_000]] for name in ODD_NAMES})
    names = pack.namelist()
    assert len({name.casefold() for name in names}) == len(names) == 3 + len(ODD_NAMES)
    assert {one["sample"] for one in regions_of(pack.read("pack.sfz").decode())} == set(
        wav_names(pack)
    )
    assert {one["path"] for one in samples_of(pack.read("pack.dspreset"))} == set(wav_names(pack))
    folders = {name.split("/")[0].casefold() for name in wav_names(pack)}
    assert not folders & {"readme.txt", "pack.sfz", "pack.dspreset", "con", ".."}
    assert all(len(name.encode()) < 140 for name in names)
    pack.extractall(tmp_path / "extracted")
    assert all((tmp_path / "extracted" / name).is_file() for name in names)
    assert pack.read("README.txt").decode().count(" 1 take in ") == len(ODD_NAMES)


def test_a_thousand_classes_make_several_instruments(tmp_path):
    pack = open_pack(tmp_path, ((f"class {n:03d}", drum(200)[:400]) for n in range(1000)))
    names = [name for name in pack.namelist() if name.endswith(".sfz")]
    assert names == [f"pack {number:02d} of 11.sfz" for number in range(1, 12)]
    played = [regions_of(pack.read(name).decode()) for name in names]
    assert [len(regions) for regions in played] == [92] * 10 + [80]
    for name, regions in zip(names, played, strict=True):
        keys = [int(one["lokey"]) for one in regions]
        assert sorted(keys) == list(range(36, 36 + len(keys)))
        preset = samples_of(pack.read(name.replace(".sfz", ".dspreset")))
        assert [one["path"] for one in preset] == [one["sample"] for one in regions]
    assert [one["sample"] for regions in played for one in regions] == wav_names(pack)


def test_the_page_says_what_this_is_and_which_key_plays_what(pack):
    text = pack.read("README.txt").decode()
    assert text.startswith("pack: 6 sounds of 3 classes\nmade by <me>\nCC0\n")
    assert "16000 Hz, 24 bits, mono, levels as they were made; 3 with a loop" in text
    assert "open pack.sfz" in text and "open pack.dspreset" in text
    assert " 36 C1   kick: 3 takes in kick/\n 37 C#1  organ: 2 takes in organ/\n" in text


def test_the_same_sounds_give_the_same_bytes_however_they_come(tmp_path):
    pairs = [(name, waveform) for name, takes in TAKES.items() for waveform in takes]
    first = write_sample_pack(tmp_path / "a" / "pack.zip", TAKES, RATE).read_bytes()
    second = write_sample_pack(tmp_path / "b" / "pack.zip", iter(pairs), RATE).read_bytes()
    assert first == second
    turned = pairs[0], pairs[3], pairs[1], pairs[5], pairs[2], pairs[4]
    mixed = open_pack(tmp_path, turned)
    assert mixed.read("kick/kick_03.wav") == zipfile.ZipFile(io.BytesIO(first)).read(
        "kick/kick_03.wav"
    )


def most_memory(path, n: int) -> int:
    """The most bytes in use while a pack of so many sounds of a second is written."""
    tracemalloc.start()
    rng = np.random.default_rng(0)
    write_sample_pack(path, ((f"{k % 8}", rng.normal(0, 0.1, RATE)) for k in range(n)), RATE)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_any_number_of_sounds_fits_into_memory(tmp_path):
    most_memory(tmp_path / "pack.zip", 2)  # what is loaded once
    few, many = (most_memory(tmp_path / "pack.zip", n) for n in (4, 64))
    assert many < few + 4 * 3 * RATE, "60 sounds more need less than 4 files"


def test_a_pack_that_fails_leaves_the_old_one_and_no_half(tmp_path):
    path = write_sample_pack(tmp_path / "pack.zip", TAKES, RATE)
    before = path.read_bytes()

    def broken():
        yield "kick", drum(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample_pack(path, broken(), RATE)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize(
    "waveform", [np.zeros(800), np.full(800, np.nan), np.ones(1), drum(9)[:400]]
)
def test_silence_and_odd_waveforms_are_written(tmp_path, waveform):
    samples, _ = sound_in(open_pack(tmp_path, {"odd": [waveform]}), "odd/odd_01.wav")
    assert 0 < len(samples) <= len(waveform) and np.isfinite(samples).all()


@pytest.mark.parametrize(
    ("takes", "settings", "words"),
    [
        ({}, {}, "at least one sound, got none"),
        ({"dog": []}, {}, "at least one sound, got none"),
        ({"dog": [drum(60), np.zeros(0)]}, {}, r"sound 2 of the pack, of class 'dog', .*\(0,\)"),
        ({"dog": [np.zeros((2, 9))]}, {}, r"must be a waveform .*\(2, 9\)"),
        (TAKES, {"bits": 32}, "bits must be 16 or 24, got 32"),
        (TAKES, {"level": "loud"}, "level must be 'as is' or 'even', got 'loud'"),
        (TAKES, {"target_rate": 44}, "target_rate must be 4000 to 192000 hertz, got 44"),
    ],
)
def test_what_makes_no_pack_is_said(tmp_path, takes, settings, words):
    with pytest.raises(ConfigError, match=words):
        write_sample_pack(tmp_path / "pack.zip", takes, RATE, **settings)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def sampler():
    """A function: sfizz, a public player of SFZ, with an instrument of a pack.

    It is told to load whole files: what it loads while it plays can come too late in a test, which
    plays faster than time.
    """
    pysfizz = pytest.importorskip("pysfizz", reason="sfizz is missing: pip install pysfizz")

    def load(pack: zipfile.ZipFile, folder):
        pack.extractall(folder)
        synth = pysfizz.Synth(sample_rate=RATE, block_size=256)
        whole = f"<control> hint_ram_based=1\n{pack.read('pack.sfz').decode()}"
        (folder / "whole.sfz").write_text(whole, encoding="utf-8")
        assert synth.load_sfz_file(folder / "whole.sfz", quiet=False)
        return synth

    return load


def gain_and_likeness(heard: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """How loud a waveform plays samples, and how alike both are (1: the same but for that)."""
    products = np.correlate(heard, samples, "valid")
    best = int(products.argmax())
    part = heard[best : best + len(samples)]
    energies = np.square(part).sum(), np.square(samples).sum()
    return float(products[best] / energies[1]), float(products[best] / np.sqrt(np.prod(energies)))


def test_a_public_player_plays_each_take_in_turn_as_it_is(pack, sampler, tmp_path):
    synth = sampler(pack, tmp_path)
    assert synth.playable_keys == [36, 37, 38]
    gains = []
    for name, key in [
        *((f"kick/kick_0{n}.wav", 36) for n in (1, 2, 3, 1)),
        ("organ/organ_01.wav", 37),
    ]:
        heard = synth.render_note(key, 127, 0.1 if key == 36 else 2.0, 2.0)
        samples, _ = sound_in(pack, name)
        loop = loop_of(pack.read(name))
        gain, likeness = gain_and_likeness(heard[0], samples[: loop[1] if loop else None])
        assert likeness > 0.999, "another take, another pitch, or cut off where the key went up"
        gains.append(gain)
    assert min(gains) > 0.1 and max(gains) / min(gains) < 1.01


def test_a_public_player_repeats_a_loop_without_a_click_while_the_key_is_held(
    pack, sampler, tmp_path
):
    heard = sampler(pack, tmp_path).render_note(37, 127, 5.0, 6.0)[0]
    held = heard[RATE : 4 * RATE]
    levels = np.sqrt(np.square(held.reshape(-1, RATE // 20)).mean(axis=1))
    assert levels.min() > 0.95 * levels.max() > 0.01
    spectrum = np.abs(np.fft.rfft(held * np.hanning(len(held))))
    assert spectrum.argmax() / 3 == pytest.approx(220.5, abs=0.5)
    assert (
        np.abs(np.diff(held, 2)).max() < 1.2 * np.abs(held).max() * (2 * np.pi * 220.5 / RATE) ** 2
    )
    assert np.abs(heard[-RATE // 4 :]).max() < 1e-3, "it ends when the key is let go"


def test_a_public_player_finds_the_files_of_odd_names(sampler, tmp_path):
    pack = open_pack(tmp_path, {name: [drum(200)[:4_000]] for name in ODD_NAMES})
    synth = sampler(pack, tmp_path / "extracted")
    assert len(synth.playable_keys) == len(ODD_NAMES)
    for key in synth.playable_keys:
        assert np.abs(synth.render_note(key, 127, 0.1, 0.3)).max() > 0.1
