"""The shape of a cloud of features: where languages' means lie, a map, how sure such numbers are.

Distances are in units of the spread inside a language, so that a space that merely shrank does not
look like an aligned one. Numbers that are no mean over texts (an effective rank, a similarity of
two representations) get their interval from the grouped jackknife: tenths of the texts left out,

    theta +- t(g - 1) * sqrt((g - 1) / g * sum_k (theta_without_k - their mean)^2),   g = 10 groups.

Source: Tukey (1958), Annals of Mathematical Statistics 29:614; Shao and Tu, "The Jackknife and
Bootstrap" (1995), section 2.3.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from xgrl.evaluation.probing.probes import validated
from xgrl.stats.intervals import t_half_width
from xgrl.training.diagnostics import rounding

GROUPS = 10


def mean_geometry(features: np.ndarray, languages: Sequence[str]) -> tuple[pd.DataFrame, float]:
    """Distances between the languages' means, and the share of all variance between them.

    features: (n, d). languages: (n,) codes. Returns distances, an L x L table, Euclidean, divided
    by the root mean square distance of a text to its own language's mean; and share in percent (0:
    language means coincide, 100: texts of a language coincide). Where features collapsed, not
    estimable are NaN: distances where, but for rounding, the texts of each language share a vector,
    the share too where all do. Raises ValueError for features that are not finite, lengths that
    differ, fewer than two languages, too few texts.
    """
    x, codes = validated(features, languages)
    names = np.unique(np.asarray(languages, dtype=str))
    means = np.stack([x[codes == k].mean(0) for k in range(len(names))])
    within = float(((x - means[codes]) ** 2).sum())
    between = float(((means[codes] - x.mean(0)) ** 2).sum())
    least = rounding(np.asarray(features)) ** 2
    within, between = (value if value > least else 0.0 for value in (within, between))
    spread, total = np.sqrt(within / len(x)) or np.nan, between + within or np.nan
    distances = np.linalg.norm(means[:, None] - means[None], axis=-1) / spread
    return pd.DataFrame(distances, index=names, columns=names), 100 * between / total


def project(features: np.ndarray, public: np.ndarray) -> tuple[np.ndarray, float]:
    """Features on the plane of the public encoder's first two principal components, and its share.

    features: (n, d), centred on their own mean. public: (m, d), the public encoder's, m and d at
    least 2; the loading of largest magnitude is positive in both components, so that all encoders
    of a study are seen on one plane, and on one scale. Returns (2, n) float64 and the percent of
    the features' variance that the plane holds, NaN where they are the same (collapsed).
    """
    x = np.asarray(features, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # shares of no variance
        basis = PCA(2, svd_solver="full").fit(np.asarray(public, dtype=np.float64)).components_
    x = (x - x.mean(0)) * (np.ptp(x, axis=0) > 0)
    plane, total = basis @ x.T, (x**2).sum()
    return plane, float(100 * (plane**2).sum() / (total or np.nan))


def jackknife_interval(statistic: Callable[[np.ndarray], float], n: int) -> tuple[float, ...]:
    """A number computed from n texts, with its grouped-jackknife 95 % interval: value, low, high.

    statistic: takes positions of texts, (m,) ints, and gives the number for these texts; a smooth
    function of them. n: number of texts, at least `GROUPS`; text i is in group i modulo `GROUPS`,
    so that texts ordered by language leave every language equally thinned. Raises ValueError for
    fewer texts than groups.
    """
    if n < GROUPS:
        raise ValueError(f"jackknife_interval: {n} texts; at least {GROUPS}, one a group")
    everything = np.arange(n)
    value = statistic(everything)
    without = np.array([statistic(everything[everything % GROUPS != k]) for k in range(GROUPS)])
    error = np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum())
    half = t_half_width(error, GROUPS - 1)
    return float(value), float(value - half), float(value + half)
