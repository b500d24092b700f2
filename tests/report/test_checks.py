"""Manipulation checks pass where the experiment worked, and each can fail."""

from __future__ import annotations

import json
import shutil

import pytest

from xgrl.report import checks, load_study

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
        "adversary acted (fresh probe, last layer)", "room to move",
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


def test_fresh_probe_check_fails_where_language_is_as_plain_as_before(copy):
    for path in copy.glob("probe/*/dann/*"):
        shutil.copy(str(path / "layers.csv").replace("dann", "control"), path / "layers.csv")
    checked = checks.manipulation_checks(load_study.collect(copy), "standard", "dann")
    assert checked.question[~checked.ok].tolist() == ["adversary acted (fresh probe, last layer)"]
