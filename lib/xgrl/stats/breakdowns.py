"""The tables behind a comparison: by target, intermediate task, language, block; components.

Targets and intermediate tasks are tested like the whole: the larger of the sign-flip and the
crossed p, on tables (blocks, items) in points.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from .alignment import Block, Target, macro_averages, weighted_items
from .multiplicity import benjamini_hochberg, holm
from .randomisation import westfall_young
from .twoway import block_means, block_variance, crossed
from .validation import ZeroVariance
from .verdict import Tested, crossed_and_sign_flip, decide

ONE = np.ones(1)  # the weight of a single target
Tables, Notes, Strata = list[np.ndarray], list[str], list[str] | None


def _row(name: dict, baseline: float, treatment: float, tested: Tested, notes: Notes) -> dict:
    """Names, scores, difference and interval; a difference without variance is told in `notes`."""
    if tested.flat:
        label = " ".join(name.values())
        notes.append(f"{label}: no variance, so no interval; p is the sign flip's")
    low, high = tested.estimate.interval
    scores = {"baseline": baseline, "treatment": treatment, "theta": tested.estimate.mean}
    return name | scores | {"low": low, "high": high}


def by_target(
    targets: list[Target], tables: Tables, strata: Strata, margin: float, notes: Notes
) -> pd.DataFrame:
    """One row a target; p adjusted over targets by Holm and by Westfall and Young, equivalence
    within the margin (points) of each by itself.
    """
    rows = []
    for t, D in zip(targets, tables, strict=True):
        tested = crossed_and_sign_flip([D], ONE, strata)
        scores = t.macro(t.baseline).mean(), t.macro(t.treatment).mean()
        row = _row({"target": t.name}, *scores, tested, notes) | {"p_raw": tested.p}
        rows.append(row | {"tost_p": decide(tested.estimate, tested.p, margin)[2]})
    frame = pd.DataFrame(rows)
    frame["p_holm"] = holm(frame["p_raw"])
    frame["p_westfall_young"] = westfall_young(np.stack([D.mean(1) for D in tables], axis=1))
    frame["n_items"] = [target.n_items for target in targets]
    frame["n_languages"] = [len(target.languages) for target in targets]
    return frame


def by_intermediate(
    blocks: pd.DataFrame, tables: Tables, w: np.ndarray, notes: Notes
) -> pd.DataFrame:
    """One row an intermediate task of two blocks or more, over all targets; p adjusted by Holm.

    blocks: from `by_block`, (B,) rows in the order of the tables' first axis.
    """
    rows, groups = [], blocks.groupby("intermediate")
    for name, own in groups:
        if len(own) >= 2:
            tested = crossed_and_sign_flip([D[own.index] for D in tables], w, None)
            names, scores = {"intermediate": str(name)}, own[["baseline", "treatment"]]
            rows.append(_row(names, *scores.mean(), tested, notes) | {"p_raw": tested.p})
    columns = ["intermediate", "baseline", "treatment", "theta", "low", "high", "p_raw"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["p_holm"] = holm(frame["p_raw"]) if rows else np.nan
    return frame.assign(n_blocks=groups.size().max())


def by_language(target: Target, average: np.ndarray, notes: Notes) -> pd.DataFrame:
    """One row a language of a target: crossed p, adjusted over them by Benjamini and Hochberg."""
    rows = []
    for code, name in enumerate(target.languages):
        cells = target.language == code
        low, high = target.baseline[:, cells].mean(), target.treatment[:, cells].mean()
        items = np.unique(target.item[cells], return_inverse=True)[1]
        D = average @ weighted_items(target.difference(cells), np.zeros(len(items), int), items)
        tested = crossed_and_sign_flip([D], ONE, None)
        names = {"target": target.name, "language": name}
        p = tested.p_signflip if tested.flat else tested.estimate.p
        rows.append(_row(names, low, high, tested, notes) | {"p": p})
    return pd.DataFrame(rows).assign(p_bh=lambda frame: benjamini_hochberg(frame["p"]))


def by_block(
    blocks: list[Block], m: np.ndarray, targets: list[Target], w: np.ndarray, average: np.ndarray
) -> pd.DataFrame:
    """One row a block: weighted macro averages of both arms, and their difference `m_b`."""
    arms = {side: average @ scores for side, scores in macro_averages(targets, w).items()}
    return pd.DataFrame([asdict(block) for block in blocks]).assign(**arms, m_b=m)


def variance_components(tables: dict, w: np.ndarray, strata: Strata) -> pd.DataFrame:
    """Variance components per target and, as "all", of theta with the smallest target's items.

    tables: by target, (B, n_t). "all" reproduces V = block / B + item / n + residual / (B n) of
    several tasks: with n the fewest items, item = n sum_t w_t^2 item_t / n_t, residual likewise,
    and block = s_b^2 - residual / n, where s_b^2 is taken within strata. Negative estimates are 0.
    """
    rows = []
    for name, D in tables.items():
        items = D.shape[1]
        try:
            own = crossed(D).components
            own["block"] = block_variance(D.mean(1), strata)[0] - own["residual"] / items
        except ZeroVariance:
            own = dict.fromkeys(("block", "item", "residual"), 0.0)
        rows.append((name, *(max(0.0, value) for value in own.values()), items))
    frame = pd.DataFrame(rows, columns=["target", "block", "item", "residual", "n_items"])
    items = frame["n_items"].min()
    share = w**2 * items / frame["n_items"]
    item, residual = float(share @ frame["item"]), float(share @ frame["residual"])
    m = block_means(list(tables.values()), w)
    block = max(0.0, block_variance(m, strata)[0] - residual / items)
    frame.loc[len(frame)] = ["all", block, item, residual, items]
    return frame
