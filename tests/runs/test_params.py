"""Study files and parameters: what is allowed, and that a mistake is named before anything runs."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

import nbformat
import pytest
import yaml
from snakemake.utils import update_config

from xgrl.execution import execute
from xgrl.runs import params

ROOT = Path(__file__).resolve().parents[2]


def merged(*names: str) -> dict:
    config: dict = {}
    for name in ("base", *names):
        update_config(config, yaml.safe_load((ROOT / "params" / f"{name}.yaml").read_text()))
    return config


STUDIES = sorted(p.stem for p in (ROOT / "params").glob("*.yaml") if p.stem != "base")


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_file_is_valid(name):
    study = execute.check_study(merged(name))
    assert study.study == name


def changed(path: str, value: object) -> dict:
    config = copy.deepcopy(merged("smoke"))
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("scientific.seedz", [1], ["seedz", "seeds"]),
        ("nuisance.lambda_max", {"default": "1e-3"}, ["lambda_max", "1e-3", "str"]),
        (
            "nuisance.lambda_max",
            {"default": -0.1},
            ["lambda_max", "-0.1", "greater than or equal to 0"],
        ),
        ("nuisance.lambda_max", {"default": float("nan")}, ["lambda_max", "nan"]),
        ("nuisance.target.batch_size", {"default": 0}, ["batch_size", "0"]),
        ("nuisance.target.batch_size", {"default": 8.5}, ["batch_size", "8.5"]),
        ("nuisance.target.batch_size", {"intents": 8}, ["batch_size", "emoji-names", "default"]),
        ("nuisance.domains", {"default": "language"}, ["domains", "'languages'"]),
        ("nuisance.lambda_max", {"dann": 0.1}, ["lambda_max", "no 'default'"]),
        ("fixed.device", "gpu", ["device", "'cuda'"]),
        ("scientific.arms", ["standard", "dan"], ["dan", "dann"]),
        ("scientific.treatment", "control", ["treatment", "control"]),
        ("scientific.treatment", "standard", ["baseline"]),
        ("scientific.intermediate", ["sarcams"], ["sarcams", "sarcasm"]),
        ("scientific.intermediate", ["intent"], ["intent", "target"]),
        ("scientific.targets", ["intents"], ["intents", "intent"]),
        ("scientific.targets", ["sarcasm", "intent"], ["sarcasm", "intermediate"]),
        ("scientific.languages", ["en", "xx"], ["xx"]),
        ("scientific.languages", ["en"], ["intent", "none of them"]),
        ("scientific.seeds", [1, 1], ["seeds", "twice"]),
        ("scientific.seeds", [-1], ["seeds"]),
        ("scientific.unlabelled_languages", ["de", "fr"], ["unlabelled_languages", "en"]),
        (
            "scientific.unlabelled_languages",
            ["en", "xx"],
            ["unlabelled_languages", "xx", "fixture"],
        ),
        (
            "scientific.unlabelled_languages",
            ["en", "xx"],
            ["unlabelled_languages", "xx", "fixture"],
        ),
        ("scientific.probe_seeds", [7], ["probe_seeds", "7"]),
        ("study", "../elsewhere", ["study"]),
        ("scientific.margin", float("inf"), ["margin=inf", "finite"]),
        ("nuisance.target.max_grad_norm", float("inf"), ["max_grad_norm=inf", "finite"]),
        ("nuisance.intermediate.warmup", float("nan"), ["warmup=nan", "finite"]),
        ("nuisance.lambda_max", {"default": float("inf")}, ["lambda_max", "inf", "finite"]),
        ("scientific.languages", ["en", False], ["languages.1=False", "no, off", "quotes"]),
        ("scientific.languages", ["en", None], ["languages.1=None", "null", "quotes"]),
        ("fixed.test_rows", 1, ["test_rows=1", "greater than or equal to 2"]),
        ("fixed.retrieval_rows", 1, ["retrieval_rows=1", "greater than or equal to 2"]),
        ("study", 2026, ["study=2026", "quotes"]),
        ("scientific.baseline", "none", ["baseline: 'none'", "pairs with no block"]),
        ("scientific.treatment", "none", ["treatment: 'none'", "pairs with no block"]),
        ("scientific.average", "group", ["scientific.average='group'", "'targets'", "'groups'"]),
    ],
)
def test_mistakes_are_named(path, value, words):
    with pytest.raises(ValueError) as error:
        execute.check_study(changed(path, value))
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_what_05_is_told_of_a_study_grows_by_what_its_file_sets_alone():
    """A default that is added later must not change the parameters of runs that are there."""
    study = params.load_study(merged("laptop"))
    told = study.model_dump()
    assert "average" not in told["scientific"] and params.load_study(told) == study
    grouped = params.load_study(changed("scientific.average", "groups"))
    assert grouped.model_dump()["scientific"]["average"] == "groups"


def test_one_block_is_refused_two_are_not():
    one = changed("scientific.seeds", [0])
    one["scientific"] |= {"intermediate": ["sarcasm"], "probe_seeds": [0]}
    with pytest.raises(
        ValueError, match=r"intermediate=\['sarcasm'\] and scientific.seeds=\[0\]: .*two blocks"
    ):
        execute.check_study(one)
    one["scientific"]["seeds"] = [0, 1]
    assert execute.check_study(one)


def numbers(tree: dict, path: str = "") -> list[str]:
    """The paths of all numbers of nested mappings."""
    found = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += numbers(value, f"{path}{key}.")
        found += [f"{path}{key}"] * (type(value) in (int, float))
    return found


@pytest.mark.parametrize("bad", [float("inf"), -float("inf"), float("nan")])
def test_no_number_of_a_study_file_or_a_notebook_is_infinite_or_nan(bad):
    paths = numbers(merged("smoke"))
    assert len(paths) > 40
    for path in paths:
        with pytest.raises(ValueError, match=path.replace("*", ".")):
            params.load_study(changed(path, bad))
    for notebook, job in params.JOBS.items():
        for key in numbers(job().model_dump()):
            with pytest.raises(ValueError, match=key):
                params.validate(notebook, {key: bad})


def cell_defaults(notebook: str) -> dict:
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        assert "#" in line, f"{notebook}: no comment with unit and legal values: {line}"
    return {
        node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body
    }


@pytest.mark.parametrize("notebook", params.JOBS)
def test_parameters_cell_equals_model_and_smoke_study(notebook):
    found = cell_defaults(notebook)
    assert found == params.JOBS[notebook]().model_dump()
    study = params.load_study(merged("smoke"))
    keys = {
        k: found[k]
        for k in ("intermediate", "arm", "target", "seed")
        if k in found and notebook != "01_prepare"
    }
    assert study.job(notebook, **keys) == found


def test_unknown_parameter_is_refused_with_the_nearest_match():
    with pytest.raises(ValueError, match=r"learning_rat.*did you mean 'learning_rate'"):
        params.validate("02_intermediate", {"learning_rat": 0.1})
    with pytest.raises(ValueError, match="01_prepare"):
        params.validate("01_prepar", {})


def test_arm_none_and_intermediate_none_belong_together():
    with pytest.raises(ValueError, match="none"):
        params.validate("03_target", {"arm": "none"})
    assert (
        params.validate("03_target", {"arm": "none", "intermediate": "none"})["target"] == "intent"
    )


def test_a_variant_has_values_of_its_own_else_its_method_s_else_the_default():
    config = changed("nuisance.lambda_max", {"default": 0.1, "dann": 0.2, "dann-strong": 0.3})
    nuisance = params.load_study(config).nuisance
    arms = [("dann-strong", "dann"), ("dann-weak", "dann"), ("dann", "dann"), ("mlm", "mlm")]
    found = [nuisance.of_arm(arm, method)["lambda_max"] for arm, method in arms]
    assert found == [0.3, 0.2, 0.2, 0.1]
    job = params.load_study(config).job(
        "02_intermediate", "dann", intermediate="sarcasm", arm="dann-strong", seed=0
    )
    assert job["lambda_max"] == 0.3 and job["domains"] == "languages"
