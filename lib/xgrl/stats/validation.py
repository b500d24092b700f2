"""What every statistical function refuses: wrong shapes, NaN, infinity, unknown names."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from xgrl.runs.params import nearest_names


class ZeroVariance(ValueError):
    """All values are the same, so no standard error exists."""


def validate_array(name: str, values: ArrayLike, ndim: int, least: int = 1) -> np.ndarray:
    """Return `values` as a float64 array of `ndim` axes, each at least `least` long.

    Raises ValueError for another shape, NaN and infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or min(array.shape, default=0) < least:
        need = f"need {ndim} axes of length {least} or more"
        raise ValueError(f"{name}: found shape {array.shape}, {need}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: found {array[where]} at {where}, need finite numbers")
    return array


def validate_p_values(name: str, values: ArrayLike) -> np.ndarray:
    """Return p values (K,) as float64; ValueError for anything outside [0, 1]."""
    p = validate_array(name, values, ndim=1)
    low, high = p.min(), p.max()
    if low < 0 or high > 1:
        raise ValueError(f"{name}: found values from {low} to {high}, need p values in [0, 1]")
    return p


def validate_tables(
    name: str, D: Sequence[ArrayLike], weights: ArrayLike, least: int = 1
) -> tuple[list[np.ndarray], np.ndarray]:
    """T tables (B, n_t) that share their blocks, and their weights (T,); ValueError otherwise."""
    tables = [validate_array(f"{name}: D[{t}]", table, 2, least) for t, table in enumerate(D)]
    w, shapes = validate_array(f"{name}: weights", weights, 1), [table.shape for table in tables]
    if len(w) != len(tables) or len({blocks for blocks, _ in shapes}) > 1:
        need = "need one weight a table and the same number of blocks"
        raise ValueError(f"{name}: found {len(w)} weights for shapes {shapes}, {need}")
    return tables, w


def validate_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return `name` if it is in `allowed`; ValueError naming the nearest match otherwise."""
    allowed = [str(a) for a in allowed]
    if name not in allowed:
        raise ValueError(f"{kind} {name!r} is unknown; {nearest_names(name, allowed)}")
    return name
