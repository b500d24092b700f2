"""The analysis plan: what was fixed before the study ran, and where the study departs from it.

A plan is a markdown file with a YAML front matter that restates its prose for a machine
(`xgrl.runs.plans`); a study without one says so. Its date is that of the first commit that holds
it. Every run's record has the hash of the plan at its time, and a study's runs count where that is
a committed version, whichever: a typo that is mended later makes no run void. What a later edit
cannot do is move the goal: the study is held against the **oldest version that any run carries**,
and all that was changed since is shown. Runs that are older than the plan are refused. Where no
run's record says anything, all are from before plans were recorded, which the report says.
"""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl.report.completeness import KEYS
from xgrl.report.load_study import UNPLANNED, UNRECORDED, Study
from xgrl.runs import plans
from xgrl.runs.params import nearest_names
from xgrl.runs.study_files import parse
from xgrl.stats import ALPHA
from xgrl.stats.alignment import stretches

FIELDS = (
    "study", "date", "baseline", "treatment", "margin", "alpha", "unit", "targets", "intermediate",
    "seeds", "weights", "lambda_max", "domains", "discriminator_languages", "exclusions",
)  # fmt: skip
WEIGHTS = ("equal", "groups")  # targets weigh the same, or groups of targets (scientific.average)


@dataclass(frozen=True)
class Plan:
    """A plan: file, bytes that hold, front matter, committed versions, oldest first (or None)."""

    path: Path
    data: bytes
    fields: Mapping[str, Any]
    versions: list[plans.Version] | None = None

    @property
    def sha256(self) -> str:
        return plans.Version(self.data, "", "").sha256

    @property
    def weights(self) -> dict[str, float] | None:
        """Weights of the targets, where the plan lists them; None for equal targets or groups."""
        given = self.fields["weights"]
        return dict(given) if isinstance(given, Mapping) else None


def find_plan(study: str, folder: str | Path = "params") -> Plan | None:
    """The plan of a study as its file is now, or None.

    Raises ValueError for a plan without front matter, with other fields than `FIELDS`, or for
    another study than its name says.
    """
    if not (path := plans.plan_file(study, folder)):
        return None
    data = path.read_bytes()
    fields = _front_matter(path, data)
    if fields["study"] != study:
        raise ValueError(f"{path}: is the plan of study {fields['study']!r}, need {study!r}")
    return Plan(path, data, fields, plans.versions(path))


def _front_matter(path: Path, data: bytes) -> dict[str, Any]:
    before, *front = data.decode().split("---\n", 2)
    fenced = len(front) == 2 and not before.strip()
    fields = parse(f"\n{front[0]}", path) if fenced else None  # line 1 is its ---
    if not isinstance(fields, dict):
        todo = "need its fields between two lines of ---"
        raise ValueError(f"{path}: begins without front matter; {todo}")
    for field in sorted(set(fields) ^ set(FIELDS)):
        wrong = "is missing" if field in FIELDS else "has an unknown field"
        raise ValueError(f"{path}: front matter {wrong} {field!r}; {nearest_names(field, FIELDS)}")
    if not isinstance(w := fields["weights"], dict) and w not in WEIGHTS:
        todo = f"need {' or '.join(WEIGHTS)}, or a weight for each target"
        raise ValueError(f"{path}: front matter weights: found {w!r}, {todo}")
    return fields


def registered_plan(study: Study, folder: str | Path = "params") -> Plan | None:
    """The plan that a study is held against: the oldest version that any of its runs carries, else
    what the file says now; None without a plan.

    Raises ValueError, naming all of them, for runs that are older than the plan: made when there
    was none, or under a text that no commit holds; and for runs whose record does not say beside
    others that do. Without a history only the first of these is known, and refused.
    """
    plan = find_plan(study.name, folder)
    carried = study.runs["plan"]
    if plan is None or (carried == UNRECORDED).all():
        return plan
    committed = {version.sha256: version for version in plan.versions or ()}
    allowed = {plan.sha256, *committed}
    if plan.versions is None:
        allowed |= set(carried) - {UNPLANNED, UNRECORDED}
    if len(older := study.runs[~carried.isin(allowed)]):
        names = older[["phase", *KEYS]].astype(str).agg(" ".join, axis=1)
        wrong = (names + " (plan " + older["plan"].str[:12] + ")").tolist()
        found = f"{len(wrong)} runs are older than the plan, or of a text that no commit holds"
        todo = "delete their run.json and say make study again, or take the plan away"
        raise ValueError(f"{plan.path}: {found}; {todo}: {'; '.join(wrong)}")
    oldest = next((v for digest, v in committed.items() if digest in set(carried)), None)
    if oldest is None:
        return plan
    fields = plan.fields
    with suppress(ValueError):  # of before the front matter, or with other fields
        fields = _front_matter(plan.path, oldest.data)
    return replace(plan, data=oldest.data, fields=fields)


def history(plan: Plan, study: Study) -> Iterator[str]:
    """Lines on a plan's date, its runs, and what was changed in it since: since the version that
    the study is held against, or where runs do not say theirs since the first commit.
    """
    now, first, since = plan.path.read_bytes(), None, plan.data
    unsaid = bool((study.runs["plan"] == UNRECORDED).all())
    yield f"{plan.path}, which dates itself {plan.fields['date']}, sha256 {plan.sha256}"
    if plan.versions:
        first = plan.versions[0]
        yield f"first committed {first.date} ({first.commit[:10]}, sha256 {first.sha256[:12]})"
        since = first.data if unsaid else since
        if now not in {version.data for version in plan.versions}:
            yield "as it is now, no commit holds it"
    else:
        none = "no commit holds it" if plan.versions == [] else "no history of it is here"
        yield f"{none}: when it was written is not known"
    if unsaid:
        yield "run before plans were recorded: no record says that the plan came before the runs"
    else:
        counts = study.runs["plan"].value_counts()
        yield "runs by plan: " + ", ".join(f"{n} under {name[:12]}" for name, n in counts.items())
    texts = (data.decode().splitlines() for data in (since, now))
    changed = list(difflib.unified_diff(*texts, "then", "now", lineterm="", n=0))
    beginning = "the first commit" if unsaid else "the version that the study is held against"
    yield f"changed since {beginning}: {'' if changed else 'nothing'}"
    yield from changed


def summary(plan: Plan, study: Study) -> dict[str, Any]:
    """What summary.json says of a plan: file, sha256 of the version that the study is held against,
    the first commit and its date (None: unknown), and `history`.
    """
    first = plan.versions[0] if plan.versions else plans.Version(b"", None, None)
    known = {"first_commit": first.commit, "first_committed": first.date}
    said = {"history": list(history(plan, study))}
    return {"file": str(plan.path), "sha256": plan.sha256} | known | said


def deviations(plan: Plan, study: Study, baseline: str, treatment: str, margin) -> pd.DataFrame:
    """What was planned beside what is there: item, planned, found, ok.

    Arms beside the two compared are additions, no departures: the comparison stays as it is.
    """
    block, arms = ["intermediate", "seed"], [baseline, treatment]
    paired, _ = stretches(study.predictions, [*block, "arm", "target"])  # what is compared
    paired = paired[paired.arm.isin(arms)].astype({"intermediate": str})
    there = study.of_phase("target")
    there, kept = (
        pd.MultiIndex.from_frame(rows[block]) for rows in (there[there.arm.isin(arms)], paired)
    )
    left = [f"{task} seed {seed}" for task, seed in there.difference(kept)]
    trained = study.of_phase("intermediate", "lambda_max", "domains", "discriminator_chance")
    trained = trained[trained.arm == treatment]
    seeds = paired.groupby("intermediate").seed.nunique()
    # guessing among so many languages
    languages = (100 / trained.discriminator_chance.dropna().astype(float)).round().astype(int)
    found: dict[str, Any] = {"study": study.name, "baseline": baseline, "treatment": treatment}
    found |= {"margin": margin, "alpha": ALPHA, "unit": "block"}
    found |= {"exclusions": ", ".join(left) or "none"}
    weights = "equal" if plan.fields["weights"] == "groups" else plan.fields["weights"]
    found |= {
        "targets": sorted(paired.target.unique().tolist()),
        "intermediate": sorted(paired.intermediate.unique().tolist()),
        "seeds": int(seeds.iloc[0]) if seeds.nunique() == 1 else seeds.tolist(),
        "weights": "groups" if study.average == "groups" else weights,
        "lambda_max": _recorded(trained.lambda_max),
        "domains": _recorded(trained.domains),
        "discriminator_languages": _recorded(languages),
    }
    rows = []
    for key, planned in plan.fields.items():
        if key != "date":
            planned = sorted(planned) if isinstance(planned, list) else planned
            equal = planned == found[key]
            rows.append((key.replace("_", " "), _text(planned), _text(found[key]), equal))
    blocks, wanted = int(seeds.sum()), len(plan.fields["intermediate"]) * plan.fields["seeds"]
    rows.append(("blocks", str(wanted), str(blocks), blocks == wanted))
    return pd.DataFrame(rows, columns=["item", "planned", "found", "ok"])


def _recorded(values: pd.Series) -> Any:
    """The one value of all runs, or the list of them; "not recorded" where no run has one."""
    kinds = sorted(values.dropna().unique().tolist())
    return kinds[0] if len(kinds) == 1 else kinds or "not recorded"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
