"""Published results: what is copied into the reference folder, and how another run of the study
differs from it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xgrl.report.completeness import KEYS
from xgrl.runs import records

HEADLINE = ("theta", "low", "high", "p")


def verify(study_dir: str | Path, reference_dir: str | Path) -> pd.DataFrame:
    """Compare analysis/results.csv of two runs of a study, cell by cell.

    Returns:
        one row a difference: the key columns, score_here, score_reference, difference (NaN where
            one side has no such cell);
        empty when all scores and counts are equal.
    """
    here, reference = (
        pd.read_csv(Path(folder) / "analysis" / "results.csv")
        for folder in (study_dir, reference_dir)
    )
    keys = ["study", *KEYS, "language", "metric"]
    both = here.merge(reference, on=keys, how="outer", suffixes=("_here", "_reference"))
    both["difference"] = both.score_here - both.score_reference
    equal = (both.difference == 0) & (both.n_here == both.n_reference)
    columns = [*keys, "n_here", "n_reference", "score_here", "score_reference", "difference"]
    return both.loc[~equal, columns].reset_index(drop=True)


def verify_verdict(study_dir: str | Path, reference_dir: str | Path) -> pd.DataFrame:
    """The rows of both summaries' results table that differ: target, number, here, reference,
    difference; empty if none does.

    Numbers are theta, its interval and p (NaN where not estimable); a row of its own says whether
    the verdict differs.
    """
    here, reference = (
        json.loads((Path(folder) / "analysis" / "summary.json").read_text())
        for folder in (study_dir, reference_dir)
    )
    tables = [
        pd.DataFrame(each["table"]).set_index("target")[list(HEADLINE)].astype(float).stack()
        for each in (here, reference)
    ]
    both = pd.concat(tables, axis=1, keys=["here", "reference"]).rename_axis(["target", "number"])
    both["difference"] = both.here - both.reference
    # rounding apart
    both = both[
        ~np.isclose(both.here, both.reference, rtol=1e-9, atol=1e-12, equal_nan=True)
    ].reset_index()
    words = [each["comparison"]["verdict"] for each in (here, reference)]
    if words[0] != words[1]:
        row = {
            "target": "all targets",
            "number": "verdict",
            "here": words[0],
            "reference": words[1],
        }
        both = pd.concat([pd.DataFrame([row]), both.astype(object)], ignore_index=True)
    return both


def run_records(study_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Every ``run.json`` of a study by the run's folder, with the sha256 of its predictions where
    it has any.
    """
    found = {}
    for path in sorted(Path(study_dir).rglob("run.json")):
        predictions = path.parent / "predictions.parquet"
        name = str(path.parent.relative_to(study_dir))
        found[name] = json.loads(path.read_text())
        if predictions.exists():
            found[name]["predictions_sha256"] = hashlib.sha256(predictions.read_bytes()).hexdigest()
    return found


def publish(study_dir: str | Path, reference_dir: str | Path) -> None:
    """Copy what a study is cited by into a reference folder: its analysis (notebook, report,
    results, figures) and runs.json.

    Raises:
        ValueError: the study has no finished report.
    """
    analysis = Path(study_dir) / "analysis"
    if not (analysis / "report.html").exists():
        raise ValueError(f"{analysis}: no report.html; run the study to its end first")
    skip = shutil.ignore_patterns(".*")
    target = Path(reference_dir) / "analysis"
    records.replace_folder(
        target, lambda p: shutil.copytree(analysis, p, dirs_exist_ok=True, ignore=skip)
    )
    # papermill notes where the notebook was: on whose machine is nobody's business
    for book in target.glob("*.ipynb"):
        records.write_bytes(book, book.read_bytes().replace(f"{Path.cwd()}/".encode(), b""))
    records.write_json(Path(reference_dir) / "runs.json", run_records(study_dir))
