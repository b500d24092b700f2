"""The study's one comparison: two arms, all targets and languages, from rows to a verdict.

Estimand: theta = sum_t w_t mean_i mean_l E[D] in points, D = treatment - baseline; targets t,
intermediate tasks i and zero-shot languages l are fixed, training runs and test items random. The
block b = (intermediate task, seed) is the independent unit. The decision rests on the larger of two
p values (`crossed_and_sign_flip`): the exact sign flip over blocks, and runs crossed with items;
equivalence is tested by TOST with the latter's standard error and degrees of freedom.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .alignment import Target, align, independent_units
from .breakdowns import by_block, by_intermediate, by_language, by_target, variance_components
from .effects import EffectSizes, cliffs_delta, effect_sizes, iqm, violation_ratio
from .multiplicity import PartialConjunction, partial_conjunction
from .power import FEWEST_BLOCKS, blocks_needed, minimal_effect
from .several_arms import weights_of
from .validation import validate_name
from .verdict import ALPHA, NAN, crossed_and_sign_flip, decide, p_equals, rope

DETECT = (0.5, 1.0, 2.0)  # points for which the needed number of blocks is reported
PLAN = ("weights", "unit", "failed_checks")
Plan = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found, in points; NaN where not estimable. Printing it gives the verdict."""

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
    # target, baseline, treatment, theta, low, high, p_raw, tost_p, p_holm, p_westfall_young, n_...
    per_task: pd.DataFrame
    # target, language, baseline, treatment, theta, low, high, p, p_bh (within a target)
    per_language: pd.DataFrame
    # intermediate, baseline, treatment, theta, low, high, p_raw, p_holm, n_blocks
    per_intermediate: pd.DataFrame
    replicated: Mapping[str, PartialConjunction]  # over "targets", and over "intermediate tasks"
    blocks: pd.DataFrame  # intermediate, seed, baseline, treatment (weighted macro averages), m_b
    effects: EffectSizes
    components: pd.DataFrame  # variances block, item, residual per target; last row target "all"
    minimal_effect: float  # at 80 % power with this study's blocks and items
    blocks_needed: Mapping[float, int | None]  # by points to detect; None: no number would do
    sensitivity: Mapping[str, float]  # median and interquartile mean of the blocks
    failed_checks: tuple[str, ...]
    notes: tuple[str, ...]
    items: Mapping[str, np.ndarray]  # per target (B, n_t), the tables that were tested
    weights: np.ndarray  # (T,), of the targets in the order of `items`

    @property
    def n_blocks(self) -> int:
        return len(self.blocks)

    def summary(self) -> dict[str, Any]:
        """Everything but the item tables as plain JSON types, NaN and infinity as None."""
        names = [name for name in self.__dataclass_fields__ if name != "items"]
        values = {name: getattr(self, name) for name in names}
        values["blocks_needed"] = {f"{points:g}": B for points, B in self.blocks_needed.items()}
        values["replicated"] = {name: asdict(p) for name, p in self.replicated.items()}
        values |= {"effects": asdict(self.effects), "n_blocks": self.n_blocks}
        return plain(values | {"sentence": self._verdict_sentence()})

    def __str__(self) -> str:
        """The finding in one or two sentences with estimate, interval, p and number of blocks, and
        the checks that failed.
        """
        failed = f" Checks that failed: {'; '.join(self.failed_checks)}."
        return self._verdict_sentence() + (failed if self.failed_checks else "")

    def _verdict_sentence(self) -> str:
        if not self.n_blocks:
            return f"{self.treatment} and {self.baseline} are not compared: {self.notes[0]}."
        low, high = self.ci
        estimable = low == low
        interval = f"95 % CI {low:+.2f} to {high:+.2f}" if estimable else "interval not estimable"
        effect = f"difference {self.theta:+.2f} points, {interval}, p {p_equals(self.p)}"
        targets = f"{len(self.per_task)} target task{'s' if len(self.per_task) > 1 else ''}"
        numbers = f"{effect}, {self.n_blocks} blocks, {targets}"
        band, equivalence = f"±{self.margin:g} points", f"equivalence p {p_equals(self.tost_p)}"
        if self.verdict in ("superior", "inferior"):
            word = "better" if self.verdict == "superior" else "worse"
            text = f"{self.treatment} is {word} than {self.baseline} ({numbers})."
            trivial = f" The difference is real but trivial: it lies within {band} ({equivalence})."
            return text + trivial if self.trivial else text
        arms = f"{self.treatment} and {self.baseline}"
        if self.verdict == "equivalent":
            return f"{arms} are equivalent within {band} ({equivalence}; {numbers})."
        if not estimable:
            return f"Inconclusive: {arms} cannot be told apart here ({numbers})."
        text = (
            f"Inconclusive: these data neither separate {self.treatment} from {self.baseline} nor "
            f"place the difference within {band} ({numbers}; {equivalence}). True differences from "
            f"{low:+.2f} to {high:+.2f} points are compatible with them."
        )
        agree = "but the sign-flip test, which must agree, does not reject"
        return text if low <= 0 <= high else f"{text} The interval leaves out 0, {agree}."

    __repr__ = __str__

    @property
    def strata(self) -> pd.Series | None:
        """Each block's intermediate task, None where one of them has a single block."""
        tasks = self.blocks["intermediate"]
        return tasks if tasks.value_counts().min() > 1 else None

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        sentence = f"<p><strong>{html.escape(str(self))}</strong></p>"
        return sentence + (f"<ul>{notes}</ul>" if notes else "")


def plain(value: Any) -> Any:
    """Anything as plain JSON types: a frame is a list of its rows, NaN and infinity are None."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _weights(plan: Plan, targets: Sequence[Target], notes: list[str]) -> np.ndarray:
    names = [target.name for target in targets]
    given = plan.get("weights")
    if given is None:
        return np.full(len(names), 1 / len(names))
    given = given(names) if callable(given) else given
    for name in given:
        validate_name("target in plan weights", name, names)
    w = weights_of(names, lambda _: given)
    shares = ", ".join(f"{name} {share:.3g}" for name, share in zip(names, w, strict=True))
    notes.append(f"targets weighted as planned: {shares}")
    return w


def not_compared(
    baseline: str, treatment: str, margin: float, reason: str, plan: Plan | None = None
) -> Comparison:
    """What stands for a comparison that an incomplete study cannot have: no block, all NaN."""
    names, ends = ["baseline", "treatment"], ["theta", "low", "high"]
    columns = {
        "per_task": ["target", *names, *ends, "p_raw", "tost_p", "p_holm"],
        "per_language": ["target", "language", *names, *ends, "p"],
        "per_intermediate": ["intermediate", *names, *ends, "p_raw", "p_holm", "n_blocks"],
        "blocks": ["intermediate", "seed", *names, "m_b"],
    }
    empty = {name: pd.DataFrame(columns=own) for name, own in columns.items()}
    numbers = ("theta", "se", "df", "p", "p_signflip", "p_crossed", "tost_p", "minimal_effect")
    components = {"target": "all"} | dict.fromkeys(("block", "item", "residual", "n_items"), NAN)
    return Comparison(
        baseline, treatment, **dict.fromkeys(numbers, NAN), **empty, ci=(NAN, NAN),
        rope=(NAN, NAN, NAN), margin=margin, verdict="not compared", trivial=False, gate=False,
        replicated={}, effects=EffectSizes(*[NAN] * 4, (NAN, NAN)), blocks_needed={},
        components=pd.DataFrame([components]), sensitivity={}, notes=(reason,), items={},
        failed_checks=tuple((plan or {}).get("failed_checks", ())), weights=np.empty(0),
    )  # fmt: skip


def compare(
    frame: pd.DataFrame, baseline="standard", treatment="dann", margin=1.0, plan: Plan | None = None
) -> Comparison:
    """Compare two arms over all zero-shot languages and targets and decide.

    frame: rows of predictions.parquet with score in points; English and other arms are left out.
    margin: half-width of the equivalence region in points, fixed in advance. plan: optional mapping
    with "weights" (target -> positive weight, scaled to sum 1; default equal), "unit" ("block", or
    "seed" where intermediate tasks reuse one random key) and "failed_checks" (sentences on
    manipulation checks that failed, put behind the verdict). Raises ValueError, naming the
    cell, for anything that does not pair up; fallbacks are told in `notes`.
    """
    plan = dict(plan or {})
    for key in plan:
        validate_name("plan entry", key, PLAN)
    unit = validate_name("plan unit", plan.get("unit", "block"), ("block", "seed"))
    if not 0 < margin < math.inf:
        raise ValueError(f"margin: found {margin}, need a positive number of points")
    notes: list[str] = []
    paired, targets = align(frame, baseline, treatment)
    w = _weights(plan, targets, notes)
    blocks, average, strata = independent_units(paired, unit, notes)
    items = {target.name: average @ target.items() for target in targets}  # T of (B, n_t)
    tables = list(items.values())
    apart = "items are not shared by all languages, weighted so that each language counts the same"
    notes += [f"{target.name}: {apart}" for target in targets if not target.parallel]
    if len(blocks) < FEWEST_BLOCKS:
        floor = f"the sign-flip p is at least {2 / 2 ** len(blocks):g}"
        never = "a difference cannot be significant at .05, whatever its size"
        more = f"{FEWEST_BLOCKS} blocks or more can show one"
        notes.append(f"with {len(blocks)} blocks {floor}: {never}; {more}")

    tested = crossed_and_sign_flip(tables, w, strata)
    estimate, p = tested.estimate, tested.p
    verdict, trivial, tost_p = decide(estimate, p, margin)
    within = (NAN, NAN, NAN)
    if tested.flat:
        same = all((table == 0).all() for table in tables)
        reason = "both arms score the same on every item"
        reason = reason if same else "the differences have no variance at all"
        lost = "no standard error, interval or equivalence test; p is the sign flip's"
        notes.append(f"{reason}: {lost}")
    else:
        within = rope(estimate.mean, estimate.se, estimate.df, margin)
    if p > ALPHA:
        closed = "per-task and per-language p values describe, they do not test"
        notes.append(f"the gate is closed (global p above .05): {closed}")

    per_task = by_target(targets, tables, strata, margin, notes)
    languages = [by_language(target, average, notes) for target in targets]
    per_language = pd.concat(languages, ignore_index=True)
    m = np.stack([table.mean(1) for table in tables], axis=1) @ w
    per_block = by_block(blocks, m, targets, w, average)
    per_intermediate = by_intermediate(per_block, tables, w, notes)
    replicated = {"targets": partial_conjunction(per_task["p_raw"])}
    if len(per_intermediate) > 1:
        replicated["intermediate tasks"] = partial_conjunction(per_intermediate["p_raw"])
    components = variance_components(items, w, strata)
    whole = components.iloc[-1]
    spread = [float(whole[key]) for key in ("block", "item", "residual")]
    n, varies = int(whole["n_items"]), sum(spread) > 0
    arms = per_block["treatment"], per_block["baseline"]
    unpaired = {"cliffs_delta_unpaired": cliffs_delta(*arms)}
    unpaired["violation_unpaired"] = violation_ratio(*arms)
    tests = {"theta": estimate.mean, "ci": estimate.interval, "se": estimate.se, "df": estimate.df}
    tests |= {"p": p, "p_signflip": tested.p_signflip, "p_crossed": estimate.p, "tost_p": tost_p}
    tests |= {"rope": within, "verdict": verdict, "trivial": trivial, "gate": p <= ALPHA}
    return Comparison(
        baseline, treatment, **tests, margin=float(margin), per_task=per_task,
        per_language=per_language, per_intermediate=per_intermediate, replicated=replicated,
        blocks=per_block, effects=replace(effect_sizes(m), **unpaired), components=components,
        minimal_effect=minimal_effect(*spread, len(blocks), n) if varies else NAN,
        blocks_needed={d: blocks_needed(d, *spread, n) if varies else None for d in DETECT},
        sensitivity={"median": float(np.median(m)), "iqm": iqm(m)},
        failed_checks=tuple(plan.get("failed_checks", ())), notes=tuple(notes),
        items=items, weights=w,
    )  # fmt: skip
