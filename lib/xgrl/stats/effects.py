"""How large, in the field's units: points, standardised differences, probability of improvement.

Source: Hedges (1981), J. Educational Statistics 6:107-128 (exact J); Cliff (1993), Psychological
Bulletin 114:494-509; Agarwal et al. (2021), NeurIPS (interquartile mean); del Barrio et al. (2018)
and Dror et al. (2019), ACL (almost stochastic order); Dodge et al. (2019), EMNLP, and Tang et al.
(2020), EMNLP (expected best).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import comb, gammaln
from scipy.stats import trim_mean

from .intervals import exact_binomial
from .validation import validate_array

NAN = float("nan")


@dataclass(frozen=True)
class EffectSizes:
    """Effect sizes of paired block differences; NaN where the blocks do not vary.

    `p_improve` is the share of blocks that improved, ties counted half; `cliffs_delta_unpaired` and
    `violation_unpaired` ignore the pairing and are NaN unless `compare` fills them in.
    """

    points: float
    dz: float
    hedges: float
    p_improve: float
    p_improve_interval: tuple[float, float]
    cliffs_delta_unpaired: float = NAN
    violation_unpaired: float = NAN


def effect_sizes(m: ArrayLike) -> EffectSizes:
    """Effect sizes of block differences m (B,) in points, B >= 2.

    dz = mean / sd; hedges = dz * J with the exact J = Gamma(v/2) / (sqrt(v/2) Gamma((v-1)/2)), v =
    B - 1. A half success (an odd tie) widens the Clopper-Pearson interval to the next whole counts.
    """
    m = validate_array("effect_sizes: m", m, ndim=1, least=2)
    v, sd = len(m) - 1, m.std(ddof=1)
    dz = m.mean() / sd if sd > 1e-12 * np.abs(m).max() else NAN
    j = np.exp(gammaln(v / 2) - gammaln((v - 1) / 2)) / np.sqrt(v / 2) if v > 1 else 0.0
    wins = float((m > 0).sum() + (m == 0).sum() / 2)
    low, _ = exact_binomial(int(np.floor(wins)), len(m))
    _, high = exact_binomial(int(np.ceil(wins)), len(m))
    return EffectSizes(float(m.mean()), float(dz), float(dz * j), wins / len(m), (low, high))


def cliffs_delta(treatment: ArrayLike, baseline: ArrayLike) -> float:
    """P(treatment > baseline) - P(treatment < baseline) over all pairs of values, (B1,) and (B0,).

    Unpaired: it takes no notice of blocks.
    """
    high = validate_array("cliffs_delta: treatment", treatment, 1)
    low = validate_array("cliffs_delta: baseline", baseline, 1)
    return float(np.sign(high[:, None] - low[None, :]).mean())


def violation_ratio(treatment: ArrayLike, baseline: ArrayLike) -> float:
    """How far `treatment` (B,) is from stochastic dominance over `baseline` (B,), unpaired.

    0 dominates, 1 is dominated. With sorted x and y: sum max(y - x, 0)^2 / sum (y - x)^2, the
    squared share of the quantile functions' distance on the wrong side; .5 where the two are equal.
    Raises ValueError for unequal numbers of values.
    """
    x = np.sort(validate_array("violation_ratio: treatment", treatment, 1))
    y = np.sort(validate_array("violation_ratio: baseline", baseline, 1))
    if len(x) != len(y):
        found = f"found {len(x)} and {len(y)} values"
        raise ValueError(f"violation_ratio: {found}, need as many of either arm")
    whole = ((y - x) ** 2).sum()
    return float((np.maximum(y - x, 0) ** 2).sum() / whole) if whole > 0 else 0.5


def expected_best(values: ArrayLike, k: int) -> float:
    """Expected largest of k of all runs' `values` (n,): what reporting the best of k would gain.

    The unbiased mean over all subsets of k; the plug-in of Dodge et al., drawn with replacement, is
    too small. Raises ValueError unless 1 <= k <= n.
    """
    v = np.sort(validate_array("expected_best: values", values, 1))
    n, rank = len(v), np.arange(1, len(v) + 1)
    if not 1 <= k <= n:
        raise ValueError(f"expected_best: found k {k} for {n} values, need 1 <= k <= {n}")
    below = comb(rank, k) / comb(n, k)  # P(largest <= v)
    return float(v @ np.diff(below, prepend=0.0))


def iqm(values: ArrayLike) -> float:
    """Interquartile mean of values of any shape: the mean without a quarter at each end."""
    return float(trim_mean(validate_array("iqm: values", np.ravel(values), ndim=1), 0.25))
