"""A study's folders: whole ones are read as they are, damaged ones are reported for what they lack."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from simulate import simulate, write_run
from xgrl import collecting, stats

OWN = "adversary acted (own discriminator)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("whole"), seeds=(0, 1))


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / whole.name)


@pytest.fixture(scope="module")
def study(whole):
    return collecting.collect(whole)


def edit(path, **metrics):
    record = json.loads((path / "run.json").read_text())
    record["metrics"] |= metrics
    (path / "run.json").write_text(json.dumps(record))


def failing(folder) -> dict[str, str]:
    audit = collecting.collect(folder).audit
    return dict(zip(audit.check[~audit.ok], audit.found[~audit.ok], strict=True))


def test_every_prediction_is_read_once(whole, study):
    files = sorted(whole.glob("target/*/*/*/predictions.parquet"))
    read = pd.concat(map(pd.read_parquet, files)).drop(columns=["gold", "prediction"])
    keys = ["study", *collecting.KEYS, "language", "example_id"]
    same = study.predictions.astype({key: str for key in keys if key != "seed"}).astype({"seed": int})
    pd.testing.assert_frame_equal(
        same[[*keys, "score"]].sort_values(keys, ignore_index=True),
        read[[*keys, "score"]].sort_values(keys, ignore_index=True),
        check_dtype=False,
    )
    assert study.audit.ok.all() and not len(collecting.diagnostics(study))
    assert len(study.runs) == len(list(whole.rglob("run.json")))


def test_scores_in_runs_agree_with_predictions(study):
    foreign = study.predictions[study.predictions.language != "en"]
    cells = foreign.groupby([*collecting.KEYS, "language"], observed=True).score.mean()
    macro = cells.groupby(collecting.KEYS, observed=True).mean()
    runs = study.runs[study.runs.phase == "target"].set_index(collecting.KEYS).macro
    assert np.allclose(runs.sort_index(), macro.sort_index())


def test_unfinished_run_is_missing_and_named(copy):
    (copy / "target/intent/sarcasm.dann/seed-1/run.json").unlink()
    found = failing(copy)
    assert "target/intent/sarcasm.dann/seed-1" in found["every run finished"]
    assert "1 of 42 missing, first sarcasm, dann, intent, 1" in found["every cell of the grid"].replace("('", "").replace(
        "'", ""
    )


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
    other = stats.compare(collecting.collect(copy).predictions)
    assert other.theta == pytest.approx(stats.compare(study.predictions).theta)


def test_diverged_and_mixed_runs_are_reported_and_kept(copy):
    path = copy / "intermediate/sarcasm/dann/seed-0"
    record = json.loads((path / "run.json").read_text())
    record |= {"status": "diverged", "device": "cuda", "warnings": ["the loss is nan at step 7"]}
    (path / "run.json").write_text(json.dumps(record))
    assert set(failing(copy)) == {"no run diverged (a diverged run is kept)", "the same device in all runs"}
    warnings = collecting.diagnostics(collecting.collect(copy)).warning.tolist()
    assert warnings == ["the loss is nan at step 7", "status diverged"]


def test_a_folder_without_runs_or_with_two_studies_is_refused(copy, tmp_path):
    with pytest.raises(ValueError, match="no finished target run"):
        collecting.collect(tmp_path / "nothing")
    write_run(
        copy / "intermediate/sarcasm/dann/seed-9", "other", "intermediate", {"intermediate": "s", "arm": "a", "seed": 9}, {}
    )
    with pytest.raises(ValueError, match="mixes studies: other, simulated"):
        collecting.collect(copy)


def test_manipulation_checks_pass_where_the_experiment_worked(study):
    checked = collecting.checks(study, "standard", "dann")
    assert checked.ok.all() and collecting.failures(checked, study.audit) == []
    assert set(checked.question) == {
        "task learned", "discriminator not out-run", OWN,
        "adversary acted (fresh probe, last layer)", "room to move",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "metrics", "question", "subject"),
    [
        ("intermediate/sarcasm/standard/seed-1", {"learned": False, "dev_low": 49.0}, "task learned", "sarcasm"),
        ("intermediate/sarcasm/dann/seed-1", {"discriminator_accuracy": 10.0}, "discriminator not out-run", "dann"),
        ("intermediate/sarcasm/dann/seed-1", {"discriminator_accuracy": 91.0}, OWN, "dann against control"),
        ("target/intent/none/seed-0", {"macro": 150.0}, "room to move", "intent"),
        ("target/intent/none/seed-0", {"macro": -20.0}, "room to move", "intent"),
    ],
)  # fmt: skip
def test_each_manipulation_check_can_fail(copy, path, metrics, question, subject):
    edit(copy / path, **metrics)
    data = collecting.collect(copy)
    checked = collecting.checks(data, "standard", "dann")
    assert checked.loc[~checked.ok, ["question", "subject"]].to_numpy().tolist() == [[question, subject]]
    assert collecting.failures(checked, data.audit) == [f"{question}: {subject}"]


def test_fresh_probe_check_fails_where_language_is_as_plain_as_before(copy):
    for path in copy.glob("probe/*/dann/*"):
        shutil.copy(str(path / "layers.csv").replace("dann", "control"), path / "layers.csv")
    checked = collecting.checks(collecting.collect(copy), "standard", "dann")
    assert checked.question[~checked.ok].tolist() == ["adversary acted (fresh probe, last layer)"]


def test_control_that_was_probed_but_not_carried_to_targets_is_no_gap(copy):
    for path in copy.glob("target/*/*.control"):
        shutil.rmtree(path)
    assert not failing(copy)


def test_results_hold_every_score_once(whole, study):
    results = collecting.results(study)
    keys = ["study", *collecting.KEYS, "language", "metric"]
    assert not results.duplicated(keys).any() and results.notna().all().all()
    expected = sum(len(json.loads(p.read_text())["metrics"]["scores"]) for p in whole.glob("target/*/*/*/run.json"))
    assert len(results) == expected + len(list(whole.glob("intermediate/*/*/*/run.json")))
    assert results.equals(results.sort_values(keys, ignore_index=True))


def test_descriptive_has_arms_in_order_and_means_over_runs(study):
    table = collecting.descriptive(study)
    assert list(dict.fromkeys(table.columns.get_level_values(0))) == ["none", "standard", "control", "dann"]
    runs = study.runs[(study.runs.target == "intent") & (study.runs.arm == "dann")]
    assert table.loc["intent", ("dann", "macro")] == pytest.approx(runs.macro.mean())
    assert table.loc["intent", ("dann", "sd")] == pytest.approx(runs.macro.std())


def test_leave_one_out_starts_from_the_planned_estimate_and_averages_back_to_it(study):
    left = collecting.leave_one_out(study.predictions, "standard", "dann")
    comparison = stats.compare(study.predictions, "standard", "dann")
    assert left.theta[0] == pytest.approx(comparison.theta) and left.p[0] == pytest.approx(comparison.p_signflip)
    for kind in ("intermediate", "target", "block"):  # equal weights: the mean of the leave-one-outs is the estimate
        assert left.theta[left.kind == kind].mean() == pytest.approx(comparison.theta)
    assert left.kind.value_counts()["language"] == study.predictions.language.nunique() - 1


def test_the_simulated_effect_is_found_again(tmp_path):
    folder = simulate(tmp_path, arms=("standard", "dann"), seeds=(0, 1, 2, 3), effect=8.0)
    found = stats.compare(collecting.collect(folder).predictions)
    assert found.ci[0] < 8.0 < found.ci[1] and abs(found.theta - 8.0) < 3 * found.se
    assert found.verdict == "superior"
