"""Two sets of runs that are no pairs and meet the same items: standard minus none.

Arm none has no intermediate task, so none of its runs shares a random stream with a block of the
other arm: its unit is its own seed. With x_be of B runs (within I strata, the intermediate tasks)
and y_ke of K runs on n items, runs and items random, the difference of the two means has

    V = s_x^2 / B + s_y^2 / K + max(0, s_d^2 - MS_x / B - MS_y / K) / n

s_x^2 and s_y^2: variance of the runs' means (they hold their share of the residual), s_d^2 that of
the items' differences d_e = mean_b x_be - mean_k y_ke, MS_x and MS_y the mean squares of what run
and item leave, x's within strata. Satterthwaite's degrees of freedom over all terms, at least the
fewest of the two run terms. What an item's difficulty gives to both arms cancels in d_e. Source:
Welch (1947), Biometrika 34:28-35; Satterthwaite (1946), Biometrics Bulletin 2:110-114; Clark (1973)
for items as random.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .twoway import Estimate, block_means, block_variance, interval
from .validation import validate_tables


def unpaired_variance(
    runs: Sequence, squares: Sequence, w: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the difference of two weighted means over T tasks, and its degrees of freedom.

    runs: for x and for y (variance of one run's weighted mean (...), its df, number of runs); a df
    of 0 marks runs that train nothing, whose variance is 0. squares: s_d^2, MS_x and MS_y, (..., T)
    each; w, items: (T,).
    """
    (s2_x, free_x, B), (s2_y, free_y, K) = runs
    shares = np.stack([squares[0], squares[1] / B, squares[2] / K])  # (3, ..., T)
    left = shares[0] - shares[1] - shares[2]
    shares = np.where(left > 0, w**2 / items * shares, 0.0)
    terms = np.stack([s2_x / B, s2_y / K])
    var = terms.sum(0) + (shares[0] - shares[1] - shares[2]).sum(-1)
    free = [items - 1, np.maximum(free_x, 1) * (items - 1), np.maximum(free_y, 1) * (items - 1)]
    spread = sum((share**2 / df).sum(-1) for share, df in zip(shares, free, strict=True))
    known = [(term, df) for term, df in zip(terms, (free_x, free_y), strict=True) if df]
    spread = spread + sum(term**2 / df for term, df in known)
    floor = min([df for _, df in known], default=(items - 1).min())
    return var, np.maximum(floor, var**2 / np.where(spread > 0, spread, np.inf))


def unpaired_tasks(
    X: Sequence[ArrayLike], Y: Sequence[ArrayLike], weights: ArrayLike, strata=None
) -> Estimate:
    """Weighted mean difference X - Y over tasks, as the module's docstring has it.

    X: T arrays (B, n_t) in points, B >= 2 runs that all tasks share; Y: T arrays (K, n_t) of the
    same items; a task that trains nothing in Y has one row, which stands for all. weights: (T,);
    strata: (B,) label of each run of X, or None. Raises ValueError for shapes that do not fit, NaN,
    unequal strata, and ZeroVariance where nothing varies.
    """
    tables, w = validate_tables("unpaired_tasks: X", X, weights, least=2)
    K = max(len(table) for table in Y)
    others = [np.repeat(table, K, axis=0) if len(table) == 1 < K else table for table in Y]
    others, _ = validate_tables("unpaired_tasks: Y", others, weights)
    if [x.shape[1] for x in tables] != [y.shape[1] for y in others]:
        raise ValueError("unpaired_tasks: X and Y have other numbers of items, need the same items")
    m, k = block_means(tables, w), block_means(others, w)
    labels = np.unique(np.zeros(len(m)) if strata is None else strata, return_inverse=True)[1]
    trained = K > 1 and any(np.ptp(table, axis=0).any() for table in others)
    of_y = (k.var(ddof=1), K - 1, K) if trained else (0.0, 0, K)
    squares = []
    for x, y in zip(tables, others, strict=True):
        left = _residual(y, np.zeros(K, int)) if trained else 0.0
        squares.append(((x.mean(0) - y.mean(0)).var(ddof=1), _residual(x, labels), left))
    items = np.array([table.shape[1] for table in tables])
    of_x = *block_variance(m, strata), len(m)
    var, df = unpaired_variance((of_x, of_y), np.transpose(squares), w, items)
    scale = max(abs(w[t]) * np.abs(table).max() for t, table in enumerate(tables))
    return Estimate(*interval(m.mean() - k.mean(), float(var), float(df), 0.95, scale))


def _residual(table: np.ndarray, labels: np.ndarray) -> float:
    """Mean square of what runs and items leave of (B, n), within strata of runs (codes (B,))."""
    rest = table - table.mean(1, keepdims=True)
    for code in np.unique(labels):
        rest[labels == code] -= rest[labels == code].mean(0)
    return float((rest**2).sum() / ((len(table) - len(np.unique(labels))) * (table.shape[1] - 1)))
