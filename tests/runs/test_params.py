"""Study files and parameters: what is allowed, and that a mistake is named before anything runs."""

import ast
import copy
from pathlib import Path

import nbformat
import pytest
import yaml
from snakemake.utils import update_config

from xgrl.execution import checks
from xgrl.runs import differences, params

ROOT = Path(__file__).resolve().parents[2]


def merged(*names: str) -> dict:
    config: dict = {}
    for name in ("base", *names):
        update_config(config, yaml.safe_load((ROOT / "params" / f"{name}.yaml").read_text()))
    return config


STUDIES = sorted(p.stem for p in (ROOT / "params").glob("*.yaml") if p.stem != "base")


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_file_is_valid(name):
    study = checks.check_study(merged(name))
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
        ("nuisance.discriminator_layer", {"default": "al"}, ["layer.default='al'", "'all'"]),
        ("nuisance.discriminator_layer", {"default": -2}, ["layer.default=-2", "equal to -1"]),
        ("nuisance.discriminator_warmup", {"default": 1.0}, ["warmup.default=1.0", "less than 1"]),
        ("nuisance.discriminator_updates", {"default": 0}, ["updates.default=0", "equal to 1"]),
        ("nuisance.discriminators", {"default": 1, "dan": 2}, ["discriminators", "'dann'"]),
        ("nuisance.dose", {"default": "share"}, ["dose.default='share'", "'lambda' or 'ratio'"]),
        ("nuisance.intermediate.learning_rate", {"dann": 0.1}, ["learning_rate: no 'default'"]),
        ("nuisance.intermediate.learning_rate", {"default": 2.0}, ["learning_rate.default=2.0"]),
        ("nuisance.target.learning_rate", {"default": 0.1}, ["target.learning_rate={'default'"]),
        (
            "nuisance.intermediate.steps",
            {"default": 9, "dan/default": 9},
            ["steps.dan/default", "unknown arm 'dan'", "did you mean 'dann'"],
        ),
        (
            "nuisance.intermediate.steps",
            {"default": 9, "dann/qa": 9},
            ["steps.dann/qa", "'qa' is no intermediate task of this study", "sarcasm"],
        ),
        ("nuisance.intermediate.steps", {"dann/default": 9}, ["steps: nothing for", "'default'"]),
        ("nuisance.intermediate.steps", {"default": 9, "dann/": 9}, ["steps.dann/", "arm/name"]),
        ("nuisance.target.steps", {"default": 9, "dann/intent": 9}, ["target.steps.dann/intent"]),
        ("fixed.device", "gpu", ["device", "'cuda'"]),
        ("fixed.checkpoint_minutes", -1, ["checkpoint_minutes=-1", "greater than or equal to 0"]),
        ("fixed.checkpoint_minutes", "off", ["checkpoint_minutes='off' (str)"]),
        ("fixed.report_to", ["tensorbord"], ["report_to.0='tensorbord'", "'tensorboard'"]),
        ("fixed.report_to", ["mlflow"], ["mlflow not installed", "allowed: tensorboard, wandb"]),
        ("scientific.arms", ["standard", "dan"], ["dan", "dann"]),
        ("scientific.treatment", "control", ["treatment", "control"]),
        ("scientific.treatment", "standard", ["baseline"]),
        ("scientific.intermediate", ["sarcams"], ["sarcams", "sarcasm"]),
        ("scientific.intermediate", ["emoji-names"], ["emoji-names", "target"]),
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
        ("tuned", "0", ["tuned='0'", "make tune writes"]),
        ("tuned", {"nuisance": 0}, ["nuisance"]),
        ("tuned", {"study": "other"}, ["tuned={'study': 'other'}", "scientific and nuisance"]),
        ("nuisance.target.steps", {"default": 9, "itent": 5}, ["steps.itent", "mean 'intent'"]),
        ("nuisance.target.batch_size", {"default": 9, "qaa": 5}, ["batch_size.qaa", "mean 'qa'"]),
        ("scientific.probe_arms", ["none", "dann"], ["arms='none': trains nothing"]),
        ("scientific.baseline", "none", ["baseline: 'none'", "pairs with no block"]),
        ("scientific.treatment", "none", ["treatment: 'none'", "pairs with no block"]),
        ("scientific.average", "group", ["scientific.average='group'", "'targets'", "'groups'"]),
        # by task, by arm
        ("fixed.test_rows", {"default": 40, "intent": 1}, ["test_rows.intent=1", "equal to 2"]),
        ("fixed.test_rows", {"intent": 40}, ["test_rows: nothing for ['emoji-names']", "default"]),
        ("fixed.test_rows", {"default": 40, "sarcasm": 9}, ["test_rows.sarcasm", "not a task of"]),
        (
            "fixed.test_rows",
            {"default": 40, "intents": 9, "emoji": 9},
            ["test_rows.intents", "did you mean 'intent'", "test_rows.emoji:", "'emoji-names'"],
        ),
        ("fixed.train_rows", {"default": 40, "role/x": 9}, ["role/x", "name, or role/name"]),
        ("fixed.dev_rows", {"default": 40, "target/sarcasm": 9}, ["target/sarcasm", "allowed"]),
        ("fixed.train_rows", {"default": "many"}, ["train_rows.default='many' (str)"]),
        ("fixed.sources", {"default": ["fixtures"]}, ["sources.default.0='fixtures'", "'fixture'"]),
        (
            "fixed.sources",
            {"default": ["fixture"], "intent": ["files"]},
            ["targets='intent'", "['files']", "packages"],
        ),
        ("fixed.path", "/data", ["fixed.path='/data'", "only source 'files' reads a folder"]),
        (
            "fixed.sources",
            {"default": ["fixture"], "intent": ["hub"]},
            ["targets='intent'", "['hub']", "packages"],
        ),
        ("fixed.sources", {"default": ["fixture"], "parallel": ["own"]}, ["['own'] of parallel"]),
        (
            "fixed.sources",
            {"default": ["fixture"], "unlabelled": ["own"]},
            ["['own'] have no text"],
        ),
        (
            "scientific.languages",
            {"default": ["en", "de"], "emoji-names": ["en", "de", "fi", "xx"]},
            ["languages.emoji-names='fi'", "targets intent have it", "'xx'", "no target of this"],
        ),
        ("scientific.languages", {"default": ["de"], "intent": ["en"]}, ["'intent' has none"]),
        (
            "scientific.languages",
            {"default": ["de", "en"], "intent": ["en", "de"]},
            ["'en': no target of this study without languages of its own has it"],
        ),
        ("fixed.train_from", {"intent": "panx"}, ["train_from.intent='panx'", "not a target"]),
        ("fixed.train_from", {"xquad": "intent"}, ["'xquad' is not a target of this study"]),
        ("fixed.train_from", {"intent": "intent"}, ["in train_from too"]),
        (
            "fixed.train_from",
            {"intent": "emoji-names"},
            ["'intent' is classification, 'emoji-names' retrieval", "its own format"],
        ),
        ("scientific.languages", {"intent": []}, ["languages: nothing for ['emoji-names']"]),
        ("scientific.languages", {"default": ["de", "de"]}, ["scientific.languages", "twice"]),
        ("scientific.seeds", {"default": [0, 1], "control": [0, 0]}, ["seeds", "twice"]),
        ("scientific.seeds", {"default": []}, ["scientific.seeds.default=[]"]),
        ("scientific.seeds", {"dann": [0, 1]}, ["scientific.seeds: no 'default'"]),
        ("scientific.seeds", {"default": [0, 1], "dan": [0]}, ["'dan'", "did you mean 'dann'"]),
        ("scientific.seeds", {"default": [0, 1], "cdan": [0]}, ["'cdan' is not among the arms"]),
        (
            "scientific.seeds",
            {"default": [0, 1], "control": [1]},
            ["probe_seeds: [0]", "'control'"],
        ),
        ("scientific.seeds", {"default": [0, 1], "dann": [2, 3]}, ["two blocks", "'dann': [2, 3]"]),
    ],
)
def test_mistakes_are_named(path, value, words):
    with pytest.raises(ValueError) as error:
        checks.check_study(changed(path, value))
    message = str(error.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_all_that_is_wrong_is_named_at_once():
    config = changed("scientific.arms", ["none", "standard", "dann", "dan"])
    config["scientific"] |= {"targets": ["intent", "intents", "emoji-names"]}
    config["scientific"] |= {"languages": ["en", "de", "qq"]}
    config["fixed"] |= {"train_from": {"intent": "panx"}, "sources": ["files"]}
    wrong = ["targets='intents'", "arms='dan'", "languages='qq'", "train_from.intent='panx'"]
    wrong += [
        "targets='emoji-names': not available",
        "did you mean 'intent'",
        "did you mean 'dann'",
    ]
    with pytest.raises(checks.Refused) as error:
        checks.check_study(config)
    assert not [words for words in wrong if words not in str(error.value)], error.value
    config["scientific"] |= {"seedz": [0]}  # a mistake of another kind hides no name
    with pytest.raises(checks.Refused) as error:
        checks.check_study(config)
    wrong = [*wrong[:2], "seedz"]
    assert not [words for words in wrong if words not in str(error.value)], error.value


def test_all_that_is_wrong_of_arms_is_named_at_once():
    config = changed("scientific.seeds", {"default": [0, 1], "cdan": [0]})
    config["nuisance"]["intermediate"]["steps"] = {"default": 5, "dan/default": 6}
    config["scientific"]["probe_seeds"] = [7]
    with pytest.raises(checks.Refused) as error:
        checks.check_study(config)
    wrong = ["'cdan' is not among the arms", "unknown arm 'dan'", "probe_seeds: [7]"]
    assert not [words for words in wrong if words not in str(error.value)], error.value


def test_a_job_is_told_all_that_is_wrong():
    given = {"arm": "dan", "intermediate": "intnt", "seeed": 3}
    with pytest.raises(checks.Refused) as error:
        checks.check_job("02_intermediate", given)
    assert not [name for name in given if name not in str(error.value)], error.value


def test_what_05_is_told_of_a_study_grows_by_what_its_file_sets_alone():
    """A default that is added later must not change the parameters of runs that are there."""
    study = params.load_study(merged("bench"))
    told = study.model_dump()
    assert "average" not in told["scientific"] and params.load_study(told) == study
    assert not {"test_data", "train_from"} & set(told["fixed"])
    grouped = params.load_study(changed("scientific.average", "groups"))
    assert grouped.model_dump()["scientific"]["average"] == "groups"


def test_a_value_by_task_is_that_of_role_and_name_else_of_the_name_else_the_default():
    given = {"default": 1, "qa": 2, "target/qa": 3}
    found = [params.of_task(given, "qa", role) for role in ("target", "intermediate")]
    assert found == [3, 2] and params.of_task(given, "nli", "target") == 1
    assert params.of_task(5, "qa", "target") == 5 and params.of_task(given, "parallel") == 1


def test_values_by_task_reach_01_as_they_stand_in_the_file():
    by_task = {"default": 40, "intent": 20}
    study = checks.check_study(changed("fixed.test_rows", by_task))
    job = study.job("01_prepare")
    assert job["test_rows"] == by_task and job["train_rows"] == 300
    assert checks.check_job("01_prepare", job) == job


def test_one_block_is_refused_two_are_not():
    one = changed("scientific.seeds", [0])
    one["scientific"] |= {"intermediate": ["sarcasm"], "probe_seeds": [0]}
    with pytest.raises(
        ValueError, match=r"intermediate=\['sarcasm'\] and scientific.seeds=\[0\]: .*two blocks"
    ):
        checks.check_study(one)
    one["scientific"]["seeds"] = [0, 1]
    assert checks.check_study(one)


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
    assert found == {k: field.default for k, field in params.JOBS[notebook].model_fields.items()}
    fields = params.JOBS[notebook].model_fields
    unset = {k for k, field in fields.items() if field.exclude_if and field.default == found[k]}
    found = {k: v for k, v in found.items() if k not in {*params.OPTIONS, *unset}}
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


def test_rates_and_steps_may_be_an_arm_s_own():
    config = changed("scientific.arms", ["standard", "dann", "dann-long", "dann-slow"])
    stage = config["nuisance"]["intermediate"]
    stage["learning_rate"] = {"default": 2e-4, "dann": 1e-4, "dann-slow": 1e-5}
    stage["steps"] = {"default": 60, "question-type": 200, "dann/default": 90, "dann/sarcasm": 80,
                      "dann-long/default": 270}  # fmt: skip
    config["nuisance"]["discriminator_learning_rate"] = {"default": 5e-3, "dann-slow": 1e-3}
    study = checks.check_study(config)

    def of(arm, task):
        job = study.job("02_intermediate", "dann" if "dann" in arm else arm, arm=arm,
                        intermediate=task, seed=0)  # fmt: skip
        return job["steps"], job["learning_rate"], job["discriminator_learning_rate"]

    assert of("standard", "sarcasm") == (60, 2e-4, 5e-3)
    assert of("standard", "question-type") == (200, 2e-4, 5e-3)
    assert of("dann", "sarcasm") == (80, 1e-4, 5e-3)
    assert of("dann", "question-type") == (90, 1e-4, 5e-3)
    assert of("dann-long", "sarcasm") == (270, 1e-4, 5e-3)
    assert of("dann-slow", "sarcasm") == (80, 1e-5, 1e-3)
    target = study.job("03_target", "dann", arm="dann", intermediate="sarcasm", target="intent",
                       seed=0)  # fmt: skip
    assert target["learning_rate"] == study.nuisance.target.learning_rate


def test_what_an_adversary_is_not_told_is_in_no_run_s_parameters():
    job = params.load_study(merged("smoke")).job(
        "02_intermediate", "dann", intermediate="sarcasm", arm="dann", seed=0
    )
    assert not {*params.ADVERSARY} & {*job}
    told = changed("nuisance.dose", {"default": "lambda", "dann": "ratio"})
    told["nuisance"]["discriminator_layer"] = {"default": -1, "dann": "all"}
    jobs = [params.load_study(told).job("02_intermediate", arm, intermediate="sarcasm", arm=arm,
            seed=0) for arm in ("dann", "control")]  # fmt: skip
    assert [each.get("dose") for each in jobs] == ["ratio", None]
    assert [each["discriminator_layer"] for each in jobs] == ["all", -1]


def test_a_dose_that_cannot_be_measured_is_refused():
    given = {"dose": "ratio", "micro_batch_size": 4}
    assert params.validate("02_intermediate", given)["dose"] == "ratio"
    with pytest.raises(ValueError, match=r"micro_batch_size=4 with dose='ratio'.*='all'"):
        params.validate("02_intermediate", given | {"discriminator_layer": "all"})


def test_further_retrieval_layers_are_others_and_each_once():
    config = merged("smoke")
    config["fixed"] |= {"retrieval_layer": 3, "further_retrieval_layers": [-1, 4]}
    study = params.load_study(config)
    job = study.job("03_target", target="emoji-names", intermediate="sarcasm", arm="dann", seed=0)
    assert (job["retrieval_layer"], job["further_retrieval_layers"]) == (3, [-1, 4])
    for wrong in ([3], [4, 4]):
        config["fixed"]["further_retrieval_layers"] = wrong
        with pytest.raises(ValueError, match=r"further_retrieval_layers: .*names one twice"):
            params.load_study(config)


def test_options_are_no_part_of_what_a_run_is():
    """Where they have their default, no run says so; and the report compares runs without them."""
    plain = params.load_study(merged("smoke"))
    config = merged("smoke")
    config["fixed"] |= {"checkpoint_minutes": 3, "report_to": ["tensorboard"]}
    other = params.load_study(config)
    for notebook in ("02_intermediate", "03_target"):
        keys = {"intermediate": "sarcasm", "arm": "dann", "seed": 1}
        keys |= {"target": "intent"} if notebook == "03_target" else {}
        before, after = (study.job(notebook, "dann", **keys) for study in (plain, other))
        assert not {*params.OPTIONS} & {*before}
        assert after == before | {"checkpoint_minutes": 3.0, "report_to": ["tensorboard"]}
    assert {*params.OPTIONS} <= {*differences.NO_RESULT}
    assert not {*params.OPTIONS} & {*plain.fixed.model_dump()}
