"""A sentence for each table of a summary.json, "" where the table is not there.

A sentence follows from a decision table: inconclusive is never "nothing", and what was not computed
or not recorded is said to be that. `xgrl.report.claims` joins them.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xgrl.execution.grid import trains_nothing
from xgrl.report import explanations
from xgrl.report.averages import PUBLISHED
from xgrl.report.explanations import AFTER, ALL, ENGLISH_TOO, NO_PROOF
from xgrl.report.positive_control import PASSED
from xgrl.stats import ALPHA, p_equals, p_format
from xgrl.tasks import find_task

UNKNOWN = "not estimable"
Summary = Mapping[str, Any]


def effect(row: Mapping[str, Any]) -> str:
    """A row's theta and interval: "-3.52 [-4.19, -2.84]"."""
    theta, low, high = (row.get(key) for key in ("theta", "low", "high"))
    if theta is None or pd.isna(theta):
        return UNKNOWN
    unknown = low is None or pd.isna(low)
    return f"{theta:+.2f} [{UNKNOWN}]" if unknown else f"{theta:+.2f} [{low:+.2f}, {high:+.2f}]"


def least_p(blocks: int) -> float:
    """The least p that sign flips of so many blocks can give."""
    return 2 / 2**blocks


def floor_of(blocks: float) -> str:
    """`least_p` to three digits, which are all that it has of few blocks."""
    return f"{least:.3g}" if (least := least_p(blocks)) >= 1e-3 else p_format(least)


def no_less(blocks: float) -> str:
    """How many blocks, and what p cannot be below with them, where that is above alpha."""
    few = f", no p below {floor_of(blocks)}" * (least_p(blocks) > ALPHA)
    return f"{blocks:.0f} blocks{few}"


def floor(summary: Summary) -> str:
    """p at its floor is said to be that, of the whole and of each intermediate task."""
    c, said = summary["comparison"], []
    if c["p"] == (least := least_p(c["n_blocks"])):
        said.append(f"p {p_equals(least)} is the floor of {c['n_blocks']} blocks, no sign flip can")
        said[0] += " give less: the blocks agree, and it says nothing beyond that."
    for row in c["per_intermediate"]:
        blocks = row["n_blocks"]
        at = f", the floor of {blocks} blocks" * (row["p_raw"] == least_p(blocks))
        p = f"p {p_equals(row['p_raw'])}{at}, {p_format(row['p_holm'])} by Holm"
        said.append(f"After {row['intermediate']} alone {p}.")
    return " ".join(said)


def groups(summary: Summary) -> str:
    """Groups of targets and the mean without retrieval, which are named in advance."""
    rows = [row for row in summary.get("groups", []) if row["theta"] is not None]
    if not rows:
        return ""
    said = [f"{row['part']} {effect(row)} (p {p_equals(row['p_holm'])})" for row in rows]
    text = f"By Holm over {len(rows)} groups of targets, behind no gate: {', '.join(said)}."
    row = summary["means"][-1]
    return (
        f"{text} {row['part'].capitalize()} {effect(row)} (p {p_equals(row['p'])}, not adjusted)."
    )


def interaction(summary: Summary) -> str:
    row = next((r for r in summary.get("interaction", []) if r["target"] == ALL), None)
    if not row or row["p"] is None:
        return ""
    f = f"F({row['df_between']}, {row['df_within']}) = {row['F']:.1f}, p {p_equals(row['p'])}"
    differ = "The intermediate tasks differ in the effect"
    if row["p"] > ALPHA:
        differ = "That the intermediate tasks differ in the effect is not shown"
    return f"{differ} ({f}, {row['blocks']} blocks, test items as given). Exploratory."


def targets(summary: Summary) -> str:
    c = summary["comparison"]
    rows, baseline = c["per_task"], c["baseline"]
    if not c["gate"]:
        return f"The average does not reject, so that its {len(rows)} targets describe, one by one."
    known = all(row.get("tost_p") is not None for row in rows)  # not in an older summary
    unequal = "inconclusive" if known else "not told apart from it"
    words = f"below {baseline}", f"above {baseline}", unequal, "equivalent (each by itself)"
    found = {word: [] for word in words}
    for row in rows:
        differs, same = (row.get(p) is not None and row[p] <= ALPHA for p in ("p_holm", "tost_p"))
        found[words[row["theta"] > 0 if differs else 2 + same]].append(row["target"])
    said = [f"{word} on {', '.join(own)}" for word, own in found.items() if own]
    return f"By Holm over {len(rows)} targets {c['treatment']} is {', '.join(said)}."


def positive_control(summary: Summary) -> str:
    """Baseline minus none: with interval and gate, else how many targets' scores are above."""
    baseline, rows = summary["baseline"], summary.get("positive_control", [])
    own = [row for row in rows if row["kind"] == "target"]
    if own:
        average = next(row for row in rows if row["kind"] == "average")
        effects = "; ".join(f"{row['part']} {effect(row)}" for row in own)
        passed = [row["part"] for row in own if row["gate"] == PASSED]
        pairs = [row for row in rows if row["kind"] == "pair"]
        helped = [(r["intermediate"], r["part"]) for r in pairs if r["gate"] == PASSED]
        text = f"Positive control, {baseline} - none, points: {effect(average)} ({effects}). The "
        text += f"gate is passed on {len(passed)} of {len(own)} targets"
        text += f" ({', '.join(passed)})" * bool(passed)
        text += f" and by {len(helped)} of {len(pairs)} pairs of intermediate task and target."
        if on_pairs := _on_pairs(summary, helped):
            return f"{text} {on_pairs}"
    else:
        scores = [row["scores"] for row in summary["table"][1:]]
        scores = [s for s in scores if s.get("none") is not None and s.get(baseline) is not None]
        if not scores:
            return "There is no positive control: none was not run beside the baseline."
        passed, helped = [s for s in scores if s[baseline] > s["none"]], []
        text = f"{baseline} scores above none, the public encoder, on {len(passed)} of "
        text += f"{len(scores)} targets (means; no interval was published)."
    if not passed and not helped:
        text += f" So what {summary['treatment']} does where English training helps is open."
    return text


def _on_pairs(summary: Summary, pairs: list[tuple[str, str]]) -> str:
    """The treatment's effect on pairs of intermediate task and target, in points."""
    rows = {row["target"]: row for row in summary.get("interaction", [])}
    means = {pair: rows.get(pair[1], {}).get(f"{AFTER}{pair[0]}") for pair in pairs}
    found = [f"{task} to {target} {d:+.2f}" for (task, target), d in means.items() if d is not None]
    arms = f"{summary['treatment']} - {summary['baseline']}"
    text = f"Described: there the mean of {arms} (drawn down: {summary['baseline']}'s scores chose "
    text += "the pairs)"
    return f"{text} is: {', '.join(found)} points." if found else ""


def published(summary: Summary) -> str:
    """What English training gave the base paper's encoder, beside what it gives here."""
    rows = {r["part"]: r for r in summary.get("positive_control", []) if r["kind"] == "target"}
    gains = [
        f"{target} {best - plain:+.1f}, here {effect(rows[target])}"
        for target, (_, plain, best) in PUBLISHED.items()
        if target in rows
    ]
    text = "XLM-R Large by the best intermediate task of each target (Phang et al. 2020, XTREME's "
    text += f"languages and metrics, English too), points: {'; '.join(gains)}. Sizes do not "
    return f"{text}compare, and ours is the mean of all intermediate tasks." if gains else ""


def retrieval(summary: Summary) -> str:
    """The part of an effect that plain retrieval carries, where all targets have one sign."""
    c = summary["comparison"]
    parts = {r["target"]: w * r["theta"] for r, w in zip(c["per_task"], c["weights"], strict=True)}
    weight = dict(zip(parts, c["weights"], strict=True))
    trained = {name: _trains(name) for name in parts}
    plain = [name for name in parts if trained[name] is False]
    others = [name for name in parts if trained[name]]
    if not plain or not others or len(plain) + len(others) < len(parts):
        return ""
    said = ""
    if not summary.get("means"):  # which have it, as planned
        rest = sum(parts[name] for name in others) / sum(weight[name] for name in others)
        said = f" On the others ({', '.join(others)}) the mean difference is {rest:+.2f} points."
    if not c["gate"]:  # then there is no effect to have a share of
        return said.lstrip()
    if min(parts.values()) < 0 < max(parts.values()):
        why = "Targets differ in the sign of the effect"
        return f"{why}, so that plain retrieval has no share of an effect to be told.{said}"
    share = 100 * sum(parts[name] for name in plain) / sum(parts.values())
    of = f"{100 * sum(weight[name] for name in plain):.1f} % of the weight"
    text = f"Plain retrieval ({', '.join(plain)}), for which nothing is trained, carries "
    return f"{text}{share:.1f} % of the effect with {of}.{said}"


def _trains(target: str) -> bool | None:
    """Whether a target has training of its own: all but plain retrieval; None: in no table."""
    try:
        task = find_task(target, "target")
    except ValueError:
        return None
    return not trains_nothing(task)


def hidden(summary: Summary) -> bool | None:
    """Whether every fresh probe passes the manipulation gate; None where there is none."""
    rows = [row for row in summary.get("manipulation", []) if row["reader"] in explanations.FRESH]
    return all(row["passed"] == "yes" for row in rows) if rows else None


def hidden_after(summary: Summary) -> dict[str, bool]:
    """By intermediate task whether the language is hidden; {} where fewer than two were probed."""
    columns = ["reader", "intermediate", "passed"]
    rows = pd.DataFrame(summary.get("manipulation_by_task", []), columns=columns)
    tasks = explanations.hidden_after(rows)
    return tasks if len(tasks) > 1 else {}


def kept(summary: Summary) -> list[Mapping[str, Any]]:
    """What the treatment must not lose, where it was probed."""
    names = explanations.KEPT.values()
    return [row for row in summary.get("manipulation", []) if row["reader"] in names]


def manipulation(summary: Summary) -> str:
    rows = {row["reader"]: row for row in summary.get("manipulation", [])}
    own = rows.get(explanations.READERS["own"])
    fresh = [row for name, row in rows.items() if name in explanations.FRESH]
    arms = summary["treatment"], summary["baseline"]
    if not fresh:
        text = f"Whether {arms[0]} hides the language was not probed beside {arms[1]}"
        return f"{text}: a null says nothing."
    reads = [
        f"a {row['reader']} reads {row['treatment']:.1f} % (after {arms[1]} {row['baseline']:.1f}; "
        f"half-way to chance: {row['bound']:.1f})"
        for row in fresh
    ]
    text = f"Language left after {arms[0]} (chance {fresh[0]['chance']:.1f} %, last layer, "
    text += f"{fresh[0]['blocks']} blocks probed): {', '.join(reads)}"
    if own:
        text += f", its own discriminator {own['treatment']:.1f} %"
    for row in kept(summary):
        text += f"; {row['reader']} {row['treatment']:.2f} (gate: at least {row['bound']:.2f})"
    tasks, rows = hidden_after(summary), pd.DataFrame(summary.get("manipulation_by_task", []))
    for task, is_hidden in tasks.items():
        own = rows[rows.intermediate == task].sort_values("passed", kind="stable")  # "no" is first
        read = own[own.reader.isin(explanations.FRESH)].iloc[0]
        text += f". After {task} a {read.reader} reads {read.treatment:.1f} % (after {arms[1]} "
        text += f"{read.baseline:.1f}; half-way {read.bound:.1f}; {'not ' * (not is_hidden)}hidden)"
        lost = own.reader.isin(explanations.KEPT.values()) & (own.passed == "no")
        for row in own[lost].itertuples():
            text += f", {row.reader} is {row.treatment:.2f} (gate: at least {row.bound:.2f})"
    if hidden(summary):
        read_after = " and ".join(task for task, is_hidden in tasks.items() if not is_hidden)
        but = f"; after {read_after} a null is one of the manipulation" if read_after else ""
        if lost := [row["reader"] for row in kept(summary) if row["passed"] == "no"]:
            but += f"; for want of {' and '.join(lost)} the gate is not passed"
        return f"{text}. By the gate, at most half-way, the language is hidden in the mean{but}."
    text += ". By the gate, at most half-way for every fresh probe, it is not hidden: a null says "
    return f"{text}little, and a difference need not come from hiding it."


def seen(summary: Summary) -> str:
    rows = {row["part"]: row for row in summary.get("seen_and_unseen", [])}
    if not {"seen", "unseen"} <= set(rows):
        return ""
    parts = [f"{effect(rows[k])} (Holm {p_format(rows[k]['p_holm'])})" for k in ("seen", "unseen")]
    text = f"In languages whose text the discriminator read {parts[0]}, in others {parts[1]}"
    for row in summary.get("seen_unseen", []):
        text += f"; with targets' levels taken out they differ by {row['difference']:+.2f} "
        text += f"(languages dealt out anew: p {p_equals(row['p_languages'])})"
    return f"{text}. Exploratory."


def gap(summary: Summary) -> str:
    rows = {r["part"]: r for r in summary.get("gap", []) if r["target"] == ENGLISH_TOO}
    if not rows:
        return ""
    row, said = rows["gap"], "whether it widens is inconclusive"
    if row["p"] is not None and row["p"] <= ALPHA:
        said = "it widens" if row["theta"] > 0 else "it narrows"
    english, foreign, wide = (effect(rows[part]) for part in ("English", "zero-shot", "gap"))
    text = f"On the {row['targets']} targets with an English part: English {english}, "
    text += f"zero-shot {foreign}, the gap between them {wide}: {said}. Exploratory."
    for row in summary.get("matched_english", []):
        if row["target"] == ENGLISH_TOO and row["theta"] is not None:
            text += f" At equal English score zero-shot differs by {effect(row)} (a line through "
            text += f"{row['blocks']} blocks, a description)."
    return text


def mediation(summary: Summary) -> str:
    parts: dict[str, list[str]] = {}
    for row in summary.get("mediation", []):
        once = row["groups"] > 1 or row["scope"] == "all runs"  # of one group it is the same again
        if row["target"] == ALL and row["r"] is not None and once:
            own = parts.setdefault(f"{row['measure']} ({row['runs']} runs)", [])
            own.append(f"{row['r']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] {row['scope']}")
    found = "; ".join(f"{measure} {', '.join(own)}" for measure, own in parts.items())
    return f"Correlation of the change of score with that of {found}; {NO_PROOF}." if found else ""


def relearned(summary: Summary) -> str:
    """Language before and after a target's fine-tuning, by arm."""
    rows = summary.get("relearned", [])
    if not rows:
        return ""
    parts = [f"{r['arm']} {r['before']:.0f} and {r['after']:.0f} ({r['blocks']})" for r in rows]
    text = "Language that a fresh linear probe reads before and after a target's fine-tuning, % "
    return f"{text}(chance {rows[0]['chance']:.0f}; in brackets blocks): {', '.join(parts)}."


def beside(summary: Summary) -> str:
    """Arms beside the planned two, and what the treatment is to its controls."""
    rows = [*summary.get("arms_against_baseline", []), *summary.get("contrasts", [])]
    planned = summary["treatment"], summary["baseline"]
    parts = [
        f"{row['arm']} - {row['against']} {effect(row)} ({no_less(row['blocks'])})"
        for row in rows
        if row["theta"] is not None and (row["arm"], row["against"]) != planned
    ]
    return f"Described, without a correction over arms: {', '.join(parts)}." if parts else ""
