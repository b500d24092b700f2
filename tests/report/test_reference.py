"""The published results: complete, small, and what the README says."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from xgrl.report import cli

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(p for p in (ROOT / "outputs" / "reference").iterdir() if p.is_dir())


def test_the_laptop_study_is_published():
    assert "laptop" in [p.name for p in STUDIES]


@pytest.mark.parametrize("folder", STUDIES, ids=lambda p: p.name)
def test_complete_and_small(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 10_000_000
    runs = json.loads((folder / "runs.json").read_text())
    assert all(run["status"] in ("finished", "diverged") for run in runs.values())
    for name in (
        "report.html",
        "results.csv",
        "summary.json",
        "05_analysis.ipynb",
        "figures/forest.svg",
        "figures/heatmap.png",
    ):
        assert (folder / "analysis" / name).stat().st_size > 0, name


@pytest.mark.parametrize("folder", STUDIES, ids=lambda p: p.name)
def test_results_are_those_of_the_runs(folder):
    runs = json.loads((folder / "runs.json").read_text())
    results = pd.read_csv(
        folder / "analysis" / "results.csv", dtype={"language": str}, keep_default_na=False
    )
    scores = {}
    for run in runs.values():
        if run["phase"] == "target":
            p = run["parameters"]
            for language, value in run["metrics"]["scores"].items():
                scores[p["intermediate"], p["arm"], p["target"], p["seed"], language] = value
    rows = results[results["metric"] != "dev_accuracy"]
    found = {
        (r.intermediate, r.arm, r.target, r.seed, r.language): float(r.score)
        for r in rows.itertuples()
    }
    assert found.keys() == scores.keys()
    assert all(abs(found[key] - scores[key]) < 1e-5 for key in scores)


def test_the_table_of_arms_is_generated_from_the_published_summary():
    summary = json.loads((ROOT / "outputs/reference/arms/analysis/summary.json").read_text())
    start, end = cli.ARM_MARKERS
    text = (ROOT / "docs/arms.md").read_text()
    assert text.split(start)[1].split(end)[0].strip() == cli.arms_table(summary).strip()


def test_the_readme_table_is_generated_from_the_published_summary():
    summary = json.loads((ROOT / "outputs/reference/laptop/analysis/summary.json").read_text())
    start, end = cli.MARKERS
    text = (ROOT / "README.md").read_text()
    assert text.split(start)[1].split(end)[0].strip() == cli.readme_table(summary).strip()
