"""A study's folders read into tidy frames; what does not belong together is refused.

Every table keeps the keys of its run. Predictions, by far the largest, are read as categories: a
few bytes a key and row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xgrl.report.completeness import KEYS, audit
from xgrl.runs import records

# of an arm, where a run records them
SETTINGS = ("lambda_max", "domains", "discriminator_features", "discriminator_layer")


@dataclass(frozen=True)
class Study:
    """A study's folders as tidy frames; those that it has no files for are empty.

    Attributes:
        runs: one row a run: keys, phase, status, costs, settings of the arm, and metrics (percent).
        curves: training curves of phase 2. probes, maps, parallel: the tables of 04 (probes with
            column `stage`).
        predictions: score in points by (intermediate, arm, target, seed, language, example_id), as
            categories, and the counts behind an F1.
        languages: one row a language: whether the discriminator saw it, distances from English.
        audit: what is missing, doubled or mixed (columns check, found, ok).
    """

    name: str
    folder: Path
    runs: pd.DataFrame
    curves: pd.DataFrame
    predictions: pd.DataFrame
    probes: pd.DataFrame
    maps: pd.DataFrame
    parallel: pd.DataFrame
    languages: pd.DataFrame
    audit: pd.DataFrame


def collect(study_dir: str | Path) -> Study:
    """Read every finished run of a study.

    Args:
        study_dir: `outputs/<study>`, with intermediate/, target/ and probe/ below it.

    Raises:
        ValueError: no finished target run, a run of another study or of another cell than its
            folder's, or predictions that carry other keys than their run.
    """
    folder = Path(study_dir)
    runs, curves, tables, notes = [], [], [], []
    probed: dict[str, list[pd.DataFrame]] = {"layers": [], "map": [], "parallel": []}
    for path in sorted(folder.glob("intermediate/*/*/seed-*/")) + sorted(
        folder.glob("target/*/*/seed-*/")
    ):
        if not (path / "run.json").exists():
            notes.append(
                ("every run finished", f"{path.relative_to(folder)} has no run.json", False)
            )
            continue
        row, keys = _run(path, folder, "curves.csv", "predictions.parquet")
        runs.append(row)
        if row["phase"] == "intermediate" and (path / "curves.csv").exists():
            curves.append(pd.read_csv(path / "curves.csv").assign(**keys))
        if row["phase"] == "target" and (path / "predictions.parquet").exists():
            table = _predictions(path / "predictions.parquet", row)
            row |= _facts(table, row.get("metric", "accuracy"))
            tables.append(_keyed(table.drop_columns("gold"), row))
    for path in sorted(folder.glob("probe/*/*/seed-*/run.json")):
        row, keys = _run(path.parent, folder)
        runs.append(row)
        for name, parts in probed.items():
            if (path.parent / f"{name}.csv").exists():
                parts.append(
                    pd.read_csv(
                        path.parent / f"{name}.csv", keep_default_na=False, na_values=[""]
                    ).assign(**keys)
                )
    if not tables:
        raise records.NotFinished(
            f"{folder}: no finished target run with predictions. {records.FIRST}"
        )
    frame = pd.DataFrame(runs)
    if set(frame.study) != {folder.name}:
        raise ValueError(
            f"{folder} mixes studies: found {', '.join(sorted(frame.study.unique()))}, need "
            f"{folder.name} only"
        )
    predictions = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    predictions = predictions.to_pandas(self_destruct=True, split_blocks=True)
    layers, maps, parallel = (_joined(parts) for parts in probed.values())
    facts = folder / "prepared" / "languages.csv"
    if facts.with_name("run.json").exists():
        records.verify_hashes(facts.parent, facts.name)
    languages = (
        pd.read_csv(facts, keep_default_na=False, na_values=[""])
        if facts.exists()
        else pd.DataFrame()
    )
    layers = layers.reindex(columns=[*dict.fromkeys([*layers.columns, "stage"])])
    # where only that was probed
    layers["stage"] = layers["stage"].astype(object).fillna("intermediate")
    checked = audit(frame, notes)
    return Study(
        folder.name,
        folder,
        frame,
        _joined(curves),
        predictions,
        layers,
        maps,
        parallel,
        languages,
        checked,
    )


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _run(path: Path, folder: Path, *files: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run.json as a flat row, and the keys that its tables get; the run's `files`, or all, are
    checked against it.
    """
    record = records.verify_hashes(path, *files)
    given = record["parameters"]
    keys = {key: given[key] for key in ("intermediate", "arm", "seed")}
    row = {
        key: record[key]
        for key in (
            "study",
            "phase",
            "status",
            "wall_seconds",
            "peak_memory_mb",
            "device",
            "threads",
        )
    }
    row |= keys | {"target": given.get("target", ""), "warnings": record["warnings"]}
    where = {
        "intermediate": f"intermediate/{row['intermediate']}/{row['arm']}",
        "target": f"target/{row['target']}/"
        + ("none" if row["arm"] == "none" else f"{row['intermediate']}.{row['arm']}"),
        "probe": f"probe/{row['intermediate']}/{row['arm']}",
    }.get(record["phase"], "")
    found = str(path.relative_to(folder)).rstrip("/")
    if found != f"{where}/seed-{row['seed']}":
        raise ValueError(
            f"{path}: holds the run of {where}/seed-{row['seed']}; a run's folder says which run "
            f"it is"
        )
    row |= {key: given[key] for key in SETTINGS if key in given}
    return row | {"versions": json.dumps(record["versions"], sort_keys=True)} | record[
        "metrics"
    ], keys


def _predictions(path: Path, row: dict[str, Any]) -> pa.Table:
    """One run's predictions, refused where their own keys are not the run's."""
    schema = pq.read_schema(path).names
    keys = [key for key in ("study", *KEYS) if key in schema]
    for key, column in zip(
        keys, pq.read_table(path, columns=keys, read_dictionary=keys).itercolumns(), strict=True
    ):
        found = set(column.unique().to_pylist())
        if found - {row[key]}:
            raise ValueError(
                f"{path}: found rows of {key} {', '.join(map(str, sorted(found)))}, need "
                f"{row[key]!r} only"
            )
    columns = ["language", "example_id", "gold", "score"]
    counts = [name for name in records.COUNTS if name in schema]
    return pq.read_table(path, columns=[*columns, *counts], read_dictionary=columns[:3])


def _keyed(table: pa.Table, row: dict[str, Any]) -> pa.Table:
    """The run's keys as columns of one byte a row."""
    nought = pa.array(np.zeros(len(table), dtype=np.int8))
    for key in ("study", *KEYS):
        table = table.append_column(
            key, pa.DictionaryArray.from_arrays(nought, pa.array([row[key]]))
        )
    return table


def _facts(table: pa.Table, metric: str) -> dict[str, Any]:
    """What the audit needs of one run's predictions: rows, doubled rows, missing scores, ids by
    language, guessing.
    """
    frame = table.select(["language", "example_id", "gold", "score"]).to_pandas()
    foreign = frame[frame.language != "en"]
    # what always saying the same scores; with tags, spans and rankings next to nothing
    guess = [0.0]
    if metric == "accuracy":
        guess = [
            100 * part.gold.value_counts(normalize=True).iloc[0]
            for _, part in foreign.groupby("language", observed=True)
        ]
    ids = pd.util.hash_pandas_object(frame[["language", "example_id"]], index=False).to_numpy()
    return {
        "rows": len(frame),
        "doubled": len(frame) - len(np.unique(ids)),
        "not_finite": int((~np.isfinite(frame.score)).sum()),
        "ids": int(np.bitwise_xor.reduce(ids)),
        "majority": float(np.mean(guess)) if guess else np.nan,
    }
