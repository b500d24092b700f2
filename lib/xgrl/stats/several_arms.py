"""Several arms against one baseline: each one's difference on the cells that both have, and p
values adjusted by maxT.

Under the null of an arm that does nothing its label and the baseline's could change places inside
any block. So labels are permuted inside blocks, for all arms at once, and the largest statistic of
the permuted table is what each observed one is held against: the shared baseline makes the arms'
differences dependent, and this uses the dependence. Step-down: the arm with the largest statistic
is tested among all, then leaves, and the next is tested among the rest (permuting an arm that
differs together with one that does not would blur both). Source: Westfall & Young (1993),
Resampling-Based Multiple Testing, ch. 5; Pesarin (2001), Multivariate Permutation Tests, ch. 8. One
arm alone is the exact sign flip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .alignment import ENGLISH, align, independent_units, macro_averages
from .crossed_and_sign_flip import crossed_and_sign_flip
from .multiplicity import holm
from .randomisation import TIE, sign_flip
from .validation import validate_array, validate_name
from .verdict import decide

DRAWS = 9_999
CHUNK = 2**21  # scores held at a time
COLUMNS = [
    "arm", "against", "targets", "intermediate", "blocks", "baseline", "score", "theta", "low",
    "high", "p", "tost_p", "verdict", "note",
]  # fmt: skip


def _statistics(D: np.ndarray) -> np.ndarray:
    """|sum| / sqrt(B * sum of squares) over the last axis but one: an increasing function of |t|;
    (..., B, A) to (..., A).
    """
    scale = np.sqrt(D.shape[-2] * (D**2).sum(-2))
    return np.divide(np.abs(D.sum(-2)), scale, out=np.zeros_like(scale), where=scale > 0)


def max_t(Y: ArrayLike, draws: int = DRAWS, seed: int | np.random.Generator = 0) -> np.ndarray:
    """Step-down maxT adjusted p (A,) of A arms against one baseline, labels permuted inside each
    block.

    Y: (B, 1 + A) scores in points, one row a block, the baseline first. p = (k + 1) / (draws + 1);
    with a single arm left, the exact sign flip. Raises ValueError for NaN, a wrong shape, or fewer
    than two columns.
    """
    Y = validate_array("max_t: Y", Y, ndim=2)
    if (columns := Y.shape[1]) < 2:
        raise ValueError(f"max_t: found {columns} column, need the baseline and at least one arm")
    rng = np.random.default_rng(seed)
    observed = _statistics(Y[:, 1:] - Y[:, :1])
    order, adjusted, largest = np.argsort(-observed, kind="stable"), np.empty(len(observed)), 0.0
    for step, arm in enumerate(order):
        left = Y[:, [0, *(order[step:] + 1)]]
        if left.shape[1] == 2:
            p = sign_flip(left[:, 1] - left[:, 0], rng)
        else:
            p = (_exceeding(left, observed[arm] - TIE, draws, rng) + 1) / (draws + 1)
        adjusted[arm] = largest = max(largest, p)
    return adjusted


def _exceeding(Y: np.ndarray, threshold: float, draws: int, rng: np.random.Generator) -> int:
    """In how many of `draws` random relabellings of (B, 1 + A) the largest statistic reaches
    `threshold`.
    """
    count, size = 0, max(1, CHUNK // Y.size)
    for start in range(0, draws, size):
        copies = np.broadcast_to(Y, (min(size, draws - start), *Y.shape))
        shuffled = rng.permuted(copies, axis=2)
        largest = _statistics(shuffled[:, :, 1:] - shuffled[:, :, :1]).max(1)
        count += int((largest >= threshold).sum())
    return count


def _shared_cells(frame: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """The two arms' zero-shot rows for the targets and intermediate tasks that both have.

    An arm may exist for some targets or some intermediate tasks only; seeds, languages and examples
    are not trimmed, so that what is missing there is still refused. Raises ValueError for an
    unknown arm and where the two share nothing.
    """
    arms = [baseline, treatment]
    for arm in arms:
        validate_name("arm", arm, frame["arm"].unique())
    rows = frame[frame["arm"].isin(arms) & (frame["language"] != ENGLISH)]
    has = rows.groupby(["intermediate", "target", "arm"], observed=True).size().unstack("arm")
    both = has.reindex(columns=arms).notna().all(axis=1).unstack("target", fill_value=False)
    both = both.loc[both.any(axis=1)]
    targets = both.columns[both.all(axis=0)]
    if not len(both) or not len(targets):
        raise ValueError(f"arms {baseline!r} and {treatment!r} have no target in common")
    return rows[rows["intermediate"].isin(both.index) & rows["target"].isin(targets)]


def _contrast(
    frame: pd.DataFrame, baseline: str, treatment: str, margin: float
) -> tuple[dict, np.ndarray]:
    """One difference over the cells that both arms have, tested like the primary one, and both
    arms' block means (2, B).

    What cannot be compared comes back as a row of NaN with the reason as its note, and an empty
    table.
    """
    row = dict.fromkeys(COLUMNS, np.nan) | {"arm": treatment, "against": baseline}
    try:
        shared = _shared_cells(frame, baseline, treatment)
        paired, targets = align(shared, baseline, treatment)
        blocks, _, strata = independent_units(paired, "block", notes=[])
    except ValueError as error:
        return row | {"verdict": "not comparable", "note": str(error)}, np.empty((2, 0))
    w = np.full(len(targets), 1 / len(targets))
    tested = crossed_and_sign_flip([target.items() for target in targets], w, strata)
    estimate, p = tested.estimate, tested.p
    arms = np.stack(list(macro_averages(targets, w).values()))
    row["targets"] = ", ".join(target.name for target in targets)
    row["intermediate"] = ", ".join(dict.fromkeys(block.intermediate for block in blocks))
    row["blocks"] = len(blocks)
    row["baseline"], row["score"] = arms[0].mean(), arms[1].mean()
    row["theta"], (row["low"], row["high"]), row["p"] = estimate.mean, estimate.interval, p
    row["verdict"], _, row["tost_p"] = decide(estimate, p, margin)
    row["note"] = "no variance, so no interval" if tested.flat else ""
    return row, arms


def against_baseline(
    frame: pd.DataFrame, baseline: str, arms: Sequence[str], margin: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Every arm against the baseline: one row an arm in the order given, with the maxT-adjusted p
    as `p_max_t`.

    Arms that share the same targets and blocks are permuted together; where there are several such
    groups, p is multiplied by their number. Columns `COLUMNS`, p_max_t and p_holm; theta and
    interval in points, single (not simultaneous) 95 % intervals. Permutation takes the test items
    as given, `p` and its Holm adjustment take them as drawn: a claim needs both.
    """
    contrasts = [_contrast(frame, baseline, arm, margin) for arm in arms]
    table = pd.DataFrame([row for row, _ in contrasts], columns=COLUMNS).assign(p_max_t=np.nan)
    groups = table[table["theta"].notna()].groupby(["targets", "intermediate", "blocks"]).groups
    for rows in groups.values():
        Y = np.column_stack([contrasts[rows[0]][1][0], *(contrasts[k][1][1] for k in rows)])
        table.loc[rows, "p_max_t"] = np.minimum(1.0, len(groups) * max_t(Y, seed=seed))
    return _with_holm(table)


def _with_holm(table: pd.DataFrame) -> pd.DataFrame:
    estimable = table["p"].notna()
    table["p_holm"] = np.nan
    if estimable.any():
        table.loc[estimable, "p_holm"] = holm(table.loc[estimable, "p"])
    return table


def pairs(
    frame: pd.DataFrame, wanted: Sequence[tuple[str, str]], margin: float = 1.0
) -> pd.DataFrame:
    """Planned pairs (baseline, treatment) of arms, p adjusted over them by Holm; pairs with an
    absent arm are left out.
    """
    arms = set(frame["arm"].unique())
    rows = [_contrast(frame, low, high, margin)[0] for low, high in wanted if {low, high} <= arms]
    return _with_holm(pd.DataFrame(rows, columns=COLUMNS))
