"""The plan is found, read and held against the study; what cannot be read is refused."""

from __future__ import annotations

import hashlib

import pytest

from simulate import simulate
from xgrl.report import load_study
from xgrl.report.plan import deviations, find_plan

PLAN = """---
study: simulated
date: 2026-01-02
baseline: standard
treatment: dann
margin: 1.0
alpha: 0.05
unit: block
targets: [sentiment, intent, emoji-names]
intermediate: [sarcasm, question-type]
seeds: 2
weights: equal
lambda_max: 0.05
domains: languages
discriminator_languages: 4
exclusions: none
---

# The plan
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return load_study.collect(simulate(tmp_path_factory.mktemp("planned"), seeds=(0, 1)))


def test_a_study_without_a_plan_has_none_and_one_with_it_is_found(tmp_path):
    assert find_plan("simulated", tmp_path) is None
    (tmp_path / "analysis_plan.md").write_text(PLAN)
    plan = find_plan("simulated", tmp_path)
    assert plan.sha256 == hashlib.sha256(PLAN.encode()).hexdigest() and plan.weights is None
    assert find_plan("other", tmp_path) is None
    own = tmp_path / "analysis_plan.other.md"
    own.write_text(
        PLAN.replace("study: simulated", "study: other").replace(
            "weights: equal", "weights: {intent: 2}"
        )
    )
    assert find_plan("other", tmp_path).path == own and find_plan("other", tmp_path).weights == {
        "intent": 2
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# no front matter", "begins without front matter"),
        (
            PLAN.replace("seeds: 2", "seeds: 2\nseeds: 3"),
            "key 'seeds' stands twice, in line 11 and line 12",
        ),
        (PLAN.replace("seeds: 2", "seeds: 012"), "line 11: YAML reads 012 as 10"),
        (PLAN.replace("margin: 1.0\n", ""), "is missing 'margin'"),
        (PLAN.replace("margin: 1.0", "margins: 1.0"), "front matter"),
        (
            PLAN.replace("weights: equal", "weights: group"),
            "weights: found 'group', need equal or groups, or a weight for each target",
        ),
        (
            PLAN.replace("study: simulated", "study: else"),
            "is the plan of study 'else', need 'simulated'",
        ),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(tmp_path, text, message):
    (tmp_path / "analysis_plan.simulated.md").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_plan("simulated", tmp_path)


def deviated(folder, study, text, margin=1.0):
    (folder / "analysis_plan.md").write_text(text)
    held = deviations(find_plan("simulated", folder), study, "standard", "dann", margin)
    return held[~held.ok].set_index("item")[["planned", "found"]].T.to_dict("list")


def test_a_study_that_keeps_its_plan_has_no_deviations(tmp_path, planned):
    assert deviated(tmp_path, planned, PLAN) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seeds: 2", "seeds: 6", {"seeds": ["6", "2"], "blocks": ["12", "4"]}),
        ("lambda_max: 0.05", "lambda_max: 0.1", {"lambda max": ["0.1", "0.05"]}),
        ("margin: 1.0", "margin: 0.5", {"margin": ["0.5", "1"]}),
        (
            "[sentiment, intent, emoji-names]",
            "[sentiment]",
            {"targets": ["sentiment", "emoji-names, intent, sentiment"]},
        ),
        (
            "discriminator_languages: 4",
            "discriminator_languages: 9",
            {"discriminator languages": ["9", "4"]},
        ),
        ("domains: languages", "domains: binary", {"domains": ["binary", "languages"]}),
        ("alpha: 0.05", "alpha: 0.01", {"alpha": ["0.01", "0.05"]}),
    ],
)
def test_every_departure_from_the_plan_is_listed(tmp_path, planned, old, new, expected):
    assert deviated(tmp_path, planned, PLAN.replace(old, new)) == expected


def test_the_registered_plan_of_the_laptop_study_can_be_read(root):
    plan = find_plan("laptop", root / "params")
    assert (
        str(plan.fields["date"]) == "2026-11-23"
        and plan.fields["treatment"] == "dann"
        and plan.weights is None
    )
    assert find_plan("smoke", root / "params") is None


def test_an_average_over_groups_is_kept_or_is_a_departure(tmp_path, planned):
    grouped = load_study.Study(**{**vars(planned), "average": "groups"})
    text = PLAN.replace("weights: equal", "weights: groups")
    assert deviated(tmp_path, grouped, text) == {}
    assert find_plan("simulated", tmp_path).weights is None
    assert deviated(tmp_path, planned, text) == {"weights": ["groups", "equal"]}
    assert deviated(tmp_path, grouped, PLAN) == {"weights": ["equal", "groups"]}
