"""Randomisation tests over blocks: one difference, or many: of tasks, of arms to one baseline.

Under the null the two arms of a block are exchangeable, so each block's difference may change its
sign. A whole block flips at once: its items, languages and targets share one training run. Many
hypotheses: the largest statistic of all is what each observed one is held against, which uses their
dependence (maxT); step-down, so the most extreme is tested among all, then leaves, and the next is
tested among the rest. Arms keep their labels: to permute these inside a block would suppose that
all arms vary alike. Source: Fisher (1935), The Design of Experiments, ch. 3; Westfall & Young
(1993), Resampling-Based Multiple Testing, ch. 5 and algorithm 2.8 (free step-down).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from .validation import validate_array

EXACT_BLOCKS = 20  # 2^19 distinct flips (a flip and its mirror image have the same statistic)
DRAWS = 99_999  # beyond that; with the observed one p = (k + 1) / 100,000
# relative to the largest sum possible: two flips with equal sums differ by rounding only
TIE = 1e-12
CHUNK = 2**21  # numbers held at a time
CACHED = 2**18  # and drawn at a time


def _doubled(rows: np.ndarray) -> np.ndarray:
    """All signed sums of `rows` (r, K), as (2^r, K)."""
    sums = np.zeros((1, rows.shape[1]))
    for row in rows:
        sums = np.concatenate([sums + row, sums - row])
    return sums


def _flipped_sums(
    m: np.ndarray, seed: int | np.random.Generator, draws: int = DRAWS
) -> Iterator[np.ndarray]:
    """Yield (f, K) arrays of sums over blocks of `m` (B, K), one row for each sign vector."""
    blocks, hypotheses = m.shape
    size = max(1, CHUNK // hypotheses)
    if _exact(blocks, draws):
        inner = min(blocks - 1, size.bit_length() - 1)
        base = m[0] + _doubled(m[blocks - inner :])
        for outer in _doubled(m[1 : blocks - inner]):
            yield base + outer
    else:
        rng, size = np.random.default_rng(seed), max(1, CACHED // max(m.shape))
        for start in range(0, draws, size):
            signs = rng.integers(0, 2, size=(min(size, draws - start), blocks)) * 2.0 - 1.0
            yield signs @ m


def _exact(blocks: int, draws: int) -> bool:
    """Whether all flips are counted: up to `EXACT_BLOCKS`, and with few draws where as few do."""
    return blocks <= EXACT_BLOCKS and (draws == DRAWS or 2 ** (blocks - 1) <= draws + 1)


def _p_value(count: np.ndarray, blocks: int, draws: int = DRAWS) -> np.ndarray:
    return count / 2.0 ** (blocks - 1) if _exact(blocks, draws) else (count + 1) / (draws + 1)


def sign_flip_columns(
    m: np.ndarray, seed: int | np.random.Generator = 0, draws: int = DRAWS
) -> np.ndarray:
    """Two-sided sign-flip p (K,) of each column of `m` (B, K) by itself, all by the same flips."""
    threshold = np.abs(m.sum(0)) - TIE * np.abs(m).sum(0)
    count = sum((np.abs(sums) >= threshold).sum(0) for sums in _flipped_sums(m, seed, draws))
    return _p_value(count, len(m), draws)


def sign_flip(m: ArrayLike, seed: int | np.random.Generator = 0) -> float:
    """Two-sided sign-flip p of the hypothesis that block differences are symmetric about 0.

    m: (B,) differences in points, one a block. Every one of the 2^B sign vectors is counted up to B
    = 20; beyond it 99,999 are drawn from `seed` and p = (k + 1) / (n + 1). The identity counts, so
    p is at least 2 / 2^B, never 0. Raises ValueError for NaN, infinity or an empty array.
    """
    return float(sign_flip_columns(validate_array("sign_flip: m", m, ndim=1)[:, None], seed)[0])


def flip_scale(D: np.ndarray) -> np.ndarray:
    """sqrt(B * sum of squares) of D (..., B, K), 1 where all is 0: |sum| / scale grows with |t|."""
    scale = np.sqrt(D.shape[-2] * (D**2).sum(-2))
    return np.where(scale > 0, scale, 1.0)


def westfall_young(M: ArrayLike, seed: int | np.random.Generator = 0) -> np.ndarray:
    """Step-down maxT adjusted p values (K,).

    M: (B, K) block differences, a column a hypothesis; one sign vector flips all of them. The
    statistic is |mean| / (sd / sqrt(B)); compared is its increasing transform `flip_scale`, which
    divides by no vanishing sd. Exact up to B = 20, else 99,999 draws from `seed`.
    """
    m = validate_array("westfall_young: M", M, ndim=2)
    scale = flip_scale(m)
    observed = np.abs(m.sum(0)) / scale
    order = np.argsort(-observed, kind="stable")
    threshold = observed[order] - TIE
    count = np.zeros(m.shape[1])
    for sums in _flipped_sums(m[:, order], seed):
        largest = np.maximum.accumulate((np.abs(sums) / scale[order])[:, ::-1], axis=1)[:, ::-1]
        count += (largest >= threshold).sum(0)
    adjusted = np.empty(m.shape[1])
    adjusted[order] = np.maximum.accumulate(_p_value(count, len(m)))
    return adjusted
