"""What may be said of a study, as sentences that are made of the rows of its summary.json.

README, report and first page show these and no others, so that no sentence outlives its numbers. A
sentence follows from a decision table: superior and inferior are said as better and worse,
inconclusive is never "nothing", and what was not computed or not recorded is said to be that.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown

from xgrl.report import explanations
from xgrl.report.explanations import AFTER, ALL, ENGLISH_TOO, NO_PROOF
from xgrl.stats import ALPHA, p_format, plain
from xgrl.tasks import find_task

UNKNOWN, PASSED = "not estimable", "passed"
Summary = Mapping[str, Any]


def read(path: str | Path) -> dict[str, Any]:
    """A summary.json; one of before effects by task, with what a runs.json beside it allows."""
    path = Path(path)
    summary, records = json.loads(path.read_bytes()), path.parent.parent / "runs.json"
    by_task = any(key.startswith(AFTER) for row in summary.get("interaction", []) for key in row)
    if by_task or not records.exists() or not summary.get("comparison"):
        return summary
    keys = (*explanations.RUN, "target")
    runs = [
        {"phase": run["phase"]} | {key: run["parameters"].get(key) for key in keys} | run["metrics"]
        for run in json.loads(records.read_bytes()).values()
        if "arm" in run["parameters"]
    ]
    found = plain(explanations.of_runs(pd.DataFrame(runs), summary["comparison"]))
    return found | summary | {"interaction": found["interaction"]}


def claims(summary: Summary) -> list[str]:
    """Every sentence, the verdict first."""
    further = (
        _floor, _groups, _interaction, _targets, _positive_control, _retrieval, _manipulation,
        _seen, _gap, _mediation, _relearned, _beside,
    )  # fmt: skip
    found = (make(summary) for make in further) if summary["comparison"]["n_blocks"] else ()
    return [verdict(summary), *filter(None, found)]


def listed(sentences: Iterable[str]) -> str:
    """Sentences as a Markdown list."""
    return "".join(f"- {sentence}\n" for sentence in sentences)


def shown(summary: Summary) -> Markdown:
    """Every sentence, as a notebook shows it."""
    return Markdown(listed(claims(summary)))


def effect(row: Mapping[str, Any]) -> str:
    """A row's theta and interval: "-3.52 [-4.19, -2.84]"."""
    theta, low, high = (row.get(key) for key in ("theta", "low", "high"))
    if theta is None or pd.isna(theta):
        return UNKNOWN
    unknown = low is None or pd.isna(low)
    return f"{theta:+.2f} [{UNKNOWN}]" if unknown else f"{theta:+.2f} [{low:+.2f}, {high:+.2f}]"


def verdict(summary: Summary) -> str:
    """The verdict, of these intermediate tasks, with the effect of each beside it; where the
    language is not hidden it begins with that, and it ends with what the average does not show.
    """
    if not summary["comparison"]["n_blocks"]:
        return summary["verdict"]
    tasks = summary["comparison"]["per_intermediate"]
    effects = "; ".join(f"{row['intermediate']} {effect(row)}" for row in tasks)
    effects += _no_less(*(row["n_blocks"] for row in tasks)) if tasks else ""
    effects = effects or "one block each, so that no effect of a single one is estimable"
    said = f"{_of_the_gate(summary)}For the intermediate tasks tried here ({effects}): "
    return said + " ".join(filter(None, [summary["verdict"], *_beneath(summary)]))


def _least(blocks: int) -> float:
    """The least p that sign flips of so many blocks can give."""
    return 2 / 2**blocks


def _no_less(*blocks: int) -> str:
    """What p cannot be below with so few blocks each, where that is above alpha."""
    floor = _least(max(blocks))
    each = f"{max(blocks):.0f} blocks" + " each" * (len(blocks) > 1)
    return f"; {each}, no p below {p_format(floor)}" if floor > ALPHA else ""


def _of_the_gate(summary: Summary) -> str:
    """Whether the language is hidden and at what cost, where that is not as it should be."""
    lost = " and ".join(row["reader"] for row in _kept(summary) if row["passed"] == "no")
    if (is_hidden := hidden(summary)) is None:
        return ""
    said = []
    if not is_hidden:
        said.append("does not hide the language, so that this says little of what hiding would do")
    elif lost:
        said.append(f"hides the language at the cost of {lost}")
    tasks = _hidden_after(summary) if is_hidden else {}
    if read_after := [task for task, hidden_there in tasks.items() if not hidden_there]:
        said += [] if lost else ["hides the language in the mean over intermediate tasks"]
        said.append(f"after {' and '.join(read_after)}, taken by itself, it is not hidden")
    return f"By its gate {summary['treatment']} {'; '.join(said)}. " if said else ""


def _beneath(summary: Summary) -> Iterable[str]:
    """What an average may cover: retrieval, groups of both signs, a baseline that is worth nothing
    on the average though some target passes.
    """
    differ: dict[str, list[str]] = {"better": [], "worse": []}
    for row in summary.get("groups", []):
        if row["theta"] is not None and row["p_holm"] is not None and row["p_holm"] <= ALPHA:
            differ["better" if row["theta"] > 0 else "worse"].append(row["part"])
    if all(differ.values()):
        parts = [f"{' and '.join(names)} {word}" for word, names in differ.items()]
        yield f"Groups differ in sign: {', '.join(parts)}."
    for row in summary.get("means", [])[-1:]:
        yield f"{row['part'].capitalize()} {effect(row)}."
    control = summary.get("positive_control", [])
    average = next((row for row in control if row["kind"] == "average"), None)
    targets = [row["gate"] == PASSED for row in control if row["kind"] == "target"]
    if average and average["gate"] != PASSED and any(targets):
        text = f"On the average {summary['baseline']} does not pass the gate above none"
        yield f"{text} ({effect(average)})."


def hidden(summary: Summary) -> bool | None:
    """Whether every fresh probe passes the manipulation gate; None where there is none."""
    rows = [row for row in summary.get("manipulation", []) if row["reader"] in explanations.FRESH]
    return all(row["passed"] == "yes" for row in rows) if rows else None


def _hidden_after(summary: Summary) -> dict[str, bool]:
    """By intermediate task whether the language is hidden; {} where fewer than two were probed."""
    columns = ["reader", "intermediate", "passed"]
    rows = pd.DataFrame(summary.get("manipulation_by_task", []), columns=columns)
    tasks = explanations.hidden_after(rows)
    return tasks if len(tasks) > 1 else {}


def _kept(summary: Summary) -> list[Mapping[str, Any]]:
    """What the treatment must not lose, where it was probed."""
    names = explanations.KEPT.values()
    return [row for row in summary.get("manipulation", []) if row["reader"] in names]


def _floor(summary: Summary) -> str:
    """p at its floor is said to be that, of the whole and of each intermediate task."""
    c, said = summary["comparison"], []
    if c["p"] == (floor := _least(c["n_blocks"])):
        said.append(f"p {_p(floor)} is the floor of {c['n_blocks']} blocks, no sign flip can")
        said[0] += " give less: the blocks agree, and it says nothing beyond that."
    for row in c["per_intermediate"]:
        blocks = row["n_blocks"]
        at = f", the floor of {blocks} blocks" * (row["p_raw"] == _least(blocks))
        p = f"p = {p_format(row['p_raw'])}{at}, {p_format(row['p_holm'])} by Holm"
        said.append(f"After {row['intermediate']} alone {p}.")
    return " ".join(said)


def _groups(summary: Summary) -> str:
    """Groups of targets and the mean without retrieval, which are named in advance."""
    rows = [row for row in summary.get("groups", []) if row["theta"] is not None]
    if not rows:
        return ""
    said = [f"{row['part']} {effect(row)} (p {_p(row['p_holm'])})" for row in rows]
    text = f"By Holm over {len(rows)} groups of targets, behind no gate: {', '.join(said)}."
    row = summary["means"][-1]
    return f"{text} {row['part'].capitalize()} {effect(row)} (p {_p(row['p'])}, not adjusted)."


def _interaction(summary: Summary) -> str:
    row = next((r for r in summary.get("interaction", []) if r["target"] == ALL), None)
    if not row or row["p"] is None:
        return ""
    f = f"F({row['df_between']}, {row['df_within']}) = {row['F']:.1f}, p {_p(row['p'])}"
    differ = "The intermediate tasks differ in the effect"
    if row["p"] > ALPHA:
        differ = "That the intermediate tasks differ in the effect is not shown"
    return f"{differ} ({f}, {row['blocks']} blocks, test items as given). Exploratory."


def _p(p: float) -> str:
    return f"< {text[1:]}" if (text := p_format(p)).startswith("<") else f"= {text}"


def _on_pairs(summary: Summary, pairs: list[tuple[str, str]]) -> str:
    """The treatment's effect on pairs of intermediate task and target, in points."""
    rows = {row["target"]: row for row in summary.get("interaction", [])}
    means = {pair: rows.get(pair[1], {}).get(f"{AFTER}{pair[0]}") for pair in pairs}
    found = [f"{task} to {target} {d:+.2f}" for (task, target), d in means.items() if d is not None]
    arms = f"{summary['treatment']} - {summary['baseline']}"
    text = f"Described: there the mean of {arms} (drawn down: {summary['baseline']}'s scores chose "
    text += "the pairs)"
    return f"{text} is: {', '.join(found)} points." if found else ""


def _targets(summary: Summary) -> str:
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


def _positive_control(summary: Summary) -> str:
    """Baseline minus none: with interval and gate, else how many targets' scores are above."""
    baseline, rows = summary["baseline"], summary.get("positive_control", [])
    targets = [row for row in rows if row["kind"] == "target"]
    if targets:
        average = next(row for row in rows if row["kind"] == "average")
        effects = "; ".join(f"{row['part']} {effect(row)}" for row in targets)
        passed = [row["part"] for row in targets if row["gate"] == PASSED]
        pairs = [row for row in rows if row["kind"] == "pair"]
        helped = [(r["intermediate"], r["part"]) for r in pairs if r["gate"] == PASSED]
        text = f"Positive control, {baseline} - none, points: {effect(average)} ({effects}). The "
        text += f"gate is passed on {len(passed)} of {len(targets)} targets"
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


def _trains(target: str) -> bool | None:
    """Whether a target has training of its own: all but plain retrieval; None: in no table."""
    try:
        task = find_task(target, "target")
    except ValueError:
        return None
    return task.format != "retrieval" or task.trained


def _retrieval(summary: Summary) -> str:
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
    why = "Targets differ in the sign of the effect" if c["gate"] else "The average does not reject"
    if not c["gate"] or min(parts.values()) < 0 < max(parts.values()):
        return f"{why}, so that plain retrieval has no share of an effect to be told.{said}"
    share = 100 * sum(parts[name] for name in plain) / sum(parts.values())
    of = f"{100 * sum(weight[name] for name in plain):.0f} % of the weight"
    text = f"Plain retrieval ({', '.join(plain)}), for which nothing is trained, carries "
    return f"{text}{share:.0f} % of the effect with {of}.{said}"


def _manipulation(summary: Summary) -> str:
    rows = {row["reader"]: row for row in summary.get("manipulation", [])}
    own = rows.get(explanations.READERS["own"])
    fresh = [row for name, row in rows.items() if name in explanations.FRESH]
    arms = summary["treatment"], summary["baseline"]
    if not fresh:
        text = f"Whether {arms[0]} hides the language was not probed beside {arms[1]}"
        return f"{text}: a null says nothing."
    reads = [
        f"a {row['reader']} reads {row['treatment']:.0f} % (after {arms[1]} {row['baseline']:.0f}; "
        f"half-way to chance: {row['bound']:.0f})"
        for row in fresh
    ]
    text = f"Language left after {arms[0]} (chance {fresh[0]['chance']:.0f} %, last layer, "
    text += f"{fresh[0]['blocks']} blocks probed): {', '.join(reads)}"
    if own:
        text += f", its own discriminator {own['treatment']:.0f} %"
    for row in _kept(summary):
        text += f"; {row['reader']} {row['treatment']:.1f} (gate: at least {row['bound']:.1f})"
    tasks, rows = _hidden_after(summary), pd.DataFrame(summary.get("manipulation_by_task", []))
    for task, is_hidden in tasks.items():
        own = rows[rows.intermediate == task].sort_values("passed", kind="stable")  # "no" is first
        read = own[own.reader.isin(explanations.FRESH)].iloc[0]
        text += f". After {task} a {read.reader} reads {read.treatment:.0f} % (after {arms[1]} "
        text += f"{read.baseline:.0f}; half-way {read.bound:.0f}; {'not ' * (not is_hidden)}hidden)"
        lost = own.reader.isin(explanations.KEPT.values()) & (own.passed == "no")
        for row in own[lost].itertuples():
            text += f", {row.reader} is {row.treatment:.1f} (gate: at least {row.bound:.1f})"
    if hidden(summary):
        read_after = " and ".join(task for task, is_hidden in tasks.items() if not is_hidden)
        but = f"; after {read_after} a null is one of the manipulation" if read_after else ""
        return f"{text}. By the gate, at most half-way, the language is hidden in the mean{but}."
    text += ". By the gate, at most half-way for every fresh probe, it is not hidden: a null says "
    return f"{text}little, and a difference need not come from hiding it."


def _seen(summary: Summary) -> str:
    rows = {row["part"]: row for row in summary.get("seen_and_unseen", [])}
    if not {"seen", "unseen"} <= set(rows):
        return ""
    parts = [f"{effect(rows[k])} (Holm {p_format(rows[k]['p_holm'])})" for k in ("seen", "unseen")]
    text = f"In languages whose text the discriminator read {parts[0]}, in others {parts[1]}"
    for row in summary.get("seen_unseen", []):
        text += f"; with targets' levels taken out they differ by {row['difference']:+.2f} "
        text += f"(languages dealt out anew: p {_p(row['p_languages'])})"
    return f"{text}. Exploratory."


def _gap(summary: Summary) -> str:
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


def _mediation(summary: Summary) -> str:
    parts: dict[str, list[str]] = {}
    for row in summary.get("mediation", []):
        once = row["groups"] > 1 or row["scope"] == "all runs"  # of one group it is the same again
        if row["target"] == ALL and row["r"] is not None and once:
            own = parts.setdefault(f"{row['measure']} ({row['runs']} runs)", [])
            own.append(f"{row['r']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] {row['scope']}")
    found = "; ".join(f"{measure} {', '.join(own)}" for measure, own in parts.items())
    return f"Correlation of the change of score with that of {found}; {NO_PROOF}." if found else ""


def _relearned(summary: Summary) -> str:
    """Language before and after a target's fine-tuning, by arm."""
    rows = summary.get("relearned", [])
    if not rows:
        return ""
    parts = [f"{r['arm']} {r['before']:.0f} and {r['after']:.0f} ({r['blocks']})" for r in rows]
    text = "Language that a fresh linear probe reads before and after a target's fine-tuning, % "
    return f"{text}(chance {rows[0]['chance']:.0f}; in brackets blocks): {', '.join(parts)}."


def _beside(summary: Summary) -> str:
    """Arms beside the planned two, and what the treatment is to its controls."""
    rows = [*summary.get("arms_against_baseline", []), *summary.get("contrasts", [])]
    planned = summary["treatment"], summary["baseline"]
    parts = [
        f"{row['arm']} - {row['against']} {effect(row)} ({row['blocks']:.0f} blocks"
        f"{_no_less(row['blocks'])})"
        for row in rows
        if row["theta"] is not None and (row["arm"], row["against"]) != planned
    ]
    return f"Described, without a correction over arms: {', '.join(parts)}." if parts else ""


def arm_claims(summary: Summary) -> list[str]:
    """Of a study of many arms: the planned comparison, what corrections leave, and the rest, which
    is inconclusive and not nothing.
    """
    rows = summary["arms_against_baseline"]
    known = [row for row in rows if row["theta"] is not None]
    found = [f"Planned, without a correction over arms. {verdict(summary)}", _floor(summary)]
    tested = [row for row in known if None not in (row["p_max_t"], row["p_holm"])]
    both = [r for r in tested if max(r["p_max_t"], r["p_holm"]) <= ALPHA]
    said = [f"{row['arm']} {effect(row)}" for row in both]
    if not tested:
        found.append("The blocks are too few to adjust p over arms: the table describes.")
    elif both:
        found.append(f"Both corrections over {len(tested)} arms pass: {', '.join(said)}.")
    else:
        text = f"**No arm passes both corrections, maxT and Holm over {len(tested)} arms: none "
        text += f"of them is claimed to differ from {summary['baseline']}.**{_never(tested)}"
        found.append(text)
    for word, about in {
        "equivalent": "Equivalent to {} within the margin, each by itself",
        "inconclusive": "Inconclusive, neither told apart from {} nor placed within the margin",
    }.items():
        if names := [row["arm"] for row in known if row["verdict"] == word]:
            found.append(f"{about.format(summary['baseline'])}: {', '.join(names)}.")
    doses = [row for row in summary["dose_response"] if row["theta"] is not None]
    if len(doses) > 1:
        each = "; ".join(f"{row['lambda_max']:g}: {effect(row)}" for row in doses)
        found.append(f"Points by lambda_max of {summary['treatment']}: {each}.")
    found += [_positive_control(summary), _manipulation(summary), _seen(summary)]
    found += [_mediation(summary), _relearned(summary)]
    return [*filter(None, found)]


def _never(rows: Sequence[Mapping[str, Any]]) -> str:
    """That none could pass, where it is so."""
    blocks = max(int(row["blocks"]) for row in rows)
    floor = _least(blocks)
    if (least := floor * len(rows)) <= ALPHA:
        return ""
    text = f" With {blocks} blocks p is at least {p_format(floor)}, and Holm makes "
    return f"{text}{p_format(least)} of it: no arm could."
