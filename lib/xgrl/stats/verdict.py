"""Equivalence, and the verdict: four words that the numbers support, and no others.

A p value above .05 is absence of evidence, never evidence of absence, so "no effect" is not in the
vocabulary; what can be said instead is "equivalent within the margin", and that needs its own test:
two one-sided tests at a margin fixed in advance, beside the posterior mass around 0. Source:
Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657-680; Kruschke (2013), J.
Experimental Psychology: General 142:573-603 (region of practical equivalence), with the t posterior
of a flat prior.
"""

import numpy as np
from scipy.stats import t as student

from .twoway import TINY, Estimate

ALPHA = 0.05  # level of every test


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

    The posterior is t with `df` degrees of freedom, centre `mean` and scale `se` (points). Raises
    ValueError as `tost`.
    """
    _validate(mean, se, df, margin)
    below = float(student.cdf((-margin - mean) / se, df))
    above = float(student.sf((margin - mean) / se, df))
    return below, max(0.0, 1.0 - below - above), above


def decide(estimate: Estimate, p: float, margin: float) -> tuple[str, bool, float]:
    """Verdict, whether a difference that was found is trivial, and the equivalence p.

    p: the one to decide on; margin in points. Without a standard error the equivalence p is NaN.
    """
    equivalence = float("nan")
    if estimate.se > 0:
        equivalence = tost(estimate.mean, estimate.se, estimate.df, margin)
    within = equivalence <= ALPHA
    if p <= ALPHA and estimate.mean != 0:
        return ("superior" if estimate.mean > 0 else "inferior"), within, equivalence
    return ("equivalent" if within else "inconclusive"), False, equivalence


def p_format(p: float) -> str:
    """A p value to two digits, never as 0: "0.00049", "<0.0001"; NaN is "not estimable"."""
    if p != p:
        return "not estimable"
    return f"{p:.2g}" if p >= 1e-4 else "<0.0001"
