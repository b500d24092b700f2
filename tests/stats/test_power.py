"""Detectable effects and blocks needed, in closed form and by simulation."""

import math

import pytest
from scipy import stats as scipy_stats

from xgrl import stats


@pytest.mark.simulation
def test_minimal_effect_is_found_with_the_stated_power_in_simulation():
    sa2, sb2, sc2, B, n = 1.0, 40.0, 300.0, 8, 300
    effect = stats.minimal_effect(sa2, sb2, sc2, B, n)
    rows = stats.calibrate(
        {"block": sa2, "item": sb2, "residual": sc2}, B, n, draws=800, seed=3, shift=effect
    )
    power = rows.set_index("test").power
    assert power["crossed"] == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 800))


def test_minimal_effect_equals_the_paired_t_power_for_block_variance_alone():
    effect = stats.minimal_effect(2.25, 0, 0, 10, 500)
    critical = scipy_stats.t.ppf(0.975, 9)
    assert scipy_stats.nct.sf(critical, 9, effect / 1.5 * math.sqrt(10)) == pytest.approx(
        0.8, abs=1e-6
    )


def test_blocks_needed_is_the_first_number_that_is_enough():
    parts = (1.0, 40.0, 300.0)
    blocks = stats.blocks_needed(1.0, *parts, 2000)
    assert (
        stats.minimal_effect(*parts, blocks, 2000)
        <= 1.0
        < stats.minimal_effect(*parts, blocks - 1, 2000)
    )
    assert stats.blocks_needed(50.0, *parts, 2000) == 6  # fewer cannot reach .05 by sign flip
    assert stats.blocks_needed(0.1, *parts, 2000) is None  # the items alone leave more uncertainty
