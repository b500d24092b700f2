"""Parameters: what a study file and each notebook's parameters cell may contain.

Two kinds of models, both frozen and closed (an unknown key is an error):

* `Study`: a study file (``params/base.yaml`` merged with ``params/<study>.yaml``), in the three
  blocks of the Deep Learning Tuning Playbook: *scientific* (what is compared), *nuisance* (tuned,
  the same budget in every arm) and *fixed*.
* one `Job` a notebook: the flat values of its parameters cell. The defaults are those of the smoke
  study, so that a notebook opened by hand runs offline in seconds.

`Study.job` turns the first into the second. Names of tasks, arms and languages are checked in
`xgrl.execution.execute`, which knows the tables; here live types and ranges.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

NAME, NAME_OR_NONE = r"^[A-Za-z0-9][A-Za-z0-9_-]*$", r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$"
ARM = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
FOLDER = r"^[^{}\x00-\x1f\x7f]+$"  # braces are wildcards to Snakemake
PATTERNS = {  # in words
    NAME: "allowed: letters, digits, _ and -, the first a letter or digit",
    NAME_OR_NONE: "allowed: letters, digits, _ and -, the first a letter or digit; or nothing",
    ARM: "allowed: letters, digits, _, . and -, the first a letter or digit",
    FOLDER: "allowed: a path without braces and control characters",
}
Name = Annotated[str, StringConstraints(pattern=NAME)]
Names = Annotated[list[Name], Field(max_length=200)]
Arm = Annotated[str, StringConstraints(pattern=ARM)]  # a variant may end in a number: dann-0.01
Arms = Annotated[list[Arm], Field(max_length=200)]
Domains = Literal["languages", "binary"]
Features = Literal["pooled", "tokens"]
Count = Annotated[int, Field(ge=1)]
Parts = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Folder = Annotated[str, StringConstraints(pattern=FOLDER)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Sources = Annotated[
    list[Literal["packages", "hub", "files", "own", "fixture"]],
    Field(min_length=1, description="in order of preference"),
]
Layer = Annotated[int, Field(ge=-1)]
Weight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


# settings that an arm may have of its own
BY_ARM = ("lambda_max", "domains", "discriminator_features", "discriminator_layer")


class Closed(BaseModel):
    """A frozen model that refuses unknown keys and does not turn one type into another (``"1e-3"``
    is no number).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Optimisation(Closed):
    """What one training stage needs; the same for every arm."""

    steps: dict[Name, Count] = Field(
        description="optimiser steps by task; 'default' for the others, '<task>-first' for a first stage"
    )
    batch_size: dict[Name, Count] = Field(
        description="labelled examples a step, by task; 'default' for the others"
    )
    learning_rate: Rate
    head_learning_rate: Rate
    weight_decay: Weight
    warmup: Annotated[float, Field(ge=0, le=1)] = Field(
        description="share of the steps with rising learning rate"
    )
    max_grad_norm: Annotated[float, Field(gt=0)]

    def flat(self, task: str) -> dict[str, Any]:
        """The values for one task, with its own steps and batch size."""
        steps, sizes = self.steps, self.batch_size
        own = {
            "steps": steps.get(task, steps.get("default")),
            "batch_size": sizes.get(task, sizes.get("default")),
        }
        return self.model_dump() | own | {"first_steps": steps.get(f"{task}-first", 0)}


class Scientific(Closed):
    """What the study compares."""

    intermediate: Annotated[Names, Field(min_length=1)]
    arms: Annotated[Arms, Field(min_length=2)]
    targets: Annotated[Names, Field(min_length=1)]
    languages: Names = Field(description="target languages; empty = every language of each target")
    unlabelled_languages: Annotated[Names, Field(min_length=2)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    baseline: Arm
    treatment: Arm
    margin: Annotated[float, Field(gt=0)] = Field(
        description="equivalence margin in points, fixed in advance"
    )
    probe_arms: Arms = Field(description="arms whose checkpoints are probed")
    probe_seeds: list[Seed]
    probe_target: Annotated[str, StringConstraints(pattern=NAME_OR_NONE)] = Field(
        description="target after whose fine-tuning checkpoints are probed again; empty = none"
    )


class Nuisance(Closed):
    """Tuned on English development data, with the same budget in every arm."""

    intermediate: Optimisation
    target: Optimisation
    unlabelled_batch_size: Count
    discriminator_learning_rate: Rate = Field(
        description="of whatever an arm trains beside encoder and head"
    )
    lambda_max: dict[Arm, Weight] = Field(
        description="an arm's strength, by arm; 'default' for the others"
    )
    domains: dict[Arm, Domains] = Field(description="what a discriminator tells apart, by arm")
    discriminator_features: dict[Arm, Features] = Field(
        description="what it sees of a text, by arm"
    )
    discriminator_layer: dict[Arm, Layer] = Field(
        description="layer that it reads, by arm; -1 = last"
    )

    def of_arm(self, arm: str, method: str) -> dict[str, Any]:
        """The values for one arm: its own, else those of the method it is a variant of, else the
        default.
        """
        found = {}
        for key in BY_ARM:
            values = getattr(self, key)
            found[key] = values.get(arm, values.get(method, values["default"]))
        return found


class Fixed(Closed):
    """Held constant over the study; changing one of them makes it another study."""

    encoder: Annotated[str, Field(min_length=1)]
    sources: Sources
    path: str
    trained_layers: Layer = Field(description="top layers that are trained; -1 = all")
    retrieval_layer: Layer = Field(
        description="layer whose mean pool searches where no dual encoder is trained; -1 = last"
    )
    mixture_cap: Count = Field(
        description="largest size at which a task counts in the multi-task mixture"
    )
    max_length: Annotated[int, Field(ge=8, le=8192)]
    train_rows: Count
    dev_rows: Count
    test_rows: Count
    retrieval_rows: Count
    unlabelled_rows: Count
    probe_rows: Count
    prepare_workers: Annotated[int, Field(ge=1, le=64)]
    threads: Annotated[int, Field(ge=1, le=64)]
    device: Literal["cpu", "cuda"]
    micro_batch_size: Parts = Field(
        description="sequences that go through the encoder at once in training; 0 = all of a batch"
    )
    memory_mb: Count = Field(
        description="what a job asks a cluster for; 01 asks for half as much again"
    )
    runtime_minutes: Count = Field(description="longest time a job asks a cluster for")
    master_seed: Seed


class Job(Closed):
    """What every notebook's parameters cell holds."""

    study: Name = "smoke"
    outputs: Folder = "outputs"


class PrepareJob(Job):
    """01_prepare: model and data of the whole study."""

    encoder: str = "tiny"
    sources: Sources = ["fixture"]
    path: str = ""
    intermediate: Names = ["sarcasm", "question-type"]
    targets: Names = ["intent", "emoji-names"]
    languages: Names = ["en", "de", "es", "fr", "ja", "ru"]
    unlabelled_languages: Names = ["en", "de", "es", "fr"]
    arms: Arms = []
    trained_layers: Layer = 2
    max_length: Annotated[int, Field(ge=8, le=8192)] = 32
    train_rows: Count = 300
    dev_rows: Count = 100
    test_rows: Count = 40
    retrieval_rows: Count = 40
    unlabelled_rows: Count = 100
    probe_rows: Count = 40
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    master_seed: Seed = 2005


class TrainingJob(Job):
    """What both training stages share."""

    seed: Seed = 0
    steps: Count = 60
    batch_size: Count = 16
    learning_rate: Rate = 1.0e-3
    head_learning_rate: Rate = 1.0e-2
    weight_decay: Weight = 0.01
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    device: Literal["cpu", "cuda"] = "cpu"
    micro_batch_size: Parts = 0
    master_seed: Seed = 2005


class IntermediateJob(TrainingJob):
    """02_intermediate: one (intermediate task, arm, seed)."""

    intermediate: Name = "sarcasm"
    arm: Arm = "dann"
    unlabelled_batch_size: Count = 16
    discriminator_learning_rate: Rate = 5.0e-3
    lambda_max: Weight = 0.05
    domains: Domains = "languages"
    discriminator_features: Features = "pooled"
    discriminator_layer: Layer = -1
    mixture_cap: Count = 131_072


class TargetJob(TrainingJob):
    """03_target: one (checkpoint, target task, seed); intermediate and arm are both "none" for the
    public encoder.
    """

    intermediate: Name = "sarcasm"
    arm: Arm = "dann"
    target: Name = "intent"
    first_steps: Annotated[int, Field(ge=0)] = 0
    retrieval_layer: Layer = -1
    keep_encoder: bool = True

    @model_validator(mode="after")
    def _none_is_none(self) -> TargetJob:
        if (self.arm == "none") != (self.intermediate == "none"):
            raise ValueError(
                f"intermediate={self.intermediate!r} with arm={self.arm!r}: either both are "
                f"'none' or neither is"
            )
        return self


class ProbeJob(Job):
    """04_probe: one checkpoint."""

    intermediate: Name = "sarcasm"
    arm: Arm = "dann"
    seed: Seed = 0
    probe_target: Annotated[str, StringConstraints(pattern=NAME_OR_NONE)] = "intent"
    threads: Annotated[int, Field(ge=1, le=64)] = 1


class AnalysisJob(Job):
    """05_analysis: the study."""

    baseline: Arm = "standard"
    treatment: Arm = "dann"
    margin: Annotated[float, Field(gt=0)] = 1.0
    calibration_draws: Annotated[int, Field(ge=0, le=100_000)] = 200


JOBS: dict[str, type[Job]] = {
    "01_prepare": PrepareJob,
    "02_intermediate": IntermediateJob,
    "03_target": TargetJob,
    "04_probe": ProbeJob,
    "05_analysis": AnalysisJob,
}


class Study(Closed):
    """A study file: ``params/base.yaml`` merged with ``params/<study>.yaml``."""

    study: Name
    outputs: Folder
    calibration_draws: Annotated[int, Field(ge=0, le=100_000)]
    scientific: Scientific
    nuisance: Nuisance
    fixed: Fixed

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        s, n, f = self.scientific, self.nuisance, self.fixed
        for key in (
            "intermediate",
            "arms",
            "targets",
            "languages",
            "unlabelled_languages",
            "seeds",
            "probe_arms",
        ):
            values = getattr(s, key)
            if len(set(values)) != len(values):
                raise ValueError(f"scientific.{key}: {values} names something twice")
        for key in ("baseline", "treatment"):
            if getattr(s, key) not in s.arms:
                raise ValueError(
                    f"scientific.{key}: {getattr(s, key)!r} is not among the arms {s.arms}"
                )
        if s.baseline == s.treatment:
            raise ValueError(f"scientific.treatment: {s.treatment!r} is the baseline itself")
        if "en" not in s.unlabelled_languages:
            raise ValueError(
                "scientific.unlabelled_languages: 'en' is missing; the discriminator tells "
                "English from others"
            )
        if s.probe_target and s.probe_target not in s.targets:
            raise ValueError(
                f"scientific.probe_target: {s.probe_target!r} is not among the targets {s.targets}"
            )
        if not set(s.probe_seeds) <= set(s.seeds):
            raise ValueError(
                f"scientific.probe_seeds: {s.probe_seeds} are not all among the seeds {s.seeds}"
            )
        for stage, tasks in (("intermediate", s.intermediate), ("target", s.targets)):
            for key in ("steps", "batch_size"):
                given = getattr(getattr(n, stage), key)
                if missing := [t for t in tasks if t not in given and "default" not in given]:
                    raise ValueError(
                        f"nuisance.{stage}.{key}: nothing for {missing} and no 'default'"
                    )
        if ("files" in f.sources) != bool(f.path):
            raise ValueError(
                f"fixed.path={f.path!r}: source 'files' needs the folder that holds them, other "
                f"sources have none"
            )
        return self

    def job(self, notebook: str, method: str = "", **wildcards: Any) -> dict[str, Any]:
        """The flat parameters of one notebook's job.

        Args:
            notebook: its name without suffix, a key of `JOBS`.
            method: the line of the table of arms that the wildcard ``arm`` belongs to, "" where
                there is none.
            wildcards: what tells this job from the others (``intermediate``, ``arm``, ``target``,
                ``seed``).

        Returns:
            a dict that validates as ``JOBS[notebook]``, every field present.
        """
        s, n, f = self.scientific, self.nuisance, self.fixed
        pool: dict[str, Any] = {
            "study": self.study,
            "outputs": self.outputs,
            "calibration_draws": self.calibration_draws,
        }
        pool |= s.model_dump() | f.model_dump()
        pool |= {k: getattr(n, k) for k in ("unlabelled_batch_size", "discriminator_learning_rate")}
        pool |= {
            "workers": f.prepare_workers,
            "arms": [],
        }  # of 01: `xgrl.execution.grid.arms_with_texts`
        pool |= wildcards
        if notebook == "02_intermediate":
            pool |= n.intermediate.flat(wildcards["intermediate"]) | n.of_arm(
                wildcards["arm"], method
            )
        if notebook == "03_target":
            pool |= n.target.flat(wildcards["target"])
            probed = (
                wildcards["target"],
                wildcards["arm"] in s.probe_arms,
                wildcards["seed"] in s.probe_seeds,
            )
            pool["keep_encoder"] = probed == (s.probe_target, True, True)
        fields = JOBS[notebook].model_fields
        return validate(notebook, {k: pool[k] for k in fields})


def nearest_names(name: str, allowed: Iterable[str]) -> str:
    """Half a sentence for an error message: the nearest match, where there is one, and all that is
    allowed.
    """
    allowed = sorted(map(str, allowed))
    near = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def explain(error: ValidationError, model: type[BaseModel], what: str) -> str:
    """What a model found wrong, in one line: keys, values, and what is allowed."""
    lines = []
    for e in error.errors():
        key = ".".join(
            part if isinstance(part, str) and part.isprintable() else repr(part)
            for part in e["loc"]
        )
        if e["type"] == "extra_forbidden":
            owner: Any = model
            for part in e["loc"][:-1]:
                owner = owner.model_fields[part].annotation
            lines.append(
                f"{key}={_shown(e['input'])}: unknown key; "
                f"{nearest_names(e['loc'][-1], owner.model_fields)}"
            )
        elif e["type"] == "missing":
            lines.append(f"{key}: missing")
        elif not key:
            lines.append(e["msg"].removeprefix("Value error, "))
        else:
            lines.append(f"{key}={_shown(e['input'])} ({type(e['input']).__name__}): {_reason(e)}")
    return f"{what}: " + "; ".join(lines)


def _reason(error: Any) -> str:
    """What pydantic found, and where YAML or a pattern is behind it, what to write."""
    said = PATTERNS.get(error.get("ctx", {}).get("pattern", ""), error["msg"])
    if error["type"] in ("float_type", "int_type") and isinstance(error["input"], str):
        with suppress(ValueError):
            float(error["input"])
            return (
                f"{said}; YAML reads this as text: write 1.0e-3 with a dot, whole numbers in digits"
            )
    return said


def _shown(value: Any) -> str:
    """A value in one line of an error message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def load_study(config: dict[str, Any]) -> Study:
    """A checked `Study` from the merged mapping of the study files; ValueError names key, value and
    what is allowed.
    """
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        raise ValueError(
            explain(error, Study, f"study file {config.get('study', '?')!r}")
        ) from None


def validate(notebook: str, values: dict[str, Any]) -> dict[str, Any]:
    """The complete parameters of one notebook, defaults filled in; ValueError names key, value and
    what is allowed.
    """
    if notebook not in JOBS:
        raise ValueError(
            f"notebook={notebook!r}: no such notebook; {nearest_names(notebook, JOBS)}"
        )
    try:
        return JOBS[notebook].model_validate(values).model_dump()
    except ValidationError as error:
        raise ValueError(explain(error, JOBS[notebook], notebook)) from None
