"""The smoke study through Snakemake and papermill: whole, resumable, and doing nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from xgrl import records

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.grid


def snakemake(folder: Path, *arguments: str, study: str = "smoke", **config: object) -> subprocess.CompletedProcess:
    """Run the study with its outputs in `folder`; the command is the Makefile's."""
    files = [str(ROOT / "params" / f"{name}.yaml") for name in ("base", study)]
    extra = folder / "extra.yaml"
    extra.write_text(json.dumps({"outputs": str(folder / "outputs")} | config))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        "2",
        "--configfile",
        *files,
        str(extra),
        *arguments,
    ]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """The smoke study, run once."""
    folder = tmp_path_factory.mktemp("grid")
    done = snakemake(folder, "--keep-going")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def runs(folder: Path, phase: str) -> dict[str, dict]:
    base = folder / "outputs" / "smoke" / phase
    return {str(p.parent.relative_to(base)): json.loads(p.read_text()) for p in sorted(base.rglob("run.json"))}


def test_every_run_is_there_and_says_what_it_was(grid):
    # 2 tasks x 2 seeds x (standard, dann), and control where it is probed (2 tasks x 1 seed)
    assert len(runs(grid, "intermediate")) == 2 * 2 * 2 + 2
    # 4 targets; without intermediate training 2 classification targets x 2 seeds, and 2 retrieval targets once
    assert len(runs(grid, "target")) == 4 * (2 * 2 * 2) + 2 * 2 + 2
    assert len(runs(grid, "probe")) == 2 * 3
    for phase in ("intermediate", "target", "probe"):
        for folder, record in runs(grid, phase).items():
            assert record["status"] == "finished" and record["phase"] == phase
            assert f"seed-{record['parameters']['seed']}" in folder
            assert (grid / "outputs/smoke" / phase / folder).glob("*.ipynb")


def test_the_report_stands_alone(grid):
    analysis = grid / "outputs/smoke/analysis"
    html = (analysis / "report.html").read_text()
    assert "<script src=" not in html and 'href="http' not in html.split("<body")[0]
    assert json.loads((analysis / "summary.json").read_text())
    assert len(pd.read_csv(analysis / "results.csv")) > 100


def test_intermediate_tasks_are_learned_and_transfer_is_between_chance_and_english(grid):
    for folder, record in runs(grid, "intermediate").items():
        assert record["metrics"]["learned"], folder
    scores = pd.DataFrame([r["metrics"] | r["parameters"] for r in runs(grid, "target").values()])
    sentiment = scores[scores.target == "sentiment"]
    assert 25 < sentiment.macro.mean() < sentiment.english.mean()


def test_a_finished_study_has_nothing_to_do(grid):
    again = snakemake(grid)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr


def test_another_seed_runs_only_its_own_jobs(grid):
    more = snakemake(grid, "-n", scientific={"seeds": [0, 1, 2]})
    text = more.stdout + more.stderr
    counts = {
        line.split()[0]: int(line.split()[1])
        for line in text.splitlines()
        if line.split()[:1] and line.split()[0] in ("prepare", "intermediate", "target", "probe", "analysis", "report")
    }
    assert counts == {"intermediate": 4, "target": 4 * 4 + 2, "analysis": 1, "report": 1}


def test_a_lost_run_is_made_again_bit_for_bit(grid):
    folder = grid / "outputs/smoke/target/intent/sarcasm.dann/seed-1"
    before = (folder / "predictions.parquet").read_bytes()
    shutil.rmtree(folder)
    target = str(folder / "run.json")
    done = snakemake(grid, target)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "predictions.parquet").read_bytes() == before
    assert records.read(folder)["status"] == "finished"


def test_a_mistake_is_refused_before_anything_runs(grid):
    done = snakemake(grid, "-n", scientific={"arms": ["standard", "dan"]})
    assert done.returncode != 0 and "did you mean 'dann'" in done.stdout + done.stderr
