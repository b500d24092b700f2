"""The plan is found, read and held against the study; what cannot be read is refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace

import pytest

from simulate import simulate
from xgrl.report import load_study
from xgrl.report.load_study import UNPLANNED, UNRECORDED
from xgrl.report.plan import deviations, find_plan, history, registered_plan, summary
from xgrl.runs.plans import plan_hash, versions

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


def test_blocks_that_are_run_and_not_compared_are_an_exclusion(tmp_path, planned):
    compared = replace(planned, predictions=planned.predictions[planned.predictions.seed == 0])
    found = deviated(tmp_path, compared, PLAN)
    assert found.keys() == {"seeds", "exclusions", "blocks"} and found["blocks"] == ["4", "2"]
    assert found["exclusions"] == ["none", "question-type seed 1, sarcasm seed 1"]


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
        str(plan.fields["date"]) == "2026-11-26"
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


def git(folder, *arguments):
    names = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *names, *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path):
    """A folder of plans whose plan was committed twice: its margin, 1, became 0.5."""
    if not shutil.which("git"):
        pytest.skip("no git here")
    git(tmp_path, "init", "-q")
    for text in (PLAN, PLAN.replace("margin: 1.0", "margin: 0.5")):
        (tmp_path / "analysis_plan.simulated.md").write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", "plan")
    return tmp_path


def under(study, *hashes):
    """The study with its runs made under these plans, in turn."""
    carried = [hashes[k % len(hashes)] for k in range(len(study.runs))]
    return replace(study, runs=study.runs.assign(plan=carried))


def test_runs_under_any_committed_version_count_and_the_oldest_is_held(repository, planned):
    first, second = versions(repository / "analysis_plan.simulated.md")
    both = under(planned, second.sha256, first.sha256)
    held = registered_plan(both, repository)
    assert held.sha256 == first.sha256 and held.fields["margin"] == 1.0
    # a later edit does not move the goal: the study is held against what stood there at first
    rows = deviations(held, both, "standard", "dann", 0.5).set_index("item")
    assert rows.planned["margin"] == "1" and not rows.ok["margin"]
    lines = list(history(held, both))
    assert "-margin: 1.0                     # points" in lines or "-margin: 1.0" in lines
    assert "+margin: 0.5" in lines and any(first.commit[:10] in line for line in lines)
    late = registered_plan(under(planned, second.sha256), repository)
    assert late.fields["margin"] == 0.5
    assert "nothing" in list(history(late, under(planned, second.sha256)))[-1]
    assert summary(late, under(planned, second.sha256))["first_commit"] == first.commit


@pytest.mark.parametrize("other", [UNPLANNED, UNRECORDED, "0" * 64])
def test_runs_older_than_their_plan_are_refused_all_by_name(repository, planned, other):
    first, _ = versions(repository / "analysis_plan.simulated.md")
    study = under(planned, first.sha256, other)
    with pytest.raises(ValueError, match="older than the plan") as error:
        registered_plan(study, repository)
    older = study.runs[study.runs.plan == other]
    assert str(error.value).count(f"(plan {other[:12]})") == len(older)
    for run in older.itertuples():
        assert f"{run.phase} {run.intermediate} {run.arm}" in str(error.value)


def test_a_study_of_before_plans_were_recorded_says_so(repository, planned):
    assert set(planned.runs.plan) == {UNRECORDED}
    held = registered_plan(planned, repository)
    assert held.fields["margin"] == 0.5
    lines = list(history(held, planned))
    assert any(line.startswith("run before plans were recorded") for line in lines)
    assert "-margin: 1.0" in lines  # since the first commit


def test_without_a_history_dates_are_unknown_and_runs_before_the_plan_are_refused(
    repository, tmp_path_factory, planned
):
    exported = tmp_path_factory.mktemp("exported")
    shutil.copy(repository / "analysis_plan.simulated.md", exported)
    assert versions(exported / "analysis_plan.simulated.md") is None
    study = under(planned, "0" * 64)
    held = registered_plan(study, exported)
    assert held.fields["margin"] == 0.5
    assert "no history of it is here: when it was written is not known" in history(held, study)
    assert summary(held, study)["first_committed"] is None
    with pytest.raises(ValueError, match="older than the plan"):
        registered_plan(under(planned, UNPLANNED), exported)


def test_a_plan_that_no_commit_holds_is_told(repository, planned):
    path = repository / "analysis_plan.simulated.md"
    path.write_text(PLAN.replace("margin: 1.0", "margin: 2.0"))
    study = under(planned, plan_hash("simulated", repository))
    held = registered_plan(study, repository)
    assert held.fields["margin"] == 2.0 and "as it is now, no commit holds it" in history(
        held, study
    )
