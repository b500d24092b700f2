"""What a study did beside its test; numbers that runs lack are said to be."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from simulate import MANY
from xgrl import stats
from xgrl.report import by_language, checks, load_study, summary, tables


def texts(table):
    """The rows of a table that was made to be read, as texts."""
    rows = BeautifulSoup(table.data, "html.parser").select("tbody tr")
    return [[cell.get_text() for cell in row.select("td")] for row in rows]


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


def test_results_say_of_every_language_whether_the_discriminator_saw_it(study, old):
    seen = tables.results(study).groupby("language").seen.unique().str[0]
    assert {name for name in seen.index if seen[name]} == {"en", "ar", "de", "es", "fr"}
    assert not seen["ja"] and tables.results(old).seen.isna().all()


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


def test_score_table_says_a_dash_where_an_arm_does_not_exist(many):
    table = tables.score_table(many)
    assert table.loc["centring", "intent"] == "\u2013" and "(en " in table.loc["dann", "intent"]
    assert "(en" not in table.loc["dann", "emoji-names"] and table.loc["dann", "runs"] == "4"
    runs = many.runs[
        (many.runs.arm != "dann") | (many.runs.seed == 0) | (many.runs.target == "intent")
    ]
    part = replace(many, runs=runs)
    assert tables.score_table(part).loc["dann", "runs"] == "2 or 4"


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
    assert dann.flops_a_token == pytest.approx(dann.flops / dann.tokens)
    assert dann.flops_a_step == dann.flops / dann.steps


def test_the_cost_of_a_single_run_has_no_interval(study):
    one = study.runs[(study.runs.seed == 0) & (study.runs.intermediate == "sarcasm")]
    row = tables.costs(replace(study, runs=one), "standard").loc["dann"]
    assert row.flops_ratio == 2.0
    assert np.isnan(row.flops_ratio_low)
    assert np.isnan(row.flops_ratio_high)


def test_what_was_not_recorded_is_said_not_guessed(old):
    costs = tables.costs(old, "standard")
    absent = costs[["flops", "seconds", "padded_tokens", "examples"]].reset_index(drop=True)
    assert {text for row in texts(tables.formatted(absent)) for text in row} == {"not recorded"}
    assert costs.tokens_ratio.notna().all()
    inside = tables.inside_training(old)
    assert (inside["gradient cosine"] == "not recorded").all()
    assert (inside["effective rank last"] == "not recorded").all()
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
    table = tables.inside_training(replace(many, runs=runs)).set_index(["intermediate", "arm"])
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


def test_translations_are_told_by_arm_for_seen_and_unseen_languages(study):
    table = tables.translations(study)
    assert list(table.index) == ["public", "none", "standard", "control", "dann"]
    assert list(table) == ["seen", "unseen"]
    assert table.loc["public"].tolist() == pytest.approx([0.3, 0.3])
    assert table.loc["dann"].tolist() == pytest.approx([0.2, 0.2])
    bare = replace(study, parallel=pd.DataFrame())
    assert tables.translations(bare).empty


def test_the_planned_test_and_the_sizes_are_those_of_the_comparison(study):
    comparison = stats.compare(study.predictions)
    row = tables.numbers(comparison).iloc[0]
    assert (row.theta, row.low, row.high) == (comparison.theta, *comparison.ci)
    assert row.p == max(row.p_signflip, row.p_crossed)
    rope, effects = tables.sizes(comparison)
    assert rope.loc["ROPE"].sum() == pytest.approx(1) and list(rope)[1] == "within"
    ends = effects[["low", "high"]].iloc[0].tolist()
    assert ends == pytest.approx(comparison.effects.p_improve_interval)


def test_a_table_of_arms_shows_no_verdict_and_leaves_out_what_is_the_same(many):
    arms = ["dann", "centring"]
    shown = tables.arm_table(stats.against_baseline(many.predictions, "standard", arms))
    assert shown.targets.tolist() == ["all 4", "emoji-names"]
    assert not {"verdict", "intermediate"} & set(shown)
    assert shown.note.str.contains("blocks").all()  # fewer than 10: a description


def test_the_last_layer_is_that_of_unfinished_encoders_and_maps_are_of_one_seed_and_task(study):
    last = tables.last_layer(study)
    assert (
        len(last)
        == study.probes[study.probes.stage == "intermediate"]
        .groupby(["intermediate", "arm", "seed"])
        .ngroups
    )
    assert last.accuracy.max() < 97
    assert "cka" in last and "mlp_high" not in last, "what is not recorded is no column"
    collapsed = study.probes.assign(cka=np.nan)
    last = tables.last_layer(replace(study, probes=collapsed))
    shown = tables.formatted(last, missing="not estimable").data
    assert shown.count("not estimable") == len(last)
    maps = tables.first_maps(study, ["dann"])
    assert set(maps.arm) == {"none", "dann"} and set(maps.seed) == {0}
    assert set(maps.intermediate) == {"none", maps.intermediate.iloc[-1]}
    bare = replace(study, probes=study.probes[:0], maps=study.maps[:0])
    assert not len(tables.last_layer(bare)) and not len(tables.first_maps(bare, ["dann"]))


def test_relearned_language_is_the_mean_change_over_blocks_that_were_probed_twice(study):
    before = study.probes[(study.probes.stage == "intermediate") & (study.probes.arm != "none")]
    last = before.layer == before.layer.max()
    changes = before[last & (before.arm == "dann")].reset_index(drop=True).index + 1.0
    after = before[before.arm == "dann"].assign(stage="fine-tuned")
    after.loc[last, "accuracy"] += changes.to_numpy()  # 1, 2, ... in the last layer alone
    after.loc[~last, "accuracy"] += 50
    public = before[before.arm == "dann"].assign(stage="public", accuracy=0.0)
    probes = pd.concat([before, after, public], ignore_index=True)
    table = tables.relearned(dataclasses.replace(study, probes=probes))
    assert list(table.index) == ["dann"]  # no other arm was probed after fine-tuning
    row, n = table.loc["dann"], len(changes)
    assert n > 1 and row.blocks == n and row.change == pytest.approx((n + 1) / 2)
    assert row.after - row.before == pytest.approx(row.change)
    expected = stats.t_interval(changes.to_numpy())
    assert (row.change, row.low, row.high) == pytest.approx(expected)
    shown = tables.formatted(table, missing="not estimable").data
    assert "dann" in shown and "blocks" in shown
    for probes in (before, before[:0]):  # nothing was probed after fine-tuning
        assert not len(tables.relearned(dataclasses.replace(study, probes=probes)))


# What a data folder says of its test sets stands beside every number of theirs


@pytest.fixture(scope="module")
def said(study):
    """The simulated study as if two of its targets came from files."""
    provenance = {
        f"target/intent/test-{code}": "development"
        for code in study.predictions[study.predictions.target == "intent"].language.unique()
    }
    codes = study.predictions[study.predictions.target == "emoji-names"].language.unique()
    provenance |= {f"target/emoji-names/queries-{code}": "official" for code in codes}
    first = next(code for code in codes if code != "en")
    provenance |= {f"target/emoji-names/queries-{first}": "partial"}
    provenance |= {"target/intent/train": "partial", "target/intent/dev": "official"}
    return dataclasses.replace(study, provenance=provenance), first, len(set(codes) - {"en"})


def test_a_target_is_marked_by_its_zero_shot_languages_and_a_language_by_its_own(said):
    study, first, foreign = said
    marks = study.marks
    assert marks["intent", ""] == marks["intent", "de"] == "dev"
    assert marks["emoji-names", ""] == f"partial in 1 of {foreign}"
    assert marks["emoji-names", first] == "partial" and ("sentiment", "") not in marks
    none = {"target/intent/test-de": "not stated", "target/intent/test-en": "official"}
    stated = dataclasses.replace(study, provenance=none).marks
    assert stated == dict.fromkeys([("intent", ""), ("intent", "de")], "not stated")
    mixed = {
        f"target/intent/test-{k}": v for k, v in zip("ab", ["partial", "replaced"], strict=True)
    }
    found = dataclasses.replace(study, provenance=mixed).marks["intent", ""]
    assert found == "partial in 1, replaced in 1 of 2"


def test_tables_that_are_read_show_the_marks_and_others_stay_as_they_are(said):
    study, *_ = said
    marks = study.marks
    scores = tables.marked(tables.score_table(study).reset_index(), marks)
    assert "intent (dev)" in scores and "sentiment" in scores and "intent" not in scores
    frame = pd.DataFrame({"target": ["intent", "sentiment"], "language": ["de", "de"]})
    shown = texts(tables.formatted(frame, marks=marks))
    assert shown == [["intent (dev)", "de (dev)"], ["sentiment", "de"]]
    kept = tables.marked(frame, marks, languages=False)
    assert kept["language"].tolist() == ["de", "de"]
    several = pd.DataFrame({"targets": ["intent, sentiment", "all 3"], "theta": [1.0, 2.0]})
    assert texts(tables.formatted(several, marks=marks))[0][0] == "intent (dev), sentiment"
    counts = pd.DataFrame({"language": ["de"], "targets": [3]})
    assert tables.marked(counts, marks).equals(counts) and tables.marked(frame, {}) is frame
    for table in (frame, several, counts):
        assert tables.formatted(table).data == tables.formatted(table, marks={}).data


def test_results_say_what_each_score_was_tested_and_trained_on(said):
    study, first, _ = said
    results = tables.results(study)
    own = results[results.target == "intent"]
    assert set(own.tested_on) == {"development"} and set(own.trained_on) == {"partial"}
    names = results[results.target == "emoji-names"].groupby("language").tested_on.unique()
    assert names[first].tolist() == ["partial"] and set(results.trained_on) == {"", "partial"}
    assert set(results[results.target == "sentiment"].tested_on) == {""}
    plain = tables.results(dataclasses.replace(study, provenance={}))
    assert plain.equals(results.drop(columns=["tested_on", "trained_on"]))


def test_the_targets_table_and_the_latex_table_say_it(said):
    study, *_ = said
    comparison = stats.compare(study.predictions)
    checked = checks.manipulation_checks(study, "standard", "dann")
    values = summary.summarise(study, comparison, checked)
    text = summary.targets_table(values)
    assert "| intent (dev) " in text and "| sentiment " in text
    assert "dev: the development set under the test's name" in text
    assert "intent (dev) &" in summary.latex(values)
    study = dataclasses.replace(study, provenance={})
    values = summary.summarise(study, comparison, checked)
    assert not any("data" in row for row in values["table"])
    assert "Behind a target" not in summary.targets_table(values)


def test_what_must_be_known_of_a_target_stands_wherever_its_scores_are_shown(study):
    assert study.marks == {} and "note" not in tables.results(study)
    runs = study.runs.assign(train_from=study.runs.target.map({"sentiment": "tydiqa"}))
    runs = runs.replace({"intermediate": {"sarcasm": "mnli"}, "target": {"intent": "xnli"}})
    known = dataclasses.replace(study, runs=runs)
    first = "sentiment (trained on question and answer pairs of tydiqa)"
    second = "xnli (same data as mnli)"
    scores = tables.marked(tables.score_table(known), known.marks)
    assert set(scores) == {"runs", first, second, "emoji-names"}
    shown = tables.marked(known.runs[known.runs.phase == "target"], known.marks)
    assert set(shown.target) == {first, second, "emoji-names"}
    checked = checks.manipulation_checks(known, "standard", "dann")
    assert {first, second, "emoji-names"} <= set(checked.subject)
    results = tables.results(known)
    assert results[results.target == "xnli"].note.unique().tolist() == [second[6:-1]]
    assert set(results[results.target == "emoji-names"].note) == {""}
    assert set(results[results.metric == "dev_accuracy"].note) == {""}
    provenance = {"target/xnli/test-de": "development", "target/tydiqa/train": "official"}
    files = dataclasses.replace(known, provenance=provenance)
    assert files.shown("xnli") == f"xnli (dev; {second[6:]}" and files.shown("sentiment") == first
    trained = tables.results(files).query("metric != 'dev_accuracy'").groupby("target").trained_on
    assert trained.unique().map(list).to_dict() == {
        "sentiment": ["official"], "xnli": [""], "emoji-names": [""],
    }  # fmt: skip
