"""Published results: complete, small, what the pages say; how another run differs from them."""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from small_report import cell, finished, write_analysis, write_notebook
from xgrl.report import cli, packs, reference
from xgrl.runs import records

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.parents[1] for path in ROOT.glob("outputs/reference/*/analysis/report.html"))


def test_the_laptop_study_is_published():
    assert "laptop" in [p.name for p in STUDIES]


@pytest.mark.parametrize("folder", STUDIES, ids=lambda p: p.name)
def test_complete_and_small(folder):
    sizes = {p.relative_to(folder): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    assert sum(size for p, size in sizes.items() if p.parts[0] not in ("packs", "tuning")) < 1.2e7
    assert max(size for p, size in sizes.items() if p.suffixes[-2:] != [".json"]) < 4_000_000
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


def test_verify_says_what_differs_and_by_how_much(tmp_path):
    there = write_analysis(tmp_path / "reference")
    assert reference.verify(write_analysis(tmp_path / "same"), there).empty
    found = reference.verify(write_analysis(tmp_path / "other", change=0.25), there)
    assert found[["arm", "difference"]].to_numpy().tolist() == [["dann", 0.25]]
    missing = reference.verify(write_analysis(tmp_path / "less", drop=1), there)
    assert missing.arm.tolist() == ["none"] and math.isnan(missing.difference[0])


def test_verify_says_how_the_verdict_differs(tmp_path):
    there = write_analysis(tmp_path / "reference")
    # rounding
    assert reference.verify_verdict(
        write_analysis(tmp_path / "same", theta=10.0 + 1e-13), there
    ).empty
    found = reference.verify_verdict(
        write_analysis(tmp_path / "other", verdict="inconclusive", theta=9.5), there
    )
    assert found.number.tolist() == ["verdict", "theta"] and found.difference.iloc[1] == -0.5
    assert found[["here", "reference"]].iloc[0].tolist() == ["inconclusive", "superior"]


@pytest.fixture
def reported(tmp_path):
    """A study of one run with its report."""
    study = write_analysis(tmp_path / "study")
    (study / "analysis" / "report.html").write_text("<p>report")
    texts = cell("shown", "stream", name="stdout", text="a text of the data")
    texts.metadata["tags"] = ["shows-texts"]
    write_notebook(study / "analysis", texts)
    finished(study / "target" / "t" / "none" / "seed-0")
    return study


def test_publish_copies_the_analysis_and_every_record_and_verify_compares_bytes(reported, tmp_path):
    study, run = reported, reported / "target" / "t" / "none" / "seed-0"
    reference.publish(study, tmp_path / "reference")
    assert "a text" not in (tmp_path / "reference/analysis/05_analysis.ipynb").read_text()
    assert (tmp_path / "reference/analysis/report.html").read_text() == "<p>report"
    published = json.loads((tmp_path / "reference/runs.json").read_text())
    assert list(published) == ["target/t/none/seed-0"]
    assert reference.verify_predictions(study, tmp_path / "reference") == (1, 1)
    # a run that the study file does not ask for is not published
    path = study / "analysis/summary.json"
    records.write_json(path, json.loads(path.read_text()) | {"beside": ["target/t/none/seed-1"]})
    finished(run.with_name("seed-1"), seed=1)
    reference.publish(study, tmp_path / "again")
    published = (tmp_path / "reference/runs.json").read_bytes()
    assert (tmp_path / "again/runs.json").read_bytes() == published
    # packs are, and of 01 what they hold of it where it has not run here
    finished(study / "unpacked/prepared", phase="prepare")
    files = {"prepared/run.json": (study / "unpacked/prepared/run.json").read_bytes()}
    packs._write(study / "packs/t.none.seed-0.tar.gz", "s", "none:0", files)
    reference.publish(study, tmp_path / "packs")
    assert packs.read(tmp_path / "packs/packs/t.none.seed-0.tar.gz")[1] == files
    published = json.loads((tmp_path / "packs/runs.json").read_text())
    assert published["prepared"]["phase"] == "prepare" and len(published) == 2
    finished(study / "prepared", phase="prepare", seed=4)
    assert reference.run_records(study)["prepared"]["parameters"]["seed"] == 4
    assert len(reference.run_records(study)) == 3  # with the run beside
    finished(run, b"two")
    assert reference.verify_predictions(study, tmp_path / "reference") == (0, 1)


def test_what_is_damaged_is_not_published_and_nothing_is_written(reported, tmp_path):
    run = reported / "target" / "t" / "none" / "seed-0"
    whole = {path: path.read_bytes() for path in reported.rglob("*.*") if path.is_file()}
    damaged = {
        run / "run.json": whole[run / "run.json"].replace(b'"seed": 0', b'"seed": 1'),
        run / "predictions.parquet": b"two",
        reported / "analysis" / "summary.json": b"{}",
        reported / "packs" / "t.none.seed-0.tar.gz": b"packed",
    }
    for path, content in damaged.items():
        records.write_bytes(path, content)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            reference.publish(reported, tmp_path / "reference")
        assert not (tmp_path / "reference").exists()
        records.write_bytes(path, whole[path]) if path in whole else path.unlink()
    (run / "predictions.parquet").unlink()
    with pytest.raises(ValueError, match="not there, though its run has finished"):
        reference.publish(reported, tmp_path / "reference")


@pytest.mark.parametrize(
    ("name", "content"),
    [("runs.json", "{}"), ("runs.json", "[]"), ("runs.json", "{"), ("analysis/results.csv", ""),
     ("analysis/results.csv", "a,b\n1,2\n"), ("analysis/summary.json", "{}")],
)  # fmt: skip
def test_a_damaged_reference_is_named(reported, tmp_path, name, content, capsys):
    there = tmp_path / "reference"
    reference.publish(reported, there)
    (there / name).write_text(content)
    assert cli.main(["verify", str(reported), str(there)]) == 2
    assert f"refused: {there / name}" in capsys.readouterr().err
