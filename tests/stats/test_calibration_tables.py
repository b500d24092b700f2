"""The tables of calibration and power of a comparison."""

from __future__ import annotations

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
    assert (
        table.rate.between(0, 1).all() and table.se.notna().all() and (table.nominal == 0.05).all()
    )
    assert table.set_index("test").ours["several targets, strata: the larger"]
    assert not table.set_index("test").ours[["pooled examples", "any target, unadjusted"]].any()
    curve, needed = calibration_tables.power(found)
    assert curve.power.is_monotonic_increasing and needed.points.is_monotonic_decreasing
    assert needed.blocks[needed.here].tolist() == [found.n_blocks]
