"""Which code made a run: a hash of its notebook's cells, and one of the library behind them.

Of the library count the modules that the cells import, directly and through others, wherever in a
file an import stands, less the rooms that compute nothing of a run. A module counts as its syntax
tree without docstrings (comments, layout and prose change nothing) and the ``.txt`` of its name, if
any. Versions of Python, which stand in a record too, write trees differently.
"""

import ast
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import xgrl
from xgrl.runs import files
from xgrl.runs.params import JOBS

LIBRARY = Path(__file__).resolve().parents[1]
NOTEBOOKS = LIBRARY.parents[1] / "notebooks"
NOTEBOOK = "XGRL_NOTEBOOK"  # environment variable: the notebook that is being executed
GIVEN = {"parameters", "injected-parameters"}  # tags of cells that are a job's values, no code
APART = ("stats", "execution", "report")  # rooms
KINDS, UNKNOWN = ("notebook", "library"), "unknown"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_of(phase: str) -> dict[str, str]:
    """The hashes of a run's code by kind (`KINDS`); "unknown" where its notebook is not found."""
    name = next((name for name in JOBS if name.endswith(f"_{phase}")), phase)
    executed = Path(os.environ.get(NOTEBOOK, ""))
    path = executed if executed.stem == name else NOTEBOOKS / f"{name}.ipynb"
    try:
        cells = json.loads(path.read_bytes())["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return dict.fromkeys(KINDS, UNKNOWN)
    return dict(zip(KINDS, (cells_hash(cells), _kept_library_hash(cells)), strict=True))


def cells_hash(cells: Iterable[Mapping[str, Any]]) -> str:
    """What identifies a notebook's code, 16 hexadecimal digits: not its outputs, not its prose, no
    parameters. Where it has changed, Snakemake runs a job again. cells: as in the notebook's file.
    """
    return _digest("\n".join(_sources(cells)))


def library_hash(cells: Iterable[Mapping[str, Any]], library: Path = LIBRARY) -> str:
    """What identifies the code of the library that cells import, 16 hexadecimal digits."""
    waiting, seen, digests = set(), set(), []
    for source in _sources(cells):
        with suppress(SyntaxError):  # IPython's own commands
            waiting.update(*map(_imported, ast.walk(ast.parse(source))))
    while waiting:
        seen.add(name := waiting.pop())
        digest, imported = _module(library, name)
        digests += [f"{name} {digest}"] if digest else []
        waiting |= imported - seen
    return _digest("\n".join(sorted(digests)))


def _kept_library_hash(cells: Iterable[Mapping[str, Any]]) -> str:
    """`library_hash`, which would take each job of a study .4 s: kept in the cache under a hash of
    all that it depends on, the files' content included.
    """
    paths = [*LIBRARY.rglob("*.py"), *LIBRARY.rglob("*.txt")]
    library = {str(path.relative_to(LIBRARY)): path.read_bytes() for path in paths}
    name = _digest(repr((sys.version, sorted(library.items()), list(_sources(cells)))))
    kept = files.cache_folder() / "code" / name
    with suppress(OSError):
        if len(found := kept.read_text(encoding="utf-8")) == len(name):
            return found
    found = library_hash(cells)
    with suppress(OSError):  # a cache that this user may not write, or a full disk
        files.write_bytes(kept, found.encode())
    return found


def _sources(cells: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The code of the cells: a text, or in a file its lines."""
    for cell in cells:
        if cell["cell_type"] == "code" and not GIVEN & {*cell["metadata"].get("tags", [])}:
            yield "".join(cell["source"])


@functools.cache
def _module(library: Path, name: str) -> tuple[str, frozenset[str]]:
    """A module's digest and what it imports; "" and nothing where it lies in a room apart, or there
    is none of this name (it is a module's content).
    """
    path = library.joinpath(*name.split(".")[1:])
    package = (path / "__init__.py").is_file()
    file = path / "__init__.py" if package else path.with_suffix(".py")
    if {*APART} & {*name.split(".")[1:2]} or not file.is_file():
        return "", frozenset()
    tree, imported = ast.parse(file.read_bytes()), set()
    for node in ast.walk(tree):
        imported.update(_imported(node, name if package else name.rpartition(".")[0]))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    code, table = ast.dump(tree, annotate_fields=False), file.with_suffix(".txt")
    if table.exists():
        code += table.read_text(encoding="utf-8")
    return _digest(code), frozenset(imported)


def _imported(node: ast.AST, package: str = "") -> Iterator[str]:
    """What a node imports of this library, with every package on the way, and names of content."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        origin = resolve_name("." * node.level + (node.module or ""), package)
        names = [f"{origin}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "xgrl":
        names = [f"xgrl.{xgrl._WHERE.get(node.attr, node.attr)}"]
    for parts in (name.split(".") for name in names if f"{name}.".startswith("xgrl.")):
        yield from (".".join(parts[:k]) for k in range(1, len(parts) + 1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
