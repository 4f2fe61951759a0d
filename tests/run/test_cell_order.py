"""Cells run out of order, in a real kernel: the error stays, and a sentence says what to do."""

import ast
import builtins

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from helpers.files import PROJECT
from helpers.run.cell_order import HOW, missing_name_sentence
from helpers.run.settings import NOTEBOOKS

FOLDER = PROJECT / "notebooks"


def code_of(name: str) -> list[str]:
    cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def in_a_kernel(*sources: str) -> nbformat.NotebookNode:
    """A notebook of these cells, each executed whatever became of those before it."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "3"}},
    )
    where = {"metadata": {"path": str(FOLDER)}}
    return NotebookClient(notebook, allow_errors=True, timeout=180, resources=where).execute()


def told(cell) -> tuple[list[str], str]:
    """The names of the errors of an executed cell, and what it printed."""
    errors = [output.ename for output in cell.outputs if output.output_type == "error"]
    return errors, "".join(output.get("text", "") for output in cell.outputs)


def test_a_cell_that_misses_a_name_says_which_section_makes_it(tmp_path):
    set_up, _, settings, *others = code_of("01_data")
    audit = next(source for source in others if "prepare_clips(" in source)
    values = "\n".join(
        f"run_dir = {str(tmp_path / 'run')!r}" if line.startswith("run_dir") else line
        for line in code_of("01_data")[1].splitlines()
    )
    cells = in_a_kernel(
        set_up,
        values,
        settings,
        settings,  # again: the sentence is still said once
        audit,
        "def mine():\n    return misspelt\n\nmine()",
        "from helpers.labels import *\nimport json\njson.loads('{')",
        "raise NameError('made by hand')",
        "fine = 1",
    ).cells
    assert [told(cell)[0] for cell in cells[:4]] == [[], [], [], []]
    sentence = (
        "No cell has made `DataConfig` yet: the section “Choose the geometry” of 01_data does."
    )
    errors, text = told(cells[4])
    assert errors == ["NameError"]
    assert text.count(f"{sentence} {HOW}\n") == 1
    errors, text = told(cells[5])
    assert errors == ["NameError"]
    assert text.count("No cell of these notebooks makes `misspelt`") == 1
    assert told(cells[6]) == (["JSONDecodeError"], "")
    assert told(cells[7]) == (["NameError"], "")
    assert told(cells[8]) == ([], "")


def test_papermill_stops_with_the_error_and_keeps_the_sentence(tmp_path):
    notebook = nbformat.read(FOLDER / "04_listen.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "open_run(" in cell.source)
    lines = cell.source.splitlines()
    cell.source = "\n".join(line for line in lines if not line.startswith("run = "))
    copy, target = tmp_path / "04.ipynb", tmp_path / "done.ipynb"
    nbformat.write(notebook, copy)
    with pytest.raises(papermill.PapermillExecutionError) as error:
        papermill.execute_notebook(copy, target, cwd=FOLDER, progress_bar=False)
    assert (error.value.ename, error.value.evalue) == ("NameError", "name 'run' is not defined")
    printed = "".join(told(cell)[1] for cell in nbformat.read(target, 4).cells if "outputs" in cell)
    assert f"the section “Settings” of 04_listen does. {HOW}" in printed


def names_missed(source: str) -> set[str]:
    """The names that a cell uses and that it misses when it runs first."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            own |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return {name.id for name in names} - own - set(dir(builtins))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_name_that_a_cell_misses_is_found_in_its_own_notebook(notebook):
    sources = code_of(notebook)
    missed = set().union(*map(names_missed, sources)) - {"__file__"}
    assert len(missed) > 10
    for name in missed:
        assert f" of {notebook} does. " in missing_name_sentence(name, sources), name
