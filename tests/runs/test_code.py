"""The hashes of a run's code change with what it computes, and with nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from xgrl.runs import code, records

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    {"cell_type": "markdown", "metadata": {}, "source": ["prose"]},
    {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["seed = 0"]},
    {"cell_type": "code", "metadata": {}, "source": ["from xgrl.training import fit\n", "fit()"]},
]
LIBRARY = {
    "__init__.py": "",
    "training/__init__.py": "",
    # in a function, relative, as a package's content
    "training/fit.py": "def fit():\n    from .steps import step\n    return step()\n",
    "training/steps.py": "from xgrl.stats import mean\nimport xgrl.models.heads\nstep = 1\n",
    "models/__init__.py": "from xgrl.models.split import join\n",
    "models/heads.py": "from xgrl.report.tables import table\nclass Head:\n    width = 8\n",
    "models/split.py": "def join():\n    return 1\n",
    "models/unused.py": "width = 8\n",
    "stats/__init__.py": "mean = 1\n",
    "report/tables.py": "from xgrl.models.unused import width\ntable = 1\n",
}


@pytest.fixture
def library(tmp_path):
    for name, text in LIBRARY.items():
        path = tmp_path / "xgrl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "xgrl"


def hash_after(library: Path, name: str, old: str, new: str) -> str:
    """The hash of a copy with a change, in another folder: where it lies does not count."""
    other = library.parent / "changed" / "xgrl"
    shutil.copytree(library, other)
    text = (other / name).read_text()
    assert old in text
    (other / name).write_text(text.replace(old, new, 1))
    return code.library_hash(CELLS, other)


@pytest.mark.parametrize(
    ("name", "old", "new", "differs"),
    [
        ("training/fit.py", "return step()", "return step() + 1", True),
        ("training/steps.py", "step = 1", "step = 2", True),
        ("models/heads.py", "width = 8", "width = 9", True),
        ("models/split.py", "return 1", "return 2", True),
        ("models/__init__.py", "import join", "import join as joined", True),
        ("models/unused.py", "width = 8", "width = 9", False),
        ("stats/__init__.py", "mean = 1", "mean = 2", False),
        ("report/tables.py", "table = 1", "table = 2", False),
        ("models/split.py", "return 1", "return 1  # as the encoder has it", False),
        ("models/split.py", "    return 1", '    """Two parts."""\n\n    return (\n 1)', False),
        ("models/heads.py", "    width", '    """A head."""\n    width', False),
        ("models/split.py", "def", '"""Of layers."""\ndef', False),
        ("models/split.py", "return 1", 'return """Of layers."""', True),
    ],
)
def test_the_library_s_hash_is_that_of_what_is_imported(library, name, old, new, differs):
    before = code.library_hash(CELLS, library)
    assert (hash_after(library, name, old, new) != before) == differs


def test_a_notebook_s_hash_is_that_of_its_code():
    before = code.cells_hash(CELLS)
    prose, given, changed = json.loads(json.dumps([CELLS, CELLS, CELLS]))
    prose[0]["source"] = ["other"]
    prose[2]["outputs"] = [{"output_type": "stream"}]
    given[1]["source"] = ["seed = 1"]
    changed[2]["source"][1] = "fit() + 1"
    assert code.cells_hash(prose) == code.cells_hash(given) == before
    assert code.cells_hash(changed) != before
    assert len(before) == 16 and int(before, 16)
    # nbformat joins the lines: Snakemake's value
    joined = [nbformat.from_dict(cell | {"source": "".join(cell["source"])}) for cell in CELLS]
    assert code.cells_hash(joined) == before


def test_cells_that_are_not_python_import_nothing():
    magic = [{"cell_type": "code", "metadata": {}, "source": "%matplotlib inline"}]
    assert code.library_hash([*magic, *CELLS]) == code.library_hash(CELLS)


@pytest.mark.parametrize("phase", ["prepare", "intermediate", "target", "probe", "analysis"])
def test_all_processes_and_folders_find_the_same_code(phase, tmp_path):
    here = code.code_of(phase)
    assert set(here) == {"notebook", "library"} and code.UNKNOWN not in here.values()
    call = f"from xgrl.runs.code import code_of; print(code_of({phase!r}))"
    command = [sys.executable, "-c", call]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(here), done.stderr


def test_lazily_imported_names_of_the_package_count():
    cell = {"cell_type": "code", "metadata": {}, "source": "import xgrl\nxgrl.nearest(a, b)"}
    whole = code.library_hash([cell])
    assert whole != code.library_hash([cell | {"source": "import xgrl"}])
    cell["source"] = "import xgrl\nimport xgrl.evaluation.retrieval"
    assert whole == code.library_hash([cell])


def test_the_notebook_that_is_executed_counts_where_it_is_of_this_phase(tmp_path, monkeypatch):
    monkeypatch.delenv(code.NOTEBOOK, raising=False)
    ours = code.code_of("probe")
    book = tmp_path / "04_probe.ipynb"
    book.write_text(json.dumps({"cells": CELLS}))
    monkeypatch.setenv(code.NOTEBOOK, str(book))
    other = code.code_of("probe")
    assert other["notebook"] == code.cells_hash(CELLS) != ours["notebook"]
    assert code.code_of("target")["notebook"] != other["notebook"]
    book.write_text("{")
    assert set(code.code_of("probe").values()) == {"unknown"}
    monkeypatch.setattr(code, "NOTEBOOKS", tmp_path / "none")
    assert set(code.code_of("target").values()) == {"unknown"} == set(code.code_of("x").values())


def test_a_record_says_which_code_made_its_run(tmp_path):
    parameters = {"study": "s"}
    records.finish(tmp_path, phase="target", parameters=parameters, metrics={}, started=0.0)
    assert records.read(tmp_path)["code"] == code.code_of("target")


def test_a_hash_that_is_kept_is_the_one_that_is_computed(tmp_path, monkeypatch):
    monkeypatch.setenv("XGRL_CACHE", str(tmp_path / "cache"))
    cells = json.loads((ROOT / "notebooks" / "02_intermediate.ipynb").read_bytes())["cells"]
    found = code.code_of("intermediate")["library"]
    assert found == code.library_hash(cells)
    (kept,) = (tmp_path / "cache" / "code").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(code, "library_hash", lambda cells: "computed anew")
        assert code.code_of("intermediate")["library"] == found
        # another notebook, another library, a damaged file
        assert code.code_of("target")["library"] == "computed anew"
        kept.write_text(found[:5])
        assert code.code_of("intermediate")["library"] == "computed anew"
    shutil.copytree(code.LIBRARY, tmp_path / "xgrl", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "xgrl" / "training" / "trainer.py").open("a", encoding="utf-8") as file:
        file.write("CHANGED = 1\n")
    monkeypatch.setattr(code, "LIBRARY", tmp_path / "xgrl")
    monkeypatch.setattr(code, "library_hash", lambda cells: "of another library")
    assert code.code_of("intermediate")["library"] == "of another library"
