"""Operating characteristics of the decision as a whole: how often each verdict is reached, and the
error rates of the families.

A study is simulated through what is sufficient for it. In D[t, b, e] = shift + block_bt + item_te +
residual_tbe, all Gaussian, the block means and the mean squares of items and of residuals are
independent, MS_item ~ (res + B item) chi2_(n-1) / (n-1) and MS_res ~ res chi2_((B-1)(n-1)) /
((B-1)(n-1)); so studies with any number of items cost B numbers a task, and the very formulas of
`crossed_tasks` are applied to them. Block effects of several tasks are correlated as in the study
(one training run serves them all). Source: Scheffe (1959), The Analysis of Variance, ch. 7; Morris,
White & Crowther (2019), Statistics in Medicine 38:2074 (Monte-Carlo error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student

from .equivalence import tost_p
from .multiplicity import partial_conjunction
from .randomisation import TIE, sign_flip_columns
from .twoway import tasks_variance
from .verdict import ALPHA

FLIPS = 4095  # sign vectors beside the identity for the maxT of simulated families


@dataclass(frozen=True)
class Design:
    """What a study is simulated from: T tasks, B blocks in I strata of equal size.

    block: (T, T) covariance of block effects; item, residual: (T,) variances, all in squared
    points; items: (T,) numbers; weights: (T,), sum 1.
    """

    block: np.ndarray
    item: np.ndarray
    residual: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    blocks: int
    strata: int

    @classmethod
    def of(cls, components: pd.DataFrame, weights: ArrayLike, blocks: int, strata: int) -> Design:
        """The design of a comparison, from `Comparison.components` (target, block, item, residual,
        n_items; "all" last).

        Block effects of the targets get the one correlation that gives the weighted mean its own
        block variance, row "all". Raises ValueError where nothing varies.
        """
        parts, w = components.iloc[:-1], np.asarray(weights, float)
        sd, item, residual = (
            np.sqrt(parts["block"].to_numpy(float)),
            parts["item"].to_numpy(float),
            parts["residual"].to_numpy(float),
        )
        if not sd.sum() + item.sum() + residual.sum() > 0:
            raise ValueError("nothing varies in this study, so there is nothing to simulate")
        own, cross = (w * sd) @ (w * sd), (w @ sd) ** 2 - (w * sd) @ (w * sd)
        lowest = -1 / max(len(w) - 1, 1)
        shared = (
            np.clip((components["block"].iloc[-1] - own) / cross, lowest, 1.0) if cross > 0 else 0.0
        )
        block = np.outer(sd, sd) * np.where(np.eye(len(w)), 1.0, shared)
        return cls(block, item, residual, parts["n_items"].to_numpy(float), w, blocks, strata)


def _studies(
    design: Design, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block means (R, B, T) about 0, and mean squares of items and residuals, (R, T) each."""
    d, B = design, design.blocks
    values, vectors = np.linalg.eigh(d.block)
    root = vectors * np.sqrt(values.clip(0))
    m = rng.standard_normal((draws, B, len(d.items))) @ root.T
    m += np.sqrt(d.item / d.items) * rng.standard_normal((draws, 1, len(d.items)))
    m += np.sqrt(d.residual / d.items) * rng.standard_normal(m.shape)
    free = d.items - 1
    ms_item = (d.residual + B * d.item) * rng.chisquare(free, (draws, len(free))) / free
    ms_residual = d.residual * rng.chisquare((B - 1) * free, (draws, len(free))) / ((B - 1) * free)
    return m, ms_item, ms_residual


def _estimate(
    m: np.ndarray,
    ms_item: np.ndarray,
    ms_residual: np.ndarray,
    design: Design,
    weights: np.ndarray,
    items: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Standard error and degrees of freedom (R,) from block means (R, B) and mean squares (R, T)."""
    split = m.reshape(len(m), design.strata, -1)
    s2 = split.var(2, ddof=1).mean(1)
    var, df = tasks_variance(
        s2, design.blocks - design.strata, ms_item, ms_residual, weights, design.blocks, items
    )
    return np.sqrt(var), df


def _larger(m: np.ndarray, se: np.ndarray, df: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Larger of crossed and sign-flip p, (R,); studies that the crossed test does not reject keep
    its p, they are decided.
    """
    p = 2 * student.sf(np.abs(m.mean(1)) / se, df)
    left = np.flatnonzero(p <= alpha)
    if len(left):
        p[left] = np.maximum(p[left], sign_flip_columns(m[left].T))
    return p


def verdict_rates(
    design: Design, shifts: Sequence[float], margin: float, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """How often each verdict is reached when the true difference is each of `shifts` points, from
    `draws` simulated studies.

    Returns:
        shift, superior, inferior, equivalent, inconclusive (shares, sum 1), trivial (superior or
        inferior, and equivalent too), tost (share whose equivalence test rejects, verdict or not),
        coverage of the 95 % interval, half_width (mean, points). A share p has the Monte-Carlo
        standard error sqrt(p (1 - p) / draws). The same noise serves every shift.
    """
    m, ms_item, ms_residual = _studies(design, draws, np.random.default_rng(seed))
    m = m @ design.weights
    se, df = _estimate(m, ms_item, ms_residual, design, design.weights, design.items)
    half = student.ppf(0.975, df) * se
    rows = []
    for shift in shifts:
        mean = m.mean(1) + shift
        different = _larger(m + shift, se, df) <= ALPHA
        equal = tost_p(mean, se, df, margin) <= ALPHA
        rows.append(
            {
                "shift": float(shift),
                "superior": (different & (mean > 0)).mean(),
                "inferior": (different & (mean < 0)).mean(),
                "equivalent": (equal & ~different).mean(),
                "inconclusive": (~equal & ~different).mean(),
                "trivial": (equal & different).mean(),
                "tost": equal.mean(),
                "coverage": (np.abs(m.mean(1)) <= half).mean(),
                "half_width": half.mean(),
            }
        )
    return pd.DataFrame(rows)


def family_rates(design: Design, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Error rates over the T targets when no target has a difference: test, rate, se (Monte Carlo),
    nominal.

    Any target called different, by the unadjusted p, by Holm, by Westfall and Young, by Holm behind
    the gate of the global test; and the partial conjunction's k_hat of 1 or more.
    """
    rng = np.random.default_rng(seed)
    m, ms_item, ms_residual = _studies(design, draws, rng)
    tasks = range(len(design.items))
    one = np.ones(1)
    p = np.stack(
        [
            _larger(
                m[:, :, t],
                *_estimate(
                    m[:, :, t], ms_item[:, [t]], ms_residual[:, [t]], design, one, design.items[[t]]
                ),
            )
            for t in tasks
        ],
        axis=1,
    )  # (R, T)
    whole = m @ design.weights
    gate = (
        _larger(
            whole, *_estimate(whole, ms_item, ms_residual, design, design.weights, design.items)
        )
        <= ALPHA
    )
    holm = p.min(1) * p.shape[1] <= ALPHA
    found = {
        "any target, unadjusted": p.min(1) <= ALPHA,
        "any target, Holm": holm,
        "any target, Westfall and Young": _first_max_t(m, rng) <= ALPHA,
        "any target, Holm behind the gate": holm & gate,
        "partial conjunction, k_hat > 0": np.array(
            [partial_conjunction(row).k_hat > 0 for row in p]
        ),
    }
    rows = [
        (name, hits.mean(), np.sqrt(hits.mean() * (1 - hits.mean()) / draws), ALPHA)
        for name, hits in found.items()
    ]
    return pd.DataFrame(rows, columns=["test", "rate", "se", "nominal"])


def _first_max_t(m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smallest step-down maxT p (R,) of each study's block means (R, B, T), from random sign
    vectors shared by all studies.
    """
    signs = np.vstack([np.ones(m.shape[1]), rng.integers(0, 2, (FLIPS, m.shape[1])) * 2.0 - 1.0])
    scale = np.sqrt(m.shape[1] * (m**2).sum(1))  # (R, T)
    p = np.empty(len(m))
    for r, (study, size) in enumerate(zip(m, np.where(scale > 0, scale, 1.0), strict=True)):
        largest = (np.abs(signs @ study) / size).max(1)
        p[r] = (largest >= largest[0] - TIE).mean()
    return p
