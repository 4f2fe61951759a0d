"""The packages that the project requires: on Colab, and locked with hashes for a local machine.

There are two locks. A local machine has the newest kernel, widgets and JupyterLab; the tests also
run with Colab's kernel and widgets, which are laid over it.

The notebooks need no others.
"""

import ast
import re
import sys

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.files import PROJECT
from helpers.run.settings import FORMS

FOR_TESTS_AND_HEADLESS_RUNS = {"papermill", "nbval", "nbstripout", "hypothesis", "torchmetrics"}
SAME_AS_ON_COLAB = ("torch", "torchaudio", "numpy", "matplotlib", "soundfile", "pooch")
FRONT_END = {"notebook", "widgetsnbextension"}  # Colab has a page of its own
IMPORTED_AS = {"IPython": "ipython", "traitlets": "ipywidgets"}  # whose values are traitlets


def pinned(path) -> dict[str, str]:
    """Package and version of each line name==version."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def required(name: str) -> list[Requirement]:
    """The requirements in a file, without those of another file that it names."""
    lines = (PROJECT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]


REQUIREMENTS = required("requirements.txt")
LOCAL = required("requirements-local.txt")
COLAB = pinned(PROJECT / "tests" / "colab_packages.txt")
LOCKED = pinned(PROJECT / "constraints.txt")
COLAB_STACK = pinned(PROJECT / "requirements-colab.txt")
LOCKED_FOR_COLAB = pinned(PROJECT / "constraints-colab.txt")


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_is_satisfied_on_colab_or_not_needed_there(requirement):
    name = canonicalize_name(requirement.name)
    if name in FOR_TESTS_AND_HEADLESS_RUNS:
        assert name not in COLAB
    else:
        assert requirement.specifier.contains(COLAB[name]), f"Colab has {COLAB[name]}"


@pytest.mark.parametrize("requirement", REQUIREMENTS + LOCAL, ids=str)
def test_each_requirement_is_locked_in_its_range(requirement):
    assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)])


def test_both_locks_have_colabs_versions_of_what_decides_the_sounds():
    wanted = {name: COLAB[name] for name in SAME_AS_ON_COLAB}
    assert {name: LOCKED[name] for name in SAME_AS_ON_COLAB} == wanted
    assert not wanted.keys() & LOCKED_FOR_COLAB.keys(), "these come from the environment below"


def test_the_second_lock_has_colabs_kernel_and_widgets():
    assert {"ipykernel", "ipython", "ipywidgets"} <= COLAB_STACK.keys()
    for name, version in COLAB_STACK.items():
        assert LOCKED_FOR_COLAB[name] == version
        if name not in FRONT_END:
            assert COLAB[name] == version


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-colab.txt"])
def test_every_locked_package_has_its_hashes(name):
    entries = (PROJECT / name).read_text().replace("\\\n", " ").splitlines()
    entries = [entry for entry in entries if entry and not entry.startswith("#")]
    assert len(entries) > 80
    assert [
        entry
        for entry in entries
        if not re.fullmatch(r"\S+==\S+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry)
    ] == []


def imports_of(source: str) -> set[str]:
    """Modules that a text of Python imports; of what it takes from a wing, modules of the wing."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            if node.module.startswith("helpers"):  # names that are no modules lead to no file
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_notebook_imports_nothing_that_colab_lacks(name):
    cells = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    waiting = set().union(*(imports_of(cell.source) for cell in cells if cell.cell_type == "code"))
    seen = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        place = PROJECT / module.replace(".", "/")
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if module.startswith("helpers") and path.exists():
                waiting |= imports_of(path.read_text()) - seen
    packages = (
        {module.split(".")[0] for module in seen}
        - set(sys.stdlib_module_names)
        - {"helpers", "google", "gradio"}  # gradio: only where a person asks to share
    )
    assert {"torch", "numpy"} <= packages
    wanted = {IMPORTED_AS.get(name, name) for name in packages}
    assert wanted - set(COLAB) == set(), "not on Colab"
    assert (
        wanted - {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} == set()
    ), "not asked for"
