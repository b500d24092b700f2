"""The analysis plan: what was fixed before the study ran, and where the study that ran departs from
it.

A plan is a markdown file with a YAML front matter that restates its prose for a machine.
`params/analysis_plan.<study>.md` is the plan of that study; `params/analysis_plan.md` that of the
study which its front matter names. A study without one says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from xgrl.report.load_study import Study
from xgrl.runs.params import nearest_names
from xgrl.stats import ALPHA

FIELDS = (
    "study", "date", "baseline", "treatment", "margin", "alpha", "unit", "targets", "intermediate", "seeds", "weights",
    "lambda_max", "domains", "discriminator_languages", "exclusions",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A registered plan: its file, the sha256 of its bytes, and the front matter."""

    path: Path
    sha256: str
    fields: Mapping[str, Any]

    @property
    def weights(self) -> dict[str, float] | None:
        """Weights of the targets for `stats.compare`; None where they are equal."""
        given = self.fields["weights"]
        return None if given == "equal" else dict(given)


def find_plan(study: str, folder: str | Path = "params") -> Plan | None:
    """The plan registered for a study, or None.

    Raises:
        ValueError: a plan without front matter, or with other fields than `FIELDS`, or for another
            study than its name says.
    """
    own, common = Path(folder) / f"analysis_plan.{study}.md", Path(folder) / "analysis_plan.md"
    for path in (own, common):
        if not path.exists():
            continue
        data = path.read_bytes()
        parts = data.decode().split("---\n")
        fields = yaml.safe_load(parts[1]) if len(parts) >= 3 and not parts[0].strip() else None
        if not isinstance(fields, dict):
            raise ValueError(
                f"{path}: begins without front matter; need its fields between two lines of ---"
            )
        if wrong := set(fields) ^ set(FIELDS):
            field = sorted(wrong)[0]
            found = (
                f"is missing {field!r}" if field in FIELDS else f"has an unknown field {field!r}"
            )
            raise ValueError(f"{path}: front matter {found}; {nearest_names(field, FIELDS)}")
        if fields["study"] == study:
            return Plan(path, hashlib.sha256(data).hexdigest(), fields)
        if path == own:
            raise ValueError(f"{path}: is the plan of study {fields['study']!r}, need {study!r}")
    return None


def deviations(
    plan: Plan, study: Study, baseline: str, treatment: str, margin: float
) -> pd.DataFrame:
    """What was planned beside what is there: item, planned, found, ok; one row an item of the front
    matter.

    Arms beside the two that are compared are additions to the study, not departures: they change
    nothing of the comparison.
    """
    paired = study.runs[(study.runs.phase == "target") & study.runs.arm.isin([baseline, treatment])]
    trained = study.runs[(study.runs.phase == "intermediate") & (study.runs.arm == treatment)]
    found: dict[str, Any] = {
        "study": study.name,
        "baseline": baseline,
        "treatment": treatment,
        "margin": margin,
        "alpha": ALPHA,
        "unit": "block",
        "weights": plan.fields["weights"],
        "exclusions": "none",
    }
    found |= {
        key: sorted(paired[name].unique().tolist())
        for key, name in (("targets", "target"), ("intermediate", "intermediate"))
    }
    seeds = paired.groupby("intermediate").seed.nunique()
    found["seeds"] = int(seeds.iloc[0]) if seeds.nunique() == 1 else seeds.tolist()
    for key in ("lambda_max", "domains"):
        values = sorted(trained[key].dropna().unique().tolist()) if key in trained else []
        found[key] = "not recorded" if not values else values[0] if len(values) == 1 else values
    chance = (
        trained["discriminator_chance"].dropna()
        if "discriminator_chance" in trained
        else pd.Series(dtype=float)
    )
    found["discriminator_languages"] = (
        round(100 / chance.iloc[0]) if len(chance) else "not recorded"
    )
    rows = []
    for key, planned in plan.fields.items():
        if key == "date":
            continue
        planned = sorted(planned) if isinstance(planned, list) else planned
        rows.append(
            (key.replace("_", " "), _text(planned), _text(found[key]), planned == found[key])
        )
    wanted = len(plan.fields["intermediate"]) * plan.fields["seeds"]
    rows.append(("blocks", str(wanted), str(int(seeds.sum())), int(seeds.sum()) == wanted))
    return pd.DataFrame(rows, columns=["item", "planned", "found", "ok"])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
