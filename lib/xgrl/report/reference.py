"""Published results: what is copied, and how another run of the study differs from it."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xgrl.report import claims, packs
from xgrl.report.completeness import KEYS
from xgrl.report.summary import NUMBERS
from xgrl.runs import records

DIGEST = "predictions_sha256"


def verify(study_dir: str | Path, reference_dir: str | Path) -> pd.DataFrame:
    """Compare analysis/results.csv of two runs of a study, cell by cell.

    Returns one row a difference: the key columns, score_here, score_reference, difference (NaN
    where one side has no such cell); empty when all scores and counts are equal.
    """
    tables = [Path(folder) / "analysis" / "results.csv" for folder in (study_dir, reference_dir)]
    keys = ["study", *KEYS, "language", "metric"]
    here, reference = (_results(path, [*keys, "score", "n"]) for path in tables)
    both = here.merge(reference, on=keys, how="outer", suffixes=("_here", "_reference"))
    both["difference"] = both.score_here - both.score_reference
    equal = (both.difference == 0) & (both.n_here == both.n_reference)
    columns = [*keys, "n_here", "n_reference", "score_here", "score_reference", "difference"]
    return both.loc[~equal, columns].reset_index(drop=True)


def _results(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path)[columns]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: no results of a study ({error}); make report writes it"
        ) from None


def verify_verdict(study_dir: str | Path, reference_dir: str | Path) -> pd.DataFrame:
    """Where both summaries' results tables differ: target, number, here, reference, difference.

    Numbers: theta, its interval, p (NaN: not estimable); one row says if the verdict differs.
    """
    tables, verdicts = {}, {}
    for side, folder in (("here", study_dir), ("reference", reference_dir)):
        summary = claims.parsed(Path(folder) / "analysis" / "summary.json")
        table = pd.DataFrame(summary["table"]).set_index("target")[[*NUMBERS]].astype(float)
        tables[side], verdicts[side] = table.stack(), summary["comparison"]["verdict"]
    both = pd.concat(tables, axis=1).rename_axis(["target", "number"])
    both["difference"] = both.here - both.reference
    rounding = {"rtol": 1e-9, "atol": 1e-12, "equal_nan": True}
    both = both[~np.isclose(both.here, both.reference, **rounding)].reset_index()
    if len(set(verdicts.values())) > 1:
        row = {"target": "all targets", "number": "verdict"} | verdicts
        both = pd.concat([pd.DataFrame([row]), both.astype(object)], ignore_index=True)
    return both


def run_records(study_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Every ``run.json`` by the run's folder, with the sha256 of its predictions, if any; where 01
    has not run here, what packs hold of it.
    """
    runs, home = {}, records.prepared_folder(Path(study_dir))
    for path in sorted(Path(study_dir).rglob("run.json")):
        folder = path.parent.relative_to(study_dir)
        if folder.parts[0] == "unpacked" and path.parent != home:
            continue
        name = "prepared" if path.parent == home else str(folder)
        run = runs[name] = records.read(path.parent)
        if predictions := run["files"].get("predictions.parquet"):
            records.verify_hashes(path.parent, "predictions.parquet", record=run)
            run[DIGEST] = predictions
    return runs


def verify_predictions(study_dir: str | Path, reference_dir: str | Path) -> tuple[int, int]:
    """Of how many runs the predictions are the published bytes, and how many were published."""
    path = Path(reference_dir) / "runs.json"
    try:
        published = json.loads(path.read_bytes())
        published = {name: run[DIGEST] for name, run in published.items() if DIGEST in run}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: no records of runs ({error})") from None
    if not published:
        raise ValueError(f"{path}: no run in it has predictions")
    here = run_records(study_dir)
    equal = [here.get(name, {}).get(DIGEST) == digest for name, digest in published.items()]
    return sum(equal), len(equal)


def publish(study_dir: str | Path, reference_dir: str | Path) -> None:
    """Copy the analysis (notebook, report, results, figures), runs.json, the packs, if there are
    some, and those and the record of its trials as the reference.

    Raises ValueError where the study has no finished report, and where a record, predictions, a
    pack or the summary are damaged; nothing is written then.
    """
    analysis = Path(study_dir) / "analysis"
    if not (analysis / "report.html").exists():
        raise ValueError(f"{analysis}: no report.html; run the study to its end first")
    left = claims.parsed(analysis / "summary.json").get("beside", [])
    runs = {name: run for name, run in run_records(study_dir).items() if name not in left}
    tuning = Path(f"{study_dir}-tuning")
    copies = {path: "packs" for path in (Path(study_dir) / "packs").glob("*.tar.gz")}
    copies |= {path: "tuning" for path in tuning.glob("packs/*.tar.gz")}
    for path in copies:
        packs.read(path)
    copies |= {path: "tuning" for path in tuning.glob("tuning.json")}
    target, skip = Path(reference_dir) / "analysis", shutil.ignore_patterns(".*")
    copy = partial(shutil.copytree, analysis, dirs_exist_ok=True, ignore=skip)
    records.replace_folder(target, copy)
    for book in target.glob("*.ipynb"):
        records.write_bytes(book, records.published_notebook(book))
    records.write_json(Path(reference_dir) / "runs.json", runs)
    for path, folder in sorted(copies.items()):
        records.write_bytes(Path(reference_dir) / folder / path.name, path.read_bytes())
