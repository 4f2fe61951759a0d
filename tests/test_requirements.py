"""The packages that the project requires: on Colab, and locked with hashes for make.

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
from helpers.run.settings import NOTEBOOKS

FOR_TESTS_AND_HEADLESS_RUNS = {"papermill", "nbval", "nbstripout", "hypothesis", "torchmetrics"}
SAME_AS_ON_COLAB = (
    "torch",
    "torchaudio",
    "numpy",
    "matplotlib",
    "soundfile",
    "pooch",
    "ipywidgets",
    "ipython",
    "ipykernel",
)
IMPORTED_AS = {"IPython": "ipython"}


def pinned(path) -> dict[str, str]:
    """Package and version of each line name==version."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


REQUIREMENTS = [
    Requirement(line)
    for line in (PROJECT / "requirements.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
COLAB = pinned(PROJECT / "tests" / "colab_packages.txt")
LOCKED = pinned(PROJECT / "constraints.txt")


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_is_satisfied_on_colab_or_not_needed_there(requirement):
    name = canonicalize_name(requirement.name)
    if name in FOR_TESTS_AND_HEADLESS_RUNS:
        assert name not in COLAB
    else:
        assert requirement.specifier.contains(COLAB[name]), f"Colab has {COLAB[name]}"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_is_locked_in_its_range(requirement):
    assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)])


def test_the_lock_has_colabs_versions_of_what_decides_the_sounds_and_pages():
    assert {name: LOCKED[name] for name in SAME_AS_ON_COLAB} == {
        name: COLAB[name] for name in SAME_AS_ON_COLAB
    }


def test_every_locked_package_has_its_hashes():
    entries = (PROJECT / "constraints.txt").read_text().replace("\\\n", " ").splitlines()
    entries = [entry for entry in entries if entry and not entry.startswith("#")]
    assert len(entries) > 100
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


@pytest.mark.parametrize("name", NOTEBOOKS)
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
        - {"helpers", "google"}
    )
    assert {"torch", "numpy"} <= packages
    wanted = {IMPORTED_AS.get(name, name) for name in packages}
    assert wanted - set(COLAB) == set(), "not on Colab"
    assert (
        wanted - {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} == set()
    ), "not asked for"
