"""Notebooks: told as a story, small, parameterised, stored clean (nbval runs them; this checks how they are written)."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def book(request):
    nb = nbformat.read(request.param, as_version=4)
    nbformat.validate(nb)
    return nb


def code(book):
    return [c for c in book.cells if c.cell_type == "code"]


def test_there_is_one_notebook_a_phase():
    assert [p.stem for p in NOTEBOOKS] == ["01_prepare", "02_intermediate", "03_target", "04_probe", "05_analysis"]


def test_size(book, request):
    assert 15 <= len(book.cells) <= 48
    assert len(nbformat.writes(book).encode()) < 100_000
    for cell in code(book):
        tagged = "parameters" in cell.metadata.get("tags", [])
        assert tagged or len(cell.source.splitlines()) <= 16, cell.source


def test_story(book):
    first = book.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ") and "**Question.**" in first.source
    assert "| reads | writes |" in first.source
    assert sum(c.source.startswith("## ") for c in book.cells) >= 4


def test_one_parameters_cell_near_the_top(book):
    tagged = [i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1 and tagged[0] <= 3


def test_stored_outputs_are_the_checked_ones_only(book):
    for cell in code(book):
        checked = "NBVAL_CHECK_OUTPUT" in cell.source
        assert bool(cell.outputs) == checked, cell.source
    assert any("NBVAL_CHECK_OUTPUT" in c.source for c in code(book))


def test_no_class_and_no_long_function(book):
    for cell in code(book):
        for node in ast.walk(ast.parse(cell.source.replace("%matplotlib", "#"))):
            assert not isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, node.name
