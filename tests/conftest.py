"""What the tests share: where things are, and the limits of a small machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("XGRL_TASKS", os.devnull)  # not the user's own tasks

ROOT = Path(__file__).resolve().parents[1]
# tests of one name use the same folder or machine, and stay on one worker
SHARED = {
    "notebooks": "outputs/smoke",
    "tests/project/test_smoke_study.py": "outputs/smoke",
    "tests/project/test_browser.py": "outputs/smoke",
}

# make test tries little and always the same, make test-all a lot and each time something else
for name, examples in (("short", 120), ("long", 1200)):
    settings.register_profile(
        name, max_examples=examples, derandomize=name == "short", print_blob=True, deadline=None,
        database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.hookimpl(tryfirst=True)  # before the marks are read, which spread tests over workers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay on one of several workers, since they share what is dear to make."""
    for item in items:
        file = str(item.path.relative_to(ROOT)) if item.path.is_relative_to(ROOT) else ""
        group = SHARED.get(file.partition("/")[0]) or SHARED.get(file) or file
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of oracle and sample files beside the project; skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.exists():
        pytest.skip("the folder ../shared with oracle and sample files is not here")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
