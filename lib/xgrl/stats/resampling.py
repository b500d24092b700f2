"""Resampling both ways: the pigeonhole bootstrap over blocks and items, and jackknife pseudo-values.

Source: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1:386-411; Tukey (1958), Annals of
Mathematical Statistics 29:614 (pseudo-values).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .checks import finite

CHUNK = 2**22  # resampled items held at a time


@dataclass(frozen=True)
class Bootstrap:
    """Standard error and percentile interval in points, with the draws (R,) behind them."""

    se: float
    interval: tuple[float, float]
    draws: np.ndarray


def _weights(size: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, size) resampling weights: how often each unit was drawn, divided by `size`."""
    chosen = rng.integers(0, size, size=(draws, size), dtype=np.int64)
    chosen += np.arange(draws)[:, None] * size
    return np.bincount(chosen.ravel(), minlength=draws * size).reshape(draws, size) / size


def bootstrap(
    D: Sequence[ArrayLike],
    weights: ArrayLike,
    strata: Sequence | None = None,
    draws: int = 10_000,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Bootstrap:
    """Pigeonhole bootstrap of the weighted mean difference over tasks.

    D: list of T arrays (B, n_t) of differences in points, already averaged over languages, so that one weight an item
    serves both arms, all languages and all blocks; weights: (T,); strata: (B,) labels within which blocks are drawn.
    A check on `crossed_tasks`: it counts the residual variance more than once, so its intervals are on the wide side.
    """
    tables = [finite(f"bootstrap: D[{t}]", table, ndim=2) for t, table in enumerate(D)]
    w = finite("bootstrap: weights", weights, ndim=1)
    blocks = len(tables[0])
    labels = np.zeros(blocks, int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    if len(w) != len(tables) or len(labels) != blocks or any(len(table) != blocks for table in tables):
        raise ValueError(
            f"bootstrap: found {len(w)} weights and {len(labels)} strata for shapes "
            f"{[table.shape for table in tables]}, need one weight a table and one label a block"
        )
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK // max(table.shape[1] for table in tables))
    means = np.empty(draws)
    for start in range(0, draws, size):
        part = min(size, draws - start)
        drawn = np.empty((part, blocks))
        for label in np.unique(labels):
            inside = labels == label
            drawn[:, inside] = _weights(int(inside.sum()), part, rng) * inside.mean()
        means[start : start + part] = sum(
            weight * ((_weights(table.shape[1], part, rng) @ table.T) * drawn).sum(1)  # (part, B)
            for weight, table in zip(w, tables, strict=True)
        )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Bootstrap(float(means.std(ddof=1)), (float(low), float(high)), means)


def jackknife(metric: Callable[[np.ndarray], np.ndarray], counts: ArrayLike) -> np.ndarray:
    """Delete-one pseudo-values (n,) of a metric that is a function of summed counts, for example an F1.

    counts: (n, k), one row an item (for a difference between arms, both arms' counts side by side); `metric` maps sums
    (..., k) to values (...). The pseudo-value n * theta - (n - 1) * theta_without_e stands in for an item's score.
    Raises ValueError where deleting one item makes the metric undefined.
    """
    counts = finite("jackknife: counts", counts, ndim=2)
    items = len(counts)
    if items < 2:
        raise ValueError(f"jackknife: found {items} item, need 2 or more")
    total = counts.sum(0)
    values = items * np.asarray(metric(total)) - (items - 1) * np.asarray(metric(total - counts))
    return finite("jackknife: pseudo-values", values, ndim=1)
