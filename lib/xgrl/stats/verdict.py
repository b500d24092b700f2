"""The p value that decides, equivalence, and the verdict: four words that the numbers support.

The p that decides is the larger of two. The crossed t test takes test items as drawn but leans on
normal block means; the sign flip over blocks is exact but takes the items as given. A difference
counts where both reject.

A p value above .05 is absence of evidence, never evidence of absence, so "no effect" is not in the
vocabulary; what can be said instead is "equivalent within the margin", and that needs its own test:
two one-sided tests at a margin fixed in advance, beside the posterior mass around 0. Source:
Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657-680; Kruschke (2013), J.
Experimental Psychology: General 142:573-603 (region of practical equivalence), with the t posterior
of a flat prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

from .randomisation import sign_flip
from .twoway import TINY, Estimate, block_means, crossed_tasks
from .validation import ZeroVariance

ALPHA = 0.05  # level of every test
NAN = float("nan")


@dataclass(frozen=True)
class Tested:
    """A difference in points with both of its p values, and `p`, the one to decide on.

    Without any variance the sign flip stands alone: `estimate` has se 0, no interval and no p.
    """

    estimate: Estimate  # runs crossed with items
    m: np.ndarray  # (B,) block means

    @cached_property
    def p_signflip(self) -> float:
        return sign_flip(self.m)

    @property
    def flat(self) -> bool:
        return self.estimate.se == 0

    @property
    def p(self) -> float:
        return self.p_signflip if self.flat else max(self.p_signflip, self.estimate.p)


def crossed_and_sign_flip(tables: Sequence, w: np.ndarray, strata: Sequence | None) -> Tested:
    """Test a weighted mean difference both ways.

    tables: T of (B, n_t) differences in points; w: (T,); strata: (B,) intermediate tasks, or None.
    """
    m = block_means(tables, w)
    try:
        return Tested(crossed_tasks(tables, w, strata), m)
    except ZeroVariance:
        return Tested(Estimate(float(m.mean()), 0.0, NAN, (NAN, NAN), NAN), m)


def _validate(mean: float, se: float, df: float, margin: float) -> None:
    if not (se > 0 and df > 0 and margin > 0 and abs(mean) < float("inf")):
        found = f"found mean {mean}, se {se}, df {df}, margin {margin}"
        raise ValueError(f"{found}; need a finite mean and positive se, df and margin")


def tost_p(mean: np.ndarray, se: np.ndarray, df: np.ndarray, margin: float) -> np.ndarray:
    """`tost` for arrays (...), not validated."""
    return np.maximum(student.sf((mean + margin) / se, df), student.cdf((mean - margin) / se, df))


def tost(mean: float, se: float, df: float, margin: float) -> float:
    """P value of the hypothesis that the true difference lies outside (-margin, margin).

    mean, se and margin in points. Small p: equivalent. p <= .05 exactly when the 90 % interval lies
    inside the margin. Raises ValueError unless se, df and margin are positive.
    """
    _validate(mean, se, df, margin)
    return max(float(tost_p(mean, se, df, margin)), TINY)


def rope(mean: float, se: float, df: float, margin: float) -> tuple[float, float, float]:
    """Posterior probabilities that the difference is below -margin, within it, and above margin.

    The posterior is t with `df`, centre `mean`, scale `se` (points). ValueError as `tost`.
    """
    _validate(mean, se, df, margin)
    below = float(student.cdf((-margin - mean) / se, df))
    above = float(student.sf((margin - mean) / se, df))
    return below, max(0.0, 1.0 - below - above), above


def decide(estimate: Estimate, p: float, margin: float) -> tuple[str, bool, float]:
    """Verdict, whether a difference that was found is trivial, and the equivalence p.

    p: the one to decide on; margin in points. Without a standard error the equivalence p is NaN.
    """
    mean, se, df = estimate.mean, estimate.se, estimate.df
    equivalence = tost(mean, se, df, margin) if se > 0 else NAN
    within = equivalence <= ALPHA
    if p <= ALPHA and mean != 0:
        return ("superior" if mean > 0 else "inferior"), within, equivalence
    return ("equivalent" if within else "inconclusive"), False, equivalence


def p_format(p: float | None) -> str:
    """A p value to two digits, never as 0: "0.00049", "<0.0001"; NaN, None: "not estimable"."""
    return "not estimable" if p is None or p != p else f"{p:.2g}" if p >= 1e-4 else "<0.0001"


def p_equals(p: float | None) -> str:
    """`p_format` behind the word p in a sentence: "= 0.00049", "< 0.0001", "not estimable"."""
    text = p_format(p)
    return text if p is None or p != p else f"< {text[1:]}" if text[0] == "<" else f"= {text}"
