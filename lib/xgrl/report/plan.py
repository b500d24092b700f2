"""The analysis plan: what was fixed before the study ran, and where the study departs from it.

A plan is a markdown file with a YAML front matter that restates its prose for a machine.
`params/analysis_plan.<study>.md` is the plan of that study; `params/analysis_plan.md` that of the
study which its front matter names. A study without one says so.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl.report.load_study import Study
from xgrl.runs.params import nearest_names
from xgrl.runs.study_files import parse
from xgrl.stats import ALPHA

FIELDS = (
    "study", "date", "baseline", "treatment", "margin", "alpha", "unit", "targets", "intermediate",
    "seeds", "weights", "lambda_max", "domains", "discriminator_languages", "exclusions",
)  # fmt: skip
WEIGHTS = ("equal", "groups")  # targets weigh the same, or groups of targets (scientific.average)


@dataclass(frozen=True)
class Plan:
    """A registered plan: its file, the sha256 of its bytes, and the front matter."""

    path: Path
    sha256: str
    fields: Mapping[str, Any]

    @property
    def weights(self) -> dict[str, float] | None:
        """Weights of the targets, where the plan lists them; None for equal targets or groups."""
        given = self.fields["weights"]
        return dict(given) if isinstance(given, Mapping) else None


def find_plan(study: str, folder: str | Path = "params") -> Plan | None:
    """The plan registered for a study, or None.

    Raises ValueError for a plan without front matter, with other fields than `FIELDS`, or for
    another study than its name says.
    """
    own, common = Path(folder) / f"analysis_plan.{study}.md", Path(folder) / "analysis_plan.md"
    for path in (own, common):
        if not path.exists():
            continue
        data = path.read_bytes()
        before, *front = data.decode().split("---\n", 2)
        fenced = len(front) == 2 and not before.strip()
        fields = parse(f"\n{front[0]}", path) if fenced else None  # line 1 is its ---
        if not isinstance(fields, dict):
            todo = "need its fields between two lines of ---"
            raise ValueError(f"{path}: begins without front matter; {todo}")
        for field in sorted(set(fields) ^ set(FIELDS)):
            wrong = "is missing" if field in FIELDS else "has an unknown field"
            nearest = nearest_names(field, FIELDS)
            raise ValueError(f"{path}: front matter {wrong} {field!r}; {nearest}")
        if not isinstance(w := fields["weights"], dict) and w not in WEIGHTS:
            todo = f"need {' or '.join(WEIGHTS)}, or a weight for each target"
            raise ValueError(f"{path}: front matter weights: found {w!r}, {todo}")
        if fields["study"] == study:
            return Plan(path, hashlib.sha256(data).hexdigest(), fields)
        if path == own:
            raise ValueError(f"{path}: is the plan of study {fields['study']!r}, need {study!r}")
    return None


def deviations(plan: Plan, study: Study, baseline: str, treatment: str, margin) -> pd.DataFrame:
    """What was planned beside what is there: item, planned, found, ok.

    Arms beside the two that are compared are additions to the study, not departures: they change
    nothing of the comparison.
    """
    paired = study.of_phase("target")
    paired = paired[paired.arm.isin([baseline, treatment])]
    trained = study.of_phase("intermediate", "lambda_max", "domains", "discriminator_chance")
    trained = trained[trained.arm == treatment]
    seeds = paired.groupby("intermediate").seed.nunique()
    # guessing among so many languages
    languages = (100 / trained.discriminator_chance.dropna().astype(float)).round().astype(int)
    found: dict[str, Any] = {"study": study.name, "baseline": baseline, "treatment": treatment}
    found |= {"margin": margin, "alpha": ALPHA, "unit": "block", "exclusions": "none"}
    weights = "equal" if plan.fields["weights"] == "groups" else plan.fields["weights"]
    found |= {
        "targets": sorted(paired.target.unique().tolist()),
        "intermediate": sorted(paired.intermediate.unique().tolist()),
        "seeds": int(seeds.iloc[0]) if seeds.nunique() == 1 else seeds.tolist(),
        "weights": "groups" if study.average == "groups" else weights,
        "lambda_max": _recorded(trained.lambda_max),
        "domains": _recorded(trained.domains),
        "discriminator_languages": _recorded(languages.iloc[:1]),
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
