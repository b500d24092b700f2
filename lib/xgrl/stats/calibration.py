"""Calibration of the tests: how often the decision is wrong, and right, on simulated studies like
ours.

In D[t, b, e] = shift + block_bt + item_te + residual_tbe, all Gaussian with the study's own variance
components, a method that leaves out a source of variance (items drawn, or runs drawn) rejects a true
null too often. `calibrate` simulates whole tables, which the usual naive methods need. The study's
own decision needs only what is sufficient: block means and the mean squares of items and residuals
are independent, MS_item ~ (res + B item) chi2_(n-1) / (n-1) and MS_res ~ res chi2_((B-1)(n-1)) /
((B-1)(n-1)); so in `verdict_rates` and `family_rates` studies with any number of items cost B
numbers a task, and the very formulas of `crossed_tasks` are applied to them. Block effects of
several tasks are correlated as in the study (one training run serves them all). A share p of R
studies has the Monte-Carlo standard error sqrt(p (1 - p) / R). Source: Scheffe (1959), The Analysis
of Variance, ch. 7; Morris, White & Crowther (2019), Statistics in Medicine 38:2074.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student

from .equivalence import tost_p
from .intervals import t_half_width
from .multiplicity import partial_conjunction
from .randomisation import TIE, sign_flip_columns
from .twoway import mean_squares, tasks_variance, variance
from .verdict import ALPHA

CHUNK = 2**21  # simulated differences held at a time
RESAMPLES = 999  # of the naive bootstrap
FLIPS = 4095  # sign vectors beside the identity for the maxT of simulated families


def monte_carlo_error(share: np.ndarray | float, draws: int) -> np.ndarray | float:
    """Standard error of a share of `draws` simulated studies."""
    return np.sqrt(share * (1 - share) / draws)


def _t_test(mean: np.ndarray, var: np.ndarray, df: np.ndarray | int) -> np.ndarray:
    """Two-sided p of means with given variance and degrees of freedom."""
    return 2 * student.sf(np.abs(mean) / np.sqrt(var), df)


# ---------------------------------------------------------------- whole tables, one task


def _rejections(D: np.ndarray, truth: float, resample: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each method rejects "the mean is `truth`" on each of R tables (R, B, n), as arrays
    (R,) of bool.
    """
    blocks, items = D.shape[1:]
    mean, ms_block, ms_item, ms_residual = mean_squares(D)
    shifted = mean - truth
    m = D.mean(2)  # (R, B)
    crossed = _t_test(shifted, *variance(ms_block, ms_item, ms_residual, blocks, items))
    flip = sign_flip_columns((m - truth).T)
    free = blocks - 1, items - 1
    total = ms_block * free[0] + ms_item * free[1] + ms_residual * free[0] * free[1]
    size = blocks * items
    p = {
        "larger of the two": np.maximum(crossed, flip),
        "crossed": crossed,
        "sign flip": flip,
        "pooled examples": _t_test(shifted, total / (size - 1) / size, size - 1),
        "one run, item t": _t_test(m[:, 0] - truth, D[:, 0].var(1, ddof=1) / items, items - 1),
        "t on seed means": _t_test(shifted, m.var(1, ddof=1) / blocks, blocks - 1),
    }
    low, high = np.quantile(m @ resample.T, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
    rejected = {method: values <= ALPHA for method, values in p.items()}
    return rejected | {"stratified bootstrap": (low > truth) | (high < truth)}


def calibrate(
    components: Mapping, B: int, n: int, draws: int = 2000, seed: int = 0, shift: float = 1.0
) -> pd.DataFrame:
    """Simulate the null and a shift with given variance components and test both with every method.

    components: variances "block", "item" and "residual" of the difference in squared points
    (negative estimates count as 0), for example the last row of `Comparison.components`; B blocks,
    n items; `draws` data sets for the null and as many, independent ones for `shift` points.
    Returns shares: test, rate (rejections of the true null), coverage (of the 95 % interval), power
    (at the shift), se and coverage_se. The first three rows are ours: the study decides on the
    larger of the crossed and the sign-flip p; its acceptance region is the union of both. Pooled
    examples, one run's items, a t on seed means and a bootstrap of blocks within the stratum are
    what a paper would often use instead. Raises ValueError for missing components, no variance, or
    fewer than 2 blocks, items or draws.
    """
    names = ("block", "item", "residual")
    if missing := [name for name in names if name not in components]:
        lost = ", ".join(missing)
        raise ValueError(f"calibrate: components lack {lost}; need block, item and residual")
    sd = {name: float(np.sqrt(max(0.0, components[name]))) for name in names}
    if not 0 < sum(sd.values()) < np.inf or min(B, n, draws) < 2:
        raise ValueError(
            f"calibrate: found standard deviations {sd}, B {B}, n {n}, draws {draws}; "
            "need finite components that are not all 0, and 2 or more of each"
        )
    rng = np.random.default_rng(seed)
    resample = rng.multinomial(B, np.full(B, 1 / B), size=RESAMPLES) / B
    rejected = []
    size = max(2, CHUNK // (B * n))
    for start in range(0, draws, size):
        R = min(size, draws - start)
        null, moved = (
            mean
            + sd["block"] * rng.standard_normal((R, B, 1))
            + sd["item"] * rng.standard_normal((R, 1, n))
            + sd["residual"] * rng.standard_normal((R, B, n))
            for mean in (0.0, shift)
        )
        outcomes = [
            _rejections(D, truth, resample)
            for D, truth in ((null, 0.0), (moved, shift), (moved, 0.0))
        ]
        rejected.append([list(outcome.values()) for outcome in outcomes])
    wrong, missed, found = np.concatenate(rejected, axis=-1).mean(-1)  # of (3, methods, draws)
    rates = {"test": list(outcomes[0]), "rate": wrong, "se": monte_carlo_error(wrong, draws)}
    rates |= {"coverage": 1 - missed, "coverage_se": monte_carlo_error(missed, draws)}
    return pd.DataFrame(rates | {"power": found})


# ---------------------------------------------------------------- what is sufficient, T tasks


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
        tasks, w = components.iloc[:-1], np.asarray(weights, float)
        columns = ("block", "item", "residual", "n_items")
        block, item, residual, items = (tasks[name].to_numpy(float) for name in columns)
        sd = np.sqrt(block)
        if not sd.sum() + item.sum() + residual.sum() > 0:
            raise ValueError("nothing varies in this study, so there is nothing to simulate")
        own, cross = (w * sd) @ (w * sd), (w @ sd) ** 2 - (w * sd) @ (w * sd)
        shared = 0.0
        if cross > 0:
            lowest = -1 / max(len(w) - 1, 1)
            shared = np.clip((components["block"].iloc[-1] - own) / cross, lowest, 1.0)
        covariance = np.outer(sd, sd) * np.where(np.eye(len(w)), 1.0, shared)
        return cls(covariance, item, residual, items, w, blocks, strata)

    def simulate(self, draws: int, rng: np.random.Generator) -> Simulated:
        """R = `draws` studies in which no target has a difference."""
        B, T, free = self.blocks, len(self.items), self.items - 1
        values, vectors = np.linalg.eigh(self.block)
        root = vectors * np.sqrt(values.clip(0))
        m = rng.standard_normal((draws, B, T)) @ root.T
        m += np.sqrt(self.item / self.items) * rng.standard_normal((draws, 1, T))
        m += np.sqrt(self.residual / self.items) * rng.standard_normal(m.shape)
        item, both = self.residual + B * self.item, (B - 1) * free
        ms_item = item * rng.chisquare(free, (draws, T)) / free
        ms_residual = self.residual * rng.chisquare(both, (draws, T)) / both
        return Simulated(m, ms_item, ms_residual, self)


@dataclass(frozen=True)
class Simulated:
    """R simulated studies by what is sufficient: block means m (R, B, T) about 0, mean squares of
    items and of residuals (R, T).
    """

    m: np.ndarray
    ms_item: np.ndarray
    ms_residual: np.ndarray
    design: Design

    def theta(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Block means (R, B) of the weighted mean, its variance and degrees of freedom (R,)."""
        return self._estimate(slice(None), self.design.weights)

    def target(self, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of target t alone."""
        return self._estimate([t], np.ones(1))

    def _estimate(self, tasks: slice | list[int], w: np.ndarray) -> tuple:
        d = self.design
        m = self.m[:, :, tasks] @ w
        s2 = m.reshape(len(m), d.strata, -1).var(2, ddof=1).mean(1)
        squares = self.ms_item[:, tasks], self.ms_residual[:, tasks]
        floor = d.blocks - d.strata
        return m, *tasks_variance(s2, floor, *squares, w, d.blocks, d.items[tasks])


def _larger_p(m: np.ndarray, var: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Larger of crossed and sign-flip p, (R,), from block means (R, B); studies that the crossed
    test does not reject keep its p, they are decided.
    """
    p = _t_test(m.mean(1), var, df)
    left = np.flatnonzero(p <= ALPHA)
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
        coverage of the 95 % interval, half_width (mean, points). The same noise serves every shift.
    """
    m, var, df = design.simulate(draws, np.random.default_rng(seed)).theta()
    se, mean = np.sqrt(var), m.mean(1)
    half = t_half_width(se, df)
    rows = []
    for shift in shifts:
        moved = mean + shift
        different = _larger_p(m + shift, var, df) <= ALPHA
        equal = tost_p(moved, se, df, margin) <= ALPHA
        shares = {
            "superior": different & (moved > 0),
            "inferior": different & (moved < 0),
            "equivalent": equal & ~different,
            "inconclusive": ~equal & ~different,
            "trivial": equal & different,
            "tost": equal,
            "coverage": np.abs(mean) <= half,
            "half_width": half,
        }
        rows.append({"shift": float(shift)} | {name: v.mean() for name, v in shares.items()})
    return pd.DataFrame(rows)


def family_rates(design: Design, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Error rates over the T targets when no target has a difference: test, rate, se (Monte Carlo),
    nominal.

    Any target called different, by the unadjusted p, by Holm, by Westfall and Young, by Holm behind
    the gate of the global test; and the partial conjunction's k_hat of 1 or more.
    """
    rng = np.random.default_rng(seed)
    studies = design.simulate(draws, rng)
    targets = range(len(design.items))
    p = np.stack([_larger_p(*studies.target(t)) for t in targets], axis=1)  # (R, T)
    gate = _larger_p(*studies.theta()) <= ALPHA
    holm = p.min(1) * p.shape[1] <= ALPHA
    wrong = {
        "any target, unadjusted": p.min(1) <= ALPHA,
        "any target, Holm": holm,
        "any target, Westfall and Young": _first_max_t(studies.m, rng) <= ALPHA,
        "any target, Holm behind the gate": holm & gate,
        "partial conjunction, k_hat > 0": [partial_conjunction(row).k_hat > 0 for row in p],
    }
    rate = np.array([np.mean(hits) for hits in wrong.values()])
    rates = {"test": list(wrong), "rate": rate, "se": monte_carlo_error(rate, draws)}
    return pd.DataFrame(rates | {"nominal": ALPHA})


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
