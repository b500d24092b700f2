"""What a study did beside its test: scores, costs, training, doses, languages. Numbers that runs
lack are said to be.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from simulate import simulate
from xgrl import stats
from xgrl.report import by_language, load_study, robustness, tables

MANY = (
    "none",
    "standard",
    "control",
    "dann",
    "dann-0.01",
    "dann-0.1",
    "dann-binary",
    "shuffled",
    "centring",
)
TARGETS = {
    "sentiment": (("es", "fr", "it", "ja", "ru", "zh", "pl"), 40, 55.0, True, "accuracy"),
    "intent": (("cs", "de", "hu", "sv", "ar", "hi"), 40, 45.0, False, "accuracy"),
    "emoji-names": (("ar", "de", "tr", "ja"), 60, 30.0, True, "bitext"),
    "slots": (("de", "fr", "hi", "ar"), 40, 60.0, False, "f1"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("whole"), seeds=(0, 1))


@pytest.fixture(scope="module")
def study(whole):
    return load_study.collect(whole)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    return load_study.collect(
        simulate(folder, arms=MANY, seeds=(0, 1), targets=TARGETS, effect=-4.0)
    )


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A study whose runs did not record what later ones do."""
    return load_study.collect(
        simulate(tmp_path_factory.mktemp("old"), seeds=(0, 1), recorded=False)
    )


def test_results_hold_every_score_once(whole, study):
    results = tables.results(study)
    keys = ["study", *load_study.KEYS, "language", "metric"]
    assert not results.duplicated(keys).any() and results.notna().all().all()
    expected = sum(
        len(json.loads(p.read_text())["metrics"]["scores"])
        for p in whole.glob("target/*/*/*/run.json")
    )
    assert len(results) == expected + len(list(whole.glob("intermediate/*/*/*/run.json")))
    assert results.equals(results.sort_values(keys, ignore_index=True))


def test_descriptive_has_arms_in_order_and_means_over_runs(study):
    table = tables.descriptive(study)
    assert list(dict.fromkeys(table.columns.get_level_values(0))) == [
        "none",
        "standard",
        "control",
        "dann",
    ]
    runs = study.runs[(study.runs.target == "intent") & (study.runs.arm == "dann")]
    assert table.loc["intent", ("dann", "macro")] == pytest.approx(runs.macro.mean())
    assert table.loc["intent", ("dann", "sd")] == pytest.approx(runs.macro.std())


def test_leave_one_out_starts_from_the_planned_estimate_and_averages_back_to_it(study):
    left = robustness.leave_one_out(study.predictions, "standard", "dann")
    comparison = stats.compare(study.predictions, "standard", "dann")
    assert left.theta[0] == pytest.approx(comparison.theta) and left.p[0] == pytest.approx(
        comparison.p_signflip
    )
    # equal weights: the mean of the leave-one-outs is the estimate
    for kind in ("intermediate", "target", "block"):
        assert left.theta[left.kind == kind].mean() == pytest.approx(comparison.theta)
    assert left.kind.value_counts()["language"] == study.predictions.language.nunique() - 1


def test_leave_one_out_uses_the_planned_weights(study):
    weights = {"sentiment": 2.0, "intent": 1.0, "emoji-names": 1.0}
    left = robustness.leave_one_out(study.predictions, "standard", "dann", weights)
    assert left.theta[0] == pytest.approx(
        stats.compare(study.predictions, plan={"weights": weights}).theta
    )


def test_score_table_says_a_dash_where_an_arm_does_not_exist(many):
    table = tables.score_table(many)
    assert table.loc["centring", "intent"] == "\u2013" and "(en " in table.loc["dann", "intent"]
    assert "(en" not in table.loc["dann", "emoji-names"]


def texts(table):
    """The rows of a table that was made to be read, as texts."""
    rows = BeautifulSoup(table.data, "html.parser").select("tbody tr")
    return [[cell.get_text() for cell in row.select("td")] for row in rows]


def test_formatted_numbers_and_the_name_of_what_is_missing():
    frame = pd.DataFrame(
        {
            "p": [0.00049, 1e-9],
            "x": [1.234, np.nan],
            "big": [4e12, 1.0],
            "n": [3, 4],
            "t": ["a", "b"],
        }
    )
    assert texts(tables.formatted(frame, {"x": 1})) == [
        ["0.00049", "1.2", "4e+12", "3", "a"], ["<0.0001", "not recorded", "1.00", "4", "b"],
    ]  # fmt: skip
    assert tables.formatted(frame).data == tables.formatted(frame.copy()).data


def test_costs_are_relative_to_the_baseline_in_the_same_block(many):
    table = tables.costs(many, "standard")
    assert list(table.index) == [arm for arm in MANY if arm not in ("none", "centring")]
    assert (table.loc["standard", [f"{n}_ratio" for n in tables.COSTS]] == 1).all()
    dann = table.loc["dann"]
    assert (dann.flops_ratio, dann.tokens_ratio, dann.examples_ratio) == (2.0, 2.0, 2.0)
    assert dann.seconds_ratio_low < dann.seconds_ratio < dann.seconds_ratio_high
    assert (
        dann.flops_a_token == pytest.approx(dann.flops / dann.tokens)
        and dann.flops_a_step == dann.flops / dann.steps
    )


def test_the_cost_of_a_single_run_has_no_interval(study):
    one = study.runs[(study.runs.seed == 0) & (study.runs.intermediate == "sarcasm")]
    row = tables.costs(load_study.Study(**{**vars(study), "runs": one}), "standard").loc["dann"]
    assert (
        row.flops_ratio == 2.0 and np.isnan(row.flops_ratio_low) and np.isnan(row.flops_ratio_high)
    )


def test_what_was_not_recorded_is_said_not_guessed(old):
    costs = tables.costs(old, "standard")
    absent = costs[["flops", "seconds", "padded_tokens", "examples"]].reset_index(drop=True)
    assert {text for row in texts(tables.formatted(absent)) for text in row} == {"not recorded"}
    assert costs.tokens_ratio.notna().all()
    inside = tables.inside_training(old)
    assert (inside["gradient cosine"] == "not recorded").all() and (
        inside["effective rank last"] == "not recorded"
    ).all()
    assert set(inside["discriminator, %"]) == {
        "has none",
        "90.00 [90.00, 90.00]",
        "45.00 [45.00, 45.00]",
    }
    assert tables.calibration_error(old).empty and old.languages.empty
    assert not len(by_language.typology(by_language.language_effects(old, "standard", "dann")))
    assert by_language.seen_against_unseen(
        by_language.language_effects(old, "standard", "dann")
    ).empty


def test_discriminators_below_chance_are_counted_by_their_interval(many):
    runs = many.runs.copy()
    row = runs.index[(runs.arm == "dann") & (runs.phase == "intermediate")][0]
    runs.loc[row, ["discriminator_accuracy", "discriminator_low", "discriminator_high"]] = (
        22.0,
        19.5,
        24.5,
    )
    table = tables.inside_training(load_study.Study(**{**vars(many), "runs": runs})).set_index(
        ["intermediate", "arm"]
    )
    assert table.loc[(runs.intermediate[row], "dann"), "below chance"] == "1 of 2"
    # 24 of 25, its interval holds chance
    assert table.loc[(runs.intermediate[row], "shuffled"), "below chance"] == "0 of 2"


def test_calibration_error_is_a_mean_over_runs_and_targets(whole, study):
    table = tables.calibration_error(study)
    values = []
    for path in whole.glob("target/*/*.dann/*/run.json"):
        found = json.loads(path.read_text())["metrics"]["calibration"]
        values += [found["en"]] if found else []
    assert table.index[0] == "en" and table.index[-1] == "zero-shot"
    assert table.loc["en", "dann"] == pytest.approx(np.mean(values))


def test_doses_are_the_variants_that_differ_in_lambda_alone(many, study):
    table = robustness.doses(many, "dann")
    assert table.to_numpy().tolist() == [
        ["control", 0.0],
        ["dann-0.01", 0.01],
        ["dann", 0.05],
        ["dann-0.1", 0.1],
    ]
    response = robustness.dose_response(many, "standard", "dann", 1.0)
    assert response.theta.iloc[-1] < response.theta.iloc[1] and (response.low < response.high).all()
    only = load_study.Study(
        **{**vars(study), "predictions": study.predictions[study.predictions.arm != "control"]}
    )
    assert robustness.dose_response(only, "standard", "dann", 1.0).empty  # one dose is no response


def test_translations_are_told_by_arm_for_seen_and_unseen_languages(study):
    table = tables.translations(study)
    assert list(table.index) == ["public", "none", "standard", "control", "dann"] and list(
        table
    ) == ["seen", "unseen"]
    assert table.loc["public"].tolist() == pytest.approx([0.3, 0.3])
    assert table.loc["dann"].tolist() == pytest.approx([0.2, 0.2])
    bare = load_study.Study(**{**vars(study), "parallel": pd.DataFrame()})
    assert tables.translations(bare).empty


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


def test_gains_average_to_theta_for_parallel_targets_and_centre_the_others(study):
    one = study.predictions[study.predictions.target == "sentiment"]
    found = by_language.language_effects(
        load_study.Study(**{**vars(study), "predictions": one}), "standard", "dann"
    )
    assert found.table.effect.mean() == pytest.approx(stats.compare(one).theta)
    every = by_language.language_effects(study, "standard", "dann").table
    cells = stats.compare(study.predictions)
    per = cells.per_language.merge(
        cells.per_task[["target", "theta"]], on="target", suffixes=("", "_target")
    )
    per["moved"] = per.theta - per.theta_target + cells.theta
    np.testing.assert_allclose(every.effect, per.groupby("language").moved.mean().loc[every.index])


def test_a_gain_that_follows_distance_is_found_and_one_that_does_not_is_not():
    g = np.random.default_rng(0)
    names = [f"l{k}" for k in range(20)]
    distance, proxy = g.random(20), g.normal(size=20)
    base = {
        "targets": 1,
        "public": proxy,
        "pieces": np.nan,
        "seen": "True",
        **dict.fromkeys(by_language.DISTANCES, np.nan),
    }

    def found(gain):
        table = pd.DataFrame(
            base | {"effect": gain, "low": gain - 1, "high": gain + 1, "syntactic": distance},
            index=names,
        )
        return by_language.typology(
            by_language.LanguageEffects(table, gain[None].repeat(2, 0), np.array(["a", "a"]))
        ).iloc[0]

    follows, proxied = found(-5 * distance + 0.3 * g.normal(size=20)), found(3 * proxy)
    assert follows.partial < -0.8 and follows.p < 0.001 and follows.partial < follows.null_low
    assert follows.distance == "syntactic" and follows.proxies == "public"
    assert proxied.p > 0.05 and abs(proxied.partial) < 0.6


def test_permuting_languages_keeps_its_level():
    g, hits = np.random.default_rng(1), 0
    base = {
        "targets": 1,
        "pieces": np.nan,
        "seen": "True",
        **dict.fromkeys(by_language.DISTANCES, np.nan),
    }
    for _ in range(200):
        gain = g.normal(size=12)
        table = pd.DataFrame(
            base | {"effect": gain, "public": g.normal(size=12), "syntactic": g.random(12)}
        )
        hits += (
            by_language.typology(
                by_language.LanguageEffects(table, gain[None], np.array(["a"])), draws=199, seed=g
            ).p[0]
            <= 0.05
        )
    assert hits / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_seen_against_unseen_is_the_difference_of_mean_gains(many):
    found = by_language.language_effects(many, "standard", "dann")
    row = by_language.seen_against_unseen(found).iloc[0]
    seen = found.table.seen.astype(bool)
    assert row.difference == pytest.approx(
        found.table.effect[seen].mean() - found.table.gain[~seen].mean()
    )
    assert (
        row.low < row.difference < row.high
        and 0 < row.p_languages <= 1
        and row.p_blocks >= 2 / 2**4
    )
    assert set(row.seen.split(", ")) == {"ar", "de", "es", "fr"}
