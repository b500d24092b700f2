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

import difflib
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from datetime import date
from math import prod
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

T = TypeVar("T", bound=BaseModel)
NAME, NAME_OR_NONE = r"^[A-Za-z0-9][A-Za-z0-9_-]*$", r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$"
ARM = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
TASK = r"^((intermediate|target)/)?[A-Za-z0-9][A-Za-z0-9_-]*$"
STEPS = r"^([A-Za-z0-9][A-Za-z0-9_.-]*/)?[A-Za-z0-9][A-Za-z0-9_-]*$"
FOLDER = r"^[^{}\x00-\x1f\x7f]+$"  # braces are wildcards to Snakemake
PATTERNS = {  # in words
    NAME: "allowed: letters, digits, _ and -, the first a letter or digit",
    NAME_OR_NONE: "allowed: letters, digits, _ and -, the first a letter or digit; or nothing",
    ARM: "allowed: letters, digits, _, . and -, the first a letter or digit",
    TASK: "allowed: a task's name, or role/name",
    STEPS: "allowed: a task's name or 'default', or arm/name",
    FOLDER: "allowed: a path without braces and control characters",
}
Name = Annotated[str, StringConstraints(pattern=NAME)]
Names = Annotated[list[Name], Field(max_length=200)]
Arm = Annotated[str, StringConstraints(pattern=ARM)]  # a variant may end in a number: dann-0.01
Arms = Annotated[list[Arm], Field(max_length=200)]
Domains = Literal["languages", "binary"]
Features = Literal["pooled", "tokens"]
ONE, EACH = "<one>", "<each>"  # kinds of a value that may differ by name; in no error message


def _unless(value: Any, **default: Any) -> Any:
    """A field that is in a run's parameters only where it has another value than this."""
    return Field(exclude_if=lambda given: given == value, **default)


def _by(name: Any, value: Any) -> Any:
    """The type of a value, or of a mapping of such values by name."""
    one, each = Annotated[value, Tag(ONE)], Annotated[dict[name, value], Tag(EACH)]
    kind = Discriminator(lambda given: EACH if isinstance(given, dict) else ONE)
    return Annotated[one | each, kind]


Average = Annotated[Literal["targets", "groups"], _unless("targets")]
Count = Annotated[int, Field(ge=1)]
Items = Annotated[int, Field(ge=2)]  # of a test: of a single one no comparison can be made
Parts = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = _by(Arm, Annotated[list[Seed], Field(min_length=1)])
Folder = Annotated[str, StringConstraints(pattern=FOLDER)]
Rate = Annotated[float, Field(gt=0, le=1)]
Rates = _by(Arm, Rate)
Source = Literal["packages", "hub", "files", "own", "fixture"]
# a value for all tasks, or by task: 'default', a name, or role/name where both roles have it
ByTask = Annotated[str, StringConstraints(pattern=TASK)]
# in order of preference; also of the texts 'unlabelled' and 'parallel'
Sources = _by(ByTask, Annotated[list[Source], Field(min_length=1)])
Languages = _by(ByTask, Names)
TrainFrom = Annotated[dict[Name, Name], _unless({})]
Rows, TestRows = _by(ByTask, Count), _by(ByTask, Items)
Layer = Annotated[int, Field(ge=-1)]
_LAYER, _ALL = Annotated[Layer, Tag(ONE)], Annotated[Literal["all"], Tag(EACH)]
LayerOrAll = Annotated[_LAYER | _ALL, Discriminator(lambda x: EACH if isinstance(x, str) else ONE)]
Layers = Annotated[list[Layer], _unless([])]
Weight = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Warmup = Annotated[float, Field(ge=0, lt=1)]  # something has to come after it
Dose = Literal["lambda", "ratio"]
Length = Annotated[int, Field(ge=8, le=8192)]  # tokens
Workers = Annotated[int, Field(ge=1, le=64)]
Draws = Annotated[int, Field(ge=0, le=100_000)]
Device = Literal["cpu", "cuda"]
# of a running job; no result depends on them, and where they are not set no run says so
OPTIONS, MINUTES = ("checkpoint_minutes", "report_to"), 10.0
REPORTS = ("tensorboard", "wandb", "mlflow")
Minutes = Annotated[float, _unless(MINUTES, ge=0)]
Reports = Annotated[list[Literal[REPORTS]], _unless([])]
NameOrNone = Annotated[str, StringConstraints(pattern=NAME_OR_NONE)]

# what makes a discriminator keep up; in a run's parameters only where it is not the default
ADVERSARY = (
    "discriminator_updates", "discriminator_warmup", "discriminator_width", "discriminator_depth",
    "discriminators", "discriminator_renewal", "dose",
)  # fmt: skip
RATES = ("learning_rate", "head_learning_rate", "discriminator_learning_rate")
# settings that an arm may have of its own
BY_ARM = (
    "lambda_max", "domains", "discriminator_features", "discriminator_layer", *ADVERSARY, *RATES,
)  # fmt: skip


class Closed(BaseModel):
    """Frozen; refuses unknown keys, numbers not finite, other types (``"1e-3"`` is no number)."""

    model_config = {"extra": "forbid", "frozen": True, "strict": True, "allow_inf_nan": False}


class Optimisation(Closed):
    """What one training stage needs; the same for every arm."""

    # optimiser steps by task; 'default' for the others, '<task>-first' for a first stage
    steps: dict[Name, Count]
    batch_size: dict[Name, Count]  # labelled examples a step, by task; 'default' for the others
    learning_rate: Rate
    head_learning_rate: Rate
    weight_decay: Weight
    warmup: Share  # share of the steps with rising learning rate
    max_grad_norm: Positive

    def flat(self, task: str) -> dict[str, Any]:
        """The values for one task, with its own steps and batch size."""
        own = {"first_steps": self.steps.get(f"{task}-first", 0)}
        for key in ("steps", "batch_size"):
            by_task = getattr(self, key)
            own[key] = by_task.get(task, by_task.get("default"))
        return self.model_dump() | own


class IntermediateOptimisation(Optimisation):
    """The same of the intermediate stage, where an arm may have rates and steps of its own."""

    # also by arm/task and arm/default
    steps: dict[Annotated[str, StringConstraints(pattern=STEPS)], Count]
    learning_rate: Rates
    head_learning_rate: Rates

    def steps_of(self, task: str, arm: str, method: str) -> int:
        """An arm's steps on a task: its own, else those of its method, else those of all arms."""
        own = (f"{name}/{of}" for name in (arm, method) for of in (task, "default"))
        return _of(self.steps, *own, task)


class Scientific(Closed):
    """What the study compares."""

    intermediate: Annotated[Names, Field(min_length=1)]
    arms: Annotated[Arms, Field(min_length=2)]
    targets: Annotated[Names, Field(min_length=1)]
    languages: Languages  # of the targets; empty = every language of each target
    unlabelled_languages: Annotated[Names, Field(min_length=2)]
    seeds: Seeds  # of all arms, or by arm
    baseline: Arm
    treatment: Arm
    margin: Positive  # equivalence margin in points, fixed in advance
    # what the primary average gives the same weight: targets, or groups of targets by format, as
    # XTREME-R has them, and within a group its targets; in what 05 is told only where it is set
    average: Average = "targets"
    probe_arms: Arms  # arms whose checkpoints are probed
    probe_seeds: list[Seed]
    # target after whose fine-tuning checkpoints are probed again; empty = none
    probe_target: NameOrNone
    # what an arm is compared with, where that is not `baseline` (`make tune`: the second selector)
    baselines: Annotated[dict[Arm, Arm], _unless({})] = {}

    def seeds_of(self, arm: str, method: str) -> list[int]:
        """An arm's seeds: its own, else those of its method (it is a variant), else default."""
        return _of(self.seeds, arm, method)


class Nuisance(Closed):
    """What may be tuned, with the same budget in every arm."""

    intermediate: IntermediateOptimisation
    target: Optimisation
    unlabelled_batch_size: Count
    discriminator_learning_rate: Rates  # of whatever an arm trains beside encoder and head
    lambda_max: dict[Arm, Weight]  # an arm's strength, by arm; 'default' for the others
    domains: dict[Arm, Domains]  # what a discriminator tells apart, by arm
    discriminator_features: dict[Arm, Features]  # what it sees of a text, by arm
    discriminator_layer: dict[Arm, LayerOrAll]  # layer that it reads, by arm; -1 = last
    discriminator_updates: dict[Arm, Count] = {"default": 1}  # its steps for one of the encoder
    discriminator_warmup: dict[Arm, Warmup] = {"default": 0.0}  # share of steps before reversal
    discriminator_width: dict[Arm, Count] = {"default": 256}  # of its hidden layers
    discriminator_depth: dict[Arm, Parts] = {"default": 1}  # number of its hidden layers
    discriminators: dict[Arm, Count] = {"default": 1}  # side by side on the same features
    discriminator_renewal: dict[Arm, Parts] = {"default": 0}  # steps between fresh ones; 0 = none
    dose: dict[Arm, Dose] = {"default": "lambda"}  # what lambda_max is

    def by_arm(self) -> dict[str, Any]:
        """What may be given by arm, by its name in a job."""
        own = type(self).model_fields
        return {key: getattr(self if key in own else self.intermediate, key) for key in BY_ARM}

    def of_arm(self, arm: str, method: str) -> dict[str, Any]:
        """An arm's values: its own, else those of its method (it is a variant), else default."""
        return {key: _of(value, arm, method) for key, value in self.by_arm().items()}


class Fixed(Closed):
    """Held constant over the study; changing one of them makes it another study."""

    encoder: Annotated[str, Field(min_length=1)]
    sources: Sources
    path: str  # of source files; "": $XGRL_DATA says it
    # official: test sets from files that provenance.yaml does not call so are refused
    test_data: Annotated[Literal["any", "official"], _unless("any")] = "any"
    # targets without training of their own, and the target that is trained instead
    train_from: TrainFrom = {}
    trained_layers: Layer  # top layers that are trained; -1 = all
    # layer whose mean pool searches where no dual encoder is trained; -1 = last
    retrieval_layer: Layer
    further_retrieval_layers: Layers = []  # from which the same is read once more, beside it
    mixture_cap: Count  # largest size at which a task counts in the multi-task mixture
    max_length: Length
    train_rows: Rows
    dev_rows: Rows
    test_rows: TestRows
    retrieval_rows: Items
    unlabelled_rows: Count
    probe_rows: Count
    prepare_workers: Workers
    threads: Workers
    device: Device
    # sequences that go through the encoder at once in training; 0 = all of a batch
    micro_batch_size: Parts
    memory_mb: Count  # what a job asks a cluster for; 01 asks for half as much again
    runtime_minutes: Count  # longest time a job asks a cluster for
    checkpoint_minutes: Minutes = MINUTES  # between two checkpoints inside a run; 0 = none
    report_to: Reports = []  # where a running job's curves are shown
    master_seed: Seed


class Tuning(Closed):
    """Trials from which the settings of arms are selected (`xgrl.report.tuning`)."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    languages: Annotated[Names, Field(min_length=1)]  # of development, in no test of the study
    intermediate: Annotated[Names, Field(min_length=1)]
    targets: Annotated[Names, Field(min_length=1)]
    # of each arm that is tuned, the values of its settings by arm; every combination is a trial
    arms: dict[Arm, dict[Name, Annotated[list[Any], Field(min_length=1)]]]
    # of the study: where arms that the second selector chose otherwise are run; empty = all
    second_seeds: list[Seed] = []

    def wrong(self, s: Scientific) -> Iterator[str]:
        """One sentence for each value that does not go with the study's."""
        if shared := sorted({seed for seeds in each(s.seeds) for seed in seeds} & {*self.seeds}):
            yield f"tuning.seeds: {shared} are seeds of the study; no trial may enter a test"
        counts = {arm: prod(map(len, grid.values())) for arm, grid in self.arms.items()}
        if len({*counts.values()}) > 1 or 1 in counts.values():
            found = ", ".join(f"{arm} {count}" for arm, count in counts.items())
            yield f"tuning.arms: trials of {found}; every arm needs the same number, two or more"


class Job(Closed):
    """What every notebook's parameters cell holds."""

    study: Name = "smoke"
    outputs: Folder = "outputs"


class PrepareJob(Job):
    """01_prepare: model and data of the whole study."""

    encoder: str = "tiny"
    sources: Sources = ["fixture"]
    path: str = ""
    train_from: TrainFrom = {}
    intermediate: Names = ["sarcasm", "question-type"]
    targets: Names = ["intent", "emoji-names"]
    languages: Languages = ["en", "de", "es", "fr", "ja", "ru"]
    unlabelled_languages: Names = ["en", "de", "es", "fr"]
    arms: Arms = []
    trained_layers: Layer = 2
    max_length: Length = 32
    train_rows: Rows = 300
    dev_rows: Rows = 100
    test_rows: TestRows = 40
    retrieval_rows: Items = 40
    unlabelled_rows: Count = 100
    probe_rows: Count = 40
    workers: Workers = 1
    master_seed: Seed = 2005


class TrainingJob(Job):
    """What both training stages share."""

    seed: Seed = 0
    steps: Count = 60
    batch_size: Count = 16
    learning_rate: Rate = 1.0e-3
    head_learning_rate: Rate = 1.0e-2
    weight_decay: Weight = 0.01
    warmup: Share = 0.1
    max_grad_norm: Positive = 1.0
    threads: Workers = 1
    device: Device = "cpu"
    micro_batch_size: Parts = 0
    checkpoint_minutes: Minutes = MINUTES
    report_to: Reports = []
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
    discriminator_layer: LayerOrAll = -1
    discriminator_updates: Count = _unless(1, default=1)
    discriminator_warmup: Warmup = _unless(0.0, default=0.0)
    discriminator_width: Count = _unless(256, default=256)
    discriminator_depth: Parts = _unless(1, default=1)
    discriminators: Count = _unless(1, default=1)
    discriminator_renewal: Parts = _unless(0, default=0)
    dose: Dose = _unless("lambda", default="lambda")
    mixture_cap: Count = 131_072

    @model_validator(mode="after")
    def _ratio_is_measurable(self) -> "IntermediateJob":
        if self.dose == "ratio" and self.micro_batch_size and self.discriminator_layer != -1:
            given = f"micro_batch_size={self.micro_batch_size} with dose='ratio'"
            reason = "the task's gradient is measured at the last layer only"
            layer = f"discriminator_layer={self.discriminator_layer!r}"
            raise ValueError(f"{given}: {reason}, not at {layer}; allowed: -1, or 0 sequences")
        return self


class TargetJob(TrainingJob):
    """03_target: one (checkpoint, target, seed); public encoder: intermediate and arm "none"."""

    intermediate: Name = "sarcasm"
    arm: Arm = "dann"
    target: Name = "intent"
    # the next two are in a run's parameters only where they are used
    train_from: Annotated[NameOrNone, _unless("")] = ""
    keep_model: Annotated[bool, _unless(False)] = False
    first_steps: Parts = 0
    retrieval_layer: Layer = -1
    further_retrieval_layers: Layers = []
    keep_encoder: bool = True

    @model_validator(mode="after")
    def _none_is_none(self) -> "TargetJob":
        if (self.arm == "none") != (self.intermediate == "none"):
            named = f"intermediate={self.intermediate!r} with arm={self.arm!r}"
            raise ValueError(f"{named}: either both are 'none' or neither is")
        return self


class ProbeJob(Job):
    """04_probe: one checkpoint."""

    intermediate: Name = "sarcasm"
    arm: Arm = "dann"
    seed: Seed = 0
    probe_target: NameOrNone = "intent"
    threads: Workers = 1


class AnalysisJob(Job):
    """05_analysis: the study."""

    baseline: Arm = "standard"
    treatment: Arm = "dann"
    margin: Positive = 1.0
    calibration_draws: Draws = 200
    design: dict[str, Any] = {}  # the study's merged files; of it exactly their runs are counted


JOBS: dict[str, type[Job]] = {
    "01_prepare": PrepareJob, "02_intermediate": IntermediateJob, "03_target": TargetJob,
    "04_probe": ProbeJob, "05_analysis": AnalysisJob,
}  # fmt: skip


class Study(Closed):
    """A study file: ``params/base.yaml`` merged with ``params/<study>.yaml``."""

    study: Name
    outputs: Folder
    calibration_draws: Draws
    scientific: Scientific
    nuisance: Nuisance
    fixed: Fixed
    tuning: Annotated[Tuning, Field(exclude=True)] = None  # no part of a job, nor of the analysis

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        for contradiction in self._contradictions():
            raise ValueError(contradiction)
        return self

    def _contradictions(self) -> Iterator[str]:
        """What no type says: one sentence for each value that does not go with the others."""
        s, n, f = self.scientific, self.nuisance, self.fixed
        distinct = "intermediate arms targets languages unlabelled_languages seeds probe_arms"
        for key, values in ((k, v) for k in distinct.split() for v in each(getattr(s, k))):
            if len(set(values)) != len(values):
                yield f"scientific.{key}: {values} names something twice"
        for key in ("baseline", "treatment"):
            if (arm := getattr(s, key)) not in s.arms:
                yield f"scientific.{key}: {arm!r} is not among the arms {s.arms}"
            if arm == "none":
                yield f"scientific.{key}: 'none' has no intermediate task and pairs with no block"
        for arm in (name for pair in s.baselines.items() for name in pair):
            if arm not in s.arms or arm == "none":
                yield f"scientific.baselines: {arm!r} is not among the arms {s.arms}, or is 'none'"
        if s.baseline == s.treatment:
            yield f"scientific.treatment: {s.treatment!r} is the baseline itself"
        if "en" not in s.unlabelled_languages:
            reason = "the discriminator tells English from others"
            yield f"scientific.unlabelled_languages: 'en' is missing; {reason}"
        if (target := s.probe_target) and target not in s.targets:
            yield f"scientific.probe_target: {target!r} is not among the targets {s.targets}"
        for stage, tasks in (("intermediate", s.intermediate), ("target", s.targets)):
            for key in ("steps", "batch_size"):
                given = getattr(getattr(n, stage), key)
                if missing := [t for t in tasks if t not in given and "default" not in given]:
                    yield f"nuisance.{stage}.{key}: nothing for {missing} and no 'default'"
        if len({f.retrieval_layer, *(beside := f.further_retrieval_layers)}) <= len(beside):
            yield f"fixed.further_retrieval_layers: {beside} names one twice, or retrieval_layer"
        if f.path and not any("files" in sources for sources in each(f.sources)):
            reason = "only source 'files' reads a folder; name it among fixed.sources"
            yield f"fixed.path={f.path!r}: {reason}"
        yield from self.tuning.wrong(s) if self.tuning else ()

    def job(self, notebook: str, method: str = "", **wildcards: Any) -> dict[str, Any]:
        """The flat parameters of one notebook's job.

        notebook: its name without suffix, a key of `JOBS`. method: the row of the table of arms
        that the wildcard ``arm`` belongs to, "" where there is none. wildcards: what tells this job
        from the others (``intermediate``, ``arm``, ``target``, ``seed``). Returns a dict that
        validates as ``JOBS[notebook]``, every field present.
        """
        s, n, f = self.scientific, self.nuisance, self.fixed
        values: dict[str, Any] = self.model_dump() | n.model_dump() | s.model_dump()
        # whole, also what a dump leaves out where it is not set
        values |= dict(f) | {"workers": f.prepare_workers, "arms": [], "design": {}}
        values |= wildcards  # the arms of 01: `xgrl.execution.grid.arms_with_texts`
        if notebook == "02_intermediate":
            cell = values["intermediate"], values["arm"], method
            values |= n.intermediate.flat(cell[0]) | n.of_arm(*cell[1:])
            values["steps"] = n.intermediate.steps_of(*cell)
        if notebook == "03_target":
            values |= n.target.flat(values["target"])
            probed = values["arm"] in s.probe_arms and values["seed"] in s.probe_seeds
            values["keep_encoder"] = probed and values["target"] == s.probe_target
            values["keep_model"] = values["target"] in f.train_from.values()
            values["train_from"] = f.train_from.get(values["target"], "")
        return validate(notebook, {key: values[key] for key in JOBS[notebook].model_fields})


def each(value: Any) -> list[Any]:
    """The values of one that may be given by name: those, or the one."""
    return list(value.values()) if isinstance(value, dict) else [value]


def of_task(value: Any, name: str, role: str = "") -> Any:
    """The value of a task, or of the texts ``unlabelled`` and ``parallel``, of one that may be
    given by task: that of ``role/name``, else of the name, else the default or None.
    """
    return _of(value, f"{role}/{name}", name)


def source_of(sources: Any, known: Container[str], name: str, role: str = "") -> str:
    """The first of the sources of a task, or of such texts, that is among `known`; "" for none."""
    return next((source for source in of_task(sources, name, role) or () if source in known), "")


def _of(value: Any, *names: str) -> Any:
    """Of a value by name that of the first name that has one, else the default."""
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in names if name in value), value.get("default"))


def nearest_names(name: str, allowed: Iterable[str]) -> str:
    """Half a sentence for an error message: the nearest match, where there is one (in whatever
    case), and all that is allowed (a set sorted, all else in the order given).
    """
    allowed = list(map(str, sorted(allowed) if isinstance(allowed, set) else allowed))
    by_lower = {other.lower(): other for other in allowed}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.4)
    hint = f"did you mean {by_lower[near[0]]!r}? " if near else ""
    return f"{hint}allowed: {', '.join(allowed) or 'nothing'}"


def explain(error: ValidationError, model: type[BaseModel], what: str) -> str:
    """What a model found wrong, in one line: keys, values, and what is allowed."""
    return f"{what}: " + "; ".join(_explain_one(each, model) for each in error.errors())


def _explain_one(error: Any, model: Any) -> str:
    path, value = error["loc"], error["input"]
    path = tuple(k for k in path if k not in (ONE, EACH))
    key = ".".join(k if isinstance(k, str) and k.isprintable() else repr(k) for k in path)
    if error["type"] == "extra_forbidden":
        for name in path[:-1]:
            model = model.model_fields[name].annotation
        return f"{key}={_shown(value)}: unknown key; {nearest_names(path[-1], model.model_fields)}"
    if error["type"] == "missing":
        return f"{key}: missing"
    if not key:
        return error["msg"].removeprefix("Value error, ")
    return f"{key}={_shown(value)} ({type(value).__name__}): {_reason(error)}"


def _reason(error: Any) -> str:
    """What pydantic found, and where YAML or a pattern is behind it, what to write."""
    reason = PATTERNS.get(error.get("ctx", {}).get("pattern", ""), error["msg"])
    if error["type"] in ("float_type", "int_type") and isinstance(error["input"], str):
        with suppress(ValueError):
            float(error["input"])
            hint = "YAML reads this as text: write 1.0e-3 with a dot, whole numbers in digits"
            return f"{reason}; {hint}"
    if error["type"] == "string_type" and isinstance(
        error["input"], bool | int | float | date | None
    ):
        reason += "; in YAML no, off, yes, on, null, numbers and dates are no text without quotes"
    return reason


def _shown(value: Any) -> str:
    """A value in one line of an error message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def load_study(config: dict[str, Any]) -> Study:
    """A valid `Study` from merged study files; ValueError names key, value, what is allowed.

    What ``tuned`` holds (`make tune` writes it) goes over the other blocks.
    """
    config = dict(config)
    config = overlaid(config, tuned) if (tuned := config.pop("tuned", None)) else config
    return _parsed(Study, config, f"study file {config.get('study', '?')!r}")


def overlaid(value: Any, over: Any) -> Any:
    """A value under another one: a mapping takes the other's entries, and what is one value for all
    becomes the default of values by name; a list takes what it lacks.
    """
    if isinstance(over, dict):
        held = value if isinstance(value, dict) else {} if value is None else {"default": value}
        return held | {key: overlaid(held.get(key), own) for key, own in over.items()}
    if isinstance(value, list) and isinstance(over, list):
        return [*value, *(item for item in over if item not in value)]
    return over


def validate(notebook: str, values: dict[str, Any]) -> dict[str, Any]:
    """A notebook's complete parameters; ValueError names key, value, what is allowed."""
    if notebook not in JOBS:
        nearest = nearest_names(notebook, JOBS)
        raise ValueError(f"notebook={notebook!r}: no such notebook; {nearest}")
    return _parsed(JOBS[notebook], values, notebook).model_dump()


def _parsed(model: type[T], values: dict[str, Any], what: str) -> T:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(explain(error, model, what)) from None
