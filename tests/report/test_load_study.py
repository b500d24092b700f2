"""A study's folders: whole ones are read as they are, damaged ones are reported for what they lack,
strangers are refused.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from simulate import simulate, write_run
from xgrl import stats
from xgrl.report import checks, load_study, tables

OWN = "adversary acted (own discriminator)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("whole"), seeds=(0, 1))


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / whole.name)


@pytest.fixture(scope="module")
def study(whole):
    return load_study.collect(whole)


def edit(path, **metrics):
    record = json.loads((path / "run.json").read_text())
    record["metrics"] |= metrics
    (path / "run.json").write_text(json.dumps(record))


def failing(folder) -> dict[str, str]:
    audit = load_study.collect(folder).audit
    return dict(zip(audit.check[~audit.ok], audit.found[~audit.ok], strict=True))


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


def test_unfinished_run_is_missing_and_named(copy):
    (copy / "target/intent/sarcasm.dann/seed-1/run.json").unlink()
    found = failing(copy)
    assert "target/intent/sarcasm.dann/seed-1" in found["every run finished"]
    assert "1 of 42 missing, first sarcasm, dann, intent, 1" in found[
        "every cell of the grid"
    ].replace("('", "").replace("'", "")


def test_doubled_missing_and_other_examples_are_found(copy):
    path = copy / "target/sentiment/sarcasm.dann/seed-0/predictions.parquet"
    frame = pd.read_parquet(path)
    pd.concat([frame, frame.iloc[:3]]).to_parquet(path)
    assert failing(copy)["no example twice in a run"] == "3 doubled rows"
    frame.assign(score=frame.score.where(frame.index > 4)).to_parquet(path)
    assert failing(copy)["every score a number"] == "5 are not"
    frame.assign(example_id="other-" + frame.example_id).to_parquet(path)
    assert failing(copy) == {"same examples in all runs of a target": "differ in sentiment"}
    path.unlink()
    assert "1 without" in failing(copy)["predictions of every target run"]


def test_row_order_does_not_matter(copy, study):
    path = copy / "target/sentiment/sarcasm.dann/seed-0/predictions.parquet"
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path)
    assert not failing(copy)
    other = stats.compare(load_study.collect(copy).predictions)
    assert other.theta == pytest.approx(stats.compare(study.predictions).theta)


def test_diverged_and_mixed_runs_are_reported_and_kept(copy):
    path = copy / "intermediate/sarcasm/dann/seed-0"
    record = json.loads((path / "run.json").read_text())
    record |= {"status": "diverged", "device": "cuda", "warnings": ["the loss is nan at step 7"]}
    (path / "run.json").write_text(json.dumps(record))
    found = failing(copy)
    mixed = "arms of a block on the same device"
    assert set(found) == {
        "no run diverged (a diverged run is kept)",
        "the same device in all runs",
        mixed,
    }
    assert "mixed in 1 of " in found[mixed] and "first intermediate, sarcasm, 0" in found[mixed]
    # the whole block on a GPU: no pair is mixed, though the study is
    for other in ("standard", "control"):
        path = copy / f"intermediate/sarcasm/{other}/seed-0/run.json"
        if path.exists():
            path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda"}))
    assert mixed not in failing(copy) and "the same device in all runs" in failing(copy)
    warnings = tables.warnings(load_study.collect(copy)).warning.tolist()
    assert warnings == ["the loss is nan at step 7", "status diverged"]


def rewrite(path, **keys):
    pd.read_parquet(path).assign(**keys).to_parquet(path)


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


def test_an_arm_for_some_targets_only_is_no_gap_but_its_missing_seed_is(tmp_path):
    folder = simulate(tmp_path, arms=("none", "standard", "dann", "centring"), seeds=(0, 1))
    study = load_study.collect(folder)
    line = study.audit.set_index("check").loc["arms on a part of the grid (compared there only)"]
    assert study.audit.ok.all() and line.found == "centring"
    assert set(study.predictions.target[study.predictions.arm == "centring"]) == {"emoji-names"}
    shutil.rmtree(folder / "target/emoji-names/sarcasm.centring/seed-1")
    assert "1 of" in failing(folder)["every cell of the grid"]


def test_an_arm_that_was_trained_to_be_probed_has_a_part_of_the_grid(tmp_path):
    """The smoke and laptop studies have control on the probed target and seed alone, and dann on
    everything.
    """
    folder = simulate(tmp_path, seeds=(0, 1))
    for path in folder.glob("target/*/*.control/seed-*"):
        if path.parts[-3] != "intent" or path.name != "seed-0":
            shutil.rmtree(path)
    study = load_study.collect(folder)
    assert study.audit.ok.all()
    assert (
        study.audit.set_index("check").found["arms on a part of the grid (compared there only)"]
        == "control"
    )


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


def test_probes_after_fine_tuning_stay_apart(study):
    assert set(study.probes.stage) == {"intermediate", "fine-tuned"}
    after = study.probes[study.probes.stage == "fine-tuned"]
    # were they looked at, the adversary would seem to have done nothing
    assert (after.accuracy == 97.0).all()
    fresh = (
        checks.manipulation_checks(study, "standard", "dann")
        .set_index("question")
        .loc["adversary acted (fresh probe, last layer)"]
    )
    assert fresh.ok


def test_manipulation_checks_pass_where_the_experiment_worked(study):
    checked = checks.manipulation_checks(study, "standard", "dann")
    assert checked.ok.all() and checks.failures(checked, study.audit) == []
    assert set(checked.question) == {
        "task learned", "discriminator not outpaced", OWN,
        "adversary acted (fresh probe, last layer)", "room to move",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "metrics", "question", "subject"),
    [
        ("intermediate/sarcasm/standard/seed-1", {"learned": False, "dev_low": 49.0}, "task learned", "sarcasm"),
        ("intermediate/sarcasm/dann/seed-1", {"discriminator_accuracy": 10.0}, "discriminator not outpaced", "dann"),
        ("intermediate/sarcasm/dann/seed-1", {"discriminator_accuracy": 91.0}, OWN, "dann against control"),
        ("target/intent/none/seed-0", {"macro": 150.0}, "room to move", "intent"),
        ("target/intent/none/seed-0", {"macro": -20.0}, "room to move", "intent"),
    ],
)  # fmt: skip
def test_each_manipulation_check_can_fail(copy, path, metrics, question, subject):
    edit(copy / path, **metrics)
    data = load_study.collect(copy)
    checked = checks.manipulation_checks(data, "standard", "dann")
    assert checked.loc[~checked.ok, ["question", "subject"]].to_numpy().tolist() == [
        [question, subject]
    ]
    assert checks.failures(checked, data.audit) == [f"{question}: {subject}"]


def test_fresh_probe_check_fails_where_language_is_as_plain_as_before(copy):
    for path in copy.glob("probe/*/dann/*"):
        shutil.copy(str(path / "layers.csv").replace("dann", "control"), path / "layers.csv")
    checked = checks.manipulation_checks(load_study.collect(copy), "standard", "dann")
    assert checked.question[~checked.ok].tolist() == ["adversary acted (fresh probe, last layer)"]


def test_control_that_was_probed_but_not_carried_to_targets_is_no_gap(copy):
    for path in copy.glob("target/*/*.control"):
        shutil.rmtree(path)
    assert not failing(copy)


def test_the_simulated_effect_is_found_again(tmp_path):
    folder = simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1, 2, 3), effect=8.0)
    found = stats.compare(load_study.collect(folder).predictions)
    assert found.ci[0] < 8.0 < found.ci[1] and abs(found.theta - 8.0) < 3 * found.se
    assert found.verdict == "superior"
