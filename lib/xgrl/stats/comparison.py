"""The study's one comparison: two arms, all targets and languages, from prediction rows to a
verdict.

Estimand: theta = sum_t w_t mean_i mean_l E[D] in points, D = treatment - baseline; targets t,
intermediate tasks i and zero-shot languages l are fixed, training runs and test items random. The
block b = (intermediate task, seed) is the independent unit. The decision rests on the larger of two
p values: the exact sign flip over blocks, and runs crossed with items; equivalence is tested by
TOST with the latter's standard error and degrees of freedom.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from .audit import Target, aligned
from .checks import known
from .effects import EffectSizes, cliffs_delta, effect_sizes, iqm, violation_ratio
from .equivalence import rope, tost
from .multiplicity import PartialConjunction, partial_conjunction
from .power import FEWEST_BLOCKS, blocks_needed, minimal_effect
from .tables import (
    by_block,
    by_intermediate,
    by_language,
    by_target,
    tested,
    units,
    variance_components,
)
from .verdict import ALPHA, decide, sentence

DETECT = (0.5, 1.0, 2.0)  # points for which the needed number of blocks is reported
PLAN = ("weights", "unit", "failed_checks")
NAN = float("nan")


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; printing it gives the verdict. Points throughout; NaN where `notes`
    says not estimable.
    """

    baseline: str
    treatment: str
    theta: float
    ci: tuple[float, float]  # level 95 %
    se: float
    df: float
    p: float  # the larger of the next two
    p_signflip: float
    p_crossed: float
    tost_p: float
    rope: tuple[float, float, float]  # P(below -margin), P(within), P(above margin)
    margin: float
    verdict: str  # superior, inferior, equivalent or inconclusive
    trivial: bool  # superior or inferior, and equivalent too
    gate: bool  # theta significant, so that the per-task p values may be read as tests
    # target, baseline, treatment, theta, low, high, p_raw, p_holm, p_westfall_young, n_...
    per_task: pd.DataFrame
    # target, language, baseline, treatment, theta, low, high, p, p_bh (within a target)
    per_language: pd.DataFrame
    # intermediate, baseline, treatment, theta, low, high, p_raw, p_holm, n_blocks
    per_intermediate: pd.DataFrame
    # over "targets" and, with two or more, "intermediate tasks"
    replicated: Mapping[str, PartialConjunction]
    blocks: pd.DataFrame  # intermediate, seed, baseline, treatment (weighted macro averages), m_b
    effects: EffectSizes
    components: pd.DataFrame  # variances block, item, residual per target; last row target "all"
    minimal_effect: float  # at 80 % power with this study's blocks and items
    # by points to detect; None: no number of blocks would do
    blocks_needed: Mapping[float, int | None]
    sensitivity: Mapping[str, float]  # median and interquartile mean of the blocks
    failed_checks: tuple[str, ...]
    notes: tuple[str, ...]
    # per target (B, n_t), the tables that were tested
    items: Mapping[str, np.ndarray] = field(repr=False)
    weights: np.ndarray = field(repr=False)  # (T,), of the targets in the order of `items`

    @property
    def n_blocks(self) -> int:
        return len(self.blocks)

    def summary(self) -> dict[str, Any]:
        """Everything but the item tables as plain JSON types, NaN and infinity as None."""
        values = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "items"
        }
        values["blocks_needed"] = {
            f"{points:g}": count for points, count in self.blocks_needed.items()
        }
        values["replicated"] = {name: asdict(found) for name, found in self.replicated.items()}
        return plain(
            {
                **values,
                "effects": asdict(self.effects),
                "n_blocks": self.n_blocks,
                "sentence": str(self),
            }
        )

    def __str__(self) -> str:
        return sentence(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<p><strong>{html.escape(str(self))}</strong></p>" + (
            f"<ul>{notes}</ul>" if notes else ""
        )


def plain(value: Any) -> Any:
    """Frames, arrays, mappings and numbers as JSON types: a frame is a list of its rows, NaN and
    infinity are None.
    """
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _weights(plan: Mapping[str, Any], targets: Sequence[Target], notes: list[str]) -> np.ndarray:
    names = [target.name for target in targets]
    given = plan.get("weights")
    if given is None:
        return np.full(len(names), 1 / len(names))
    for name in given:
        known("target in plan weights", name, names)
    w = np.array([float(given.get(name, NAN)) for name in names])
    if not (np.isfinite(w).all() and (w > 0).all()):
        raise ValueError(
            f"plan weights: found {dict(given)}, need a positive weight for each of "
            f"{', '.join(names)}"
        )
    w /= w.sum()
    notes.append(
        "targets weighted as planned: "
        + ", ".join(f"{n} {v:.3g}" for n, v in zip(names, w, strict=True))
    )
    return w


def compare(
    frame: pd.DataFrame,
    baseline: str = "standard",
    treatment: str = "dann",
    margin: float = 1.0,
    plan: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare two arms over all zero-shot languages and targets and decide.

    frame: rows of predictions.parquet with score in points; English and other arms are left out.
    margin: half-width of the equivalence region in points, fixed in advance. plan: optional mapping
    with "weights" (target -> positive weight, scaled to sum 1; default equal), "unit" ("block", or
    "seed" where intermediate tasks reuse one random key) and "failed_checks" (sentences on
    manipulation checks that failed, put in front of the verdict). Raises ValueError, naming the
    cell, for anything that does not pair up; fallbacks are told in `notes`.
    """
    plan = dict(plan or {})
    for key in plan:
        known("plan entry", key, PLAN)
    unit = known("plan unit", plan.get("unit", "block"), ("block", "seed"))
    if not 0 < margin < math.inf:
        raise ValueError(f"margin: found {margin}, need a positive number of points")
    notes: list[str] = []
    paired, targets = aligned(frame, baseline, treatment)
    w = _weights(plan, targets, notes)
    blocks, average, strata = units(paired, unit, notes)
    names = [target.name for target in targets]
    tables = [average @ target.items() for target in targets]  # T of (B, n_t)
    M = np.stack([table.mean(1) for table in tables], axis=1)  # (B, T)
    m = M @ w
    notes += [
        f"{t.name}: items are not shared by all languages, weighted so that each language counts "
        f"the same"
        for t in targets
        if not t.parallel
    ]
    if len(blocks) < FEWEST_BLOCKS:
        notes.append(
            f"with {len(blocks)} blocks the sign-flip p is at least {2 / 2 ** len(blocks):g}: a "
            f"difference "
            f"cannot be significant at .05, whatever its size; {FEWEST_BLOCKS} blocks or more can "
            f"show one"
        )

    overall, flip, p, alone = tested(tables, w, strata)
    tost_p, within = NAN, (NAN, NAN, NAN)
    if alone:
        same = all((table == 0).all() for table in tables)
        notes.append(
            (
                "both arms score the same on every item"
                if same
                else "the differences have no variance at all"
            )
            + ": no standard error, interval or equivalence test; p is the sign flip's"
        )
    else:
        tost_p = tost(overall.mean, overall.se, overall.df, margin)
        within = rope(overall.mean, overall.se, overall.df, margin)
    verdict, trivial = decide(overall.mean, p, tost_p)
    gate = p <= ALPHA
    if not gate:
        notes.append(
            "the gate is closed (global p above .05): per-task and per-language p values "
            "describe, they do not test"
        )

    per_task = by_target(targets, tables, M, strata, notes)
    per_language = pd.DataFrame(
        [row for target in targets for row in by_language(target, average, notes)]
    )
    table = by_block(blocks, m, targets, w, average)
    per_intermediate = by_intermediate(table, tables, w, notes)
    replicated = {"targets": partial_conjunction(per_task["p_raw"])}
    if len(per_intermediate) > 1:
        replicated["intermediate tasks"] = partial_conjunction(per_intermediate["p_raw"])
    components = variance_components(tables, names, w, strata)
    parts = components.iloc[-1]
    spread = [float(parts[key]) for key in ("block", "item", "residual")]
    able = sum(spread) > 0
    n = int(parts["n_items"])
    return Comparison(
        baseline,
        treatment,
        overall.mean,
        overall.interval,
        overall.se,
        overall.df,
        p,
        flip,
        overall.p,
        tost_p,
        within,
        float(margin),
        verdict,
        trivial,
        gate,
        per_task,
        per_language,
        per_intermediate,
        replicated,
        table,
        replace(
            effect_sizes(m),
            cliffs_delta_unpaired=cliffs_delta(table["treatment"], table["baseline"]),
            violation_unpaired=violation_ratio(table["treatment"], table["baseline"]),
        ),
        components,
        minimal_effect(*spread, len(blocks), n) if able else NAN,
        {points: blocks_needed(points, *spread, n) if able else None for points in DETECT},
        {"median": float(np.median(m)), "iqm": iqm(m)},
        tuple(plan.get("failed_checks", ())),
        tuple(notes),
        dict(zip(names, tables, strict=True)),
        w,
    )
