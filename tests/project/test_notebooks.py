"""Notebooks: told as a story, small, parameterised, stored clean (nbval runs them; this checks how
they are written).
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from xgrl.runs import params

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def book(request):
    nb = nbformat.read(request.param, as_version=4)
    nbformat.validate(nb)
    return nb


def code(book):
    return [c for c in book.cells if c.cell_type == "code"]


def heading_anchor(line: str) -> str:
    """What JupyterLab and nbconvert make of a heading."""
    return line.lstrip("# ").strip().replace(" ", "-")


def test_there_is_a_first_page_and_one_notebook_a_phase():
    assert [p.stem for p in NOTEBOOKS] == ["00_start_here", *sorted(params.JOBS)]


def test_size(book, request):
    assert 15 <= len(book.cells) <= 30
    assert len(nbformat.writes(book).encode()) < 100_000
    for cell in code(book):
        tagged = "parameters" in cell.metadata.get("tags", [])
        assert tagged or len(cell.source.splitlines()) <= 17, cell.source


def test_story(book):
    first = book.cells[0]
    assert (
        first.cell_type == "markdown"
        and first.source.startswith("# ")
        and "**Question.**" in first.source
    )
    assert "| reads | writes |" in first.source
    assert sum(c.source.startswith("## ") for c in book.cells) >= 4


def test_one_parameters_cell_near_the_top(book):
    tagged = [i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1 and tagged[0] <= 3


def test_no_cell_gives_a_parameter_another_value(book):
    """Else a cell that is run again by hand finds another one than was asked for."""
    stored = {}
    for cell in code(book):
        names = (n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name))
        given = "parameters" in cell.metadata.get("tags", [])
        stored.setdefault(given, set()).update(n.id for n in names if isinstance(n.ctx, ast.Store))
    assert stored[True] and not stored[True] & stored[False]


def test_every_parameter_says_what_it_may_be(book):
    (cell,) = [c for c in code(book) if "parameters" in c.metadata.get("tags", [])]
    lines = [line for line in cell.source.splitlines() if line]
    assert all(re.fullmatch(r"[a-z_]+ = [^#]+ # .{5,}", line) for line in lines), cell.source
    # what a window of 1,400 pixels shows
    assert max(map(len, lines)) <= 95, cell.source


def test_stored_outputs_are_the_checked_ones_only(book):
    """Checked outputs are plain text; nothing else is stored, no count, no time, no traceback of
    anybody's machine.
    """
    for cell in code(book):
        checked = "NBVAL_CHECK_OUTPUT" in cell.source
        assert bool(cell.outputs) == checked, cell.source
        # nbval wants a checked cell to count as run
        assert cell.execution_count == (1 if checked else None)
        assert all(
            output.output_type == "stream" and output.name == "stdout" for output in cell.outputs
        ), cell.source
    facts = [output.text for c in code(book) for output in c.outputs]
    assert sum(text.count("\n") for text in facts) >= 5
    assert not re.search(r"/(home|work|tmp)/|\d\.\d{4}", "".join(facts))


def test_metadata_is_minimal(book):
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert set(book.metadata.language_info) == {"name"}
    assert set(book.metadata.kernelspec) == {"display_name", "language", "name"}
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)
    for cell in book.cells:
        assert set(cell.metadata) <= {"tags"}, cell.metadata
        assert not cell.get("attachments")


def test_links_lead_somewhere(book):
    """The contents name every section, in order; links to other notebooks and files are to files
    that exist.
    """
    text = [c.source for c in book.cells if c.cell_type == "markdown"]
    sections = [line for source in text for line in source.splitlines() if line.startswith("## ")]
    anchors = [heading_anchor(line) for line in sections]
    (contents,) = [source for source in text if source.startswith("**Contents:**")]
    assert re.findall(r"\(#([^)]+)\)", contents) == [a for a in anchors if a != "Parameters"]
    assert len(set(anchors)) == len(anchors)
    linked = {link for source in text for link in re.findall(r"\]\((?!#|http)([^)]+)\)", source)}
    for link in linked:
        assert (ROOT / "notebooks" / link).exists(), link


def test_phases_are_linked_and_the_next_step_is_named(book):
    text = "\n".join(c.source for c in book.cells if c.cell_type == "markdown")
    (phases,) = [line for line in text.splitlines() if line.startswith("**Phases:**")]
    assert len(set(re.findall(r"\]\((0\d_\w+\.ipynb)\)", phases))) == len(NOTEBOOKS) - 1
    assert re.search(r"^## .*(to change|to go) next$", text, re.M)


def test_no_class_and_no_long_function(book):
    for cell in code(book):
        for node in ast.walk(ast.parse(cell.source.replace("%matplotlib", "#"))):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, node.name
