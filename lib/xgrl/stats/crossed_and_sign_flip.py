"""The p value that decides: the larger of runs crossed with items, and the sign flip over blocks.

The crossed t test takes test items as drawn but leans on normal block means; the sign flip over
blocks is exact but takes the items as given. A difference counts where both reject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .randomisation import sign_flip
from .twoway import Estimate, block_means, crossed_tasks
from .validation import ZeroVariance

NAN = float("nan")


@dataclass(frozen=True)
class Tested:
    """A difference in points with both of its p values, and `p`, the one to decide on.

    Without any variance the sign flip stands alone: `estimate` has se 0 and NaN for the rest.
    """

    estimate: Estimate
    p_signflip: float

    @property
    def p(self) -> float:
        return self.p_signflip if self.flat else max(self.p_signflip, self.estimate.p)

    @property
    def flat(self) -> bool:
        return self.estimate.se == 0


def crossed_or_flat(
    tables: Sequence[np.ndarray], w: np.ndarray, strata: Sequence | None
) -> Estimate:
    """`crossed_tasks`, and where nothing varies the mean with se 0 and no interval or p."""
    try:
        return crossed_tasks(tables, w, strata)
    except ZeroVariance:
        return Estimate(float(block_means(tables, w).mean()), 0.0, NAN, (NAN, NAN), NAN)


def crossed_and_sign_flip(
    tables: Sequence[np.ndarray], w: np.ndarray, strata: Sequence | None
) -> Tested:
    """Test a weighted mean difference both ways.

    tables: T of (B, n_t) differences in points; w: (T,); strata: (B,) intermediate task of each
    block, or None.
    """
    flip = sign_flip(block_means(tables, w))
    return Tested(crossed_or_flat(tables, w, strata), flip)
