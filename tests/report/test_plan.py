"""The plan is found, read and held against the study; what cannot be read is refused."""

import hashlib
import shutil
import subprocess
from dataclasses import replace

import pytest

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
    assert find_plan("other", tmp_path).path == own
    assert find_plan("other", tmp_path).weights == {"intent": 2}


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


def test_a_study_that_keeps_its_plan_has_no_deviations(tmp_path, study):
    assert deviated(tmp_path, study, PLAN) == {}


def test_blocks_that_are_run_and_not_compared_are_an_exclusion(tmp_path, study):
    compared = replace(study, predictions=study.predictions[study.predictions.seed == 0])
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
def test_every_departure_from_the_plan_is_listed(tmp_path, study, old, new, expected):
    assert deviated(tmp_path, study, PLAN.replace(old, new)) == expected


def test_a_discriminator_of_other_languages_in_one_run_is_a_departure(tmp_path, study):
    runs = study.runs.copy()
    last = runs.index[(runs.phase == "intermediate") & (runs.arm == "dann")][-1]
    runs.loc[last, "discriminator_chance"] = 100 / 9
    found = deviated(tmp_path, replace(study, runs=runs), PLAN)
    assert found == {"discriminator languages": ["4", "4, 9"]}


def test_the_registered_plan_of_the_laptop_study_can_be_read(root):
    plan = find_plan("laptop", root / "params")
    assert str(plan.fields["date"]) == "2026-11-26"
    assert plan.fields["treatment"] == "dann"
    assert plan.weights is None
    assert find_plan("smoke", root / "params") is None


def test_an_average_over_groups_is_kept_or_is_a_departure(tmp_path, study):
    grouped = replace(study, average="groups")
    text = PLAN.replace("weights: equal", "weights: groups")
    assert deviated(tmp_path, grouped, text) == {}
    assert find_plan("simulated", tmp_path).weights is None
    assert deviated(tmp_path, study, text) == {"weights": ["groups", "equal"]}
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


def test_runs_under_any_committed_version_count_and_the_oldest_is_held(repository, study):
    first, second = versions(repository / "analysis_plan.simulated.md")
    both = under(study, second.sha256, first.sha256)
    held = registered_plan(both, repository)
    assert held.sha256 == first.sha256 and held.fields["margin"] == 1.0
    # a later edit does not move the goal: the study is held against what stood there at first
    rows = deviations(held, both, "standard", "dann", 0.5).set_index("item")
    assert rows.planned["margin"] == "1" and not rows.ok["margin"]
    lines = list(history(held, both))
    assert "-margin: 1.0" in lines and "+margin: 0.5" in lines
    assert any(first.commit[:10] in line for line in lines)
    late = registered_plan(under(study, second.sha256), repository)
    assert late.fields["margin"] == 0.5
    assert "nothing" in list(history(late, under(study, second.sha256)))[-1]
    assert summary(late, under(study, second.sha256))["first_commit"] == first.commit


@pytest.mark.parametrize("other", [UNPLANNED, UNRECORDED, "0" * 64])
def test_runs_older_than_their_plan_are_refused_all_by_name(repository, study, other):
    first, _ = versions(repository / "analysis_plan.simulated.md")
    study = under(study, first.sha256, other)
    with pytest.raises(ValueError, match="older than the plan") as error:
        registered_plan(study, repository)
    older = study.runs[study.runs.plan == other]
    assert str(error.value).count(f"(plan {other[:12]})") == len(older)
    for run in older.itertuples():
        assert f"{run.phase} {run.intermediate} {run.arm}" in str(error.value)


def test_a_study_of_before_plans_were_recorded_says_so(repository, study):
    assert set(study.runs.plan) == {UNRECORDED}
    held = registered_plan(study, repository)
    assert held.fields["margin"] == 0.5
    lines = list(history(held, study))
    assert any(line.startswith("run before plans were recorded") for line in lines)
    assert "-margin: 1.0" in lines  # since the first commit


def test_without_a_history_dates_are_unknown_and_runs_before_the_plan_are_refused(
    repository, tmp_path_factory, study
):
    exported = tmp_path_factory.mktemp("exported")
    shutil.copy(repository / "analysis_plan.simulated.md", exported)
    assert versions(exported / "analysis_plan.simulated.md") is None
    study = under(study, "0" * 64)
    held = registered_plan(study, exported)
    assert held.fields["margin"] == 0.5
    assert "no history of it is here: when it was written is not known" in history(held, study)
    assert summary(held, study)["first_committed"] is None
    with pytest.raises(ValueError, match="older than the plan"):
        registered_plan(under(study, UNPLANNED), exported)


def test_a_plan_that_no_commit_holds_is_told(repository, study):
    path = repository / "analysis_plan.simulated.md"
    path.write_text(PLAN.replace("margin: 1.0", "margin: 2.0"))
    study = under(study, plan_hash("simulated", repository))
    held = registered_plan(study, repository)
    assert held.fields["margin"] == 2.0
    assert "as it is now, no commit holds it" in history(held, study)
