"""Calibration of the tests: how often the decision is wrong, and right, in studies like ours.

In D[t, b, e] = shift + block_bt + item_te + residual_tbe, all Gaussian with the study's variance
components, a method that leaves out a source of variance (items drawn, or runs drawn) rejects a
true null too often. `calibrate` simulates whole tables, which the usual naive methods need. The
study's own decision needs only what is sufficient: block means and the mean squares of items and
residuals are independent, MS_item ~ (res + B item) chi2_(n-1) / (n-1) and MS_res ~ res
chi2_((B-1)(n-1)) / ((B-1)(n-1)); so in `verdict_rates` and `family_rates` studies with any number
of items cost B numbers a task, and the very formulas of `crossed_tasks` are applied to them. Block
effects of several tasks are correlated as in the study (one training run serves them all). Source:
Scheffe (1959), The Analysis of Variance, ch. 7; Morris, White & Crowther (2019), Statistics in
Medicine 38:2074 (Monte-Carlo error).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from .intervals import t_half_width
from .multiplicity import partial_conjunction
from .randomisation import TIE, flip_scale, sign_flip_columns
from .twoway import mean_squares, tasks_variance, variance
from .verdict import ALPHA, tost_p

COMPONENTS = ["block", "item", "residual"]  # of variance
CHUNK = 2**21  # simulated differences held at a time
RESAMPLES = 999  # of the naive bootstrap
# sign vectors beside the identity in a simulated study: all of them up to 13 blocks
FLIPS = 4095


def monte_carlo_error(share: np.ndarray | float, draws: int) -> np.ndarray | float:
    """Standard error of a share of `draws` simulated studies."""
    return np.sqrt(share * (1 - share) / draws)


def _t_test(mean: np.ndarray, var: np.ndarray, df: np.ndarray | int) -> np.ndarray:
    """Two-sided p of means with given variance and degrees of freedom."""
    return 2 * student.sf(np.abs(mean) / np.sqrt(var), df)


def _rejections(D: np.ndarray, truth: float, resample: np.ndarray) -> dict[str, np.ndarray]:
    """Which of R tables (R, B, n) reject "the mean is `truth`", (R,) of bool by method."""
    mean, *squares = mean_squares(D)
    m = D.mean(2)  # (R, B)
    crossed = _t_test(mean - truth, *variance(*squares, *D.shape[1:]))
    flip = sign_flip_columns((m - truth).T, draws=FLIPS)
    p = {
        "larger of the two": np.maximum(crossed, flip), "crossed": crossed, "sign flip": flip,
        "pooled examples": ttest_1samp(D.reshape(len(D), -1), truth, axis=1).pvalue,
        "one run, item t": ttest_1samp(D[:, 0], truth, axis=1).pvalue,
        "t on seed means": ttest_1samp(m, truth, axis=1).pvalue,
    }  # fmt: skip
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
    Returns shares: test, rate (rejections of the true null) and its se, coverage (of the 95 %
    interval) and its se, power (at the shift). The first three rows are ours: the study decides on
    the larger of the crossed and the sign-flip p; its acceptance region is the union of both.
    Pooled examples, one run's items, a t on seed means and a bootstrap of blocks within the stratum
    are what a paper would often use instead. Raises ValueError for missing components, no variance,
    or fewer than 2 blocks, items or draws.
    """
    if missing := ", ".join(name for name in COMPONENTS if name not in components):
        raise ValueError(f"calibrate: components lack {missing}; need block, item and residual")
    sd = {name: float(np.sqrt(max(0.0, components[name]))) for name in COMPONENTS}
    if not 0 < sum(sd.values()) < np.inf or min(B, n, draws) < 2:
        found = f"found standard deviations {sd}, B {B}, n {n}, draws {draws}"
        need = "need finite components that are not all 0, and 2 or more of each"
        raise ValueError(f"calibrate: {found}; {need}")
    rng = np.random.default_rng(seed)
    resample = rng.multinomial(B, np.full(B, 1 / B), size=RESAMPLES) / B
    rejected, size = [], max(2, CHUNK // (B * n))
    for start in range(0, draws, size):
        R = min(size, draws - start)
        null, moved = (
            mean
            + sd["block"] * rng.standard_normal((R, B, 1))
            + sd["item"] * rng.standard_normal((R, 1, n))
            + sd["residual"] * rng.standard_normal((R, B, n))
            for mean in (0.0, shift)
        )
        cases = (null, 0.0), (moved, shift), (moved, 0.0)
        outcomes = [_rejections(D, truth, resample) for D, truth in cases]
        rejected.append([list(outcome.values()) for outcome in outcomes])
    wrong, missed, detected = np.concatenate(rejected, axis=-1).mean(-1)  # of (3, methods, draws)
    rates = {"test": list(outcomes[0]), "rate": wrong, "se": monte_carlo_error(wrong, draws)}
    rates |= {"coverage": 1 - missed, "coverage_se": monte_carlo_error(missed, draws)}
    return pd.DataFrame(rates | {"power": detected})


@dataclass(frozen=True)
class Design:
    """What a study is simulated from: T tasks, B blocks in I strata of equal size.

    block: (T, T) covariance of block effects; item, residual: (T,) variances, all in squared
    points; items: (T,) numbers; weights: (T,), sum 1; names: (T,).
    """

    block: np.ndarray
    item: np.ndarray
    residual: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    blocks: int
    strata: int
    names: Sequence[str] = ()

    @classmethod
    def of(cls, components: pd.DataFrame, weights: ArrayLike, blocks: int, strata: int) -> "Design":
        """The design of a comparison, from its `Comparison.components` (row "all" last).

        Block effects of the targets get the one correlation that gives the weighted mean its own
        block variance, row "all". Raises ValueError where nothing varies.
        """
        w, tasks = np.asarray(weights, float), components.iloc[:-1]
        block, item, residual = tasks[COMPONENTS].to_numpy(float).T
        if not (block + item + residual).sum() > 0:
            raise ValueError("nothing varies in this study, so there is nothing to simulate")
        sd, shared = np.sqrt(block), 0.0
        own, cross = (w * sd) @ (w * sd), (w @ sd) ** 2 - (w * sd) @ (w * sd)
        if cross > 0:
            lowest = -1 / max(len(w) - 1, 1)
            shared = np.clip((components["block"].iloc[-1] - own) / cross, lowest, 1.0)
        covariance = np.outer(sd, sd) * np.where(np.eye(len(w)), 1.0, shared)
        items = tasks["n_items"].to_numpy(float)
        return cls(covariance, item, residual, items, w, blocks, strata, tuple(tasks["target"]))


def _simulate(
    design: Design, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Block means (R, B, T) about 0, and mean squares of items and residuals, (R, T) each."""
    d, B, free = design, design.blocks, design.items - 1
    values, vectors = np.linalg.eigh(d.block)
    root = vectors * np.sqrt(values.clip(0))
    m = rng.standard_normal((draws, B, len(free))) @ root.T
    m += np.sqrt(d.item / d.items) * rng.standard_normal((draws, 1, len(free)))
    m += np.sqrt(d.residual / d.items) * rng.standard_normal(m.shape)
    ms_item = (d.residual + B * d.item) * rng.chisquare(free, (draws, len(free))) / free
    ms_residual = d.residual * rng.chisquare((B - 1) * free, (draws, len(free))) / ((B - 1) * free)
    return m, ms_item, ms_residual


def _estimate(design: Design, studies: tuple, w: np.ndarray) -> tuple[np.ndarray, ...]:
    """Block means (R, B) of the mean weighted with w (T,), its variance and df (R,)."""
    m = studies[0] @ w
    s2 = m.reshape(len(m), design.strata, -1).var(2, ddof=1).mean(1)
    floor = design.blocks - design.strata
    return m, *tasks_variance(s2, floor, studies[1:], w, design.blocks, design.items)


def _larger_p(m: np.ndarray, var: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Larger of crossed and sign-flip p, (R,), from block means (R, B).

    Studies that the crossed test does not reject keep its p, they are decided.
    """
    p = _t_test(m.mean(1), var, df)
    if (left := p <= ALPHA).any():
        p[left] = np.maximum(p[left], sign_flip_columns(m[left].T, draws=FLIPS))
    return p


def verdict_rates(
    design: Design, shifts: Sequence[float], margin: float, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """How often each verdict is reached when the true difference is each of `shifts` points.

    Returns shift, superior, inferior, equivalent, inconclusive (shares, sum 1), trivial (superior
    or inferior, and equivalent too), tost (share whose equivalence test rejects, verdict or not),
    coverage of the 95 % interval, half_width (mean, points). A share has the standard error
    `monte_carlo_error`. The same noise, of `draws` simulated studies, serves every shift.
    """
    studies = _simulate(design, draws, np.random.default_rng(seed))
    m, var, df = _estimate(design, studies, design.weights)
    se, mean = np.sqrt(var), m.mean(1)
    half = t_half_width(se, df)
    rows = []
    for shift in shifts:
        moved = mean + shift
        different = _larger_p(m + shift, var, df) <= ALPHA
        equal = tost_p(moved, se, df, margin) <= ALPHA
        shares = {
            "superior": different & (moved > 0), "inferior": different & (moved < 0),
            "equivalent": equal & ~different, "inconclusive": ~equal & ~different,
            "trivial": equal & different, "tost": equal,
            "coverage": np.abs(mean) <= half, "half_width": half,
        }  # fmt: skip
        rows.append({"shift": float(shift)} | {name: v.mean() for name, v in shares.items()})
    return pd.DataFrame(rows)


def family_rates(design: Design, draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Error rates over the T targets when none has a difference: test, rate, se, nominal.

    Any target called different, by the unadjusted p, by Holm, by Westfall and Young, by Holm behind
    the gate of the global test; and the partial conjunction's k_hat of 1 or more. A target without
    any variance is never called different (p is 1), and has a row that says so, its rate NaN.
    """
    rng = np.random.default_rng(seed)
    studies = _simulate(design, draws, rng)
    varies = np.diag(design.block) + design.item + design.residual > 0
    means = np.compress(varies, studies[0], axis=2)
    p = np.ones((draws, len(varies)))  # (R, T)
    for k in np.flatnonzero(varies):  # the weights of one target alone
        p[:, k] = _larger_p(*_estimate(design, studies, np.eye(len(varies))[k]))
    gate = _larger_p(*_estimate(design, studies, design.weights)) <= ALPHA
    holm = p.min(1) * p.shape[1] <= ALPHA
    wrong = {
        "any target, unadjusted": p.min(1) <= ALPHA,
        "any target, Holm": holm,
        "any target, Westfall and Young": _first_max_t(means, rng) <= ALPHA,
        "any target, Holm behind the gate": holm & gate,
        "partial conjunction, k_hat > 0": [partial_conjunction(row).k_hat > 0 for row in p],
    }
    flat = [name for name, moves in zip(design.names, varies, strict=False) if not moves]
    wrong |= {f"{name}: no variance, not estimable": np.nan for name in flat}
    rate = np.array([np.mean(hits) for hits in wrong.values()])
    rates = {"test": list(wrong), "rate": rate, "se": monte_carlo_error(rate, draws)}
    return pd.DataFrame(rates | {"nominal": ALPHA})


def _first_max_t(m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smallest step-down maxT p (R,) of block means (R, B, T), from signs all studies share."""
    signs = np.vstack([np.ones(m.shape[1]), rng.integers(0, 2, (FLIPS, m.shape[1])) * 2.0 - 1.0])
    p = np.empty(len(m))
    for r, (study, scale) in enumerate(zip(m, flip_scale(m), strict=True)):
        largest = (np.abs(signs @ study) / scale).max(1)
        p[r] = (largest >= largest[0] - TIE).mean()
    return p
