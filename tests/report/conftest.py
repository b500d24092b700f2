"""The simulated studies that the tests of the report share."""

import shutil

import pytest

from simulate import MANY, simulate
from xgrl.report import load_study

TARGETS = {
    "sentiment": (("es", "fr", "it", "ja", "ru", "zh", "pl"), 40, 55.0, True, "accuracy"),
    "intent": (("cs", "de", "hu", "sv", "ar", "hi"), 40, 45.0, False, "accuracy"),
    "emoji-names": (("ar", "de", "tr", "ja"), 60, 30.0, True, "bitext"),
    "slots": (("de", "fr", "hi", "ar"), 40, 60.0, False, "f1"),
}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The folder of a complete study; tests that change it take `copy`."""
    return simulate(tmp_path_factory.mktemp("whole"), seeds=(0, 1))


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / whole.name)


@pytest.fixture(scope="session")
def study(whole):
    return load_study.collect(whole)


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A study of many arms and all kinds of targets."""
    folder = tmp_path_factory.mktemp("many")
    return load_study.collect(
        simulate(folder, arms=MANY, seeds=(0, 1), targets=TARGETS, effect=-4.0)
    )


@pytest.fixture(scope="session")
def old(tmp_path_factory):
    """A study whose runs did not record what later ones do."""
    folder = simulate(tmp_path_factory.mktemp("old"), seeds=(0, 1), recorded=False)
    return load_study.collect(folder)
