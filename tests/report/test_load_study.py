"""A study's folders are read as they are; strangers are refused."""

import copy as copy_module
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from snakemake.utils import update_config

from simulate import simulate, write_run
from xgrl import stats
from xgrl.execution.grid import parameters_of_runs
from xgrl.report import checks, load_study, tables
from xgrl.runs import params, records
from xgrl.runs.study_files import read_study

ROOT = Path(__file__).resolve().parents[2]


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


DESIGN = {
    "study": "simulated",
    "scientific": {
        "arms": ["none", "standard", "control", "dann"],
        "targets": ["sentiment", "intent", "emoji-names"],
        "seeds": [0, 1],
        "probe_arms": ["standard", "control", "dann"],
        "probe_seeds": [0, 1],
    },
}


@pytest.fixture
def designed(copy):
    """The simulated study with the parameters that its study file asks for, and that file."""
    design = read_study(ROOT / "params/base.yaml", ROOT / "params/smoke.yaml")
    update_config(design, DESIGN)
    for name, job in parameters_of_runs(params.load_study(design)).items():
        path = copy / name / "run.json"
        record = (
            json.loads(path.read_text())
            if path.exists()
            else {"schema": records.SCHEMA, "warnings": [], "metrics": {}}
        )
        path.write_text(json.dumps(record | {"parameters": job | {"outputs": "moved"}}))
    return copy, design


def test_runs_that_the_study_file_does_not_ask_for_are_named_and_not_counted(designed):
    folder, design = designed
    # without training one run of retrieval is all seeds', and none is not to be probed
    none = ["target/emoji-names/none/seed-1", "probe/none/none/seed-0", "probe/none/none/seed-1"]
    assert load_study.collect(folder).beside == ()
    whole = load_study.collect(folder, design)
    assert whole.audit.ok.all() and list(whole.beside) == none
    assert stats.compare(whole.predictions).n_blocks == 4
    less = copy_of(design, seeds=[0], probe_seeds=[0])
    study = load_study.collect(folder, less)
    assert set(study.runs.seed) == set(study.predictions.seed) == {0} == set(study.curves.seed)
    assert set(study.probes.seed) == {0} and stats.compare(study.predictions).n_blocks == 2
    found = study.audit.set_index("check").found
    left = {str(p.parent.relative_to(folder)) for p in folder.glob("*/*/*/seed-1/run.json")}
    assert set(study.beside) == left | set(none)
    line = found["runs that the study file does not ask for (not counted)"]
    assert line == f"{len(study.beside)}, first intermediate/question-type/control/seed-1"
    assert study.audit.ok.all()


def test_what_the_average_weighs_the_same_is_the_study_file_s(designed):
    folder, design = designed
    assert load_study.collect(folder, design).average == "targets"
    assert load_study.collect(folder, copy_of(design, average="groups")).average == "groups"


def test_a_left_over_run_is_not_even_read(designed):
    folder, design = designed
    path = folder / "target/intent/sarcasm.dann/seed-1/run.json"
    path.write_text("damaged")
    with pytest.raises(ValueError, match="not readable as JSON"):
        load_study.collect(folder, design)
    assert load_study.collect(folder, copy_of(design, seeds=[0], probe_seeds=[0])).audit.ok.all()


def test_runs_with_other_parameters_than_the_study_file_s_are_refused_by_name(designed):
    folder, design = designed
    design = copy_of(design)
    design["nuisance"]["target"]["steps"]["intent"] = 9
    with pytest.raises(
        ValueError,
        match=r"target/intent/sarcasm.standard/seed-0 \(steps 60 instead of 9\).*; and 11 more; "
        r"delete their run.json",
    ):
        load_study.collect(folder, design)


def test_a_run_that_the_study_file_asks_for_and_is_not_there_is_missing(designed):
    folder, design = designed
    more = copy_of(design, seeds=[0, 1, 2])
    audit = load_study.collect(folder, more).audit.set_index("check")
    missing = audit.found[~audit.ok]
    assert missing["every run finished"].startswith(
        "intermediate/sarcasm/standard/seed-2 has no run.json; "
    )
    # of 3 x 2 x 3 x 3 and 3 + 3 + 1 without intermediate training
    assert missing["every cell of the grid"].startswith("20 of 61 missing, first ")
    assert len(missing) == 2
    nothing = pd.DataFrame(columns=["question", "subject", "ok"], dtype=bool)
    said = checks.failures(nothing, audit.reset_index())
    assert said[0].startswith("the study is incomplete, data audit, every run finished: inter")
    assert said[1].startswith("data audit, every cell of the grid: 20 of 61 missing")


def copy_of(design, **scientific):
    changed = copy_module.deepcopy(design)
    changed["scientific"] |= scientific
    return changed


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


@pytest.mark.simulation
def test_the_simulated_effect_is_found_again(tmp_path):
    folder = simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1, 2, 3), effect=8.0)
    found = stats.compare(load_study.collect(folder).predictions)
    assert found.ci[0] < 8.0 < found.ci[1] and abs(found.theta - 8.0) < 3 * found.se
    assert found.verdict == "superior"
