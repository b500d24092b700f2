"""The trials that a study's settings are tuned by, as a study of their own (`make tune`).

Study ``x`` is tuned by study ``x-tuning``: its arms are variants, one a trial, its test languages
development languages, its seeds others. So the same grid, parts and packs run it, and no trial lies
where the study's analysis reads. Tuning has two stages: the baseline's trials first, then those of
all other arms, with the baseline's settings as they were chosen.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

from xgrl.arms import ARMS, arm_spec
from xgrl.execution.checks import BY_TASK, Refused, check_study
from xgrl.execution.grid import seeds_of, trains_nothing
from xgrl.runs.params import BY_ARM, Study, Tuning, nearest_names, of_task, overlaid
from xgrl.tasks import TABLES

SUFFIX = "-tuning"  # of the study of trials
TUNED = ("steps", *BY_ARM)  # settings that an arm may have of its own
SHORT = {"learning_rate": "lr", "lambda_max": "lambda", "discriminator": "d", "_": ""}
Settings = dict[str, Any]


def is_trials(study: str) -> bool:
    """Whether a study of this name is one of trials."""
    return study.endswith(SUFFIX)


def trials_of(tuning: Tuning, arm: str) -> dict[str, Settings]:
    """The settings of each trial of an arm, by the trial's name: ``dann-lambda0.05-domainsbinary``,
    a variant of the arm.
    """
    grid, found = tuning.arms[arm], {}
    for values in product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        found["-".join([arm, *(_short(key, value) for key, value in settings.items())])] = settings
    return found


def _short(key: str, value: Any) -> str:
    for long, short in SHORT.items():
        key = key.replace(long, short)
    return key + (f"{value:g}" if isinstance(value, float) else str(value))


def by_arm(study: Study, values: Mapping[str, Settings]) -> dict[str, Any]:
    """The block ``nuisance`` that gives arms of a study settings of their own.

    values: settings by arm; of "default", of all arms that have none (else the study's).
    """
    nuisance: dict[str, Any] = {}
    for arm, settings in values.items():
        for key, value in settings.items():
            inner = key in type(study.nuisance.intermediate).model_fields
            home = nuisance.setdefault("intermediate", {}) if inner else nuisance
            given = getattr(study.nuisance.intermediate if inner else study.nuisance, key)
            default = given.get("default") if isinstance(given, dict) else given
            name = f"{arm}/default" if key == "steps" and arm != "default" else arm
            home.setdefault(key, {} if default is None else {"default": default})[name] = value
    return nuisance


def check_tuning(study: Study) -> None:
    """`Refused`, with all that is wrong, where a study's trials cannot be run."""
    if study.tuning is None:
        raise Refused(f"params/{study.study}.yaml: no block tuning; see docs/tuning.md")
    if wrong := list(_wrong(study, study.tuning)):
        raise Refused("; ".join(wrong))


def _wrong(study: Study, tuning: Tuning) -> Iterator[str]:
    compared = study.scientific.baseline, study.scientific.treatment
    if missing := [arm for arm in compared if arm not in tuning.arms]:
        yield f"tuning.arms: nothing for {missing}"
    for arm, grid in tuning.arms.items():
        if arm not in ARMS or not arm_spec(arm).trains:
            allowed = nearest_names(arm, [name for name, spec in ARMS.items() if spec.trains])
            yield f"tuning.arms.{arm}: not an arm of the table that trains; {allowed}"
        for key, values in grid.items():
            if key not in TUNED:
                nearest = nearest_names(key, TUNED)
                yield f"tuning.arms.{arm}.{key}: no setting by arm; {nearest}"
            if len({*map(partial(_short, key), values)}) < len(values):
                yield f"tuning.arms.{arm}.{key}: {values} names something twice"
    for target in study.scientific.targets:
        wanted = of_task(study.scientific.languages, target, "target")
        tested = set(wanted or TABLES["target"][target].languages)
        if shared := [name for name in tuning.languages if name in tested]:
            yield f"tuning.languages: {shared} are test languages of {target} in this study"
    names = [name for name in tuning.targets if name in TABLES["target"]]
    if names and all(trains_nothing(TABLES["target"][name]) for name in names):
        yield f"tuning.targets: {names} train nothing; English development is that of a target"
    if any("/" in key for key in study.nuisance.intermediate.steps) and any(
        "steps" in grid for grid in tuning.arms.values()
    ):
        yield "tuning.arms: steps are tuned, so nuisance.intermediate.steps can have none by arm"
    seeds = seeds_of(study, study.scientific.treatment)
    if strange := [seed for seed in tuning.second_seeds if seed not in seeds]:
        yield f"tuning.second_seeds: {strange} are no seeds of the study; allowed: {seeds}"
    if "en" in tuning.languages:
        yield "tuning.languages: 'en' is no development language; it is tested anyway"


def study_of_trials(config: dict[str, Any], chosen: str = "") -> dict[str, Any]:
    """The study file (merged) of all trials of a study.

    config: the study's merged files. chosen: the baseline's trial whose settings the other arms
    have; "" before it is known, when only the parts of the first stage are to be run. Raises
    Refused, or another ValueError, where this is no study.
    """
    study = check_study({key: value for key, value in config.items() if key != "tuned"})
    check_tuning(study)
    tuning, s, nuisance = study.tuning, study.scientific, study.nuisance.model_dump()
    arms = [s.baseline, *(arm for arm in tuning.arms if arm != s.baseline)]
    trials = {arm: trials_of(tuning, arm) for arm in arms}
    first = trials[s.baseline].get(chosen, {})
    values = {"default": first} if first else {}
    for arm, own in trials.items():
        base = {} if arm == s.baseline else first
        values |= {name: base | settings for name, settings in own.items()}
    names = [name for own in trials.values() for name in own]
    dropped = {*s.intermediate, *s.targets} - {*tuning.intermediate, *tuning.targets}
    fixed = study.fixed.model_dump()
    for key in (key for key in BY_TASK if isinstance(fixed.get(key), dict)):
        given = fixed[key].items()
        fixed[key] = {name: v for name, v in given if name.rpartition("/")[2] not in dropped}
    trained = study.fixed.train_from.items()
    fixed["train_from"] = {name: source for name, source in trained if name in tuning.targets}
    scientific = s.model_dump(exclude={"baselines"}) | {
        "intermediate": tuning.intermediate, "targets": tuning.targets,
        "languages": ["en", *tuning.languages], "seeds": tuning.seeds,
        "arms": ["none", *names], "baseline": names[0], "treatment": names[1],
        "probe_arms": names, "probe_seeds": tuning.seeds, "probe_target": "",
    }  # fmt: skip
    derived = {"study": study.study + SUFFIX, "outputs": study.outputs}
    derived |= {"calibration_draws": study.calibration_draws, "scientific": scientific}
    derived |= {"nuisance": overlaid(nuisance, by_arm(study, values)), "fixed": fixed}
    check_study(derived)
    return derived
