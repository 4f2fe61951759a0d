"""Names that every system takes, each once; keys that no two classes share."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.show.pack_names import (
    FIRST_KEY,
    FORBIDDEN,
    LAST_KEY,
    MOST_KEYS,
    MOST_NAME_BYTES,
    RESERVED,
    key_name,
    keys_of,
    safe_name,
    safe_names,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dog", "dog"),
        ("Straßenbahn 狗 🐕", "Straßenbahn 狗 🐕"),
        ("rain / hail", "rain _ hail"),
        ('a\\b:c*d?e"f<g>h|i', "a_b_c_d_e_f_g_h_i"),
        ("key=3 #define $x", "key_3 _define _x"),
        ("con", "con_"),
        ("Aux.wav", "Aux_.wav"),
        ("COM1", "COM1_"),
        ("lpt³", "lpt³_"),
        ("console", "console"),
        ("dots... ", "dots"),
        ("..", "_"),
        ("", "_"),
        (".hidden", "hidden"),
        ("new\nline\ttab\0", "new_line_tab_"),
        ("bro\udcffken", "bro_ken"),
        ("right\u202eleft", "right_left"),
        ("e\u0301", "\u00e9"),
        ("ü" * 200, "ü" * 30),
    ],
)
def test_what_a_system_refuses_is_replaced(text, name):
    assert safe_name(text) == name


def test_names_that_some_system_takes_for_one_are_numbered():
    names = safe_names(["dog", "Dog", "DOG", "a/b", "a:b", "readme.txt"], taken=["README.txt"])
    assert names == ["dog", "Dog-2", "DOG-3", "a_b", "a_b-2", "readme.txt-2"]
    long = safe_names(["x" * 200 + str(number) for number in range(12)])
    assert len(set(long)) == 12 and max(map(len, long)) == MOST_NAME_BYTES


@given(st.lists(st.text(st.characters(), max_size=40), max_size=30))
def test_any_texts_become_names_that_are_safe_and_differ(texts):
    names = safe_names(texts)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(texts)
    for name in names:
        assert 0 < len(name.encode("utf-8")) <= MOST_NAME_BYTES + 1
        assert not set(name) & set(FORBIDDEN) and name == name.strip(". ")
        assert not any(unicodedata.category(c)[0] == "C" for c in name)
        assert name.split(".")[0].strip().casefold() not in RESERVED


def test_drums_have_their_own_keys_and_others_the_next_free_ones():
    names = ["Kick", "snare_drum", "hand-clap", "Hi-Hat_Closed", "open hat", "crash", "ride", "Tom"]
    assert keys_of(names) == [36, 38, 39, 42, 46, 49, 51, 45]
    assert keys_of(["dog", "cowbell", "kick", "bass drum", "kick the can"]) == [37, 56, 36, 38, 39]


def test_keys_run_up_to_the_last_one_and_no_two_are_the_same():
    names = [*map(str, range(MOST_KEYS - 2)), "cowbell", "snare"]
    assert sorted(keys_of(names)) == list(range(FIRST_KEY, LAST_KEY + 1))
    assert (key_name(FIRST_KEY), key_name(60), key_name(LAST_KEY)) == ("C1", "C3", "G8")
