"""Manipulation checks pass where the experiment worked, and each can fail."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xgrl import stats
from xgrl.report import checks, load_study
from xgrl.report.explanations import HIDDEN
from xgrl.report.summary import latex, summarise
from xgrl.report.tables import warnings

TRAINED = "intermediate/sarcasm"
OWN = "adversary acted (own discriminator)"


def edit(path, **metrics):
    record = json.loads((path / "run.json").read_text())
    record["metrics"] |= metrics
    (path / "run.json").write_text(json.dumps(record))


def test_probes_after_fine_tuning_stay_apart(study):
    assert set(study.probes.stage) == {"intermediate", "fine-tuned"}
    after = study.probes[study.probes.stage == "fine-tuned"]
    # were they looked at, the adversary would seem to have done nothing
    assert (after.accuracy == 97.0).all()
    fresh = (
        checks.manipulation_checks(study, "standard", "dann")
        .set_index("question")
        .loc["adversary acted (fresh probe, last layer)"]
    )
    assert fresh.ok


def test_manipulation_checks_pass_where_the_experiment_worked(study):
    checked = checks.manipulation_checks(study, "standard", "dann")
    assert checked.ok.all() and checks.failures(checked, study.audit) == []
    assert set(checked.question) == {
        "task learned", "discriminator not outpaced", OWN,
        "adversary acted (fresh probe, last layer)", HIDDEN, "room to move",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "metrics", "question", "subject"),
    [
        (
            f"{TRAINED}/standard/seed-1",
            {"learned": False, "dev_low": 49.0},
            "task learned",
            "sarcasm",
        ),
        (
            f"{TRAINED}/dann/seed-1",
            {"discriminator_accuracy": 10.0},
            "discriminator not outpaced",
            "dann",
        ),
        (f"{TRAINED}/dann/seed-1", {"discriminator_accuracy": 91.0}, OWN, "dann against control"),
        ("target/intent/none/seed-0", {"macro": 150.0}, "room to move", "intent"),
        ("target/intent/none/seed-0", {"macro": -20.0}, "room to move", "intent"),
    ],
)
def test_each_manipulation_check_can_fail(copy, path, metrics, question, subject):
    edit(copy / path, **metrics)
    data = load_study.collect(copy)
    checked = checks.manipulation_checks(data, "standard", "dann")
    assert checked.loc[~checked.ok, ["question", "subject"]].to_numpy().tolist() == [
        [question, subject]
    ]
    assert checks.failures(checked, data.audit) == [f"{question}: {subject}"]


@pytest.mark.parametrize(
    ("arm", "more", "chance", "ok"),
    [("dann", 9.0, 25.0, True), ("dann", 11.0, 25.0, False),
     ("dann", 40.0, 11.0, True),  # another question than the discriminator's
     ("control", 40.0, 25.0, True)],
)  # fmt: skip
def test_a_discriminator_that_a_fresh_one_beats_was_outpaced(copy, arm, more, chance, ok):
    (path,) = copy.glob(f"probe/sarcasm/{arm}/seed-0/layers.csv")
    table = pd.read_csv(path)
    own = json.loads((copy / f"{TRAINED}/{arm}/seed-0/run.json").read_text())["metrics"]
    before = (table.stage == "intermediate") & (table.layer == table.layer.max())
    mlp = np.where(before, own["discriminator_accuracy"] + more, 99.0)  # elsewhere it may be plain
    table.assign(mlp_accuracy=mlp, chance=chance).to_csv(path, index=False)
    data = load_study.collect(copy)
    row = checks.manipulation_checks(data, "standard", "dann").set_index("question")
    row = row.loc["discriminator not outpaced"]
    assert row.ok == ok
    compared = arm == "dann" and chance == 25.0
    assert (f"{more:+.1f} points more" in row.found) == compared
    said = warnings(data).query("arm == 'dann' and phase == 'intermediate'").warning
    assert any("fresh MLP reads the language 11.0 points better" in x for x in said) != ok


def test_fresh_probe_check_fails_where_language_is_as_plain_as_before(copy):
    for path in copy.glob("probe/*/dann/*"):
        shutil.copy(str(path / "layers.csv").replace("dann", "control"), path / "layers.csv")
    checked = checks.manipulation_checks(load_study.collect(copy), "standard", "dann")
    assert checked.question[~checked.ok].tolist() == ["adversary acted (fresh probe, last layer)"]


def gone(folder, *patterns):
    for path in (path for pattern in patterns for path in folder.glob(f"{pattern}/run.json")):
        path.unlink()
        path.with_name("predictions.parquet").unlink()
    return load_study.collect(folder)


def test_a_complete_study_is_compared_as_it_is(study):
    assert checks.on_whole_blocks(study, "standard", "dann") is study


def test_an_incomplete_study_is_compared_on_the_blocks_that_both_arms_have_whole(copy, study):
    data = gone(copy, "target/intent/sarcasm.dann/seed-1")
    with pytest.raises(ValueError, match="target 'intent': found no rows"):
        stats.compare(data.predictions)
    kept = checks.on_whole_blocks(data, "standard", "dann")
    line = kept.audit.set_index("check").found["blocks that both arms have whole (compared)"]
    # the tasks need the same seeds
    assert line == "2 of 4 blocks; left out: question-type seed 1, sarcasm seed 1"
    compared = checks.planned_comparison(kept, "standard", "dann", 1.0, {})
    rows = study.predictions
    alone = stats.compare(rows[(rows.seed == 0) | (rows.arm == "none")])
    assert compared.n_blocks == 2 and compared.theta == alone.theta and compared.p == alone.p
    assert (kept.predictions.arm == "none").sum() == (rows.arm == "none").sum()
    assert set(kept.predictions.seed[kept.predictions.arm == "control"]) == {0}


def test_other_layers_are_read_on_the_same_blocks_and_none_alone_has_no_discriminator(copy, study):
    data = gone(copy, "target/intent/sarcasm.dann/seed-1")
    further = study.predictions[study.predictions.target == "emoji-names"].assign(layer=-1)
    kept = checks.on_whole_blocks(replace(data, further_layers=further), "standard", "dann")
    assert set(kept.further_layers.seed[kept.further_layers.arm != "none"]) == {0}
    assert set(kept.further_layers.seed[kept.further_layers.arm == "none"]) == {0, 1}
    assert checks.ahead_of_own(replace(study, runs=study.runs[study.runs.arm == "none"])).empty


def test_where_no_block_is_whole_nothing_is_compared_and_the_sentence_says_why(copy, study):
    data = gone(copy, "target/*/*.dann/seed-*")
    assert checks.on_whole_blocks(data, "standard", "dann") is data
    plan = {"failed_checks": ["data audit"]}
    nothing = checks.planned_comparison(data, "standard", "dann", 1.0, plan)
    assert nothing.n_blocks == 0 and nothing.verdict == "not compared"
    found = "dann and standard are not compared: no target runs of dann."
    assert str(nothing) == f"{found} Checks that failed: data audit."
    checked = checks.manipulation_checks(data, "standard", "dann")
    values = summarise(data, nothing, checked)
    assert values["table"][0]["theta"] is None and values["comparison"]["p"] is None
    assert "nan" not in latex(values)
    with pytest.raises(ValueError, match="need two arms"):  # in a complete study it is an error
        checks.planned_comparison(study, "standard", "standard", 1.0, {})
