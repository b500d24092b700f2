"""What the tests share: where things are, and the limits of a small machine."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("XGRL_TASKS", os.devnull)  # not the user's own tasks
os.environ.pop("XGRL_DATA", None)  # nor their data

ROOT = Path(__file__).resolve().parents[1]
# folders and files whose tests use the same folder or machine
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


class ByFile(LoadScopeScheduling):
    """A file's tests stay on one worker, since they share what is dear to make; and so do files of
    one entry in `SHARED`.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return SHARED.get(file.partition("/")[0]) or SHARED.get(file) or file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    return ByFile(config, log)


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


@pytest.fixture(autouse=True, scope="session")
def _temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pytest's own is made first: some tests set TMPDIR to a folder that goes with them."""
    tmp_path_factory.getbasetemp()


@pytest.fixture
def short_folder():
    """A temporary folder whose name leaves room for a socket's: that of pytest may be too long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)
