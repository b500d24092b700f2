"""Many hypotheses: family-wise error, false discovery rate, number of tasks with an effect.

Source: Holm (1979), Scand. J. Statistics 6:65-70; Benjamini & Hochberg (1995), J. Royal Stat. Soc.
B 57:289-300; Benjamini & Heller (2008), Biometrics 64:1215-1222, with Bonferroni because tasks
share training runs (Fisher's combination needs independence); Dror et al. (2017), TACL 5:471-486.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from .validation import validate_p_values
from .verdict import ALPHA


def holm(p: ArrayLike) -> np.ndarray:
    """Step-down Bonferroni adjusted p (K,), in the order given. ValueError outside [0, 1]."""
    p = validate_p_values("holm: p", p)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """False-discovery-rate adjusted p (K,), in the order given. ValueError outside [0, 1]."""
    return false_discovery_control(validate_p_values("benjamini_hochberg: p", p), method="bh")


@dataclass(frozen=True)
class PartialConjunction:
    """In how many of N hypotheses there is an effect.

    `p[u - 1]` tests "fewer than u are false"; `k_hat` is the largest u with p at most `ALPHA`.
    """

    p: np.ndarray
    k_hat: int


def partial_conjunction(p: ArrayLike) -> PartialConjunction:
    """Bonferroni partial-conjunction p values of u = 1..N of N tasks, from raw p (N,).

    max over v <= u of (N - v + 1) p_(v), which are Holm's, ascending. ValueError outside [0, 1].
    """
    adjusted = np.sort(holm(validate_p_values("partial_conjunction: p", p)))
    return PartialConjunction(adjusted, int((adjusted <= ALPHA).sum()))
