"""Tables by target, intermediate task and language, and variance components."""

import math

import numpy as np
import pytest

from xgrl import stats


def test_components_give_back_the_standard_error(result):
    parts = result.components.iloc[-1]
    n = parts.n_items
    assert parts.target == "all"
    assert parts.block / 12 + parts["item"] / n + parts.residual / (12 * n) == pytest.approx(
        result.se**2
    )
    assert result.minimal_effect > result.se
    assert set(result.blocks_needed) == {0.5, 1.0, 2.0}


def test_intermediate_tasks_are_tested_apart_and_average_to_theta(frame, result):
    table = result.per_intermediate
    assert table.intermediate.tolist() == ["task0", "task1"]
    assert table.theta.mean() == pytest.approx(result.theta)
    only = stats.compare(frame[frame.intermediate == "task1"])
    row = table.iloc[1]
    assert (row.theta, row.low, row.high, row.p_raw) == pytest.approx(
        (only.theta, *only.ci, only.p)
    )
    assert len(only.per_intermediate) == 1 and set(only.replicated) == {"targets"}
    np.testing.assert_allclose(table.p_holm, stats.holm(table.p_raw))


def test_a_target_with_one_language_is_analysed_like_any_other(frame):
    one = frame[(frame.target != "news") | frame.language.isin(["de", "en"])]
    found = stats.compare(one)
    assert found.per_task.set_index("target").n_languages["news"] == 1
    row = found.per_language[found.per_language.target == "news"].iloc[0]
    assert row.theta == pytest.approx(found.per_task.set_index("target").theta["news"])
    assert row.p == row.p_bh


def test_ties_everywhere_in_one_target_leave_the_other_tested(frame):
    tied = frame.assign(score=frame.score.where(frame.target != "news", 50.0))
    found = stats.compare(tied)
    row = found.per_task.set_index("target").loc["news"]
    assert (row.theta, row.p_raw, row.p_holm, row.p_westfall_young) == (0.0, 1.0, 1.0, 1.0)
    assert math.isnan(row.low)
    assert any("news: no variance" in note for note in found.notes)
    assert found.ci[0] < found.theta < found.ci[1]


def test_a_language_without_differences_is_reported_as_such(frame):
    same = frame.assign(
        score=frame.score.where((frame.language != "zh") | (frame.target != "news"), 50.0)
    )
    found = stats.compare(same)
    row = found.per_language.query("target == 'news' and language == 'zh'").iloc[0]
    assert row.p == 1.0
    assert math.isnan(row.low)
    assert any("news zh: no variance" in note for note in found.notes)
