"""What a comparison could have seen, and how its tests are calibrated, from its own components."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .calibration import Design, calibrate, family_rates, monte_carlo_error, verdict_rates
from .comparison import Comparison
from .power import minimal_effect, power_at
from .verdict import ALPHA

OURS = ("larger of the two", "crossed", "sign flip")
SEVERAL = (
    "several targets, strata: the larger",
    "TOST, true difference +margin",
    "TOST, true difference -margin",
)
# in units of the largest of the margin and half the detectable difference
SHIFTS = np.linspace(-3, 3, 25)
BLOCKS = (4, 6, 8, 10, 12, 15, 20, 30)


def design(comparison: Comparison) -> Design:
    """What studies like this one are simulated from. Raises ValueError where nothing varies."""
    sizes = comparison.blocks["intermediate"].value_counts()
    strata = len(sizes) if sizes.min() > 1 else 1
    return Design.of(comparison.components, comparison.weights, comparison.n_blocks, strata)


def calibration(
    plan: Design, components: Mapping[str, float], margin: float, draws: int, seed: int = 0
) -> pd.DataFrame:
    """Error rates of every test under a true null, of the study's own and of naive ones.

    plan: from `design`. components: the row "all" of `Comparison.components` (block, item,
    residual, n_items). margin: of the equivalence test, points. draws: studies simulated a rate.

    Returns test, rate and its Monte-Carlo se, nominal, coverage and coverage_se of its 95 %
    interval and power at the margin, where the test has them, ours (used by this study). The first
    rows test theta as one task; then the several-task analysis as it is used here, with strata; the
    equivalence test at both margins, where "equivalent" is wrong; and the families over targets.
    """
    single = calibrate(components, plan.blocks, int(components["n_items"]), draws, seed, margin)
    single["ours"] = single["test"].isin(OURS)
    rates = verdict_rates(plan, (0.0, margin, -margin), margin, draws, seed)
    null, above, below = (row for _, row in rates.iterrows())
    rows = {"test": SEVERAL, "rate": [null.superior + null.inferior, above.tost, below.tost]}
    rows |= {"coverage": [null.coverage, np.nan, np.nan], "power": [above.superior, np.nan, np.nan]}
    several = pd.DataFrame(rows | {"ours": True})
    several["se"] = monte_carlo_error(several["rate"], draws)
    several["coverage_se"] = monte_carlo_error(several["coverage"], draws)
    families = family_rates(plan, draws, seed)
    # these stand beside, Holm decides
    families["ours"] = ~families["test"].str.contains("unadjusted|Westfall")
    whole = pd.concat([single, several, families], ignore_index=True)
    whole["nominal"] = ALPHA
    return whole[["test", "rate", "se", "nominal", "coverage", "coverage_se", "power", "ours"]]


def _largest_shift(comparison: Comparison) -> float:
    return max(comparison.margin, comparison.minimal_effect / 2)


def verdicts(comparison: Comparison, draws: int) -> pd.DataFrame:
    """`verdict_rates` at true differences on both sides of the margin."""
    margin = comparison.margin
    shifts = np.unique([*(SHIFTS * _largest_shift(comparison)), -margin, margin])
    return verdict_rates(design(comparison), shifts, margin, draws)


def power(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Power by true difference (shift, power), and what can be detected (blocks, points, here)."""
    whole, here = comparison.components.iloc[-1], comparison.n_blocks
    _, *components, items = whole  # target, block, item, residual, n_items
    shifts = np.linspace(0, 3 * _largest_shift(comparison), 61)
    curve = [(shift, power_at(shift, *components, here, items)) for shift in shifts]
    sizes = sorted({*BLOCKS, here})
    needed = [(B, minimal_effect(*components, B, items), here == B) for B in sizes]
    needed = pd.DataFrame(needed, columns=["blocks", "points", "here"])
    return pd.DataFrame(curve, columns=["shift", "power"]), needed
