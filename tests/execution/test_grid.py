"""Which runs a study has: every cell that an arm can serve, none that it cannot, and a reason for
each of those.
"""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from xgrl.execution.checks import Refused, check_job, check_study
from xgrl.execution.grid import (
    arms_with_texts,
    grid,
    parameters_of_runs,
    runs_of_part,
    shared_models,
)

ROOT = Path(__file__).resolve().parents[2]


def study(name="smoke", **changes):
    config: dict = {}
    for part in ("base", name):
        update_config(config, yaml.safe_load((ROOT / "params" / f"{part}.yaml").read_text()))
    update_config(config, changes)
    return check_study(config)


def test_the_smoke_study():
    found = grid(study())
    assert len(found.intermediate) == 2 * 2 * 2 + 2
    assert len(set(found.intermediate)) == len(found.intermediate)
    assert ("intent", "none", "none", 1) in found.target
    assert ("emoji-names", "none", "none", 1) not in found.target
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
            "bench",
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
    found = grid(study("bench", scientific=both | arms))
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


def test_an_arm_is_probed_with_those_of_the_seeds_that_it_has():
    s = {"arms": ["none", "standard", "dann", "control"], "probe_seeds": [0, 1]}
    s |= {"probe_arms": ["dann", "control"], "seeds": {"default": [0, 1, 2], "control": [0]}}
    probed = {(arm, seed) for _, arm, seed in grid(study(scientific=s)).probe}
    assert probed == {("dann", 0), ("dann", 1), ("control", 0)}
    for seeds, said in (([1], r"\[1\]: none is among the seeds \[0\] of 'control'"),
                        ([0, 7], r"no probed arm has the seeds \[7\]")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            grid(study(scientific=s | {"probe_seeds": seeds}))


def test_arms_that_train_nothing_take_the_checkpoints_that_they_name():
    arms = ["standard", "dann", "leace", "leace-dann", "centring-dann"]
    s = {"arms": arms, "probe_arms": ["leace-dann"], "probe_seeds": [0], "probe_target": "intent"}
    found = grid(study(scientific=s | {"targets": ["intent", "emoji-names"]}))
    assert {arm for _, arm, _ in found.intermediate} == {"standard", "dann"}
    assert {arm for _, arm, _ in found.probe} == {"leace-dann"}
    reached = {arm: {name for name, _, a, _ in found.target if a == arm} for arm in arms}
    assert reached.pop("centring-dann") == {"emoji-names"}
    assert all(names == {"intent", "emoji-names"} for names in reached.values())


def test_an_arm_serves_no_task_that_the_arm_of_its_checkpoint_cannot_serve():
    both = {"intermediate": ["qa", "sarcasm"], "targets": ["qa", "intent"], "languages": []}
    arms = {"arms": ["standard", "dann", "cdan", "leace-cdan"], "probe_arms": []}
    found = grid(study("bench", scientific=both | arms))
    assert {task for _, task, arm, _ in found.target if arm == "leace-cdan"} == {"sarcasm"}


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
        (
            {"scientific": {"arms": ["standard", "dann", "leace-dan"]}},
            "checkpoints of 'dan', which is not among the arms that train; these are: standard",
        ),
        ({"scientific": {"arms": ["standard", "dann", "leace-leace", "leace"]}}, "that train"),
        (
            {
                "scientific": {
                    "arms": ["standard", "dann", "centring"],
                    "targets": ["intent", "emoji-names"],
                    "probe_arms": ["centring"],
                }
            },
            "has the features of 'standard'",
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
        study("bench", scientific=arms)


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


def test_a_part_of_a_study_is_a_checkpoint_with_its_targets_and_probes():
    smoke = study()
    dann = [
        "intermediate/sarcasm/dann/seed-0",
        "target/intent/sarcasm.dann/seed-0",
        "target/emoji-names/sarcasm.dann/seed-0",
        "probe/sarcasm/dann/seed-0",
    ]
    assert runs_of_part(smoke, "sarcasm.dann:0") == dann
    # probed on seed 0 only
    assert runs_of_part(smoke, "sarcasm.dann:1") == [
        name.replace("seed-0", "seed-1") for name in dann[:3]
    ]
    # plain retrieval is one run for all seeds, the first one's
    alone = ["target/intent/none/seed-0", "target/emoji-names/none/seed-0"]
    assert runs_of_part(smoke, "none:0") == alone
    assert runs_of_part(smoke, "none:1") == ["target/intent/none/seed-1"]
    # control is there to be probed, and that after its fine-tuning
    control = ["intermediate/sarcasm/control/seed-0", "target/intent/sarcasm.control/seed-0"]
    assert runs_of_part(smoke, "sarcasm.control:0") == [*control, "probe/sarcasm/control/seed-0"]
    block = runs_of_part(smoke, "sarcasm:0")
    arms = [runs_of_part(smoke, f"sarcasm.{arm}:0") for arm in ("standard", "dann", "control")]
    assert sorted(block) == sorted(name for own in arms for name in own)
    assert runs_of_part(smoke, " none:0  sarcasm.dann:0 none:0") == [*alone, *dann]
    whole = runs_of_part(smoke, "sarcasm:0 sarcasm:1 question-type:0 question-type:1 none:0 none:1")
    assert sorted(["prepared", *whole]) == sorted(parameters_of_runs(smoke))


def test_parts_with_seeds_by_arm_arms_without_training_and_targets_without_their_own():
    arms = ["none", "standard", "dann", "dann-0.01", "centring"]
    seeds = {"default": [0, 1], "none": [2, 1, 0], "dann": [0, 1, 3]}
    asked = study(
        scientific=BORROWED["scientific"]
        | {"targets": ["tydiqa", "xquad", "emoji-names"], "probe_arms": ["dann"]}
        | {"arms": arms, "seeds": seeds},
        fixed={"train_from": {"xquad": "tydiqa"}},
        nuisance={"lambda_max": {"dann-0.01": 0.01}},
    )
    part = runs_of_part(asked, "sarcasm.dann-0.01:3")
    targets = [f"target/{name}/sarcasm.dann-0.01/seed-3" for name in asked.scientific.targets]
    assert part == ["intermediate/sarcasm/dann-0.01/seed-3", *targets]
    assert runs_of_part(asked, "sarcasm.centring:1") == [
        "target/emoji-names/sarcasm.centring/seed-1"
    ]
    names = {name.split("/")[-2] for name in runs_of_part(asked, "sarcasm:3")}
    assert names == {"sarcasm.dann", "sarcasm.dann-0.01", "dann", "dann-0.01"}
    assert "target/emoji-names/none/seed-2" in runs_of_part(asked, "none:2")
    assert not any("emoji-names" in name for name in runs_of_part(asked, "none:0 none:1"))
    with pytest.raises(ValueError, match=r"'sarcasm.standard' has no seed '3'; allowed: 0, 1;"):
        runs_of_part(asked, "sarcasm.standard:3")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("sarcsm.dann:0", "'sarcsm' is no intermediate task of this study; did you mean 'sarcasm'"),
        ("intent:0", "allowed: sarcasm, question-type, none"),
        ("sarcasm.dan:0", "'sarcasm' has no arm 'dan' in this study; did you mean 'dann'? allowed: "
         "standard, dann, control"),
        ("sarcasm.none:0", "'sarcasm' has no arm 'none'"),
        ("none.dann:0", "'none' has no arm 'dann' in this study; allowed: nothing"),
        ("sarcasm.dann:2", "'sarcasm.dann' has no seed '2'; allowed: 0, 1"),
        ("sarcasm.control:1", "'sarcasm.control' has no seed '1'; allowed: 0"),
        ("none:-1", "'none' has no seed '-1'"),
        ("sarcasm.dann:00", "has no seed '00'"),
        ("sarcasm", "'sarcasm' is no name and seed"),
        ("sarcasm.dann:", "'sarcasm.dann:' is no name and seed"),
        ("sarcasm.:0", "'sarcasm' has no arm ''"),
        (":0", "':0' is no name and seed"),
        (":", "':' is no name and seed"),
        ("", "it is empty"),
        (" ", "it is empty"),
    ],
)  # fmt: skip
def test_a_part_that_a_study_lacks_is_refused_with_what_it_has(part, said):
    with pytest.raises(ValueError) as refused:
        runs_of_part(study(), part)
    assert said in str(refused.value) and f"PART={part!r}: " in str(refused.value)


def test_all_that_is_wrong_in_a_part_is_said_at_once():
    with pytest.raises(ValueError) as refused:
        runs_of_part(study(), "none:0 x:0 sarcasm.cdan:1 x:0 none:5")
    said = str(refused.value).partition(": ")[2].split("; ")
    assert [part for part in said if " no " in part] == [
        "'x' is no intermediate task of this study",
        "'sarcasm' has no arm 'cdan' in this study",
        "'none' has no seed '5'",
    ]
