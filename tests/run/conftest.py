"""Shared by the tests of this wing: a machine that looks like Colab."""

import pytest
from colab_stand_in import install

from helpers.run import folder


@pytest.fixture
def colab(monkeypatch, tmp_path, request):
    """A machine that looks like Colab, its project in tmp_path/project; the mounts asked for.

    In a test with `refused` in its name, the user does not allow access to Drive.
    """
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "project")
    refused = "refused" in request.node.name
    return install(tmp_path, refused, patch=monkeypatch.setattr, put=monkeypatch.setitem)
