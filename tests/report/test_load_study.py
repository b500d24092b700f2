"""A study's folders are read as they are; strangers are refused."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from simulate import simulate, write_run
from xgrl import stats
from xgrl.report import load_study, tables
from xgrl.runs import records


def rewrite(path, **keys):
    pd.read_parquet(path).assign(**keys).to_parquet(path)


def test_every_prediction_is_read_once(whole, study):
    files = sorted(whole.glob("target/*/*/*/predictions.parquet"))
    read = pd.concat(map(pd.read_parquet, files)).drop(columns=["gold", "prediction"])
    keys = ["study", *load_study.KEYS, "language", "example_id"]
    same = study.predictions.astype({key: str for key in keys if key != "seed"}).astype(
        {"seed": int}
    )
    pd.testing.assert_frame_equal(
        same[[*keys, "score"]].sort_values(keys, ignore_index=True),
        read[[*keys, "score"]].sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    assert study.audit.ok.all() and not len(tables.warnings(study))
    assert len(study.runs) == len(list(whole.rglob("run.json")))


def test_scores_in_runs_agree_with_predictions(study):
    foreign = study.predictions[study.predictions.language != "en"]
    cells = foreign.groupby([*load_study.KEYS, "language"], observed=True).score.mean()
    macro = cells.groupby(load_study.KEYS, observed=True).mean()
    runs = study.runs[study.runs.phase == "target"].set_index(load_study.KEYS).macro
    assert np.allclose(runs.sort_index(), macro.sort_index())


def test_row_order_does_not_matter(copy, study):
    path = copy / "target/sentiment/sarcasm.dann/seed-0/predictions.parquet"
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path)
    shuffled = load_study.collect(copy)
    other = stats.compare(shuffled.predictions)
    assert shuffled.audit.ok.all()
    assert other.theta == pytest.approx(stats.compare(study.predictions).theta)


def test_what_01_says_of_lost_rows_stands_in_the_audit_and_fails_nothing(copy):
    prepared = copy / "prepared"
    prepared.mkdir(exist_ok=True)
    (prepared / "languages.csv").write_text("language,seen\nde,True\n")
    lost = "qa bn test: left out 108 answer not at its offset; 5 rows remain, 96% lost"
    about = {"parameters": {"study": copy.name}, "metrics": {}, "started": 0.0}
    few = "qa de test: left out 1 empty text; 99 rows remain"
    records.finish(prepared, phase="prepare", warnings=[few, lost], **about)
    audit = load_study.collect(copy).audit
    told = audit[audit.check == "rows that are not used (over 5 %)"]
    assert told.found.tolist() == [lost] and audit.ok.all()


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no finished target run"):
        load_study.collect(tmp_path / "nothing")


def test_a_run_of_another_study_is_refused(copy):
    path = copy / "intermediate/sarcasm/dann/seed-9"
    write_run(
        path, "other", "intermediate", {"intermediate": "sarcasm", "arm": "dann", "seed": 9}, {}
    )
    with pytest.raises(
        ValueError, match="mixes studies: found other, simulated, need simulated only"
    ):
        load_study.collect(copy)


def test_a_whole_study_under_another_name_is_refused(copy):
    with pytest.raises(ValueError, match="found simulated, need renamed only"):
        load_study.collect(copy.rename(copy.parent / "renamed"))


def test_a_run_in_the_folder_of_another_is_refused(copy):
    shutil.copytree(
        copy / "target/intent/sarcasm.dann/seed-0", copy / "target/intent/sarcasm.dann/seed-7"
    )
    with pytest.raises(
        ValueError, match=r"seed-7: holds the run of target/intent/sarcasm\.dann/seed-0"
    ):
        load_study.collect(copy)


@pytest.mark.parametrize(
    ("key", "value"), [("study", "other"), ("arm", "standard"), ("seed", 5), ("target", "xnli")]
)
def test_predictions_of_another_run_are_refused(copy, key, value):
    rewrite(copy / "target/intent/sarcasm.dann/seed-1/predictions.parquet", **{key: value})
    with pytest.raises(
        ValueError,
        match=f"sarcasm.dann/seed-1/predictions.parquet: found rows of {key} {value}, need",
    ):
        load_study.collect(copy)


def test_counts_behind_an_f1_are_read_and_missing_elsewhere(tmp_path):
    targets = {
        "slots": (("de", "fr"), 30, 60.0, False, "f1"),
        "intent": (("de", "fr"), 30, 50.0, True, "accuracy"),
    }
    study = load_study.collect(
        simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1), targets=targets)
    )
    tags = study.predictions[study.predictions.target == "slots"]
    assert tags[["matched", "predicted", "expected"]].notna().all().all()
    assert study.predictions.loc[study.predictions.target == "intent", "matched"].isna().all()


def test_the_simulated_effect_is_found_again(tmp_path):
    folder = simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1, 2, 3), effect=8.0)
    found = stats.compare(load_study.collect(folder).predictions)
    assert found.ci[0] < 8.0 < found.ci[1] and abs(found.theta - 8.0) < 3 * found.se
    assert found.verdict == "superior"
