"""What a comparison could have seen, and whether its tests are honest: from its own variance
components.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from xgrl import stats

OURS = ("larger of the two", "crossed", "sign flip")
# in units of the largest of the margin and half the detectable difference
SHIFTS = np.linspace(-3, 3, 25)
BLOCKS = (4, 6, 8, 10, 12, 15, 20, 30)


def design(comparison: stats.Comparison) -> stats.Design:
    """What studies like this one are simulated from. Raises ValueError where nothing varies."""
    sizes = comparison.blocks["intermediate"].value_counts()
    strata = len(sizes) if sizes.min() > 1 else 1
    return stats.Design.of(comparison.components, comparison.weights, comparison.n_blocks, strata)


def _parts(comparison: stats.Comparison) -> tuple[dict[str, float], int]:
    row = comparison.components.iloc[-1]
    return {key: float(row[key]) for key in ("block", "item", "residual")}, int(row.n_items)


def calibration(
    plan: stats.Design, components: Mapping[str, float], margin: float, draws: int, seed: int = 0
) -> pd.DataFrame:
    """Error rates of every test under a true null, of the study's own and of naive ones, from
    `draws` simulated studies each.

    Args:
        plan: from `design`. components: the row "all" of `Comparison.components` (block, item,
            residual, n_items).
        margin: of the equivalence test, points.

    Returns:
        test, rate and its Monte-Carlo se, nominal, ours (used by this study), coverage and
        coverage_se of its 95 % interval and power at the margin, where the test has them. The first
        rows test theta as one task; then the several-task analysis as it is used here, with strata;
        the equivalence test at both margins, where to call the arms equivalent is wrong; and the
        families over targets.
    """
    single = pd.DataFrame(
        stats.calibrate(
            components, plan.blocks, int(components["n_items"]), draws, seed, shift=margin
        )
    )
    single = single.rename(columns={"method": "test", "type_i": "rate", "type_i_se": "se"})
    single["ours"] = single.test.isin(OURS)
    rates = stats.verdict_rates(plan, (0.0, margin, -margin), margin, draws, seed)
    null, above, below = (row for _, row in rates.iterrows())
    several = pd.DataFrame(
        [
            (
                "several targets, strata: the larger",
                null.superior + null.inferior,
                null.coverage,
                above.superior,
            ),
            ("TOST, true difference +margin", above.tost, np.nan, np.nan),
            ("TOST, true difference -margin", below.tost, np.nan, np.nan),
        ],
        columns=["test", "rate", "coverage", "power"],
    )
    for name, error in (("rate", "se"), ("coverage", "coverage_se")):
        several[error] = np.sqrt(several[name] * (1 - several[name]) / draws)
    families = stats.family_rates(plan, draws, seed)
    # these stand beside, Holm decides
    families["ours"] = ~families.test.str.contains("unadjusted|Westfall")
    whole = pd.concat([single, several.assign(ours=True), families], ignore_index=True).assign(
        nominal=stats.ALPHA
    )
    return whole[["test", "rate", "se", "nominal", "coverage", "coverage_se", "power", "ours"]]


def verdicts(comparison: stats.Comparison, draws: int, seed: int = 0) -> pd.DataFrame:
    """How often each verdict is reached at true differences on both sides of the margin
    (`stats.verdict_rates`).
    """
    scale = max(comparison.margin, comparison.minimal_effect / 2)
    shifts = np.unique(np.concatenate([SHIFTS * scale, [-comparison.margin, comparison.margin]]))
    return stats.verdict_rates(design(comparison), shifts, comparison.margin, draws, seed)


def power(comparison: stats.Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Closed-form power by true difference (shift, power), and the detectable difference by blocks
    (blocks, points, here).
    """
    parts, items = _parts(comparison)
    shifts = np.linspace(0, 3 * max(comparison.margin, comparison.minimal_effect / 2), 61)
    curve = [
        (shift, stats.power_at(shift, *parts.values(), comparison.n_blocks, items))
        for shift in shifts
    ]
    sizes = sorted({*BLOCKS, comparison.n_blocks})
    needed = [
        (B, stats.minimal_effect(*parts.values(), B, items), comparison.n_blocks == B)
        for B in sizes
    ]
    return pd.DataFrame(curve, columns=["shift", "power"]), pd.DataFrame(
        needed, columns=["blocks", "points", "here"]
    )
