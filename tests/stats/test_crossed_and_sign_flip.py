"""The p value that decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_predictions import predictions
from xgrl import stats


def test_the_primary_p_is_the_larger_of_sign_flip_and_crossed(result):
    m, strata = result.blocks.m_b.to_numpy(), result.blocks.intermediate.to_numpy()
    expected = stats.crossed_tasks(list(result.items.values()), [0.5, 0.5], strata)
    assert result.p_signflip == stats.sign_flip(m)
    assert (result.p_crossed, result.se, result.df, *result.ci) == pytest.approx(
        (expected.p, expected.se, expected.df, *expected.interval)
    )
    assert result.p == max(result.p_signflip, result.p_crossed)
    assert result.tost_p == pytest.approx(stats.tost(result.theta, result.se, result.df, 1.0))
    assert sum(result.rope) == pytest.approx(1)
    assert (result.per_task.p_holm >= result.per_task.p_raw).all()
    assert (result.per_language.p_bh >= result.per_language.p).all()


@pytest.mark.parametrize(
    ("difference", "p", "verdict", "reason"),
    [
        (0.0, 1.0, "inconclusive", "both arms score the same on every item"),
        (3.0, 2 / 2**12, "superior", "no variance at all"),
    ],
)
def test_without_variance_the_sign_flip_stands_alone(difference, p, verdict, reason):
    rows = predictions(shift=difference, block=0.0, item=0.0, residual=0.0)
    rows["score"] = np.where(rows.arm == "dann", 50.0 + difference, 50.0)
    found = stats.compare(rows, plan={"weights": {"news": 1, "intent": 1}})
    # "intent" weights its items unequally, so drop it: only then is nothing left to vary
    if difference:
        found = stats.compare(rows[rows.target == "news"])
    assert (found.p, found.verdict) == (p, verdict)
    assert math.isnan(found.tost_p) and math.isnan(found.ci[0]) and math.isnan(found.minimal_effect)
    assert any(reason in note for note in found.notes)
    assert found.summary()["ci"] == [None, None] and "not estimable" in str(found)
