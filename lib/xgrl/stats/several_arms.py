"""Several arms against one baseline, each on the cells that both have; p adjusted by maxT.

Two arms on several parts of the rows, too: groups of targets, kinds of languages.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from .alignment import ENGLISH, RUN, align, independent_units, macro_averages, stretches
from .multiplicity import holm
from .randomisation import westfall_young
from .validation import validate_name
from .verdict import crossed_and_sign_flip, decide

COLUMNS = [
    "arm", "against", "targets", "intermediate", "blocks", "baseline", "score", "theta", "low",
    "high", "p", "tost_p", "verdict", "note",
]  # fmt: skip
FEWEST = 10  # blocks; below, several arms are described and no p is adjusted over them
# targets -> their weights in the average, summing to 1; None: each the same
Weigh = Callable[[Sequence[str]], Mapping[str, float]] | None


def weights_of(targets: Sequence[str], weigh: Weigh) -> np.ndarray:
    """The weights (T,) of targets, which sum to 1; ValueError for one without a positive one."""
    given = weigh(targets) if weigh else dict.fromkeys(targets, 1.0)
    w = np.array([float(given.get(name, np.nan)) for name in targets])
    if not (np.isfinite(w).all() and (w > 0).all()):
        need = f"need a positive weight for each of {', '.join(targets)}"
        raise ValueError(f"plan weights: found {dict(given)}, {need}")
    return w / w.sum()


def _shared_cells(frame: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """The two arms' zero-shot rows for the targets, intermediate tasks and blocks that both have.

    An arm may exist for some targets, intermediate tasks or seeds only; a target that misses in one
    block, languages and examples are not trimmed, so that what is missing there is still refused
    (and whole runs are, by the study file, in `xgrl.report.completeness`). Raises ValueError for an
    unknown arm and where the two share nothing.
    """
    arms = [baseline, treatment]
    for arm in arms:
        validate_name("arm", arm, frame["arm"].unique())
    heads, sizes = stretches(frame, [*RUN, "language"])
    own = heads["arm"].isin(arms) & (heads["language"] != ENGLISH)
    rows = heads[own]
    has = rows.groupby(["intermediate", "target", "arm"], observed=True).size().unstack("arm")
    both = has.reindex(columns=arms).notna().all(axis=1).unstack("target", fill_value=False)
    both = both.loc[both.any(axis=1)]
    targets = both.columns[both.all(axis=0)]
    if not len(both) or not len(targets):
        raise ValueError(f"arms {baseline!r} and {treatment!r} have no target in common")
    rows = rows[rows["intermediate"].isin(both.index) & rows["target"].isin(targets)]
    has = rows.groupby(["intermediate", "seed", "arm"], observed=True).size().unstack("arm")
    blocks = has.index[has.notna().all(axis=1)]
    own[own] = False
    own[rows.index] = pd.MultiIndex.from_frame(rows[["intermediate", "seed"]]).isin(blocks)
    return frame if own.all() else frame[np.repeat(own.to_numpy(), sizes)]


def _contrast(
    frame: pd.DataFrame, baseline: str, treatment: str, margin: float, weigh: Weigh
) -> tuple[dict, np.ndarray, tuple]:
    """One difference, tested like the primary one, both arms' block means (2, B), its cells.

    What cannot be compared is a row of NaN with the reason as its note, and an empty table.
    """
    row = dict.fromkeys(COLUMNS, np.nan) | {"arm": treatment, "against": baseline}
    try:
        shared = _shared_cells(frame, baseline, treatment)
        paired, targets = align(shared, baseline, treatment)
        blocks, _, strata = independent_units(paired, "block", notes=[])
    except ValueError as error:
        return row | {"verdict": "not comparable", "note": str(error)}, np.empty((2, 0)), ()
    names = [target.name for target in targets]
    w = weights_of(names, weigh)
    tested = crossed_and_sign_flip([target.items() for target in targets], w, strata)
    estimate, p = tested.estimate, tested.p
    arms = np.stack(list(macro_averages(targets, w).values()))
    row["targets"] = ", ".join(names)
    row["intermediate"] = ", ".join(dict.fromkeys(block.intermediate for block in blocks))
    row["blocks"] = len(blocks)
    row["baseline"], row["score"] = arms[0].mean(), arms[1].mean()
    row["theta"], (row["low"], row["high"]), row["p"] = estimate.mean, estimate.interval, p
    row["verdict"], _, row["tost_p"] = decide(estimate, p, margin)
    row["note"] = "no variance, so no interval" if tested.flat else ""
    return row, arms, (row["targets"], *blocks)


def against_baseline(
    frame: pd.DataFrame, baseline: str, arms: Sequence[str], margin=1.0, weigh: Weigh = None
) -> pd.DataFrame:
    """Every arm against the baseline, one row an arm in the order given.

    weigh: of the targets that both have; without, each weighs the same. Columns `COLUMNS`, p_max_t
    and p_holm; theta and interval in points, single (not simultaneous) 95 % intervals. One sign
    vector flips the block differences of all arms that share the same targets and blocks (maxT);
    where there are several such groups, p_max_t is multiplied by their number, and it is never
    below p. It takes the test items as given, `p` and its Holm adjustment take them as drawn: a
    claim needs both. An arm with fewer than `FEWEST` blocks is described, in no family.
    """
    contrasts = [_contrast(frame, baseline, arm, margin, weigh) for arm in arms]
    table = _with_holm(pd.DataFrame([row for row, *_ in contrasts], columns=COLUMNS), FEWEST)
    groups: dict[tuple, list[int]] = {}
    for number in table.index[table["p_holm"].notna()]:
        groups.setdefault(contrasts[number][2], []).append(number)
    table.insert(len(COLUMNS), "p_max_t", np.nan)
    for rows in groups.values():
        D = np.column_stack([np.diff(contrasts[k][1], axis=0)[0] for k in rows])
        p = np.minimum(1.0, len(groups) * westfall_young(D))
        table.loc[rows, "p_max_t"] = np.maximum(p, table.loc[rows, "p"])
    return table


def _with_holm(table: pd.DataFrame, least: int = 0) -> pd.DataFrame:
    """p_holm over the rows of `least` blocks or more; a note where that leaves one out."""
    table, estimable = table.assign(p_holm=np.nan), table["p"].notna()
    few = estimable & (table["blocks"] < least)
    table.loc[few, "note"] = f"fewer than {least} blocks: described, no adjusted p"
    if (family := estimable & ~few).any():
        table.loc[family, "p_holm"] = holm(table.loc[family, "p"])
    return table


def pairs(
    frame: pd.DataFrame, wanted: Sequence[tuple[str, str]], margin=1.0, weigh: Weigh = None
) -> pd.DataFrame:
    """Planned pairs (baseline, treatment) of the arms there; Holm's p from `FEWEST` blocks on."""
    arms = set(frame["arm"].unique())
    there = [pair for pair in wanted if {*pair} <= arms]
    rows = [_contrast(frame, *pair, margin, weigh)[0] for pair in there]
    return _with_holm(pd.DataFrame(rows, columns=COLUMNS), FEWEST)


def family(
    frame: pd.DataFrame, arms: tuple[str, str], parts: Mapping, margin=1.0, weigh: Weigh = None
) -> pd.DataFrame:
    """Two arms (baseline, treatment) on parts of the rows, p adjusted over the parts by Holm.

    parts: name -> which rows of `frame` it has, (len(frame),) booleans; English is left out of all.
    weigh: of the targets that a part has. One row a part: part, `COLUMNS` without the arms and the
    verdict (which rests on one p), p_holm; what cannot be compared says why in its note.
    """
    own = {name: _contrast(frame[rows], *arms, margin, weigh)[0] for name, rows in parts.items()}
    rows = [{"part": name} | row for name, row in own.items()]
    return _with_holm(pd.DataFrame(rows, columns=["part", *COLUMNS[2:-2], "note"]))
