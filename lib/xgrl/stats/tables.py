"""The tables behind a comparison: by target, by intermediate task, by language, by block, and the
variance components.

Every row is tested like the whole: the larger of the sign-flip and the crossed p, on tables
(blocks, items) in points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from .audit import Block, Target, weighted_items
from .checks import ZeroVariance
from .multiplicity import benjamini_hochberg, holm
from .randomisation import sign_flip, westfall_young
from .twoway import Estimate, block_variance, crossed, crossed_tasks

NAN = float("nan")


def units(
    blocks: list[Block], unit: str, notes: list[str]
) -> tuple[list[Block], np.ndarray, list[str] | None]:
    """The independent units, the matrix (units, blocks) that averages blocks into them, and their
    strata.
    """
    sizes = Counter(block.intermediate for block in blocks)
    if len(blocks) < 2:
        raise ValueError(
            f"found one block only (intermediate {blocks[0].intermediate}, seed {blocks[0].seed}): "
            "training runs are the unit of the analysis, need 2 or more"
        )
    if len(set(sizes.values())) > 1:
        raise ValueError(
            "intermediate tasks have unequal numbers of seeds: found "
            + ", ".join(f"{name}: {size}" for name, size in sizes.items())
            + "; every run counts, need the missing ones"
        )
    if unit == "seed":
        seeds = sorted({block.seed for block in blocks})
        if len(seeds) * len(sizes) != len(blocks) or len(seeds) < 2:
            raise ValueError(
                f"plan unit 'seed': found seeds {seeds} for {len(blocks)} blocks, need every "
                f"intermediate "
                "task to have the same seeds, 2 or more"
            )
        notes.append(
            "the seed is the unit: intermediate tasks that share a seed are averaged into one block"
        )
        average = np.array(
            [[float(block.seed == seed) for block in blocks] for seed in seeds]
        ) / len(sizes)
        return [Block("+".join(sizes), seed) for seed in seeds], average, None
    if len(sizes) == 1 or min(sizes.values()) >= 2:
        return (
            blocks,
            np.eye(len(blocks)),
            [block.intermediate for block in blocks] if len(sizes) > 1 else None,
        )
    notes.append(
        "one block an intermediate task: block variance is not stratified by intermediate task, "
        "so their "
        "fixed differences count as noise"
    )
    return blocks, np.eye(len(blocks)), None


def tested(
    tables: Sequence[np.ndarray], w: np.ndarray, strata: Sequence | None
) -> tuple[Estimate, float, float, bool]:
    """Estimate, sign-flip p, the p to decide on, and whether the sign flip stands alone for want of
    variance.

    tables: T of (B, n_t) in points; w: (T,); strata: (B,) or None.
    """
    m = sum(weight * table.mean(1) for weight, table in zip(w, tables, strict=True))
    flip = sign_flip(m)
    try:
        estimate = crossed_tasks(tables, w, strata)
    except ZeroVariance:
        return Estimate(float(m.mean()), 0.0, NAN, (NAN, NAN), NAN), flip, flip, True
    return estimate, flip, max(flip, estimate.p), False


def _row(
    name: str, what: str, baseline: float, treatment: float, found: tuple, notes: list[str]
) -> dict[str, Any]:
    estimate, _, p, alone = found
    if alone:
        notes.append(f"{name}: no variance, so no interval; p is the sign flip's")
    low, high = estimate.interval
    return {
        what: name,
        "baseline": baseline,
        "treatment": treatment,
        "theta": estimate.mean,
        "low": low,
        "high": high,
        "p_raw": p,
    }


def by_target(
    targets: list[Target],
    tables: list[np.ndarray],
    M: np.ndarray,
    strata: list[str] | None,
    notes: list[str],
) -> pd.DataFrame:
    """One row a target; p adjusted over targets by Holm and by Westfall and Young. M: (B, T) block
    means.
    """
    rows = [
        _row(
            t.name,
            "target",
            t.macro(t.baseline).mean(),
            t.macro(t.treatment).mean(),
            tested([D], np.ones(1), strata),
            notes,
        )
        for t, D in zip(targets, tables, strict=True)
    ]
    return pd.DataFrame(rows).assign(
        p_holm=lambda frame: holm(frame["p_raw"]),
        p_westfall_young=westfall_young(M),
        n_items=[target.n_items for target in targets],
        n_languages=[len(target.languages) for target in targets],
    )


def by_intermediate(
    table: pd.DataFrame, tables: list[np.ndarray], w: np.ndarray, notes: list[str]
) -> pd.DataFrame:
    """One row an intermediate task that has two blocks or more, over all targets; p adjusted by
    Holm.

    table: from `by_block`, (B,) rows in the order of the tables' first axis.
    """
    rows = []
    for name, part in table.groupby("intermediate"):
        if len(part) >= 2:
            found = tested([D[part.index] for D in tables], w, None)
            rows.append(
                _row(
                    str(name),
                    "intermediate",
                    part["baseline"].mean(),
                    part["treatment"].mean(),
                    found,
                    notes,
                )
            )
    columns = ["intermediate", "baseline", "treatment", "theta", "low", "high", "p_raw"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        p_holm=holm(frame["p_raw"]) if rows else NAN,
        n_blocks=table.groupby("intermediate").size().max(),
    )


def by_language(target: Target, average: np.ndarray, notes: list[str]) -> list[dict[str, Any]]:
    """One row a language of a target; p of the crossed test, adjusted over the languages by
    Benjamini and Hochberg.
    """
    rows = []
    for code, name in enumerate(target.languages):
        cells = target.language == code
        low, high = target.baseline[:, cells], target.treatment[:, cells]
        items = np.unique(target.item[cells], return_inverse=True)[1]
        D = average @ weighted_items(high - low, np.zeros(len(items), int), items)
        try:
            estimate = crossed(D)
        except ZeroVariance:
            estimate = Estimate(float(D.mean()), 0.0, NAN, (NAN, NAN), sign_flip(D.mean(1)))
            notes.append(f"{target.name} {name}: no variance, so no interval; p is the sign flip's")
        ends = dict(zip(("low", "high"), estimate.interval, strict=True))
        scores = {"baseline": low.mean(), "treatment": high.mean(), "theta": estimate.mean}
        rows.append({"target": target.name, "language": name} | scores | ends | {"p": estimate.p})
    for row, adjusted in zip(rows, benjamini_hochberg([row["p"] for row in rows]), strict=True):
        row["p_bh"] = adjusted
    return rows


def by_block(
    blocks: list[Block], m: np.ndarray, targets: list[Target], w: np.ndarray, average: np.ndarray
) -> pd.DataFrame:
    """One row a block: weighted macro averages of both arms, and their difference `m_b`."""
    arms = {
        arm: average
        @ sum(weight * t.macro(getattr(t, arm)) for weight, t in zip(w, targets, strict=True))
        for arm in ("baseline", "treatment")
    }
    return pd.DataFrame([asdict(block) for block in blocks]).assign(**arms, m_b=m)


def variance_components(
    tables: list[np.ndarray], names: list[str], w: np.ndarray, strata: list[str] | None
) -> pd.DataFrame:
    """Variance components per target and, as "all", of theta for as many items as the smallest
    target has.

    "all" reproduces V = block / B + item / n + residual / (B n) of the several-task formula: with n
    the fewest items, item = n sum_t w_t^2 item_t / n_t, residual likewise, and block = s_b^2 -
    residual / n, where s_b^2 is taken within strata. Negative estimates are 0.
    """
    rows = []
    for name, table in zip(names, tables, strict=True):
        try:
            parts = crossed(table).components
            parts["block"] = (
                block_variance(table.mean(1), strata)[0] - parts["residual"] / table.shape[1]
            )
        except ZeroVariance:
            parts = dict.fromkeys(("block", "item", "residual"), 0.0)
        rows.append(
            {"target": name}
            | {key: max(0.0, value) for key, value in parts.items()}
            | {"n_items": table.shape[1]}
        )
    frame = pd.DataFrame(rows)
    items = frame["n_items"].min()
    share = w**2 * items / frame["n_items"]
    item, residual = float(share @ frame["item"]), float(share @ frame["residual"])
    m = sum(weight * table.mean(1) for weight, table in zip(w, tables, strict=True))
    block = max(0.0, block_variance(m, strata)[0] - residual / items)
    frame.loc[len(frame)] = ["all", block, item, residual, items]
    return frame
