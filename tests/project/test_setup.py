"""The two ways to install agree, the tested versions are what is installed, and the public face is
cheap to import.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def requirements() -> list[Requirement]:
    lines = (
        line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()
    )
    return [Requirement(line) for line in lines if line]


def locked() -> dict[str, str]:
    lines = (line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pin for name, pin in pins}


def test_conda_and_make_install_the_same():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [d["pip"] for d in conda if isinstance(d, dict)]
    lines = (ROOT / "Makefile").read_text().splitlines()
    (recipe,) = [line for line in lines if line.startswith("INSTALL") and "pip install" in line]
    assert pip == ["-r requirements.txt", "-c requirements.lock", "-e ."]
    assert recipe.strip().endswith(" ".join(pip))
    assert not [
        d for d in conda if isinstance(d, str) and d.split("=")[0] not in ("python", "pip", "make")
    ]
    (python,) = [d for d in conda if isinstance(d, str) and d.startswith("python")]
    (listed,) = re.findall(r"for name in (python\S+) ", (ROOT / "Makefile").read_text())
    assert python.replace("=", "") == listed, (
        "bits are published with the first that make looks for"
    )


def test_every_python_that_make_takes_is_admitted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = re.findall(r"for name in ([^;]+); do", (ROOT / "Makefile").read_text())[0].split()
    admitted = SpecifierSet(project["requires-python"])
    versions = [name.removeprefix("python") for name in names if "." in name]
    assert versions == ["3.11", "3.12", "3.13"] and all(map(admitted.contains, versions))
    assert not {"3.10", "3.14"} & set(admitted.filter(["3.10", "3.14"]))


def test_one_list_of_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == ["requirements.txt"]
    pins = [str(r.specifier) for r in requirements() if r.name == "torch"]
    assert len(pins) == 1 and pins[0].startswith("==") and "torch" not in locked()


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_what_was_tested_is_what_is_asked_for_and_what_is_installed(requirement):
    name = canonicalize_name(requirement.name)
    if name != "torch":
        assert requirement.specifier.contains(locked()[name], prereleases=True)
        assert version(name) == locked()[name]
    assert requirement.specifier.contains(version(name).split("+")[0], prereleases=True)


def test_importing_the_package_is_cheap():
    code = (
        "import sys, time; t = time.perf_counter(); import xgrl; print(time.perf_counter() - t, "
        "'torch' in sys.modules)"
    )
    seconds, torch = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(seconds) < 0.5 and torch == "False"


def test_every_make_target_that_the_readme_names_exists():
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]+)", (ROOT / "README.md").read_text(), re.M))
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"study", "smoke", "test", "lab", "bench", "help"} <= made
    assert named <= made, named - made


def task_table():
    """All tasks as a Markdown table: what stands in docs/tasks.md."""
    from xgrl.tasks import TABLES

    header = ("task", "role", "format", "score", "languages", "sources")
    lines = [header, ("---",) * len(header)]
    for task in [task for table in TABLES.values() for task in table.values()]:
        score = "-" if task.format == "mixture" else task.metric
        sources = ", ".join(task.loaders) or "-"
        format, languages = task.format.replace("_", " "), str(len(task.languages))
        lines.append((task.name, task.role, format, score, languages, sources))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def test_the_documented_tables_are_those_of_the_code():
    from benchmarks.estimate import table

    for page, name, found in (
        ("tasks", "tasks", task_table()),
        ("full-size", "estimate", table("paper")),
    ):
        text = (ROOT / "docs" / f"{page}.md").read_text()
        block = text.partition(f"<!-- {name}:start -->")[2].partition(f"<!-- {name}:end -->")[0]
        assert block.strip() == found.strip(), f"docs/{page}.md: the table is not the code's"
