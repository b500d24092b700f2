"""Similarity of representations: centred kernel alignment, and translations against random pairs.

- Linear centred kernel alignment (Kornblith et al., "Similarity of neural network representations
  revisited", ICML 2019),

      CKA(X, Y) = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)),

  with the unbiased estimate of HSIC (Song et al., JMLR 2012, equation 4; used for CKA by Nguyen et
  al., ICLR 2021). The plain estimate is of no use for a hundred sentences in 384 dimensions: it
  gives 0.8 to features that have nothing in common.
- Translation pairs: mean cosine of a sentence's and its translation's feature, beside that of all
  pairs that are no translations. Encoders fill a narrow cone, so that any two sentences are
  similar; only the gap between both means says that a translation is nearer than any other
  sentence. Its interval comes from delete-one jackknife pseudo-values, because the pairs that are
  no translations share sentences.
"""

from dataclasses import dataclass

import numpy as np

from xgrl.stats.intervals import t_interval
from xgrl.training.diagnostics import rounding


@dataclass(frozen=True)
class Translation:
    """Mean cosine of n translation pairs, that of all other pairs, their gap; with intervals."""

    cosine: float
    low: float
    high: float
    random: float
    gap: float
    gap_low: float
    gap_high: float
    n: int


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Debiased linear centred kernel alignment of two representations of the same n texts.

    first: (n, d1). second: (n, d2), the same texts in the same order, n >= 4. Returns 1 when equal
    up to rotation, scale and shift, 0 on average (hence at times a little below) when independent,
    NaN where one is, but for rounding, the same for all texts (collapsed). Raises ValueError for
    lengths that differ, fewer than 4 texts.

    Source: Kornblith et al. (2019), section 3; Song et al. (2012), equation 4, in feature space.
    """
    if len(first) != len(second):
        found = f"cka: {len(first)} and {len(second)} texts"
        raise ValueError(f"{found}; expected the same texts twice")
    if len(first) < 4:
        raise ValueError(f"cka: {len(first)} texts; the unbiased estimate needs 4 or more")
    x, y = (
        np.asarray(side, dtype=np.float64) - np.mean(side, axis=0, dtype=np.float64)
        for side in (first, second)
    )
    scale = _hsic(x, x) * _hsic(y, y)
    varies = all(np.linalg.norm(c) > rounding(side) for c, side in ((x, first), (y, second)))
    return float(_hsic(x, y) / np.sqrt(scale)) if varies and scale > 0 else float("nan")


def _hsic(x: np.ndarray, y: np.ndarray) -> float:
    """n (n - 3) times the unbiased HSIC of centred x (n, d1) and y (n, d2), no n x n matrix.

    K = x x' and M = y y' less their diagonals k, m have K 1 = -k, M 1 = -m, as x and y are centred.
    """
    n = len(x)
    k, m = (x**2).sum(1), (y**2).sum(1)
    trace = ((x.T @ y) ** 2).sum() - k @ m
    return float(trace + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ m))


def translation_similarity(english: np.ndarray, foreign: np.ndarray) -> Translation:
    """Cosine of translation pairs against that of all pairs that are no translations.

    english: (n, d) features of n >= 4 sentences. foreign: (n, d) those of their translations, in
    the same order. Gap = cosine - random; 95 % t intervals over sentences; all NaN where a feature
    is nought (collapsed). ValueError for shapes that differ, fewer than 4 pairs, not finite ones.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (english, foreign))
    if x.ndim != 2 or x.shape != y.shape or len(x) < 4:
        raise ValueError(f"shapes {x.shape} and {y.shape}; expected twice (n, d), n at least 4")
    lengths = [np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y)]
    if not np.isfinite(lengths).all():
        raise ValueError("a feature is not finite (diverged run?)")
    if not np.all(lengths):
        return Translation(*[float("nan")] * 7, len(x))
    n, cosines = len(x), (x / lengths[0]) @ (y / lengths[1]).T  # (n, n)
    pairs, total = np.diag(cosines), cosines.sum()
    random = (total - pairs.sum()) / (n * (n - 1))
    # pairs that go with sentence i, not its own
    touching = cosines.sum(0) + cosines.sum(1) - 2 * pairs
    without = (total - pairs.sum() - touching) / ((n - 1) * (n - 2))
    # (n,) pseudo-values of the gap; their mean is the gap
    gaps = pairs - (n * random - (n - 1) * without)
    own, gap = (map(float, t_interval(values)) for values in (pairs, gaps))
    return Translation(*own, float(random), *gap, n)
