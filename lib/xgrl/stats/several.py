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

from .audit import ENGLISH, aligned
from .checks import finite, known
from .equivalence import tost
from .multiplicity import holm
from .randomisation import TIE, sign_flip
from .tables import tested, units
from .verdict import decide

DRAWS = 9_999
CHUNK = 2**21
NAN = float("nan")
COLUMNS = [
    "arm", "against", "targets", "intermediate", "blocks", "baseline", "score", "theta", "low", "high", "p", "tost_p",
    "verdict", "note",
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
    Y = finite("max_t: Y", Y, ndim=2)
    if Y.shape[1] < 2:
        raise ValueError(
            f"max_t: found {Y.shape[1]} column, need the baseline and at least one arm"
        )
    rng = np.random.default_rng(seed)
    observed = _statistics(Y[:, 1:] - Y[:, :1])
    order, adjusted, largest = np.argsort(-observed, kind="stable"), np.empty(len(observed)), 0.0
    for step, arm in enumerate(order):
        left = Y[:, [0, *(order[step:] + 1)]]
        if left.shape[1] == 2:
            p = sign_flip(left[:, 1] - left[:, 0], rng)
        else:
            p = (_exceeding(left, observed[arm] - TIE, draws, rng) + 1) / (draws + 1)
        largest = max(largest, p)
        adjusted[arm] = largest
    return adjusted


def _exceeding(Y: np.ndarray, threshold: float, draws: int, rng: np.random.Generator) -> int:
    """In how many of `draws` random relabellings of (B, 1 + A) the largest statistic reaches
    `threshold`.
    """
    count, size = 0, max(1, CHUNK // Y.size)
    for start in range(0, draws, size):
        part = np.broadcast_to(Y, (min(size, draws - start), *Y.shape))
        shuffled = rng.permuted(part, axis=2)
        count += int(
            (_statistics(shuffled[:, :, 1:] - shuffled[:, :, :1]).max(1) >= threshold).sum()
        )
    return count


def shared_cells(frame: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """The two arms' zero-shot rows for the targets and intermediate tasks that both have.

    An arm may exist for some targets or some intermediate tasks only; seeds, languages and examples
    are not trimmed, so that what is missing there is still refused. Raises ValueError for an
    unknown arm and where the two share nothing.
    """
    for arm in (baseline, treatment):
        known("arm", arm, frame["arm"].unique())
    rows = frame[frame["arm"].isin([baseline, treatment]) & (frame["language"] != ENGLISH)]
    has = rows.groupby(["intermediate", "target", "arm"], observed=True).size().unstack("arm")
    has = (
        has.reindex(columns=[baseline, treatment])
        .notna()
        .all(axis=1)
        .unstack("target", fill_value=False)
    )
    has = has.loc[has.any(axis=1)]
    targets = has.columns[has.all(axis=0)]
    if not len(has) or not len(targets):
        raise ValueError(f"arms {baseline!r} and {treatment!r} have no target in common")
    return rows[rows["intermediate"].isin(has.index) & rows["target"].isin(targets)]


def contrast(
    frame: pd.DataFrame, baseline: str, treatment: str, margin: float = 1.0
) -> tuple[dict, np.ndarray]:
    """One difference over the cells that both arms have, tested like the primary one, and both
    arms' block means (B, 2).

    What cannot be compared comes back as a row of NaN with the reason as its note, and an empty
    table.
    """
    row = dict.fromkeys(COLUMNS, NAN) | {
        "arm": treatment,
        "against": baseline,
        "verdict": "not comparable",
        "note": "",
    }
    notes: list[str] = []
    try:
        paired, targets = aligned(shared_cells(frame, baseline, treatment), baseline, treatment)
        blocks, _, strata = units(paired, "block", notes)
    except ValueError as error:
        return row | {"note": str(error)}, np.empty((0, 2))
    w = np.full(len(targets), 1 / len(targets))
    estimate, _, p, alone = tested([target.items() for target in targets], w, strata)
    arms = np.stack(
        [
            sum(v * t.macro(getattr(t, arm)) for v, t in zip(w, targets, strict=True))
            for arm in ("baseline", "treatment")
        ]
    )
    if alone:
        notes.append("no variance, so no interval")
    equal = NAN if alone else tost(estimate.mean, estimate.se, estimate.df, margin)
    low, high = estimate.interval
    row |= {
        "targets": ", ".join(t.name for t in targets),
        "intermediate": ", ".join(dict.fromkeys(block.intermediate for block in blocks)),
        "blocks": len(blocks),
    }
    row |= {
        "baseline": arms[0].mean(),
        "score": arms[1].mean(),
        "theta": estimate.mean,
        "low": low,
        "high": high,
        "p": p,
    }
    row |= {
        "tost_p": equal,
        "verdict": decide(estimate.mean, p, equal)[0],
        "note": "no variance, so no interval" if alone else "",
    }
    return row, arms.T


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
    found = [contrast(frame, baseline, arm, margin) for arm in arms]
    table = pd.DataFrame([row for row, _ in found], columns=COLUMNS).assign(p_max_t=NAN)
    groups = table[table["theta"].notna()].groupby(["targets", "intermediate", "blocks"]).groups
    for rows in groups.values():
        Y = np.column_stack([found[rows[0]][1][:, 0], *(found[k][1][:, 1] for k in rows)])
        table.loc[rows, "p_max_t"] = np.minimum(1.0, len(groups) * max_t(Y, seed=seed))
    return _with_holm(table)


def _with_holm(table: pd.DataFrame) -> pd.DataFrame:
    able = table["p"].notna()
    table["p_holm"] = NAN
    if able.any():
        table.loc[able, "p_holm"] = holm(table.loc[able, "p"])
    return table


def pairs(
    frame: pd.DataFrame, wanted: Sequence[tuple[str, str]], margin: float = 1.0
) -> pd.DataFrame:
    """Planned pairs (baseline, treatment) of arms, p adjusted over them by Holm; pairs with an
    absent arm are left out.
    """
    there = set(frame["arm"].unique())
    rows = [contrast(frame, low, high, margin)[0] for low, high in wanted if {low, high} <= there]
    return _with_holm(pd.DataFrame(rows, columns=COLUMNS))
