"""The house: rooms in one order, no circle between files, a library that stays thin."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib" / "xgrl"
# ground first: a room imports from itself and from rooms before it
ROOMS = (
    "runs",
    "stats",
    "tasks",
    "models",
    "arms",
    "prepare",
    "execution",
    "training",
    "evaluation",
    "report",
)
OPENERS = ("os", "tarfile")  # their `open` decodes nothing
MOST_LINES = 22_714


def module_name(path: Path) -> str:
    """Dotted name below xgrl of a file of the library; "" is xgrl itself."""
    return (
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts)
        .removesuffix("__init__")
        .strip(".")
    )


MODULES = {module_name(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def imports(source: str, package: str = "") -> set[str]:
    """Modules below xgrl that a file of a package imports, wherever in it: in functions and under
    ``TYPE_CHECKING`` too.
    """
    named = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= 1
            origin = f"xgrl.{package}.{node.module}" if node.level else node.module
            named |= {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    inside = {name.removeprefix("xgrl.") for name in named if name.startswith("xgrl.")}
    # `from xgrl.stats import compare` names a module's content: then the module counts
    return {name if name in MODULES else name.rpartition(".")[0] for name in inside}


GRAPH = {
    name: imports(path.read_text(), module_name(path.parent / "__init__.py"))
    for name, path in MODULES.items()
}


def test_imports_are_seen_wherever_they_stand():
    source = (
        "from typing import TYPE_CHECKING\nimport xgrl.stats\nfrom xgrl.runs import params\n"
        "if TYPE_CHECKING:\n    from xgrl.runs.records import read\n"
        "def f():\n    from xgrl.stats import compare\n"
    )
    assert imports(source) == {"stats", "runs.params", "runs.records"}
    assert imports("from .params import Study", "runs") == {"runs.params"}


def test_every_module_lies_in_a_room():
    assert {name.partition(".")[0] for name in MODULES} == {"", *ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_itself_and_rooms_before_it(room):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    upward = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        if name.partition(".")[0] == room
        for other in sorted(others)
        if other.partition(".")[0] not in allowed
    ]
    assert not upward, upward


def test_files_import_each_other_without_circles():
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_library_stays_thin():
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    longest = sorted(lines.items(), key=lambda item: -item[1])[:10]
    assert sum(lines.values()) <= MOST_LINES, longest


def test_a_file_s_name_stands_once_in_a_room():
    for room in ROOMS:
        names = [path.name for path in (LIBRARY / room).rglob("*.py") if path.stem != "__init__"]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{room}: {twice}"


@pytest.mark.parametrize("name", MODULES)
def test_no_file_is_opened_in_the_locale_s_encoding(name):
    """What ruff's PLW1514 does not see: a path that is no plain `Path(...)`."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            how = [word.value for word in node.args[:1] if isinstance(word, ast.Constant)]
            binary = node.func.attr == "open" and any("b" in str(mode) for mode in how)
            other = isinstance(node.func.value, ast.Name) and node.func.value.id in OPENERS
            named = any(keyword.arg == "encoding" for keyword in node.keywords)
            if node.func.attr in ("open", "read_text", "write_text"):
                assert named or binary or other, f"{name}, line {node.lineno}"
