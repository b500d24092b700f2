"""Shared by tests of the statistics: the oracles, one study's rows and their comparison."""

import json
from pathlib import Path

import pytest

from simulated_predictions import predictions
from xgrl import stats

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles" / "stats_oracles.json"


@pytest.fixture(scope="session")
def oracles():
    if not ORACLES.exists():
        pytest.skip("the shared oracles are not beside the project")
    return json.loads(ORACLES.read_text())["cases"]


@pytest.fixture(scope="session")
def frame():
    return predictions(shift=2.5)


@pytest.fixture(scope="session")
def result(frame):
    return stats.compare(frame)
