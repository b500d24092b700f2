"""What every statistical function refuses: wrong shapes, missing or infinite values, nothing to
estimate from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike


class ZeroVariance(ValueError):
    """All values are the same, so no standard error exists."""


def finite(name: str, values: ArrayLike, ndim: int, least: int = 1) -> np.ndarray:
    """Return `values` as a float64 array of `ndim` axes, each at least `least` long; ValueError
    otherwise.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or min(array.shape, default=0) < least:
        raise ValueError(
            f"{name}: found shape {array.shape}, need {ndim} axes of length {least} or more"
        )
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: found {array[where]} at {where}, need finite numbers")
    return array


def probabilities(name: str, values: ArrayLike) -> np.ndarray:
    """Return p values (K,) as float64; ValueError for anything outside [0, 1]."""
    p = finite(name, values, ndim=1)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(
            f"{name}: found values from {p.min()} to {p.max()}, need p values in [0, 1]"
        )
    return p


def known(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return `name` if it is in `allowed`; ValueError naming the nearest match otherwise."""
    allowed = sorted(str(a) for a in allowed)
    if name in allowed:
        return name
    near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{kind} {name!r} is unknown, found {', '.join(allowed) or 'none'}{hint}")
