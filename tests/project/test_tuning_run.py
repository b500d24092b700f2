"""`make tune` with real trials: in parts, carried in packs, interrupted, and called again."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from xgrl.runs.study_files import find_study

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.grid,
    pytest.mark.skipif(not shutil.which("make"), reason="make is not installed"),
]
STUDY = {
    "study": "tiny",
    "scientific": {
        "intermediate": ["sarcasm"], "targets": ["intent"], "languages": ["en", "de", "fr"],
        "unlabelled_languages": ["en", "de"], "seeds": [0, 1], "probe_arms": [],
        "probe_target": "",
    },
    "nuisance": {
        "intermediate": {"steps": {"default": 10}}, "target": {"steps": {"default": 10}},
    },
    "fixed": {
        "encoder": "tiny", "sources": ["fixture"], "max_length": 32, "train_rows": 60,
        "dev_rows": 30, "test_rows": 20, "unlabelled_rows": 40, "probe_rows": 20,
        "prepare_workers": 1,
    },
    "tuning": {
        "seeds": [100, 101], "languages": ["it"], "intermediate": ["sarcasm"],
        "targets": ["intent"],
        "arms": {"standard": {"steps": [5, 10]}, "dann": {"discriminator_updates": [1, 2]}},
    },
}  # fmt: skip


def project(folder: Path) -> Path:
    """A root of its own with this project's code, notebooks and environment."""
    folder.mkdir()
    for name in ("Makefile", "Snakefile", "lib", "notebooks", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        if not path.name.startswith("."):
            (folder / ".venv" / path.name).symlink_to(path)
    for name in ("requirements.txt", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    (folder / ".venv" / ".ready").touch()
    (folder / "params").mkdir()
    shutil.copy(ROOT / "params" / "base.yaml", folder / "params")
    (folder / "params" / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments, "DISK=0", "JOBS=2"]
    about = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment |= {"PYTHONPATH": str(ROOT / "lib")}
    # in a shell's background job it is ignored, and whatever is started inherits that
    about |= {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **about)


def make(folder: Path, *arguments: str) -> str:
    process = start(folder, *arguments)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said
    return said


def finished(folder: Path) -> dict[str, int]:
    runs = (folder / "outputs" / "tiny-tuning").glob("*/*/*/*/run.json")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in runs}


def done_again(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [run for run, date in before.items() if after.get(run) != date]


def interrupt(process: subprocess.Popen, folder: Path, count: int) -> dict[str, int]:
    """What a call has finished that is interrupted once there are so many runs."""
    end = time.monotonic() + 600
    while len(finished(folder)) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode
    return finished(folder)


def until_the_gate_is_said(process: subprocess.Popen, folder: Path) -> None:
    """Said, and written, before any adversarial run."""
    assert any(line.startswith("gate: ") for line in process.stdout)
    assert not [run for run in finished(folder) if "dann" in run]
    found = json.loads((folder / "outputs/tiny-tuning/tuning.json").read_bytes())
    assert found["gate"] and not found["complete"]


def test_trials_in_parts_on_two_machines_interrupted_in_both_stages(tmp_path):
    one, other = project(tmp_path / "one"), project(tmp_path / "other")
    said = make(one, "tune", "STUDY=tiny", "PART=sarcasm.standard-steps10:101 none:100")
    assert "parts are missing" in said and len(finished(one)) == 4
    assert "tuned" not in find_study("tiny", one / "params")
    make(one, "pack", "STUDY=tiny-tuning")
    (carried,) = (one / "outputs/tiny-tuning/packs").glob("sarcasm.*")
    # the other machine knows the trials once it has been asked for some
    make(other, "tune", "STUDY=tiny", "PART=none:100")
    make(other, "unpack", "STUDY=tiny-tuning", f"FILE={carried}")
    first = interrupt(start(other, "tune", "STUDY=tiny"), other, 6)
    assert len(first) < 14 + 2  # in the first stage, or just after it
    process = start(other, "tune", "STUDY=tiny")
    until_the_gate_is_said(process, other)
    second = interrupt(process, other, 18)
    assert len(done_again(first, second)) <= 2  # Snakemake had not noted the end of jobs at hand
    assert "tuned" not in find_study("tiny", other / "params")
    said = make(other, "tune", "STUDY=tiny")
    last = finished(other)
    assert len(done_again(second, last)) <= 2 and len(last) == 2 * 4 * 3 + 2
    assert said.index("gate: ") < said.index("second selector")
    found = json.loads((other / "outputs/tiny-tuning/tuning.json").read_bytes())
    assert found["complete"] and len(found["trials"]) == 4 and not found["mixed"]
    assert not (other / "outputs/tiny").exists()
    tuned = find_study("tiny", other / "params")["tuned"]
    assert tuned["nuisance"]["intermediate"]["steps"]["standard/default"] in (5, 10)
    make(other, "dry-run", "STUDY=tiny")
    # a further call runs nothing, and says the same
    again = make(other, "tune", "STUDY=tiny")
    assert finished(other) == last and again[again.index("standard: ") :] in said
