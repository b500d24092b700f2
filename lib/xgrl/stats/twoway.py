"""Training runs crossed with test items, both random: the quasi-F interval of a mean difference.

A block (a pair of runs) meets every item, and the same items meet every block, so a mean over the
(B, n) table has the variance sigma_block^2 / B + sigma_item^2 / n + sigma_residual^2 / (B n). It is
estimated by mean squares, with Satterthwaite's degrees of freedom. Source: Clark (1973), The
language-as-fixed-effect fallacy, J. Verbal Learning 12:335-359; Satterthwaite (1946), Biometrics
Bulletin 2:110-114.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from .intervals import t_half_width
from .validation import ZeroVariance, validate_array, validate_tables

TINY = float(np.finfo(float).tiny)  # a p value that underflows is reported as this, never as 0
# a standard error below this share of the largest difference is rounding, not spread
NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean in points with its standard error, degrees of freedom, interval and two-sided p."""

    mean: float
    se: float
    df: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Crossed(Estimate):
    """An `Estimate` of one (B, n) table with its mean squares."""

    ms_block: float
    ms_item: float
    ms_residual: float
    shape: tuple[int, int]

    @property
    def components(self) -> dict[str, float]:
        """Variance components in squared points; those of block and item may be negative."""
        blocks, items = self.shape
        return {
            "block": (self.ms_block - self.ms_residual) / items,
            "item": (self.ms_item - self.ms_residual) / blocks,
            "residual": self.ms_residual,
        }


def mean_squares(D: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and mean squares (block, item, residual), each (...), of tables (..., B, n)."""
    blocks, items = D.shape[-2:]
    row, column = D.mean(-1, keepdims=True), D.mean(-2, keepdims=True)  # (..., B, 1), (..., 1, n)
    mean = row.mean(-2, keepdims=True)
    ms_block = items * ((row - mean) ** 2).sum((-2, -1)) / (blocks - 1)
    ms_item = blocks * ((column - mean) ** 2).sum((-2, -1)) / (items - 1)
    residual = D - row
    residual -= column - mean
    ms_residual = np.einsum("...be,...be->...", residual, residual) / ((blocks - 1) * (items - 1))
    return mean[..., 0, 0], ms_block, ms_item, ms_residual


def variance(
    ms_block: np.ndarray, ms_item: np.ndarray, ms_residual: np.ndarray, blocks: int, items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the mean and its degrees of freedom, for mean squares of any one shape.

    V = max(MS_b + MS_e - MS_r, MS_b, MS_e) / (B n); Satterthwaite's df with floor B - 1, or, where
    one mean square exceeds the sum (a negative component), that mean square's own df.
    """
    total, largest = ms_block + ms_item - ms_residual, np.maximum(ms_block, ms_item)
    free_b, free_e = blocks - 1, items - 1
    spread = ms_block**2 / free_b + ms_item**2 / free_e + ms_residual**2 / (free_b * free_e)
    satterthwaite = np.maximum(free_b, total**2 / np.where(spread > 0, spread, 1))
    df = np.where(total >= largest, satterthwaite, np.where(ms_block >= ms_item, free_b, free_e))
    return np.maximum(total, largest) / (blocks * items), df


def interval(mean: float, var: float, df: float, level: float, scale: float) -> tuple:
    """(mean, se, df, interval, p); ZeroVariance when the standard error is nothing but rounding."""
    se = float(np.sqrt(var))
    if se <= NO_SPREAD * scale:
        reason = "no spread over blocks or items, so no standard error"
        raise ZeroVariance(f"all differences equal {mean:g}: {reason}")
    half = float(t_half_width(se, df, level))
    p = max(2 * float(student.sf(abs(mean) / se, df)), TINY)
    return float(mean), se, float(df), (float(mean - half), float(mean + half)), p


def crossed(D: ArrayLike, level: float = 0.95) -> Crossed:
    """Mean difference of one task with blocks and items both random.

    D: (B, n) differences in points, treatment minus baseline, B >= 2 blocks by n >= 2 items;
    `level` is that of the interval. Raises ValueError for a wrong shape, NaN or infinity and
    ZeroVariance when all entries are equal.
    """
    D = validate_array("crossed: D", D, ndim=2, least=2)
    mean, *squares = mean_squares(D)
    var, df = variance(*squares, *D.shape)
    return Crossed(*interval(mean, var, df, level, np.abs(D).max()), *map(float, squares), D.shape)


def block_variance(m: np.ndarray, strata: Sequence | None) -> tuple[float, int]:
    """Variance of one block mean of `m` (B,) and its degrees of freedom, within strata when given.

    With I strata of S blocks the variance of the overall mean is sum_i s_i^2 / (I^2 S), i.e.
    mean_i(s_i^2) / B with I (S - 1) degrees of freedom: differences between tasks are no noise.
    """
    if strata is None:
        return float(m.var(ddof=1)), len(m) - 1
    names, index, sizes = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    if len(index) != len(m) or sizes.min() != sizes.max() or sizes.min() < 2:
        found = ", ".join(f"{name}: {size}" for name, size in zip(names, sizes, strict=True))
        need = "need equal strata of 2 blocks or more"
        raise ValueError(f"strata: found {found} for {len(m)} blocks, {need}")
    within = [m[index == code].var(ddof=1) for code in range(len(names))]
    return float(np.mean(within)), len(m) - len(names)


def block_means(tables: Sequence[np.ndarray], w: np.ndarray) -> np.ndarray:
    """Weighted mean m_b of each block over T tables (B, n_t), with weights (T,): (B,)."""
    return sum(weight * table.mean(1) for weight, table in zip(w, tables, strict=True))


def tasks_variance(
    s2: np.ndarray, floor: int, squares: tuple, w: np.ndarray, blocks: int, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of a weighted mean over T tasks and its degrees of freedom.

    s2: (...) variance of one block's weighted mean, with `floor` degrees of freedom; squares: mean
    squares of items and of residuals, (..., T) each; w, items: (T,). V = s2 / B + sum_t w_t^2
    max(0, MS_item,t - MS_residual,t) / (B n_t), Satterthwaite's df, at least `floor`.
    """
    ms_item, ms_residual = squares
    share = np.where(ms_item > ms_residual, w**2 / (blocks * items), 0.0)
    var = s2 / blocks + (share * (ms_item - ms_residual)).sum(-1)
    item, residual = (share * ms_item) ** 2, (share * ms_residual) ** 2
    rest = (item / (items - 1) + residual / ((blocks - 1) * (items - 1))).sum(-1)
    spread = (s2 / blocks) ** 2 / floor + rest
    return var, np.maximum(floor, var**2 / np.where(spread > 0, spread, np.inf))


def crossed_tasks(
    D: Sequence[ArrayLike], weights: ArrayLike, strata: Sequence | None = None
) -> Estimate:
    """Weighted mean difference over several tasks that share blocks but not items.

    D: list of T arrays (B, n_t) in points; weights: (T,); strata: (B,) label (intermediate task) of
    each block, or None. V = s_b^2 / B + sum_t w_t^2 max(0, MS_item,t - MS_residual,t) / (B n_t),
    where s_b^2 is the variance of m_b = sum_t w_t mean_e D_t, within strata when given;
    Satterthwaite's df over all terms, at least that of s_b^2. One unstratified task is `crossed`
    itself. Raises ValueError for mismatched shapes, unequal strata, NaN.
    """
    tables, w = validate_tables("crossed_tasks", D, weights, least=2)
    if len(tables) == 1 and (strata is None or len(set(strata)) == 1):
        return crossed(w[0] * tables[0])
    m = block_means(tables, w)
    s2, floor = block_variance(m, strata)
    squares = np.array([mean_squares(table)[2:] for table in tables]).T  # (2, T)
    items = np.array([table.shape[1] for table in tables])
    var, df = tasks_variance(s2, floor, squares, w, len(m), items)
    scale = max(abs(weight) * np.abs(table).max() for weight, table in zip(w, tables, strict=True))
    return Estimate(*interval(m.mean(), float(var), float(df), 0.95, scale))
