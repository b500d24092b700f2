"""Do runs belong together: made by one code, with one set of versions and the parameters that all
runs of a study share, and the runs of a block by one kind of processor?

Records are compared with one another, never with what is installed where they are read. What an old
record does not say is "unknown", which differs from all that is known.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xgrl.runs.code import KINDS, UNKNOWN
from xgrl.runs.params import BY_ARM, OPTIONS

BLOCK = "processor of block "  # so begins a sentence on one; runs of a block are compared
# parameters that no result depends on, that say which run it is, that a task has of its own
NO_RESULT = ("outputs", "workers", "keep_encoder", "keep_model", *OPTIONS)
CELL = ("intermediate", "arm", "seed", "target")
BY_TASK = ("steps", "batch_size", "first_steps", "train_from")


def differences(records: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """In what records of one study differ that should be equal: a sentence each for the code of a
    phase, a version, a parameter, a block's processor; none where the runs belong together.

    records: names of runs, which the sentences use, and their ``run.json``.
    """
    records, found = list(records), {}
    names = list(dict.fromkeys(name for _, record in records for name in record["versions"]))
    for run, record in records:
        facts = {f"version of {name}": record["versions"].get(name, "none") for name in names}
        for what, value in (facts | dict(_facts(record))).items():
            found.setdefault(what, {}).setdefault(value, []).append(run)
    return [
        f"{what}: " + ", ".join(f"{value} in {len(r)} (first {r[0]})" for value, r in kinds.items())
        for what, kinds in found.items()
        if len(kinds) > 1
    ]


def processor(record: Mapping[str, Any]) -> str:
    """The kind of processor that made a run."""
    return record.get("environment", {}).get("processor", UNKNOWN)


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is equal in all records that say something of this name."""
    phase, given = record["phase"], {"train_from": None} | record["parameters"]
    code = record.get("code") or dict.fromkeys(KINDS, UNKNOWN)
    yield f"code of {phase}", " and ".join(f"{kind} {code[kind]}" for kind in KINDS)
    if "seed" in given:
        yield f"{BLOCK}{given['intermediate']}:{given['seed']}", processor(record)
    for key in (key for key in given if key not in NO_RESULT):
        of = given.get("target") or given.get("intermediate") if key in BY_TASK else "all runs"
        if phase == "intermediate" and key in (*BY_ARM, "steps"):
            of = given["arm"] if key in BY_ARM else f"{of}, {given['arm']}"
        if phase == "prepare" or key not in CELL:
            yield f"{key} of {phase}, {of}", json.dumps(given[key], sort_keys=True)
