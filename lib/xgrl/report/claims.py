"""What may be said of a study, as sentences that are made of the rows of its summary.json.

README, report and first page show these and no others, so that no sentence outlives its numbers.
The verdict stands first, with what it rests on; superior and inferior are said as better and worse.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown

from xgrl.report import explanations, sentences
from xgrl.report.explanations import AFTER
from xgrl.report.positive_control import NOT_SHOWN, PASSED
from xgrl.report.sentences import Summary
from xgrl.stats import ALPHA, p_format, plain

OF_A_STUDY = (
    sentences.floor, sentences.groups, sentences.interaction, sentences.targets,
    sentences.positive_control, sentences.published, sentences.retrieval, sentences.manipulation,
    sentences.seen, sentences.gap, sentences.mediation, sentences.relearned, sentences.beside,
)  # fmt: skip
OF_MANY_ARMS = (
    sentences.positive_control, sentences.manipulation, sentences.seen, sentences.mediation,
    sentences.relearned,
)  # fmt: skip


def parsed(path: str | Path) -> dict[str, Any]:
    """A summary.json as it is; ValueError, naming the file, for what is none."""
    try:
        summary = json.loads(Path(path).read_bytes())
        summary["comparison"], summary["table"], summary["study"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no summary of a study ({error!r}); make report writes it"
        ) from None
    return summary


def read(path: str | Path) -> dict[str, Any]:
    """A summary.json; one of before effects by task, with what a runs.json beside it allows."""
    summary, records = parsed(path), Path(path).parent.parent / "runs.json"
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
    found = (make(summary) for make in OF_A_STUDY) if summary["comparison"]["n_blocks"] else ()
    return [verdict(summary), *filter(None, found)]


def arm_claims(summary: Summary) -> list[str]:
    """Of a study of many arms: the planned comparison, what corrections leave, and the rest, which
    is inconclusive and not nothing.
    """
    rows = summary["arms_against_baseline"]
    known = [row for row in rows if row["theta"] is not None]
    planned = f"Planned, without a correction over arms. {verdict(summary)}"
    found = [planned, sentences.floor(summary)]
    tested = [row for row in known if None not in (row["p_max_t"], row["p_holm"])]
    both = [r for r in tested if max(r["p_max_t"], r["p_holm"]) <= ALPHA]
    said = [f"{row['arm']} {sentences.effect(row)}" for row in both]
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
        each = "; ".join(f"{row['lambda_max']:g}: {sentences.effect(row)}" for row in doses)
        found.append(f"Points by lambda_max of {summary['treatment']}: {each}.")
    found += [make(summary) for make in OF_MANY_ARMS]
    return [*filter(None, found)]


def verdict(summary: Summary) -> str:
    """`headline`, and behind it the checks that failed."""
    return " ".join(filter(None, [headline(summary), failed_checks(summary)]))


def failed_checks(summary: Summary) -> str:
    """What stands behind the finding in a comparison's verdict: the checks that failed, or ""."""
    return summary["verdict"].removeprefix(summary["comparison"]["sentence"]).lstrip()


def headline(summary: Summary) -> str:
    """The verdict, of these intermediate tasks, with the effect of each beside it; where a gate is
    not passed it begins with that, and it ends with what the average does not show.
    """
    if not summary["comparison"]["n_blocks"]:
        return summary["comparison"]["sentence"]
    tasks = summary["comparison"]["per_intermediate"]
    effects = "; ".join(f"{row['intermediate']} {sentences.effect(row)}" for row in tasks)
    if tasks:
        blocks = sentences.no_less(max(row["n_blocks"] for row in tasks))
        effects += f"; {'each of ' * (len(tasks) > 1)}{blocks}"
    effects = effects or "one block each, so that no effect of a single one is estimable"
    found = f"For the intermediate tasks tried here ({effects}):", summary["comparison"]["sentence"]
    said = [_of_the_gate(summary), _of_the_control(summary), *found, *_beneath(summary)]
    return " ".join(filter(None, said))


def _of_the_gate(summary: Summary) -> str:
    """Whether the language is hidden and at what cost, where that is not as it should be."""
    lost = " and ".join(row["reader"] for row in sentences.kept(summary) if row["passed"] == "no")
    if (is_hidden := sentences.hidden(summary)) is None:
        return ""
    said = []
    if not is_hidden:
        said.append("does not hide the language, so that this says little of what hiding would do")
    elif lost:
        said.append(f"hides the language at the cost of {lost}")
        said.append("the gate is not passed, and a null is one of the manipulation")
    tasks = sentences.hidden_after(summary) if is_hidden else {}
    if read_after := [task for task, hidden_there in tasks.items() if not hidden_there]:
        said += [] if lost else ["hides the language in the mean over intermediate tasks"]
        said.append(f"after {' and '.join(read_after)}, taken by itself, it is not hidden")
    return f"By its gate {summary['treatment']} {'; '.join(said)}." if said else ""


def _of_the_control(summary: Summary) -> str:
    """That the baseline is above none on no target, or not on the average, where it is so."""
    control = [r for r in summary.get("positive_control", []) if r["gate"] != sentences.UNKNOWN]
    average = next((row for row in control if row["kind"] == "average"), None)
    passed = any(row["gate"] == PASSED for row in control if row["kind"] == "target")
    if average is None or (passed and average["gate"] == PASSED):
        return ""
    where = "is not passed on the average" if passed else "is passed on no target"
    why = f"{average['gate']}, " * (average["gate"] not in (PASSED, NOT_SHOWN))
    why += f"mean {sentences.effect(average)}"
    return f"The gate, {summary['baseline']} above none, {where} ({why})."


def _beneath(summary: Summary) -> Iterable[str]:
    """What an average may cover: groups of both signs, and retrieval."""
    differ: dict[str, list[str]] = {"better": [], "worse": []}
    for row in summary.get("groups", []):
        if row["theta"] is not None and row["p_holm"] is not None and row["p_holm"] <= ALPHA:
            differ["better" if row["theta"] > 0 else "worse"].append(row["part"])
    if all(differ.values()):
        parts = [f"{' and '.join(names)} {word}" for word, names in differ.items()]
        yield f"Groups differ in sign: {', '.join(parts)}."
    for row in summary.get("means", [])[-1:]:
        yield f"{row['part'].capitalize()} {sentences.effect(row)}."


def _never(rows: Sequence[Mapping[str, Any]]) -> str:
    """That none could pass, where it is so."""
    blocks = max(int(row["blocks"]) for row in rows)
    floor = sentences.least_p(blocks)
    if (least := floor * len(rows)) <= ALPHA:
        return ""
    text = f" With {blocks} blocks p is at least {sentences.floor_of(blocks)}, and Holm makes "
    return f"{text}{p_format(least)} of it: no arm could."


def listed(claimed: Iterable[str]) -> str:
    """Sentences as a Markdown list."""
    return "".join(f"- {sentence}\n" for sentence in claimed)


def shown(summary: Summary) -> Markdown:
    """Every sentence, as a notebook shows it."""
    return Markdown(listed(claims(summary)))
