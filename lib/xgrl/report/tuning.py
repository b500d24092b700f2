"""`make tune`: from a study's trials to its settings.

The trials are a study of their own (`xgrl.execution.trials`), run by the same grid. What was
selected goes to ``tuning.json`` beside them and into the study file, as a block ``tuned`` between
two comments that goes over the rest of the file.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from xgrl import stats
from xgrl.arms import arm_spec
from xgrl.execution.checks import Refused, check_study
from xgrl.execution.grid import parameters_of_runs, runs_of_part
from xgrl.execution.trials import SUFFIX, by_arm, study_of_trials, trials_of
from xgrl.report import packs, selection
from xgrl.report.completeness import first_three, mismatches
from xgrl.report.explanations import RUN, checkpoints, gate_of
from xgrl.report.load_study import other_parameters
from xgrl.runs import records
from xgrl.runs.differences import processor
from xgrl.runs.params import load_study
from xgrl.runs.study_files import find_study, parse

FILE, SECOND = "tuning.json", "-dev"  # arms as the second selector chose them
MARKERS = ("# tuned:start", "# tuned:end")
PUBLISHED = Path("outputs", "reference")
Found = dict[str, Any]


class Tuning:
    """The trials of a study as far as they have come.

    name: of the study; its file is in the folder `params`. Raises ValueError where the file is
    wrong, its block ``tuning`` too, and where finished trials have other parameters.
    """

    def __init__(self, name: str, params: str | Path = "params"):
        self.file = Path(params, f"{name}.yaml")
        config = find_study(name, params)
        self._around()  # refuses a block without its end before any trial runs
        self.config = {key: value for key, value in config.items() if key != "tuned"}
        self._derive()
        self.study = load_study(self.config)
        self.folder = Path(self.study.outputs, name + SUFFIX)
        self.arms = {arm: trials_of(self.study.tuning, arm) for arm in self.study.tuning.arms}
        self.baseline = self.study.scientific.baseline
        self.result: Found = {}
        if self.unfinished(1):
            return
        scores, probes, said = self._read(self.arms[self.baseline])
        own = selection.trial_table(scores, probes)
        chosen, _ = selection.first_selector(own)
        self._derive(chosen)
        self.result = {"study": name, "complete": False, "baseline": self.baseline}
        self.result |= self.study.tuning.model_dump(exclude={"arms", "second_seeds"})
        self.result["gate"] = selection.gate(scores, chosen)
        if not self.unfinished(2):
            names = [trial for trials in self.arms.values() for trial in trials]
            scores, probes, said = self._read(names)
            self.result |= self._selected(scores, probes, chosen) | {"complete": True}
        self.result["mixed"] = said

    def _derive(self, chosen: str = "") -> None:
        """The study of trials and its runs' parameters, once the baseline's trial is `chosen`."""
        self.design = study_of_trials(self.config, chosen)
        self.jobs = parameters_of_runs(load_study(self.design))

    def parts(self, stage: int) -> dict[str, list[str]]:
        """The runs of each part of a stage: 1, none and the baseline's trials; 2, all others."""
        first = ("none", *self.arms[self.baseline])
        parts = packs.parts_of(self.design).items()
        arm = {part: part.partition(":")[0].partition(".")[2] or "none" for part, _ in parts}
        return {part: runs for part, runs in parts if (arm[part] in first) == (stage == 1)}

    def unfinished(self, stage: int) -> list[str]:
        """The parts of a stage of which a run, or 01, is missing or has other parameters."""
        prepared = {"prepared": records.prepared_folder(self.folder)}

        def done(run: str) -> bool:
            home = prepared.get(run, self.folder / run)
            there = (home / "run.json").exists()
            return there and not other_parameters(records.read(home)["parameters"], self.jobs[run])

        of_01 = done("prepared")
        return [
            part for part, runs in self.parts(stage).items() if not (of_01 and all(map(done, runs)))
        ]

    def _read(self, trials: Any) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
        """Scores and probes of these trials and none, a row a run, and what differs among them;
        beside them what was measured of each checkpoint, as `points`.
        """
        scores, probes, read, runs = [], [], [], []
        for name, job in self.jobs.items():
            if name == "prepared" or job["arm"] not in ("none", *trials):
                continue
            record = records.verify_hashes(self.folder / name, "parallel.csv")
            read.append((name, record))
            found = record["metrics"]
            row = {"trial": job["arm"], "intermediate": job["intermediate"], "seed": job["seed"]}
            runs.append({"phase": record["phase"], **{key: job[key] for key in RUN}, **found})
            if "target" in job:
                row |= {"english": found["dev_accuracy"], "development": found["macro"]}
                scores.append(row | {"target": job["target"]})
            elif record["phase"] == "probe":
                row |= {key: found[key] for key in ("chance", "rank")}
                row["language"] = max(found["accuracy"], found["mlp"])
                pairs = pd.read_csv(self.folder / name / "parallel.csv")
                last = pairs[(pairs.stage == "intermediate") & (pairs.layer == pairs.layer.max())]
                probes.append(row | {"gap": last.gap.mean()})
        table = pd.DataFrame(scores).astype({"english": float})
        self.points = checkpoints(pd.DataFrame(runs))
        kinds = pd.Series([processor(record) for _, record in read], dtype=str)
        self.result["processors"] = kinds.value_counts().to_dict()
        return table, pd.DataFrame(probes), mismatches(read, self.folder.name)

    def _selected(self, scores: pd.DataFrame, probes: pd.DataFrame, chosen: str) -> Found:
        """What both selectors choose of every arm, all trials and the oracle."""
        table, rows, picked, bounds = selection.trial_table(scores, probes), [], {}, []
        reference = table.loc[chosen]
        for arm, trials in self.arms.items():
            own, is_baseline = table.loc[list(trials)], arm == self.baseline
            first, given_up = selection.first_selector(own, None if is_baseline else reference)
            second = selection.second_selector(own)
            picked[arm] = {"first": first, "second": second, "given_up": given_up}
            best = selection.oracle(scores[scores.trial.isin(trials)]).assign(arm=arm)
            bounds.append(best)
            gates = [gate_of(self.points, chosen, trial) for trial in own.index]
            amiss, hidden = zip(*gates, strict=True)
            own = own.assign(arm=arm, amiss="" if is_baseline else amiss)
            own["hidden_after"] = "" if is_baseline else hidden
            own["chosen"] = [
                " and ".join(s for s, name in picked[arm].items() if name == trial)
                for trial in own.index
            ]
            own["oracle"] = best.trial.value_counts().reindex(own.index, fill_value=0)
            rows.append(own.rename_axis("trial").reset_index())
        trials = pd.concat(rows, ignore_index=True)
        return {
            "trials": trials[["arm", *trials.columns.drop("arm")]],
            "chosen": picked,
            "oracle": pd.concat(bounds, ignore_index=True),
        }

    def tuned(self) -> Found:
        """The block of the study file that gives arms the settings that were selected.

        The baseline's are those of all arms, but for what another arm was tuned by; the treatment's
        are the default of what only other arms have, but a strength of an arm's own keeps its dose.
        Where the second selector chose otherwise, its arms have `SECOND` behind their names, and so
        has what they are compared with, whose rates and steps they have too.
        """
        s, n, picked = self.study.scientific, self.study.nuisance, self.result["chosen"]

        def settings(arm: str, selector: str) -> Found:
            both = (self.arms[name][picked[name][selector]] for name in (self.baseline, arm))
            return next(both) | next(both)

        base = settings(self.baseline, "first")
        values = {"default": settings(s.treatment, "first") | base}
        if "steps" in base:  # a task's own would go before the default
            values |= {arm: {"steps": base["steps"]} for arm in s.arms if arm_spec(arm).trains}
        values |= {arm: settings(arm, "first") for arm in self.arms}
        if "dose" in values["default"]:
            for arm in ({*s.arms} & {*n.lambda_max}) - {*n.dose, *self.arms}:
                values[arm] = values.get(arm, {}) | {"dose": n.dose["default"]}
        other = [arm for arm in self.arms if picked[arm]["first"] != picked[arm]["second"]]
        second = [arm for arm in self.arms if arm in other or self.baseline in other]
        values |= {arm + SECOND: settings(arm, "second") for arm in second}
        scientific: Found = {"arms": [arm + SECOND for arm in second]} if second else {}
        given = self.study.tuning.second_seeds or s.probe_seeds
        if second and s.probe_arms and {*given} & {*s.probe_seeds}:
            scientific["probe_arms"] = [*scientific["arms"]]
        if self.baseline in other:
            pairs = {arm + SECOND: self.baseline + SECOND for arm in second if arm != self.baseline}
            scientific["baselines"] = pairs
        if seeds := self.study.tuning.second_seeds:
            scientific["seeds"] = {arm + SECOND: seeds for arm in second}
        return {"scientific": scientific, "nuisance": by_arm(self.study, values)}

    def save(self) -> None:
        """Write ``tuning.json`` and, when all trials are there, the block ``tuned``."""
        path = self.folder / FILE
        complete = self.result["complete"]
        # what the study's settings were selected by stays until there is another choice
        if complete or not (path.exists() and json.loads(path.read_bytes()).get("complete")):
            records.write_json(path, stats.plain(self.result))
        if not complete:
            return
        block = self.tuned()
        check_study(self.config | {"tuned": block})
        start, end = MARKERS
        before, after = self._around()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        heading = f"{start}: by make tune, over what stands above; {FILE} {digest[:16]}"
        text = f"{before}\n{heading}\n{_yaml({'tuned': block})}{end}\n{after}"
        parse(text, self.file)
        records.write_bytes(self.file, text.encode())

    def _around(self) -> tuple[str, str]:
        """The study file before and after the block ``tuned``."""
        start, end = MARKERS
        before, opened, rest = self.file.read_text(encoding="utf-8").partition(start)
        _, closed, after = rest.partition(end)
        if opened and not closed:
            todo = "write it below the block tuned, so that what stands under that is kept"
            raise Refused(f"{self.file}: {start!r} without {end!r}; {todo}")
        return before.rstrip(), after.partition("\n")[2]


def _yaml(values: Found) -> str:
    return yaml.safe_dump(values, sort_keys=False, width=120, default_flow_style=None)


def next_parts(name: str, stage: int, part: str) -> tuple[list[str], list[str]]:
    """What a stage of a study's tuning is to run, and what to say before it.

    part: some parts of the study of trials, as `make study` takes them; "" all. The file of that
    study is written, or anew once the baseline's settings are known. Returns parts, and sentences.
    """
    tuning = Tuning(name)
    path = tuning.file.with_name(f"{name}{SUFFIX}.yaml")
    head = f"# The trials of params/{name}.yaml, written by make tune STUDY={name}.\n"
    text = (head + _yaml(stats.plain(tuning.design))).encode()
    if path.exists() and not path.read_bytes().startswith(head.encode()):
        raise Refused(f"{path}: not written by make tune, which would write over it; rename it")
    if not path.exists() or path.read_bytes() != text:
        records.write_bytes(path, text)
    asked = runs_of_part(load_study(tuning.design), part) if part else []
    wanted = [p for p, runs in tuning.parts(stage).items() if not part or {*runs} & {*asked}]
    if stage == 1:
        return wanted, []
    if missing := tuning.unfinished(1):
        waiting = f"the baseline's trials come first; missing: {' '.join(missing)}"
        return [], [waiting] * bool(wanted)
    tuning.save()
    return wanted, [describe_gate(tuning.result)]


def finish(name: str) -> list[str]:
    """Write what was selected, once all trials are there; what to say."""
    tuning = Tuning(name)
    if missing := [*tuning.unfinished(1), *tuning.unfinished(2)]:
        return [f"{len(missing)} parts are missing: {' '.join(missing)}"]
    tuning.save()
    found = stats.plain(tuning.result)
    said = [
        f"{arm}: {row['first']}, second selector {row['second']}"
        for arm, row in found["chosen"].items()
    ]
    return [describe_gate(found), *said, *failures(found, tuning.study.scientific.treatment)]


def describe_gate(result: Found) -> str:
    """Which pairs pass the gate, in a sentence."""
    rows = pd.DataFrame(result["gate"])
    own = rows[rows.passed].itertuples()
    shown = [f"{row.intermediate} to {row.target} {row.development:+.1f}" for row in own]
    text = f"gate: {len(shown)} of {len(rows)} pairs pass, points on development languages: "
    return text + (", ".join(shown) or "none")


def find(outputs: str | Path, name: str, params: str | Path = "params") -> Found:
    """The ``tuning.json`` of a study, of its own trials or as published: the one that the block
    ``tuned`` of its file was made of, else the first, which is ``unmatched`` then; {} without both.
    """
    own = Path(outputs, name + SUFFIX, FILE), PUBLISHED / name / "tuning" / FILE
    paths, file = [path for path in own if path.exists()], Path(params, f"{name}.yaml")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    heading = re.search(f"{MARKERS[0]}.* (\\w+)\n", text)
    made_of = [p for p in paths if heading and records.hash_file(p).startswith(heading[1])]
    result = json.loads([*made_of, *paths][0].read_bytes()) if paths else {}
    return result | ({"unmatched": True} if heading and not made_of else {})


def failures(result: Found, treatment: str) -> list[str]:
    """What the verdict of a tuned study must say first."""
    said = []
    if result.get("unmatched"):
        said.append("the settings were selected by other trials than those that are here")
    if "gate" in result and not any(row["passed"] for row in result["gate"]):
        said.append("gate: the intermediate task helps no target in the tuning trials")
    if mixed := result.get("mixed"):
        said.append(f"tuning trials do not belong together: {first_three(mixed)}")
    chosen = result.get("chosen", {}).get(treatment)
    for row in result.get("trials", []) if chosen else ():
        if row["trial"] == chosen["first"] and row["amiss"]:
            read = f"a fresh probe reads {row['language']:.0f} %, chance {row['chance']:.0f} %"
            amiss = f"{row['amiss']}; {read}"
            said.append(f"manipulation gate not reached by {treatment} as tuned ({amiss})")
    if chosen and chosen["given_up"]:
        conditions = " and ".join(chosen["given_up"])
        said.append(
            f"no trial of {treatment} within a point of its best English development score keeps "
            f"all that the baseline has; given up: {conditions}"
        )
    return said


def tables(result: Found) -> Iterator[pd.DataFrame]:
    """The gate, all trials and the oracle of a study as tables; none where it was not tuned. One
    more where trials ran on several kinds of processor, which no test compares.
    """
    for key in ("gate", "trials", "oracle"):
        if result.get(key):
            yield pd.DataFrame(result[key])
    if len(kinds := result.get("processors", {})) > 1:
        yield pd.DataFrame(kinds.items(), columns=["processor", "runs of trials"])
