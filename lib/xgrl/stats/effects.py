"""How large, in the field's units: points, standardised differences, probability of improvement,
discordant pairs.

Source: Hedges (1981), J. Educational Statistics 6:107-128 (exact J); Cliff (1993), Psychological Bulletin 114:494-509; McNemar (1947),
Psychometrika 12:153-157; Fagerland et al. (2013), BMC Med. Res. Methodology 13:91 (mid-p); Agarwal
et al. (2021), NeurIPS (interquartile mean); del Barrio et al. (2018) and Dror et al. (2019), ACL
(almost stochastic order); Dodge et al. (2019), EMNLP, and Tang et al. (2020), EMNLP (expected
best).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb, gammaln
from scipy.stats import binom, trim_mean

from .intervals import exact_binomial
from .validation import validate_array


@dataclass(frozen=True)
class EffectSizes:
    """Effect sizes of paired block differences; `dz` and `hedges` are NaN where the blocks do not
    vary.

    `p_improve` is the share of blocks that improved, ties counted half; `cliffs_delta_unpaired` and
    `violation_unpaired` ignore the pairing and are NaN unless both arms' values were at hand
    (`compare` fills them in).
    """

    points: float
    dz: float
    hedges: float
    p_improve: float
    p_improve_interval: tuple[float, float]
    cliffs_delta_unpaired: float = float("nan")
    violation_unpaired: float = float("nan")


def effect_sizes(m: ArrayLike, level: float = 0.95) -> EffectSizes:
    """Effect sizes of block differences m (B,) in points, B >= 2.

    dz = mean / sd; hedges = dz * J with the exact J = Gamma(v/2) / (sqrt(v/2) Gamma((v-1)/2)), v =
    B - 1. A half success (odd number of ties) widens the Clopper-Pearson interval to the next whole
    count on either side.
    """
    m = validate_array("effect_sizes: m", m, ndim=1, least=2)
    v = len(m) - 1
    sd = m.std(ddof=1)
    dz = m.mean() / sd if sd > 1e-12 * np.abs(m).max() else float("nan")
    j = np.exp(gammaln(v / 2) - gammaln((v - 1) / 2)) / np.sqrt(v / 2) if v > 1 else 0.0
    wins = float((m > 0).sum() + (m == 0).sum() / 2)
    interval = (
        exact_binomial(int(np.floor(wins)), len(m), level)[0],
        exact_binomial(int(np.ceil(wins)), len(m), level)[1],
    )
    return EffectSizes(float(m.mean()), float(dz), float(dz * j), wins / len(m), interval)


def cliffs_delta(treatment: ArrayLike, baseline: ArrayLike) -> float:
    """P(treatment > baseline) - P(treatment < baseline) over all pairs of (B1,) and (B0,) values:
    unpaired.
    """
    high, low = (
        validate_array("cliffs_delta: treatment", treatment, 1),
        validate_array("cliffs_delta: baseline", baseline, 1),
    )
    return float(np.sign(high[:, None] - low[None, :]).mean())


def violation_ratio(treatment: ArrayLike, baseline: ArrayLike) -> float:
    """How far `treatment` (B,) is from stochastic dominance over `baseline` (B,): 0 dominates, 1 is
    dominated; unpaired.

    With sorted x and y: sum max(y - x, 0)^2 / sum (y - x)^2, the squared share of the quantile
    functions' distance on the wrong side; .5 where the two are equal. Raises ValueError for unequal
    numbers of values.
    """
    x, y = (
        np.sort(validate_array(f"violation_ratio: {n}", v, 1))
        for n, v in (("treatment", treatment), ("baseline", baseline))
    )
    if len(x) != len(y):
        raise ValueError(
            f"violation_ratio: found {len(x)} and {len(y)} values, need as many of either arm"
        )
    whole = ((y - x) ** 2).sum()
    return float((np.maximum(y - x, 0) ** 2).sum() / whole) if whole > 0 else 0.5


def expected_best(values: ArrayLike, k: int, replacement: bool = False) -> float:
    """Expected largest of k runs drawn from the `values` (n,) of all runs: what reporting the best
    of k would gain.

    Without replacement the unbiased mean over all subsets of k; with replacement the plug-in of
    Dodge et al., which is too small. Raises ValueError unless 1 <= k <= n.
    """
    v = np.sort(validate_array("expected_best: values", values, 1))
    n, rank = len(v), np.arange(1, len(v) + 1)
    if not 1 <= k <= n:
        raise ValueError(f"expected_best: found k {k} for {n} values, need 1 <= k <= {n}")
    below = (rank / n) ** k if replacement else comb(rank, k) / comb(n, k)  # P(largest <= v)
    return float(v @ np.diff(below, prepend=0.0))


class McNemar(NamedTuple):
    """Two-sided p values of a paired comparison of two classifiers."""

    exact: float
    mid_p: float


def mcnemar(only_treatment: int, only_baseline: int) -> McNemar:
    """McNemar's test from the numbers of items that one arm alone got right.

    It describes one pair of runs on one test set; it says nothing about the method, for which runs
    are the unit.
    """
    if only_treatment < 0 or only_baseline < 0:
        raise ValueError(
            f"mcnemar: found {only_treatment} and {only_baseline}, need counts of 0 or more"
        )
    n, k = only_treatment + only_baseline, min(only_treatment, only_baseline)
    exact = min(1.0, 2 * float(binom.cdf(k, n, 0.5)))
    mid_p = 1.0 if 2 * k == n else 2 * float(binom.cdf(k, n, 0.5)) - float(binom.pmf(k, n, 0.5))
    return McNemar(exact, mid_p)


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean of what is left after a quarter is cut from each end (any shape,
    flattened).
    """
    return float(trim_mean(validate_array("iqm: values", np.ravel(values), ndim=1), 0.25))
