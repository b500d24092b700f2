"""Which runs a study has: every cell that an arm can serve, none that it cannot, and a reason for
each of those.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from xgrl.execution.execute import Refused, check_job, check_study
from xgrl.execution.grid import arms_with_texts, grid, parameters_of_runs, shared_models

ROOT = Path(__file__).resolve().parents[2]


def study(name="smoke", **changes):
    config: dict = {}
    for part in ("base", name):
        update_config(config, yaml.safe_load((ROOT / "params" / f"{part}.yaml").read_text()))
    update_config(config, changes)
    return check_study(config)


def test_the_smoke_study():
    found = grid(study())
    assert len(found.intermediate) == 2 * 2 * 2 + 2 and len(set(found.intermediate)) == len(
        found.intermediate
    )
    assert ("intent", "none", "none", 1) in found.target and (
        "emoji-names",
        "none",
        "none",
        1,
    ) not in found.target
    assert ("intent", "sarcasm", "control", 0) in found.target  # probed after fine-tuning
    assert ("emoji-names", "sarcasm", "control", 0) not in found.target
    assert not found.left_out


def test_arms_get_the_cells_they_can_serve_and_the_others_are_named():
    arms = ["standard", "dann", "dann-0.01", "translated", "centring", "cdan"]
    changes = {
        "arms": arms,
        "intermediate": ["sarcasm", "sentiment"],
        "targets": ["intent", "emoji-names"],
    }
    found = grid(
        study(
            "laptop",
            scientific=changes | {"probe_arms": []},
            nuisance={"lambda_max": {"dann-0.01": 0.01}},
        )
    )
    assert {task for task, arm, _ in found.intermediate if arm == "translated"} == {"sentiment"}
    assert {task for task, arm, _ in found.intermediate if arm == "dann-0.01"} == {
        "sarcasm",
        "sentiment",
    }
    assert {target for target, _, arm, _ in found.target if arm == "centring"} == {"emoji-names"}
    assert not any(arm == "centring" for _, arm, _ in found.intermediate)
    assert len(found.left_out) == 2 and any("'translated'" in reason for reason in found.left_out)


def test_a_name_that_is_both_an_intermediate_and_a_target_task():
    both = {"intermediate": ["qa", "sarcasm"], "targets": ["qa", "intent"], "languages": []}
    arms = {"arms": ["standard", "dann", "cdan"], "probe_arms": []}
    found = grid(study("laptop", scientific=both | arms))
    assert {task for task, arm, _ in found.intermediate if arm == "cdan"} == {"sarcasm"}
    assert {target for target, _, arm, _ in found.target if arm == "cdan"} == {"qa", "intent"}


BORROWED = {
    "scientific": {
        "targets": ["tydiqa", "xquad", "lareqa", "intent"],
        "languages": ["en", "de", "ru"],
        "probe_target": "xquad",
    },
    "fixed": {"train_from": {"xquad": "tydiqa", "lareqa": "tydiqa"}},
}


def test_a_target_without_training_is_tested_with_another_one_s_model():
    borrowed = study(**BORROWED)
    assert shared_models(borrowed) == {"xquad": "tydiqa"}  # lareqa is trained, on pairs
    cells = grid(borrowed).target
    assert {c[1:] for c in cells if c[0] == "tydiqa"} == {c[1:] for c in cells if c[0] == "xquad"}
    assert ("tydiqa", "sarcasm", "control", 0) in cells  # its model is probed as xquad's
    runs = parameters_of_runs(borrowed)
    assert runs["prepared"]["train_from"] == BORROWED["fixed"]["train_from"]
    asked = {"xquad": ("tydiqa", None, True), "lareqa": ("tydiqa", None, False)}
    asked |= {"tydiqa": (None, True, False), "intent": (None, None, False)}
    for name, expected in asked.items():
        job = runs[f"target/{name}/sarcasm.dann/seed-0"]
        found = (job.get("train_from"), job.get("keep_model"), job["keep_encoder"])
        assert found == expected and check_job("03_target", job) == job
    plain = parameters_of_runs(study())
    assert not any({"train_from", "keep_model"} & set(job) for job in plain.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"xquad": "qa"}, "train_from.xquad='qa': 'qa' is trained on SQuAD's development set"),
        ({"lareqa": "qa", "xquad": "qa"}, "train_from.xquad.*; .*|train_from.lareqa.*; .*"),
        ({"xquad": "tydiqa", "lareqa": "xquad"}, "train_from.lareqa='xquad': it is in train_from"),
        ({"xquad": "intent"}, "'xquad' is span qa, 'intent' classification"),
        ({"xquad": "mlqa"}, "'mlqa' is not a target of this study; did you mean"),
    ],
)
def test_training_that_a_target_cannot_have_is_refused(given, message):
    targets = {"targets": ["tydiqa", "xquad", "lareqa", "intent", "qa"], "languages": []}
    with pytest.raises(ValueError, match=message):
        study(scientific=targets, fixed={"train_from": given})
    with pytest.raises(Refused, match="is trained on SQuAD's development set"):
        check_job("03_target", {"target": "xquad", "train_from": "qa"})


def test_seeds_by_arm_ask_for_a_part_of_the_grid():
    arms = ["none", "standard", "dann", "dann-0.01", "control"]
    seeds = {"default": [0, 1], "control": [0], "none": [0, 1, 2], "dann": [1, 0, 3]}
    found = grid(
        study(
            scientific={"arms": arms, "seeds": seeds, "probe_arms": ["dann"]},
            nuisance={"lambda_max": {"dann-0.01": 0.01}},
        )
    )
    trained = {arm: [s for task, a, s in found.intermediate if (task, a) == ("sarcasm", arm)]
               for arm in arms}  # fmt: skip
    assert trained == {
        "none": [], "standard": [0, 1], "dann": [1, 0, 3], "dann-0.01": [1, 0, 3], "control": [0],
    }  # fmt: skip
    alone = [(target, seed) for target, _, arm, seed in found.target if arm == "none"]
    assert alone == [("intent", 0), ("intent", 1), ("intent", 2), ("emoji-names", 0)]
    cells = {(arm, seed) for _, _, arm, seed in found.target}
    assert cells == {(arm, s) for arm in trained for s in trained[arm]} | {
        ("none", s) for s in range(3)
    }


def test_an_arm_has_no_seed_that_its_checkpoints_lack():
    arms = {"arms": ["standard", "dann", "centring"], "probe_arms": []}
    seeds = {"default": [0, 1], "centring": [0, 1, 2]}
    with pytest.raises(ValueError, match=r"checkpoints of 'standard', which has no seeds \[2\]"):
        study(scientific=arms | {"seeds": seeds})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scientific": {"arms": ["standard", "dann", "dann-0.01"]}}, "the same as 'dann'"),
        (
            {"scientific": {"arms": ["dann", "control", "centring"], "baseline": "control"}},
            "takes the checkpoints of 'standard'",
        ),
        (
            {
                "scientific": {
                    "arms": ["standard", "dann", "centring"],
                    "targets": ["intent"],
                    "languages": ["en", "de"],
                }
            },
            "'intent' has none",
        ),
        (
            {"scientific": {"arms": ["standard", "centring"], "treatment": "centring"}},
            "'intent' has none",
        ),
        ({"nuisance": {"lambda_max": {"dan": 0.1}}}, "unknown arm 'dan'; did you mean 'dann'"),
        ({"nuisance": {"domains": {"dann": "both"}}}, "binary"),
        (
            {
                "nuisance": {"domains": {"wdgrl": "languages"}},
                "scientific": {"arms": ["standard", "dann", "wdgrl"]},
            },
            "binary",
        ),
        ({"scientific": {"arms": ["standard", "dann", "daan"]}}, "did you mean 'dann'"),
        ({"scientific": {"arms": ["standard", "dann", "../x"]}}, "arms.2"),
        ({"scientific": {"probe_target": "wikilingua"}}, "not among the targets"),
    ],
)
def test_what_a_study_may_not_ask_of_its_arms(changes, message):
    with pytest.raises(ValueError, match=message):
        study(**changes)


def test_translated_needs_translations_of_some_task():
    arms = {"arms": ["standard", "dann", "translated"], "probe_arms": []}
    with pytest.raises(
        ValueError,
        match="needs translations of the training rows, and the study's sources have none of "
        "'sarcasm'",
    ):
        study("laptop", scientific=arms)


@pytest.mark.parametrize(
    ("notebook", "values", "message"),
    [
        ("03_target", {"arm": "centring", "target": "intent"}, "'intent' has none"),
        ("02_intermediate", {"arm": "wdgrl"}, "separates English from the rest"),
        ("02_intermediate", {"arm": "centring"}, "trains nothing"),
        ("02_intermediate", {"arm": "none"}, "trains nothing"),
        ("02_intermediate", {"arm": "cdan", "intermediate": "qa"}, "serves classification only"),
    ],
)
def test_a_job_that_an_arm_cannot_serve_is_refused(notebook, values, message):
    with pytest.raises(Refused, match=message):
        check_job(notebook, values)


def test_every_study_file_is_a_study():
    for path in sorted((ROOT / "params").glob("*.yaml")):
        if path.stem != "base":
            assert grid(study(path.stem)).target


def test_01_changes_only_with_arms_that_need_texts_of_their_own():
    few, more = (
        {"arms": ["none", "standard", "dann"]},
        {"arms": ["none", "standard", "dann", "shuffled", "robust-smoothing"]},
    )
    assert arms_with_texts(study(scientific=few)) == arms_with_texts(study(scientific=more)) == []
    with_text = {"arms": ["standard", "dann", "lexical", "mlm", "mlm-0.3"]}
    assert arms_with_texts(
        study(scientific=with_text, nuisance={"lambda_max": {"mlm-0.3": 0.3}})
    ) == ["mlm", "lexical"]
