"""A real job in its kernel, killed or asked to end while it trains, and continued."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from small_study import prepare
from xgrl.execution import failures
from xgrl.runs import records

ROOT = Path(__file__).resolve().parents[2]
STEPS = 400
pytestmark = [
    pytest.mark.slow,
    pytest.mark.kernels,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks processes up in /proc"),
]


class Job:
    """02_intermediate in a process of its own; `outputs` has what 01 prepared."""

    def __init__(self, outputs: Path, warm: bool, seed: int):
        self.outputs, self.seed = outputs, seed
        self.folder = outputs / f"smoke/intermediate/sarcasm/dann/seed-{seed}"
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT / "lib"), "XGRL_WARM": str(int(warm)), "OMP_NUM_THREADS": "1",
            "TMPDIR": tempfile.gettempdir(), "XGRL_WARM_IDLE": "5",
        }  # fmt: skip

    def start(self, minutes: float = 0.002, **options) -> subprocess.Popen:
        values = {"outputs": str(self.outputs), "steps": STEPS, "seed": self.seed}
        paths = ["notebooks/02_intermediate.ipynb", str(self.outputs / "out.ipynb")]
        command = [sys.executable, "-m", "xgrl.execution.execute", *paths]
        command += ["--json", json.dumps(values)]
        options = {"XGRL_OPTIONS": json.dumps({"checkpoint_minutes": minutes} | options)}
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment | options, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # in a shell's background job it is ignored, and whatever is started inherits that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def until_it_listens(self, process: subprocess.Popen) -> None:
        """Until it has a handler of SIGTERM: before, it is still importing, and just ends."""
        end, bit = time.monotonic() + 60, 1 << (signal.SIGTERM - 1)
        status = Path(f"/proc/{process.pid}/status")
        caught = re.compile(rb"SigCgt:\s*(\w+)")
        while not int(caught.search(status.read_bytes())[1], 16) & bit:
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.01)

    def until_checkpoint(self, process: subprocess.Popen) -> None:
        end = time.monotonic() + 120
        while not list(self.folder.glob(f"{records.CHECKPOINTS}/*.sha256")):
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.01)

    def results(self) -> tuple[bytes, bytes]:
        records.verify_hashes(self.folder)
        assert not (self.folder / records.CHECKPOINTS).exists()
        names = ("curves.csv", "checkpoint/model.safetensors")
        return tuple((self.folder / name).read_bytes() for name in names)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("continued")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def expected(outputs) -> dict[int, tuple[bytes, bytes]]:
    job = Job(outputs, True, 0)
    assert job.start(minutes=0).wait(300) == 0
    found = job.results()
    (job.folder / "run.json").unlink()
    return found


WARM = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGKILL]
COLD = [signal.SIGTERM, signal.SIGKILL]
STOPS = [(number, True) for number in WARM] + [(number, False) for number in COLD]


@pytest.mark.parametrize(("number", "warm"), STOPS)
def test_a_job_that_is_stopped_goes_on_with_the_same_bits(number, warm, outputs, expected):
    job = Job(outputs, warm, 0)
    process = job.start()
    job.until_checkpoint(process)
    process.send_signal(number)
    _, said = process.communicate(timeout=100)
    assert not (job.folder / "run.json").exists()
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == failures.CONTINUED == 75
        assert "to be continued: SIGUSR1 came, training ended after step" in said
    assert list(job.folder.glob(f"{records.CHECKPOINTS}/*.sha256"))
    time.sleep(1)  # until the kernel of a killed job is gone
    process = job.start()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "goes on from the checkpoint of step" in (outputs / "out.ipynb").read_text()
    assert job.results() == expected


def test_a_job_that_trains_nothing_yet_ends_at_once(outputs):
    job = Job(outputs, True, 1)
    process = job.start()
    job.until_it_listens(process)
    time.sleep(1)  # its kernel starts, or imports
    process.terminate()
    started = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == failures.CONTINUED and "SIGTERM came" in said, said
    assert time.monotonic() - started < 20


def test_without_checkpoints_a_signal_ends_it_at_once(outputs):
    job = Job(outputs, True, 2)
    (outputs / "out.ipynb").unlink(missing_ok=True)
    process = job.start(minutes=0)
    end = time.monotonic() + 60
    out = outputs / "out.ipynb"
    while not out.exists() or not re.search(r"training step \d", out.read_text()):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == failures.CONTINUED and "SIGTERM came" in said
    assert not (job.folder / records.CHECKPOINTS).exists()
