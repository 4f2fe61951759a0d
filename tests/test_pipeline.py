"""The command line around the notebooks."""

import pytest

from helpers.pipeline import run_name


@pytest.mark.parametrize(
    ("data", "preset", "recipe", "expected"),
    [
        ("kit", "cpu", "modern", "demo"),
        ("kit", "cpu", "baseline", "demo-baseline"),
        ("/data/fsdd.zip", "cpu", "modern", "fsdd"),
        ("my sounds.tar.gz", "short", "modern", "my sounds-short"),
        ("/data/Sounds.ZIP", "long", "baseline", "Sounds-long-baseline"),
        ("/data/v1.2 kit/", "cpu", "modern", "v1.2 kit"),
    ],
)
def test_run_is_named_for_what_made_it(data, preset, recipe, expected):
    assert run_name(data, preset, recipe) == expected
