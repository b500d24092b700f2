"""Which plan a study has, its versions in git, and its hash in every record."""

import hashlib
import shutil
import subprocess

import pytest

from xgrl.runs import records
from xgrl.runs.plans import plan_file, plan_hash, versions

TEXTS = ("---\nstudy: own\n---\nfirst\n", "---\nstudy: own\n---\nsecond\n")


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture
def repository(tmp_path):
    if not shutil.which("git"):
        pytest.skip("no git here")
    folder = tmp_path / "here"
    folder.mkdir()
    git(folder, "init", "-q")
    for text in TEXTS:
        (folder / "analysis_plan.own.md").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "plan")
    return folder


def test_a_plan_s_versions_are_its_commits_oldest_first(repository):
    path = repository / "analysis_plan.own.md"
    found = versions(path)
    assert [version.data.decode() for version in found] == [*TEXTS]
    assert found[1].sha256 == plan_hash("own", repository)
    assert found[0].commit.encode() == git(repository, "rev-parse", "HEAD~1").strip()
    (repository / "analysis_plan.other.md").write_text("another")
    assert versions(repository / "analysis_plan.other.md") == []


def test_where_history_is_cut_or_absent_versions_are_unknown(repository, tmp_path):
    source = f"file://{repository}"
    git(tmp_path, "clone", "-q", "--depth", "1", source, str(tmp_path / "shallow"))
    assert versions(tmp_path / "shallow" / "analysis_plan.own.md") is None
    exported = tmp_path / "exported"
    exported.mkdir()
    shutil.copy(repository / "analysis_plan.own.md", exported)
    assert versions(exported / "analysis_plan.own.md") is None


def test_a_common_plan_is_that_of_the_study_which_it_names(tmp_path):
    (tmp_path / "analysis_plan.md").write_text(TEXTS[0])
    assert plan_hash("own", tmp_path) == hashlib.sha256(TEXTS[0].encode()).hexdigest()
    assert plan_hash("other", tmp_path) is None
    mine = tmp_path / "analysis_plan.own.md"
    mine.write_text(TEXTS[1])
    assert plan_file("own", tmp_path) == mine


def test_a_record_holds_the_plan_s_hash_beside_what_identifies_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params").mkdir()
    given = {"study": "own", "seed": 1}

    def record():
        started = records.start(tmp_path / "run", "own")
        records.finish(
            tmp_path / "run", phase="target", parameters=given, metrics={}, started=started
        )
        return records.read(tmp_path / "run")

    assert record()["plan"] is None
    (tmp_path / "params" / "analysis_plan.own.md").write_text(TEXTS[0])
    found = record()
    assert found["plan"] == hashlib.sha256(TEXTS[0].encode()).hexdigest()
    assert found["parameters"] == given and found["inputs"] == {}
