"""The comparison: estimand, decision, verdicts in words, plans, fallbacks."""

import html
import json
import math

import numpy as np
import pandas as pd
import pytest

from simulated_predictions import predictions
from xgrl import stats


def test_theta_is_the_mean_of_macro_averages_without_english(frame, result):
    zero_shot = frame[frame.language != "en"]
    cells = (
        zero_shot.groupby(["target", "intermediate", "seed", "language", "arm"])
        .score.mean()
        .unstack("arm")
    )
    expected = (cells.dann - cells.standard).groupby(["target"]).mean()
    assert result.theta == pytest.approx(expected.mean())
    np.testing.assert_allclose(result.per_task.set_index("target").theta, expected)
    np.testing.assert_allclose(
        result.per_task.treatment - result.per_task.baseline, result.per_task.theta
    )
    np.testing.assert_allclose(result.per_task.baseline, cells.standard.groupby("target").mean())
    assert result.per_task.n_languages.tolist() == [3, 3]
    assert result.per_task.n_items.tolist() == [165, 60]
    per_language = cells.groupby(["target", "language"]).mean()
    np.testing.assert_allclose(result.per_language.theta, per_language.dann - per_language.standard)
    np.testing.assert_allclose(result.blocks.treatment - result.blocks.baseline, result.blocks.m_b)
    assert result.blocks.m_b.mean() == pytest.approx(result.theta) and result.n_blocks == 12


def test_compare_ignores_row_order_other_arms_and_dtypes(frame, result):
    other = frame[frame.arm == "dann"].assign(arm="control", score=0.0)
    none = other.assign(arm="none", intermediate="none")
    mixed = pd.concat([frame, other, none]).sample(frac=1, random_state=1)
    for column in ("arm", "language", "example_id"):
        mixed[column] = mixed[column].astype("category")
    again = stats.compare(mixed.astype({"target": object}))
    assert again.summary() == result.summary()


def test_swapping_the_arms_mirrors_everything(frame, result):
    mirror = stats.compare(frame, baseline="dann", treatment="standard")
    assert mirror.theta == pytest.approx(-result.theta) and mirror.p == pytest.approx(result.p)
    assert mirror.ci == pytest.approx(tuple(-x for x in result.ci[::-1]))
    assert (result.verdict, mirror.verdict) == ("superior", "inferior")


def test_planned_weights_are_scaled_and_used(frame, result):
    theta = result.per_task.set_index("target").theta
    weighted = stats.compare(frame, plan={"weights": {"news": 3, "intent": 1}})
    assert weighted.theta == pytest.approx(0.75 * theta["news"] + 0.25 * theta["intent"])
    assert any("intent 0.25" in note for note in weighted.notes)


def test_reused_seeds_make_the_seed_the_unit(frame, result):
    by_seed = stats.compare(frame, plan={"unit": "seed"})
    assert by_seed.n_blocks == 6 and by_seed.theta == pytest.approx(result.theta)
    np.testing.assert_allclose(by_seed.blocks.m_b, result.blocks.groupby("seed").m_b.mean())
    assert by_seed.p_signflip == stats.sign_flip(by_seed.blocks.m_b)


def test_replication_is_counted_over_targets_and_over_intermediate_tasks(result):
    for name, table in (
        ("targets", result.per_task),
        ("intermediate tasks", result.per_intermediate),
    ):
        wanted = stats.partial_conjunction(table.p_raw)
        assert result.replicated[name].k_hat == wanted.k_hat
        assert (result.replicated[name].p == wanted.p).all()


def test_more_than_twenty_blocks_are_drawn_and_repeat_themselves():
    rows = predictions(
        shift=3.0, intermediates=2, seeds=11, items=12, languages=("de",), targets=("news",)
    )
    found = stats.compare(rows)
    assert found.n_blocks == 22 and 1e-5 <= found.p_signflip < 0.01
    assert found.summary() == stats.compare(rows).summary()


VERDICTS = {
    "superior": ({"shift": 4.0}, False),
    "inferior": ({"shift": -4.0}, False),
    "equivalent": ({"shift": 0.02, "block": 0.3, "item": 0.5, "residual": 2.0}, False),
    "inconclusive": ({"shift": 0.0, "block": 4.0}, False),
    "trivial": ({"shift": 0.5, "block": 0.1, "item": 0.3, "residual": 1.0}, True),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_is_reached_and_said_in_words(name):
    settings, trivial = VERDICTS[name]
    found = stats.compare(predictions(**settings))
    text = str(found)
    assert found.verdict == ("superior" if trivial else name) and found.trivial is trivial
    assert found.gate is (found.p <= 0.05)
    words = {
        "superior": "is better than",
        "inferior": "is worse than",
        "equivalent": "are equivalent within",
        "inconclusive": "Inconclusive",
        "trivial": "real but trivial",
    }
    assert words[name] in text
    assert f"{found.theta:+.2f}" in text and f"{found.ci[0]:+.2f}" in text and "12 blocks" in text
    assert "no effect" not in text and "no difference" not in text
    assert html.escape(text) in found._repr_html_()
    assert json.loads(json.dumps(found.summary(), allow_nan=False))["verdict"] == found.verdict


def test_failed_manipulation_checks_stand_behind(frame):
    text = str(stats.compare(frame, plan={"failed_checks": ["nli was not learned"]}))
    assert text == f"{stats.compare(frame)} Checks that failed: nli was not learned."


def test_an_interval_without_zero_is_not_significant_when_the_sign_flip_disagrees():
    found = stats.compare(predictions(shift=4.0, intermediates=1, seeds=5))
    assert found.verdict == "inconclusive"
    assert found.ci[0] > 0
    assert found.p == found.p_signflip == 0.0625
    assert "leaves out 0" in str(found) and any("at least 0.0625" in note for note in found.notes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"treatment": "dan"}, "arm 'dan' is unknown.*did you mean 'dann'"),
        ({"baseline": "dann"}, "need two arms"),
        ({"margin": 0.0}, "margin: found 0.0"),
        ({"plan": {"weight": {}}}, "plan entry 'weight'.*did you mean 'weights'"),
        ({"plan": {"unit": "seeds"}}, "plan unit 'seeds'.*did you mean 'seed'"),
        ({"plan": {"weights": {"news": 1, "inten": 1}}}, "'inten'.*did you mean 'intent'"),
        ({"plan": {"weights": {"news": 1}}}, "need a positive weight for each of intent, news"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(frame, arguments, message):
    with pytest.raises(ValueError, match=message):
        stats.compare(frame, **arguments)


def test_unlike_seeds_cannot_be_the_unit(frame):
    moved = frame.assign(seed=frame.seed + 6 * (frame.intermediate == "task1"))
    assert stats.compare(moved).n_blocks == 12  # different numbers for different blocks are fine
    with pytest.raises(ValueError, match="need every intermediate task to have the same seeds"):
        stats.compare(moved, plan={"unit": "seed"})


def test_one_block_a_stratum_falls_back_to_no_strata():
    found = stats.compare(predictions(intermediates=6, seeds=1))
    assert any("not stratified" in note for note in found.notes)
    assert found.se == pytest.approx(stats.crossed_tasks(list(found.items.values()), [0.5, 0.5]).se)


@pytest.mark.simulation
def test_nominal_rates_hold_through_compare_itself():
    shape = {"intermediates": 1, "items": 25, "languages": ("de",), "targets": ("news",)}
    found = [stats.compare(predictions(seed=s, **shape)) for s in range(100)]
    wrong = sum(c.verdict in ("superior", "inferior") for c in found)
    covered = sum(c.ci[0] <= 0 <= c.ci[1] for c in found)
    assert wrong <= 5 + 3 * math.sqrt(100 * 0.05 * 0.95)
    assert covered >= 95 - 3 * math.sqrt(100 * 0.05 * 0.95)
