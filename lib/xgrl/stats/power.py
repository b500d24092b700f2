"""What a study could have seen: the smallest detectable effect, and the blocks an effect needs.

From variance components of the difference (squared points): V = sa2 / B + sb2 / n + sc2 / (B n),
Satterthwaite's df on the expected mean squares, and the noncentral t. Source: Cohen (1988),
Statistical Power Analysis, ch. 2; Westfall, Kenny & Judd (2014), J. Experimental Psychology:
General 143:2020-2045 (crossed random factors).
"""

import math
from bisect import bisect_left

from scipy.special import nctdtrinc
from scipy.stats import nct
from scipy.stats import t as student

from .twoway import variance
from .verdict import ALPHA

FEWEST_BLOCKS = 6  # with 5 blocks the smallest two-sided sign-flip p is .0625
MOST_BLOCKS = 100_000
POWER = 0.8


def _variance(sa2: float, sb2: float, sc2: float, B: int, n: int) -> tuple[float, float]:
    """Variance of the mean and its degrees of freedom, from the expected mean squares."""
    if min(sa2, sb2, sc2) < 0 or not 0 < sa2 + sb2 + sc2 < math.inf or B < 2 or n < 2:
        need = "need components of 0 or more with a positive sum, and B and n of 2 or more"
        raise ValueError(f"found components {sa2}, {sb2}, {sc2}, B {B}, n {n}; {need}")
    return variance(sc2 + n * sa2, sc2 + B * sb2, sc2, B, n)


def minimal_effect(sa2: float, sb2: float, sc2: float, B: int, n: int) -> float:
    """Smallest true difference in points that the crossed test finds with probability `POWER`.

    sa2, sb2, sc2: variance components of the difference for block, item and residual, squared
    points, 0 or more and not all 0; B blocks and n items (2 or more). Two-sided test at `ALPHA`;
    rejections on the wrong side are not counted.
    """
    var, df = _variance(sa2, sb2, sc2, B, n)
    noncentrality = nctdtrinc(float(df), 1 - POWER, float(student.ppf(1 - ALPHA / 2, df)))
    return float(noncentrality) * math.sqrt(var)


def power_at(effect: float, sa2: float, sb2: float, sc2: float, B: int, n: int) -> float:
    """Probability that the crossed test finds a true `effect` in points on its own side."""
    var, df = _variance(sa2, sb2, sc2, B, n)
    return float(nct.sf(student.ppf(1 - ALPHA / 2, df), df, abs(effect) / math.sqrt(var)))


def blocks_needed(effect: float, sa2: float, sb2: float, sc2: float, n: int) -> int | None:
    """Fewest blocks with which `minimal_effect` is at most `effect` points.

    At least 6, below which the sign-flip test cannot reach .05; None where more blocks would never
    be enough, because the n test items themselves leave more uncertainty than the effect.
    """
    if not effect > 0:
        raise ValueError(f"blocks_needed: found effect {effect}, need a positive number of points")

    def enough(blocks: int) -> bool:
        return minimal_effect(sa2, sb2, sc2, blocks, n) <= effect

    counts = range(FEWEST_BLOCKS, MOST_BLOCKS)
    return counts.start + bisect_left(counts, True, key=enough) if enough(MOST_BLOCKS) else None
