"""The wings of helpers/ import one way, and each outside package stays where it belongs."""

import ast
import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.files import PROJECT

GROUND = "ground floor"
ARROWS = {  # a wing and the wings that it may import; each may import the ground floor and itself
    GROUND: set(),
    "sound": set(),
    "data": {"sound"},
    "gan": {"sound"},
    "judge": {"sound", "data", "gan"},
    "train": {"sound", "data", "gan", "judge"},
    "show": {"sound", "data", "gan", "judge"},
    "run": {"sound", "data", "gan", "judge", "train", "show"},
}
ONLY_IN = {  # a package, and the modules or wings that may import it
    "google.colab": ("run.colab",),
    "ipywidgets": ("show.panels",),
    "anywidget": ("show.pads", "show.steer"),
    "traitlets": ("show.pads", "show.steer"),
    "papermill": ("run.headless",),
    "gradio": ("run.gradio_page",),
    "distributed": ("run.sweep",),
    "torch.distributed": ("gan.processes",),
    "IPython": ("progress", "show", "run"),
}
INSIDE_FUNCTIONS = (
    "google.colab",
    "distributed",
    "gradio",
)  # packages that only some machines have


@dataclass(frozen=True)
class Import:
    """The dotted name of what is imported, and whether a function does it when it is called."""

    name: str
    in_function: bool = False


def imports_of(source: str, package: str) -> Iterator[Import]:
    """All imports in a text of Python whose relative imports start at a package."""

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            yield from (Import(f"{module}.{alias.name}", in_function) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    return walk(ast.parse(source), False)


def imports_of_folder(folder: Path) -> dict[str, list[Import]]:
    """Each module below a folder by its dotted name, and what it imports."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        package = ".".join(parts[:-1])
        name = package if parts[-1] == "__init__" else ".".join(parts)
        found[name] = list(imports_of(path.read_text(encoding="utf-8"), package))
    return found


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def wing_of(module: str, modules: Mapping) -> str:
    """The wing of a module of helpers; a module beside the wings is of the ground floor."""
    first = ".".join(module.split(".")[:2])
    is_wing = first != "helpers" and any(name.startswith(f"{first}.") for name in modules)
    return first.removeprefix("helpers.") if is_wing else GROUND


def violations(imports: Mapping[str, list[Import]]) -> list[str]:
    """One sentence, with the names, for each break of a rule above by the modules in `imports`."""
    found, graph = [], {}  # graph: each module and those modules of helpers that it imports
    for module, imported in imports.items():
        place, wing = module.removeprefix("helpers."), wing_of(module, imports)
        if wing not in ARROWS:
            found.append(f"{place} lies in no known wing: {wing}")
        holders = [[o for o in imports if is_below(one.name, o)] for one in imported]
        graph[module] = {max(names, key=len) for names in holders if names} - {module}
        for other in sorted(graph[module]):
            above = wing_of(other, imports)
            if above not in {wing, GROUND, *ARROWS.get(wing, ())}:
                found.append(f"{place} must not import {other.removeprefix('helpers.')}")
        for one in imported:
            for package in ONLY_IN:
                if not is_below(one.name, package):
                    continue
                if not any(is_below(place, allowed) for allowed in ONLY_IN[package]):
                    found.append(f"{place} must not import {package}")
                elif package in INSIDE_FUNCTIONS and not one.in_function:
                    found.append(f"{place} must import {package} inside a function")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"a circle of imports: {' <- '.join(error.args[1])}")
    return found


def test_the_wings_import_one_way():
    assert violations(imports_of_folder(PROJECT / "helpers")) == []


def test_every_wing_is_there_and_is_checked():
    modules = imports_of_folder(PROJECT / "helpers")
    assert {wing_of(module, modules) for module in modules} == set(ARROWS)
    assert len(modules) > 40 and sum(map(len, modules.values())) > 200


WINGS = {"helpers.config": [], "helpers.sound.mel": [], "helpers.data.clips": []}
WINGS |= {"helpers.gan.players": [], "helpers.judge.advice": [], "helpers.train.loop": []}
WINGS |= {"helpers.show.plots": [], "helpers.show.panels": [], "helpers.show.page": []}
WINGS |= {"helpers.run.colab": []}


@pytest.mark.parametrize(
    ("module", "imported", "words"),
    [
        ("config", "helpers.sound.mel", "config must not import sound.mel"),
        ("sound.mel", "helpers.data.clips", "sound.mel must not import data.clips"),
        ("data.clips", "helpers.gan.players", "data.clips must not import gan.players"),
        ("gan.players", "helpers.data.clips", "gan.players must not import data.clips"),
        ("judge.advice", "helpers.train.loop", "judge.advice must not import train.loop"),
        ("train.loop", "helpers.show.plots", "train.loop must not import show.plots"),
        ("show.plots", "helpers.train.loop", "show.plots must not import train.loop"),
        ("show.plots", "helpers.run.colab", "show.plots must not import run.colab"),
        ("sound.mel", "google.colab.drive", "sound.mel must not import google.colab"),
        ("show.plots", "ipywidgets", "show.plots must not import ipywidgets"),
        ("show.page", "anywidget", "show.page must not import anywidget"),
        ("run.colab", "papermill", "run.colab must not import papermill"),
        ("run.colab", "distributed.Client", "run.colab must not import distributed"),
        ("train.loop", "torch.distributed", "train.loop must not import torch.distributed"),
        ("train.loop", "IPython.display", "train.loop must not import IPython"),
        ("run.colab", "google.colab", "run.colab must import google.colab inside a function"),
    ],
)
def test_an_import_that_breaks_a_rule_is_named(module, imported, words):
    assert violations(WINGS) == []
    assert violations(WINGS | {f"helpers.{module}": [Import(imported)]}) == [words]


def test_imports_that_keep_the_rules_are_allowed():
    allowed = {
        "helpers.run.colab": [Import("google.colab.drive", in_function=True), Import("IPython")],
        "helpers.show.panels": [Import("ipywidgets"), Import("helpers.judge.advice.advise")],
        "helpers.data.clips": [Import("helpers.sound.mel"), Import("torch.distribution")],
    }
    assert violations(WINGS | allowed) == []


def test_a_circle_is_named_also_inside_functions_and_between_a_wing_and_its_module():
    circle = {
        "helpers.sound.mel": [Import("helpers.sound.phase.spin", in_function=True)],
        "helpers.sound.phase": [Import("helpers.sound.mel.filterbank")],
    }
    (told,) = violations(WINGS | circle)
    assert told.startswith("a circle of imports") and "sound.phase <- helpers.sound.mel" in told
    package = {"helpers.sound": [Import("helpers.sound.mel")]}
    package |= {"helpers.sound.mel": [Import("helpers.sound.RATE")]}
    (told,) = violations(WINGS | package)
    assert told.startswith("a circle of imports")


def test_a_wing_that_is_not_in_the_table_is_named():
    (told,) = violations(WINGS | {"helpers.cloud.upload": []})
    assert told == "cloud.upload lies in no known wing: cloud"


def test_imports_are_found_wherever_they_stand():
    source = """
import torch.distributed as dist
from helpers.sound import mel
from . import phase
from ..config import AudioConfig
def work():
    if True:
        from google.colab import drive
class Late:
    import papermill
"""
    assert list(imports_of(source, "helpers.sound")) == [
        Import("torch.distributed"),
        Import("helpers.sound.mel"),
        Import("helpers.sound.phase"),
        Import("helpers.config.AudioConfig"),
        Import("google.colab.drive", in_function=True),
        Import("papermill"),
    ]
