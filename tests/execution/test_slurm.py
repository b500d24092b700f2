"""The study through Slurm: jobs land there, a failed one is tried again, a cancelled study resumes,
a wrong partition is named.

A real one-node Slurm (tests/slurm/one_node.py) and the profile that users get; a study of six jobs.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slurm.one_node import missing, one_node

ROOT = Path(__file__).resolve().parents[2]
RUNS = 1 + 2 * (2 + 3)  # prepared; by seed: standard, dann; on the target none as well
PATIENCE = 600  # seconds for any one thing to happen, on a busy machine

SMALL = {
    "outputs": "outputs",
    "calibration_draws": 10,
    "scientific": {
        "intermediate": ["sarcasm"], "targets": ["intent"], "languages": ["en", "de"],
        "seeds": [0, 1],
        "probe_arms": [], "probe_seeds": [], "probe_target": "",
    },
}  # fmt: skip

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.grid,
    pytest.mark.skipif(
        bool(missing()),
        reason=f"Slurm is not installed (slurm-wlm, munge): no {', '.join(missing())}",
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
        reason="snakemake-executor-plugin-slurm is not installed (requirements-cluster.txt)",
    ),
]


def interruptible() -> None:
    """SIGINT as in a terminal: whoever runs the tests in the background has them ignore it, and so
    would what they start.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Study:
    """A small study in a folder of its own, submitted to a one-node Slurm."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = (
            folder,
            environment | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        )
        (folder / "small.yaml").write_text(json.dumps(SMALL))

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake with the Slurm profile, up to the targets; asks Slurm often, and by squeue as
        nothing is accounted for.
        """
        files = [str(ROOT / "params" / f"{name}.yaml") for name in ("base", "smoke")]
        place = [
            "--snakefile",
            ROOT / "Snakefile",
            "--directory",
            self.folder,
            "--workflow-profile",
            ROOT / "profiles/slurm",
        ]
        asking = [
            "--slurm-status-command",
            "squeue",
            "--slurm-init-seconds-before-status-checks",
            "1",
            "--latency-wait",
            "10",
        ]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *map(str, place),
            "--nolock",
            "--until",
            "target",
            *asking,
            *arguments,
        ]
        command += ["--configfile", *files, str(self.folder / "small.yaml")]
        log = (self.folder / "snakemake.log").open("w")
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=log,
            stderr=log,
            preexec_fn=interruptible,
        )

    @property
    def log(self) -> str:
        """What the last Snakemake said."""
        return (self.folder / "snakemake.log").read_text()

    def jobs(self) -> list[tuple[str, str]]:
        """State and rule of every job that Slurm has had, in the order of submission."""
        command = ["squeue", "--states=all", "--noheader", "--sort=i", "--format=%T %k"]
        listed = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        ).stdout
        return [
            (state, re.sub("^rule_|_wildcards_.*", "", rule))
            for state, rule in map(str.split, listed.splitlines())
        ]

    def finished(self) -> dict[Path, int]:
        """The runs that have ended, with the time of their record."""
        return {
            path: path.stat().st_mtime_ns for path in (self.folder / "outputs").rglob("run.json")
        }


def until(ready: Callable[[], object], study: Study, process: subprocess.Popen) -> object:
    end = time.monotonic() + PATIENCE
    while not (found := ready()):
        assert process.poll() is None and time.monotonic() < end, (
            f"{study.jobs()}\n{study.log[-3000:]}"
        )
        time.sleep(0.2)
    return found


def processes(rule: str, folder: Path) -> list[int]:
    """The jobs of a rule that run on the node, as processes of `execute` in `folder`."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_text().split("\0")
            if (
                "xgrl.execution.execute" in words
                and rule in "".join(words)
                and (place / "cwd").readlink() == folder
            ):
                found.append(int(place.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def study():
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: sockets are in it
    try:
        with one_node(folder / "node") as environment:
            yield Study(folder, environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_partition_that_does_not_exist_is_named_and_nothing_is_left(study):
    assert study.start("--default-resources", "slurm_partition=nowhere").wait(PATIENCE) == 1
    assert "invalid partition specified: nowhere" in study.log
    assert "Traceback" not in study.log
    assert study.jobs() == [] and study.finished() == {}


def test_jobs_land_on_slurm_a_failed_one_is_tried_again_and_a_cancelled_study_resumes(study):
    first = study.start()
    (victim, *_) = until(lambda: processes("02_intermediate.ipynb", study.folder), study, first)
    os.kill(victim, signal.SIGKILL)
    until(lambda: ("FAILED", "intermediate") in study.jobs(), study, first)
    until(
        lambda: (
            study.log.count("Finished jobid") >= 2
            and "RUNNING" in {state for state, _ in study.jobs()}
        ),
        study,
        first,
    )
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE) != 0
    # one more may have ended that Snakemake does not know of yet
    done = study.log.count("Finished jobid")
    # Slurm holds nothing of it
    assert {"RUNNING", "PENDING"}.isdisjoint(state for state, _ in study.jobs()), study.jobs()
    # the killed one, and some that ended while being cancelled
    failed = [state for state, _ in study.jobs()].count("FAILED")

    second = study.start()
    assert second.wait(PATIENCE) == 0, study.log[-3000:]
    # nothing that had ended ran again
    assert study.log.count("submitted with SLURM jobid") == RUNS - done
    assert len(study.finished()) == RUNS
    rules = [rule for state, rule in study.jobs() if state == "COMPLETED"]
    assert rules.count("prepare") == 1 and {"intermediate", "target"} <= set(rules)
    assert [state for state, _ in study.jobs()].count("FAILED") == failed

    third = study.start()
    assert third.wait(PATIENCE) == 0
    assert "submitted with SLURM jobid" not in study.log
