"""Known gaps, correlations, interactions and lines are found; what is missing is said."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from simulated_predictions import predictions
from xgrl import stats
from xgrl.report import explanations
from xgrl.report.explanations import ALL, ENGLISH_TOO, RUN

WEIGHTS = {"a": 0.25, "b": 0.75}
BLOCKS = [(task, seed) for task in ("easy", "hard") for seed in range(4)]


def a_study(**without):
    """Runs of which all is known: by block and dose the rank falls by 10 x, English by x, score a
    by 2 + x / 2, b by what the task adds; the probe falls from 90 to 60 or 50, chance 10.
    """
    rows, rng = [], np.random.default_rng(0)
    for number, (task, seed) in enumerate(BLOCKS):
        for arm, dose in (("standard", 0), ("dann", 1), ("dann-0.1", 2)):
            x = dose * (1 + number / 4)
            key = {"intermediate": task, "seed": seed, "arm": arm}
            own = {"effective_rank_last": 200 - 10 * x, "discriminator_accuracy": 20.0 * dose}
            own |= {"discriminator_chance": 10.0}
            rows.append(key | {"phase": "intermediate", "target": ""} | own)
            probe = {"accuracy": 90.0 - 30 * dose, "mlp": 90.0 - 35 * dose, "chance": 10.0}
            rows.append(key | {"phase": "probe", "target": ""} | probe)
            scores = {"macro": 50 - (2 + x / 2) * (dose > 0), "english": 70 - x}
            rows.append(key | {"phase": "target", "target": "a"} | scores)
            harm = dose * (3 if task == "hard" else 1) + rng.normal(0, 0.1)
            rows.append(key | {"phase": "target", "target": "b", "macro": 40 - harm})
    runs = pd.DataFrame(rows)
    comparison = {"baseline": "standard", "treatment": "dann", "weights": [*WEIGHTS.values()]}
    comparison["per_task"] = [{"target": name} for name in WEIGHTS]
    comparison["blocks"] = [{"intermediate": task, "seed": seed} for task, seed in BLOCKS]
    return runs.drop(columns=[*without]), comparison


@pytest.fixture(scope="module")
def found():
    return explanations.of_runs(*a_study())


def test_english_development_of_a_mixture_is_the_mean_over_its_tasks():
    runs, _ = a_study()
    tasks = {name: {"dev_accuracy": score} for name, score in (("qa", 60.0), ("siqa", 40.0))}
    own = runs[runs.phase == "intermediate"].assign(dev_accuracy=40.0)
    hard = own.intermediate == "hard"
    own = own.assign(tasks=[tasks if mixed else {"siqa": tasks["siqa"]} for mixed in hard])
    points = explanations.checkpoints(pd.concat([runs[runs.phase != "intermediate"], own]))
    assert points.english.groupby(level="intermediate").unique().to_dict() == {
        "easy": [40.0], "hard": [50.0],
    }  # fmt: skip


def test_an_arm_with_a_baseline_of_its_own_is_not_held_against_the_study_s(found, monkeypatch):
    runs, comparison = a_study()
    monkeypatch.setattr(explanations, "gap", lambda *_: None)
    study = SimpleNamespace(runs=runs, parallel=(), baselines={"dann-0.1": "standard-dev"})
    table = explanations.explain(study, SimpleNamespace(summary=lambda: comparison))["mediation"]
    assert table.runs.max() == 8 and found["mediation"].runs.max() == 16


def test_the_gate_is_half_way_to_chance_for_every_fresh_probe(found):
    table = found["manipulation"].set_index("reader")
    assert table.bound["fresh linear probe"] == table.bound["fresh MLP"] == 50
    assert table.passed.tolist() == ["no", "no", ""] and (table.blocks == 8).all()
    runs, comparison = a_study()
    lower = runs.assign(mlp=runs.mlp.where(runs.arm == "standard", 50.0))
    passed = explanations.of_runs(lower, comparison)["manipulation"].passed.tolist()
    assert passed == ["no", "yes", ""]
    (row,) = explanations.check(lower, "standard", "dann")
    assert row[0] == explanations.HIDDEN and not row[3] and "60.0 (at most 50.0)" in row[2]
    assert explanations.check(lower[lower.phase != "probe"], "standard", "dann") == []
    assert explanations.check(runs.assign(discriminator_accuracy=np.nan), "standard", "mlm") == []


def test_the_gate_asks_for_the_rank_and_for_english_too():
    runs, comparison = a_study()
    opposed, probed = runs.arm == "dann", runs.phase == "probe"
    runs["rank"] = np.where(probed, np.where(opposed, 91.0, 100.0), np.nan)
    runs["dev_accuracy"] = np.where(
        runs.phase == "intermediate", np.where(opposed, 78.5, 80.0), np.nan
    )
    found = explanations.of_runs(runs, comparison)["manipulation"].set_index("reader")
    assert found.bound[["effective rank", "English development"]].tolist() == [90, 79]
    assert found.passed[["effective rank", "English development"]].tolist() == ["yes", "no"]
    (row,) = explanations.check(runs, "standard", "dann")
    assert "English development 78.5 (at least 79.0)" in row[2] and not row[3]


def test_a_mean_that_passes_the_gate_does_not_speak_for_each_intermediate_task():
    runs, comparison = a_study()
    opposed = (runs.arm == "dann") & (runs.phase == "probe")
    for reader in ("accuracy", "mlp"):  # 45 over both tasks, at most 50
        runs.loc[opposed, reader] = np.where(runs.intermediate[opposed] == "hard", 70.0, 20.0)
    found = explanations.of_runs(runs, comparison)
    assert found["manipulation"].passed.tolist() == ["yes", "yes", ""]
    assert explanations.hidden_after(found["manipulation_by_task"]) == {"easy": True, "hard": False}
    points = explanations.checkpoints(runs)
    assert explanations.gate_of(points, "standard", "dann") == ("", "easy")
    runs.loc[opposed & (runs.intermediate == "hard"), "mlp"] = 90.0
    amiss = explanations.gate_of(explanations.checkpoints(runs), "standard", "dann")
    assert amiss == (explanations.READ, "easy")


def test_a_score_that_follows_the_rank_correlates_with_it_and_one_that_does_not_does_not(found):
    table = found["mediation"].set_index(["measure", "target", "scope"])
    exact = table.loc["rank of English features", "a"]
    assert exact.r.tolist() == pytest.approx([1, 1, 1]) and exact.runs.tolist() == [16] * 3
    assert exact.groups.tolist() == [1, 2, 4]
    # within a task and an arm b is noise; its Fisher interval holds 0
    inside = table.loc["rank of English features", "b", "within arms and tasks"]
    assert inside.low < 0 < inside.high and inside.groups == 4
    assert (table.loc["translation gap"].note == "not measured").all()
    assert table.loc["fresh probe", "a", "all runs"].note == ""
    constant = table.loc["fresh probe", "a", "within arms"]
    assert constant.note == "does not vary" and np.isnan(constant.r)


def test_fisher_s_interval_is_that_of_the_textbook():
    rng = np.random.default_rng(1)
    pairs = pd.DataFrame(rng.normal(size=(30, 2)), columns=["x", "y"])
    row = explanations._correlation(pairs, [])
    r = np.corrcoef(pairs.x, pairs.y)[0, 1]
    ends = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.959964 / np.sqrt(27))
    assert [row["r"], row["low"], row["high"]] == pytest.approx([r, *ends], rel=1e-6)


def test_an_interaction_is_the_square_of_the_t_test_of_two_tasks(found):
    runs, _ = a_study()
    table = found["interaction"].set_index("target")
    scores = runs[runs.target == "b"].pivot(index=["intermediate", "seed"], columns="arm")["macro"]
    d = scores["dann"] - scores["standard"]
    t, p = ttest_ind(d["easy"], d["hard"])
    assert table.F["b"] == pytest.approx(t**2) and table.p["b"] == pytest.approx(p)
    assert table.p_holm["b"] == pytest.approx(2 * p) and table.p_holm[ALL] == table.p[ALL]
    assert table.df_within["b"] == 6 and table["after hard"]["b"] == pytest.approx(-3, abs=0.05)


def test_the_line_at_equal_english_is_found_and_targets_without_english_stay_out(found):
    table = found["matched_english"].set_index("target")
    assert [*table.index] == [ENGLISH_TOO, "a"]
    row = table.loc["a"]
    assert [row.theta, row.slope] == pytest.approx([-2, 0.5]) and row.low <= row.theta <= row.high
    assert table.loc[ENGLISH_TOO, "theta"] == pytest.approx(row.theta)


def test_targets_with_an_english_part_weigh_what_they_would_by_themselves():
    runs, comparison = a_study()
    runs["english"] = runs.english.fillna(runs.macro)
    for shares in ({"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.8}):
        table = explanations.of_runs(runs, comparison, weigh=lambda _, own=shares: own)
        means = table["matched_english"].set_index("target").zero_shot
        expected = sum(share * means[name] for name, share in shares.items())
        assert means[ENGLISH_TOO] == pytest.approx(expected)


def test_an_average_needs_all_of_its_targets_with_their_weights():
    runs, comparison = a_study()
    key = (runs.arm == "dann-0.1") & (runs.target == "b")
    table = explanations.of_runs(runs[~key], comparison)["mediation"]
    counts = table[(table.measure == "rank of English features") & (table.scope == "all runs")]
    assert counts.set_index("target").runs.to_dict() == {"a": 16, "b": 8, ALL: 8}
    frame = explanations._with_average(pd.DataFrame({"a": [4.0], "b": [8.0]}), WEIGHTS)
    assert frame[ALL].tolist() == [7.0]


def test_what_is_missing_is_said_and_no_number_stands_for_it():
    runs, comparison = a_study(accuracy=1, mlp=1, english=1)
    part = explanations.of_runs(runs, comparison)
    assert part["manipulation"].reader.tolist() == ["own discriminator"]
    assert not len(part["matched_english"])
    few = comparison | {"blocks": comparison["blocks"][:1]}
    one = explanations.of_runs(runs, few)
    assert not len(one["interaction"]) and one["mediation"].r.isna().all()
    assert set(one["mediation"].note) <= {"too few runs", "not measured"}
    pair = comparison | {"blocks": [comparison["blocks"][0], comparison["blocks"][-1]]}
    (note,) = set(explanations.of_runs(runs, pair)["interaction"].note)
    assert note == "not two blocks a task"
    line = explanations.of_runs(a_study()[0], pair)["matched_english"]
    assert set(line.note) == {"fewer than four blocks"} and line.theta.isna().all()
    nothing = stats.not_compared("standard", "dann", 1.0, "no runs").summary()
    assert not any(len(table) for table in explanations.of_runs(runs, nothing).values())


def test_the_gap_of_known_effects_and_the_zero_shot_part_is_the_planned_test():
    rows = predictions(shift=2.0, residual=0.5)  # English moves by 80 points more
    comparison = stats.compare(rows)
    study = SimpleNamespace(predictions=rows)
    table = explanations.gap(study, comparison).set_index(["target", "part"])
    whole = table.loc[ENGLISH_TOO]
    own = whole.loc["zero-shot"]
    assert (own.theta, own.low, own.high) == pytest.approx((comparison.theta, *comparison.ci))
    assert own.p == pytest.approx(comparison.p) and (whole.targets == 2).all()
    for target in (ENGLISH_TOO, "intent", "news"):
        part = table.loc[target]
        sides = part.theta["English"] - part.theta["zero-shot"]
        assert part.theta["gap"] == pytest.approx(sides)
        assert part.low["gap"] < 80 < part.high["gap"]
    # blocks move both sides alike: the gap is known better than either
    assert np.ptp(whole.loc["gap", ["low", "high"]]) < np.ptp(whole.loc["English", ["low", "high"]])


def test_a_target_without_english_or_with_other_examples_is_named_and_left_out_of_the_average():
    rows = predictions(shift=2.0)
    english = rows.language == "en"
    without = rows[~(english & (rows.target == "news"))]
    table = explanations.gap(SimpleNamespace(predictions=without), stats.compare(without))
    assert table.set_index("target").note["news"] == "no English part"
    assert set(table[table.target == ENGLISH_TOO].targets) == {1}
    broken = rows.drop(index=rows.index[english & (rows.target == "news")][0])
    table = explanations.gap(SimpleNamespace(predictions=broken), stats.compare(broken))
    assert "found no row" in table.set_index("target").note["news"]
    none = rows[~english]
    assert not len(explanations.gap(SimpleNamespace(predictions=none), stats.compare(none)))


def test_all_of_it_on_a_study_as_it_is_written(study):
    found = explanations.explain(study, stats.compare(study.predictions))
    assert [*found] == [*explanations.ABOUT] and set(explanations.ABSENT) == set(found)
    assert {"intent", "sentiment", ENGLISH_TOO} <= set(found["gap"].target)
    assert all(len(table) for table in found.values())
    # parallel texts were probed after the first seed alone
    near = found["mediation"][found["mediation"].measure == "translation gap"]
    assert not near.r.notna().any() and (near.note != "").all()
    assert RUN == ["intermediate", "arm", "seed"]
