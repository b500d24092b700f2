"""The tables of calibration and power of a comparison."""

import pytest

from simulated_predictions import predictions
from xgrl import stats
from xgrl.stats import calibration_tables


def test_calibration_table_has_every_test_with_its_error():
    found = stats.compare(predictions(shift=0.3, items=40))
    table = calibration_tables.calibration(
        calibration_tables.design(found), found.components.iloc[-1], 1.0, 300, seed=1
    )
    assert {
        "larger of the two",
        "pooled examples",
        "TOST, true difference +margin",
        "any target, Holm",
    } <= set(table.test)
    assert table.rate.between(0, 1).all()
    assert table.se.notna().all()
    assert (table.nominal == 0.05).all()
    assert table.set_index("test").ours["several targets, strata: the larger"]
    assert not table.set_index("test").ours[["pooled examples", "any target, unadjusted"]].any()
    curve, needed = calibration_tables.power(found)
    assert curve.power.is_monotonic_increasing and needed.points.is_monotonic_decreasing
    assert needed.blocks[needed.here].tolist() == [found.n_blocks]


@pytest.mark.filterwarnings("error")
def test_a_target_without_variance_is_said_and_the_others_are_calibrated():
    frame = predictions(shift=0.3, items=40)
    keys = ["intermediate", "seed", "language", "example_id"]
    same = frame.target == "news"
    arms = [frame[same & (frame.arm == arm)].set_index(keys).score for arm in ("standard", "dann")]
    frame.loc[same & (frame.arm == "dann"), "score"] = arms[0].loc[arms[1].index].to_numpy()
    found = stats.compare(frame)
    plan = calibration_tables.design(found)
    table = calibration_tables.calibration(plan, found.components.iloc[-1], 1.0, 50, seed=1)
    whole = table.set_index("test").rate
    assert whole.index[whole.isna()].tolist() == ["news: no variance, not estimable"]
    assert 0 < whole["any target, unadjusted"] < 0.5
    # it counts among the targets that Holm adjusts for, as in the study itself
    assert found.per_task.set_index("target").p_raw["news"] == 1
    assert whole["any target, Holm"] <= whole["any target, unadjusted"]
