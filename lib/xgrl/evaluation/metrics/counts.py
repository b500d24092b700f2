"""F1 from counts: of what was predicted and what was expected, how much matched.

Counts add up over examples, F1 does not; so an example contributes its three counts, and F1 is
taken of their sums.
"""

import numpy as np
from numpy.typing import ArrayLike


def f1_of(counts: ArrayLike) -> np.ndarray:
    """F1 in percent of summed counts.

    counts: (..., 3) numbers matched, predicted and expected. Returns (...), 200 matched /
    (predicted + expected), and 0 where nothing was predicted or expected. Raises ValueError for
    another last axis.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim == 0 or counts.shape[-1] != 3:
        raise ValueError(
            f"shape {counts.shape}: expected (..., 3), of matched, predicted, expected"
        )
    matched, either = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.divide(200.0 * matched, either, out=np.zeros(np.shape(either)), where=either != 0)


def f1_precision_recall(counts: np.ndarray) -> dict[str, float]:
    """F1, precision and recall in percent of counts (n, 3); 0/0 is 0, as in seqeval."""
    matched, predicted, expected = (int(total) for total in counts.sum(0))
    return {
        "f1": float(f1_of([matched, predicted, expected])),
        "precision": 100.0 * matched / predicted if predicted else 0.0,
        "recall": 100.0 * matched / expected if expected else 0.0,
    }
