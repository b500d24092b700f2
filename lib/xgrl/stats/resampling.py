"""Resampling: the pigeonhole bootstrap over blocks and items, and jackknife pseudo-values.

Source: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1:386-411; Tukey (1958),
Annals of Mathematical Statistics 29:614 (pseudo-values).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .twoway import block_means
from .validation import validate_array, validate_tables

LEVEL = 0.95  # of the intervals
CHUNK = 2**22  # resampled items held at a time
Metric = Callable[[np.ndarray], np.ndarray]  # sums of counts (..., k) to points (...)
Seed, Strata = int | np.random.Generator, Sequence | None


@dataclass(frozen=True)
class Bootstrap:
    """Standard error and percentile interval in points, with the draws (R,) behind the interval."""

    se: float
    interval: tuple[float, float]
    draws: np.ndarray


def _weights(size: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, size) resampling weights: how often each unit was drawn, divided by `size`."""
    chosen = rng.integers(0, size, size=(draws, size), dtype=np.int64)
    chosen += np.arange(draws)[:, None] * size
    return np.bincount(chosen.ravel(), minlength=draws * size).reshape(draws, size) / size


def _block_weights(labels: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, B) weights of blocks drawn within their strata; each row sums to 1."""
    drawn = np.empty((draws, len(labels)))
    for label in np.unique(labels):
        inside = labels == label
        drawn[:, inside] = _weights(int(inside.sum()), draws, rng) * inside.mean()
    return drawn


def _labels(strata: Strata, blocks: int) -> np.ndarray:
    """Stratum of each block as a code from 0 up; one stratum without `strata`."""
    labels = np.unique(np.zeros(blocks) if strata is None else strata, return_inverse=True)[1]
    if len(labels) != blocks:
        raise ValueError(f"strata: found {len(labels)} for {blocks} blocks, need one label a block")
    return labels


def _resample(labels: np.ndarray, items: int, draws: int, seed: Seed, means: Callable):
    """(draws,) values of `means`, which maps block weights (R, B) and a generator to R values."""
    rng, size = np.random.default_rng(seed), max(1, CHUNK // items)
    sizes = (min(size, draws - start) for start in range(0, draws, size))
    return np.concatenate([means(_block_weights(labels, R, rng), rng) for R in sizes])


def _bootstrap(se: float, means: np.ndarray) -> Bootstrap:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    return Bootstrap(float(se), (float(low), float(high)), means)


def bootstrap(
    D: Sequence[ArrayLike], weights: ArrayLike, strata: Strata = None, draws=10_000, seed: Seed = 0
) -> Bootstrap:
    """Pigeonhole bootstrap of the weighted mean difference over tasks.

    D: list of T arrays (B, n_t) of differences in points, already averaged over languages, so that
    one weight an item serves both arms, all languages and all blocks; weights: (T,); strata: (B,)
    labels within which blocks are drawn. A check on `crossed_tasks`: it counts the residual
    variance more than once, so its intervals are on the wide side. The standard error is the
    bootstrap's own in closed form (Owen 2007, section 3); the interval comes from the draws.
    """
    tables, w = validate_tables("bootstrap", D, weights)
    labels, items = _labels(strata, len(tables[0])), max(table.shape[1] for table in tables)

    def means_of(drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        resampled = (_weights(table.shape[1], len(drawn), rng) @ table.T for table in tables)
        return sum(v * (means * drawn).sum(1) for v, means in zip(w, resampled, strict=True))

    means = _resample(labels, items, draws, seed, means_of)
    return _bootstrap(_standard_error(tables, w, labels), means)


def _standard_error(tables: list[np.ndarray], w: np.ndarray, labels: np.ndarray) -> float:
    """Standard deviation over all resamples: blocks within strata, items, what is left of both."""

    def inside(values: np.ndarray) -> np.ndarray:
        means = np.stack([values[labels == label].mean(0) for label in range(labels.max() + 1)])
        return values - means[labels]

    m = block_means(tables, w)
    variance = (inside(m) ** 2).sum() / len(m) ** 2
    for weight, table in zip(w, tables, strict=True):
        column = table.mean(0)
        rest = inside(table)
        rest -= rest.mean(1, keepdims=True)
        squares = ((column - column.mean()) ** 2).sum() + (rest**2).sum() / len(m) ** 2
        variance += (weight / table.shape[1]) ** 2 * squares
    return np.sqrt(variance)


def pigeonhole(
    counts: ArrayLike, metric: Metric, language, item, strata: Strata = None, draws=2000, seed=0
) -> Bootstrap:
    """Pigeonhole bootstrap of one target's metric that is no mean over items, such as an F1.

    counts: (2, B, C, k), arms baseline and treatment, k counts a cell; `metric` maps sums (..., k)
    to points (...), and is taken anew of every resample, arm, block and language. language, item:
    (C,) codes from 0 up; an item has one weight in both arms, all languages and all blocks. It
    checks the jackknife's pseudo-values, which take the metric as straight.
    """
    counts = validate_array("pigeonhole: counts", counts, ndim=4)
    language, item = np.asarray(language), np.asarray(item)
    blocks, cells, k = counts.shape[1:]
    if len(counts) != 2 or len(language) != cells or len(item) != cells:
        found = f"shape {counts.shape} with {len(language)} languages and {len(item)} items"
        need = "need two arms, and a language and an item for each cell"
        raise ValueError(f"pigeonhole: found counts of {found}; {need}")
    items = int(item.max()) + 1
    inside = [np.flatnonzero(language == code) for code in np.unique(language)]
    # (C_l, 2 B k)
    flat = [counts[:, :, own].transpose(2, 0, 1, 3).reshape(len(own), -1) for own in inside]

    def means_of(drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        weights, shape = _weights(items, len(drawn), rng), (len(drawn), 2, blocks, k)
        sums = (weights[:, item[own]] @ table for own, table in zip(inside, flat, strict=True))
        values = np.mean([metric(total.reshape(shape)) for total in sums], axis=0)  # (R, 2, B)
        return ((values[:, 1] - values[:, 0]) * drawn).sum(1)

    means = _resample(_labels(strata, blocks), max(items, cells), draws, seed, means_of)
    return _bootstrap(means.std(ddof=1), means)


def jackknife(metric: Metric, counts: ArrayLike) -> np.ndarray:
    """Delete-one pseudo-values (n,) of a metric that is a function of summed counts, such as an F1.

    counts: (n, k), one row an item (for a difference both arms' counts, side by side); `metric`
    maps sums (..., k) to values (...). The pseudo-value n * theta - (n - 1) * theta_without_e
    stands in for an item's score. ValueError where that leaves the metric undefined.
    """
    counts = validate_array("jackknife: counts", counts, ndim=2)
    items = len(counts)
    if items < 2:
        raise ValueError(f"jackknife: found {items} item, need 2 or more")
    total = counts.sum(0)
    values = items * np.asarray(metric(total)) - (items - 1) * np.asarray(metric(total - counts))
    return validate_array("jackknife: pseudo-values", values, ndim=1)
