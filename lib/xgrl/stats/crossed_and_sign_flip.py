"""The p value that decides: the larger of runs crossed with items, and the sign flip over blocks.

The crossed t test takes test items as drawn but leans on normal block means; the sign flip over
blocks is exact but takes the items as given. A difference counts where both reject.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .randomisation import sign_flip
from .twoway import Estimate, block_means, crossed_tasks
from .validation import ZeroVariance

NAN = float("nan")


@dataclass(frozen=True)
class Tested:
    """A difference in points with both of its p values, and `p`, the one to decide on.

    Without any variance the sign flip stands alone: `estimate` has se 0, no interval and no p.
    """

    estimate: Estimate  # runs crossed with items
    m: np.ndarray  # (B,) block means

    @cached_property
    def p_signflip(self) -> float:
        return sign_flip(self.m)

    @property
    def flat(self) -> bool:
        return self.estimate.se == 0

    @property
    def p(self) -> float:
        return self.p_signflip if self.flat else max(self.p_signflip, self.estimate.p)


def crossed_and_sign_flip(
    tables: Sequence[np.ndarray], w: np.ndarray, strata: Sequence | None
) -> Tested:
    """Test a weighted mean difference both ways.

    tables: T of (B, n_t) differences in points; w: (T,); strata: (B,) intermediate task of each
    block, or None.
    """
    m = block_means(tables, w)
    try:
        return Tested(crossed_tasks(tables, w, strata), m)
    except ZeroVariance:
        return Tested(Estimate(float(m.mean()), 0.0, NAN, (NAN, NAN), NAN), m)
