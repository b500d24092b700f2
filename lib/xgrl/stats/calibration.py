"""Are the tests honest on data like ours? Type-I error and coverage by simulation, beside the usual
naive methods.

D[b, e] = shift + block_b + item_e + residual_be, all Gaussian with the study's own variance
components. A method that leaves out a source of variance (items drawn, or runs drawn) rejects a
true null too often, and it shows here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from .randomisation import sign_flip_columns
from .twoway import mean_squares, variance

ALPHA = 0.05
CHUNK = 2**21  # simulated differences held at a time
RESAMPLES = 999


@dataclass(frozen=True)
class CalibrationRow:
    """One method: rejection rate of a true null, coverage of the 95 % interval and power at the
    shift, as shares.

    The `_se` fields are Monte-Carlo standard errors.
    """

    method: str
    type_i: float
    type_i_se: float
    coverage: float
    coverage_se: float
    power: float


def _t_test(mean: np.ndarray, var: np.ndarray, df: np.ndarray | int) -> np.ndarray:
    return 2 * student.sf(np.abs(mean) / np.sqrt(var), df)


def _rejections(D: np.ndarray, truth: float, resample: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each method rejects "the mean is `truth`" on each of R tables (R, B, n), as arrays
    (R,) of bool.
    """
    blocks, items = D.shape[1:]
    mean, ms_block, ms_item, ms_residual = mean_squares(D)
    shifted = mean - truth
    m = D.mean(2)  # (R, B)
    p_crossed = _t_test(shifted, *variance(ms_block, ms_item, ms_residual, blocks, items))
    p_flip = sign_flip_columns((m - truth).T)
    total = (
        ms_block * (blocks - 1) + ms_item * (items - 1) + ms_residual * (blocks - 1) * (items - 1)
    )
    size = blocks * items
    low, high = np.quantile(m @ resample.T, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
    return {
        "larger of the two": np.maximum(p_crossed, p_flip) <= ALPHA,
        "crossed": p_crossed <= ALPHA,
        "sign flip": p_flip <= ALPHA,
        "pooled examples": _t_test(shifted, total / (size - 1) / size, size - 1) <= ALPHA,
        "one run, item t": _t_test(m[:, 0] - truth, D[:, 0].var(1, ddof=1) / items, items - 1)
        <= ALPHA,
        "t on seed means": _t_test(shifted, m.var(1, ddof=1) / blocks, blocks - 1) <= ALPHA,
        "stratified bootstrap": (low > truth) | (high < truth),
    }


def calibrate(
    components: Mapping[str, float],
    B: int,
    n: int,
    draws: int = 2000,
    seed: int = 0,
    shift: float = 1.0,
) -> list[CalibrationRow]:
    """Simulate the null and a shift with given variance components and test both with every method.

    components: variances "block", "item" and "residual" of the difference in squared points
    (negative estimates count as 0), for example the last row of `Comparison.components`; B blocks,
    n items; `draws` data sets for the null and as many, independent ones for `shift` points. The
    first three rows are ours: the study decides on the larger of the crossed and the sign-flip p;
    its acceptance region is the union of both. Pooled examples, one run's items, a t on seed means
    and a bootstrap of blocks within the stratum are what a paper would often use instead. Raises
    ValueError for missing components, no variance, or fewer than 2 blocks, items or draws.
    """
    missing = [name for name in ("block", "item", "residual") if name not in components]
    if missing:
        raise ValueError(
            f"calibrate: components lack {', '.join(missing)}; need block, item and residual"
        )
    sd = {
        name: float(np.sqrt(max(0.0, components[name]))) for name in ("block", "item", "residual")
    }
    if not 0 < sum(sd.values()) < np.inf or min(B, n, draws) < 2:
        raise ValueError(
            f"calibrate: found standard deviations {sd}, B {B}, n {n}, draws {draws}; "
            "need finite components that are not all 0, and 2 or more of each"
        )
    rng = np.random.default_rng(seed)
    resample = rng.multinomial(B, np.full(B, 1 / B), size=RESAMPLES) / B
    hits: dict[str, list[np.ndarray]] = {}
    size = max(2, CHUNK // (B * n))
    for start in range(0, draws, size):
        part = min(size, draws - start)
        null, moved = (
            mean
            + sd["block"] * rng.standard_normal((part, B, 1))
            + sd["item"] * rng.standard_normal((part, 1, n))
            + sd["residual"] * rng.standard_normal((part, B, n))
            for mean in (0.0, shift)
        )
        outcomes = (
            _rejections(null, 0.0, resample),
            _rejections(moved, shift, resample),
            _rejections(moved, 0.0, resample),
        )
        for method in outcomes[0]:
            hits.setdefault(method, []).append(np.stack([outcome[method] for outcome in outcomes]))
    rows = []
    for method, parts in hits.items():
        wrong, missed, found = np.concatenate(parts, axis=1).mean(1)
        rows.append(
            CalibrationRow(
                method,
                float(wrong),
                _monte_carlo(wrong, draws),
                float(1 - missed),
                _monte_carlo(missed, draws),
                float(found),
            )
        )
    return rows


def _monte_carlo(share: float, draws: int) -> float:
    return float(np.sqrt(share * (1 - share) / draws))
