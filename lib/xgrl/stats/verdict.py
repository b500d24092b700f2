"""The verdict: four words that the numbers support, and no others.

A p value above .05 is absence of evidence, never evidence of absence, so "no effect" is not in the
vocabulary; what can be said instead is "equivalent within the margin", and that needs its own test.
"""

from __future__ import annotations

from .equivalence import tost
from .twoway import Estimate

ALPHA = 0.05  # level of every test


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
    """A p value to two significant digits, never as 0: "0.00049", "<0.0001"; "not estimable" for
    NaN.
    """
    if p != p:
        return "not estimable"
    return f"{p:.2g}" if p >= 1e-4 else "<0.0001"
