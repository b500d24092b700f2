"""Intervals of a mean (t) and of a proportion (exact binomial).

Source: Student (1908), Biometrika 6:1-25; Clopper & Pearson (1934), Biometrika 26:404-413.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta
from scipy.stats import t as student


def t_half_width(se: ArrayLike, df: ArrayLike, confidence: float = 0.95) -> np.ndarray | float:
    """Half the t interval of an estimate with standard error `se` and `df` degrees of freedom."""
    return student.ppf((1 + confidence) / 2, df) * se


def t_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, ...]:
    """Mean, low and high of the t interval over the last axis, NaN left out.

    values: (..., n) independent values. Three arrays (...), or numpy floats where `values` has one
    axis; low and high are NaN where fewer than two values are left, the mean where none is.
    """
    values = np.asarray(values, dtype=np.float64)
    here = ~np.isnan(values)
    n = here.sum(-1)
    mean = np.where(here, values, 0.0).sum(-1) / np.where(n > 0, n, np.nan)
    squares = np.where(here, values - mean[..., None], 0.0) ** 2
    sd = np.sqrt(squares.sum(-1) / np.where(n > 1, n - 1, np.nan))
    half = t_half_width(sd, n - 1, confidence) / np.sqrt(n)
    return mean, mean - half, mean + half


def exact_binomial(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion from k successes in n trials.

    Ours, since scipy's `binomtest(k, n).proportion_ci` searches the same ends for roots, to 1e-12.
    Raises ValueError unless 0 <= k <= n.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"exact_binomial: found {k} of {n}, need 0 <= k <= n and n >= 1")
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high
