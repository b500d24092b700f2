"""What the tests share: where things are, and the limits of a small machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("XGRL_TASKS", os.devnull)  # not the user's own tasks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of oracle and sample files beside the project; the test skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.exists():
        pytest.skip("the folder ../shared with oracle and sample files is not here")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
