"""Cells run out of order: the error of a missing name, and then which section makes it."""

import json
import symtable
from collections.abc import Collection, Iterator

from IPython import get_ipython

from helpers.files import PROJECT

HOW = (
    "Run the cells above first "
    "(Colab: Runtime > Run before; JupyterLab: Run > Run All Above Selected Cell)."
)


def explain_missing_names() -> None:
    """From now on, follow each NameError of a cell by a sentence; without a kernel, do nothing."""
    shell = get_ipython()
    if shell is None:
        return
    registered = shell.events.callbacks["post_run_cell"]
    if say_where_it_is_made.__name__ not in [function.__name__ for function in registered]:
        shell.events.register("post_run_cell", say_where_it_is_made)


def say_where_it_is_made(result) -> None:
    """Print the sentence if a cell, or a function made in one, used a name that is not there.

    Gets IPython's ExecutionResult. A NameError inside a module has another cause: nothing is said.
    """
    error, shell = result.error_in_exec, get_ipython()
    if type(error) is not NameError or error.name is None:
        return
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    if trace.tb_frame.f_globals is shell.user_global_ns:
        print(missing_name_sentence(error.name, shell.user_ns["In"]))


def missing_name_sentence(name: str, executed: Collection[str]) -> str:
    """Which section makes a name, and what to do; executed are the sources of the cells so far.

    The notebook is the one that has most of these cells; others are looked at after it.
    """
    notebooks = {
        path.stem: list(_code_cells(json.loads(path.read_text(encoding="utf-8"))))
        for path in sorted((PROJECT / "notebooks").glob("[!.]*.ipynb"))
    }
    executed = set(executed)
    likely_first = sorted(
        notebooks,
        key=lambda notebook: -sum(source in executed for _, source in notebooks[notebook]),
    )
    for notebook in likely_first:
        for section, source in notebooks[notebook]:
            if name in _names_made(source):
                return f"No cell has made `{name}` yet: {section} of {notebook} does. {HOW}"
    return (
        f"No cell of these notebooks makes `{name}`: look at how it is spelt. "
        f"If a cell of yours makes it: {HOW}"
    )


def _code_cells(notebook: dict) -> Iterator[tuple[str, str]]:
    """The section and the source of each code cell of a notebook, read as JSON."""
    section = "the first cell"
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            yield section, source
        else:
            titles = [line[3:] for line in source.splitlines() if line.startswith("## ")]
            section = f"the section “{titles[-1]}”" if titles else section


def _names_made(source: str) -> set[str]:
    """The names that a cell assigns, imports or defines."""
    try:
        symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    except SyntaxError:  # a line of the shell, or a cell that somebody is writing
        return set()
    return {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}
