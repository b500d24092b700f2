"""The comparison from other sides: parts left out, doses, runs and items drawn anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import load_study, robustness


def test_leave_one_out_starts_from_the_planned_estimate_and_averages_back_to_it(study):
    left = robustness.leave_one_out(study.predictions, "standard", "dann")
    comparison = stats.compare(study.predictions, "standard", "dann")
    assert left.theta[0] == pytest.approx(comparison.theta)
    assert left.p[0] == pytest.approx(comparison.p_signflip)
    # equal weights: the mean of the leave-one-outs is the estimate
    for kind in ("intermediate", "target", "block"):
        assert left.theta[left.kind == kind].mean() == pytest.approx(comparison.theta)
    assert left.kind.value_counts()["language"] == study.predictions.language.nunique() - 1


def test_leave_one_out_uses_the_planned_weights(study):
    weights = {"sentiment": 2.0, "intent": 1.0, "emoji-names": 1.0}
    left = robustness.leave_one_out(study.predictions, "standard", "dann", lambda _: weights)
    assert left.theta[0] == pytest.approx(
        stats.compare(study.predictions, plan={"weights": weights}).theta
    )


def test_doses_are_the_variants_that_differ_in_lambda_alone(many, study):
    table = robustness.doses(many, "dann")
    assert table.to_numpy().tolist() == [
        ["control", 0.0],
        ["dann-0.01", 0.01],
        ["dann", 0.05],
        ["dann-0.1", 0.1],
    ]
    other = replace(many, baselines={"dann-0.1": "standard-dev"})
    assert robustness.doses(other, "dann").arm.tolist() == ["control", "dann-0.01", "dann"]
    response = robustness.dose_response(many, "standard", "dann", 1.0)
    assert response.theta.iloc[-1] < response.theta.iloc[1] and (response.low < response.high).all()
    only = replace(study, predictions=study.predictions[study.predictions.arm != "control"])
    assert robustness.dose_response(only, "standard", "dann", 1.0).empty  # one dose is no response
    assert "control" in set(study.predictions.arm) and robustness.doses(study, "dann").empty


def test_scores_that_differ_between_two_arms_are_counted(study):
    rows = study.predictions
    twin = rows[rows.arm == "control"].assign(arm="dann-0")
    assert robustness.unequal(pd.concat([rows, twin]), "control", "dann-0") == (0, len(twin))
    twin = twin.assign(score=np.where(np.arange(len(twin)) < 7, 100 - twin.score, twin.score))
    assert robustness.unequal(pd.concat([rows, twin]), "control", "dann-0") == (7, len(twin))


def test_bootstrap_check_agrees_with_the_crossed_interval_for_an_f1(tmp_path):
    targets = {"slots": (("de", "fr"), 150, 60.0, True, "f1")}
    data = load_study.collect(
        simulate(
            tmp_path, arms=("standard", "dann"), seeds=(0, 1, 2, 3, 4), targets=targets, seed_sd=3.0
        )
    )
    comparison = stats.compare(data.predictions)
    row = robustness.bootstrap_check(data, comparison, draws=800).iloc[0]
    assert row.metric == "F1 of counts"
    assert row.bootstrap_se == pytest.approx(comparison.se, rel=0.35)
    assert row.bootstrap_low < row.theta < row.bootstrap_high


def test_the_a_a_comparison_says_whether_it_includes_nought_and_when_there_is_none():
    row = {"arm": "control", "theta": -1.0, "low": -2.0, "high": 0.5, "blocks": 3}
    says = robustness.aa_check(pd.DataFrame([row]), "standard")
    assert says.startswith("A/A, control - standard, 3 blocks: -1.00 points, interval -2.00 to ")
    assert says.endswith("+0.50 includes 0, as it must")
    assert "DOES NOT INCLUDE 0" in robustness.aa_check(
        pd.DataFrame([row | {"high": -0.5}]), "standard"
    )
    same = row | {"theta": 0.0, "low": np.nan, "high": np.nan}
    assert robustness.aa_check(pd.DataFrame([same]), "standard").endswith("no interval")
    for absent in (row | {"theta": np.nan}, row | {"arm": "dann"}):
        assert "no predictions" in robustness.aa_check(pd.DataFrame([absent]), "standard")
