"""The shape of a cloud of features: where the languages' means lie, a map of it, and how sure such
numbers are.

Distances are in units of the spread inside a language, so that a space that merely shrank does not
look like an aligned one. Numbers that are no mean over texts (an effective rank, a similarity of
two representations) get their interval from the grouped jackknife: leave out a tenth of the texts
in turn,

    theta +- t(g - 1) * sqrt((g - 1) / g * sum_k (theta_without_k - their mean)^2),      g = 10 groups.

Source: Tukey (1958), Annals of Mathematical Statistics 29:614; Shao and Tu, "The Jackknife and
Bootstrap" (1995), section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xgrl.evaluation.probing.probes import checked

GROUPS = 10


@dataclass(frozen=True)
class Geometry:
    """Distances between language means (L x L, in units of the spread inside a language) and the
    variance that they explain.
    """

    distances: pd.DataFrame
    share: float


def mean_geometry(features: np.ndarray, languages: Sequence[str]) -> Geometry:
    """Distances between the languages' mean vectors, and the share of all variance that lies
    between them.

    Args:
        features: (n, d); languages: (n,) codes.

    Returns:
        `Geometry`: distances, an L x L table, Euclidean, divided by the root mean square distance
            of a text to its own
        language's mean; share in percent (0: language means coincide, 100: texts of a language
        coincide).

    Raises:
        ValueError: features that are not finite or collapsed, lengths that differ, fewer than two
            languages, too few texts.
    """
    x, codes = checked(features, languages)
    names = np.unique(np.asarray(languages, dtype=str))
    means = np.stack([x[codes == k].mean(0) for k in range(len(names))])
    within = float(((x - means[codes]) ** 2).sum())
    between = float(((means[codes] - x.mean(0)) ** 2).sum())
    if within == 0:
        raise ValueError(
            "mean_geometry: the texts of each language have one and the same vector (collapsed "
            "features)"
        )
    distances = np.linalg.norm(means[:, None] - means[None], axis=-1) / np.sqrt(within / len(x))
    return Geometry(
        pd.DataFrame(distances, index=names, columns=names), 100 * between / (between + within)
    )


def project(features: np.ndarray) -> np.ndarray:
    """First two principal components, with signs fixed so that the same features always give the
    same map.

    Args:
        features: (n, d), n >= 2, d >= 2.

    Returns:
        (n, 2) float64 scores; in each component the loading of largest magnitude is positive.
    """
    x = np.asarray(features, dtype=np.float64)
    x = x - x.mean(0)
    loadings = np.linalg.svd(x, full_matrices=False)[2][:2]  # (2, d)
    largest = np.take_along_axis(loadings, np.abs(loadings).argmax(1)[:, None], axis=1)
    return x @ (loadings * np.where(largest < 0, -1.0, 1.0)).T


def jackknife_interval(
    statistic: Callable[[np.ndarray], float], n: int, level: float = 0.95
) -> tuple[float, float, float]:
    """A number computed from n texts, with its grouped-jackknife t interval.

    Args:
        statistic: takes positions of texts, (m,) ints, and gives the number for these texts; a
            smooth function of them.
        n: number of texts, at least `GROUPS`. Text i is in group i modulo `GROUPS`, so that texts
            ordered by language leave every language equally thinned.
        level: of the interval.

    Returns:
        the number from all texts, low, high.

    Raises:
        ValueError: fewer texts than groups.
    """
    if n < GROUPS:
        raise ValueError(
            f"jackknife_interval: {n} texts; at least {GROUPS} are needed, one a group"
        )
    everything = np.arange(n)
    value = statistic(everything)
    without = np.array([statistic(everything[everything % GROUPS != k]) for k in range(GROUPS)])
    error = np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum())
    half = student.ppf((1 + level) / 2, GROUPS - 1) * error
    return float(value), float(value - half), float(value + half)
