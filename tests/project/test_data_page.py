"""docs/data.md and params/xtreme-r.sha256: the files that the study reads, and no others; hashes of
the files that are here; the page's parts, repositories and statuses.
"""

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from xgrl.execution.checks import check_study
from xgrl.execution.grid import arms_with_texts
from xgrl.execution.trials import study_of_trials
from xgrl.prepare.needed_files import Needed, needed
from xgrl.runs.study_files import read_study
from xgrl.tasks.files import provenance, wanted_files
from xgrl.tasks.sources.files import find_all

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "xtreme-r"
MANIFEST = ROOT / "params/xtreme-r.sha256"
LINES = MANIFEST.read_text(encoding="utf-8").splitlines(keepends=True)
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs XTREME-R's files (../shared)")


def names() -> list[str]:
    return [line.split("  ", 1)[1].rstrip("\n") for line in LINES]


def read_by_the_study() -> list[Needed]:
    """What the study and its tuning trials read from files."""
    config = read_study(str(ROOT / "params/base.yaml"), str(ROOT / "params/xtreme-r.yaml"))
    studies = [check_study(config), check_study(study_of_trials(config))]
    jobs = [study.job("01_prepare", arms=arms_with_texts(study)) for study in studies]
    return [what for job in jobs for what in needed(job)]


def test_the_manifest_is_as_sha256sum_writes_it_and_sorted():
    assert all(re.fullmatch(r"[0-9a-f]{64}  [^/\s]+/\S+\n", line) for line in LINES)
    assert names() == sorted(set(names()))


def test_it_lists_every_file_that_the_study_reads_and_no_other(tmp_path):
    """In a folder with just these names all parts and languages are found, and no file is left."""
    for name in names():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    read, lacking = set(), []
    for what in read_by_the_study():
        for folders, wanted in wanted_files(what.task, what.language, what.split):
            found = find_all(tmp_path, folders, wanted)
            read |= {file.relative_to(tmp_path).as_posix() for file in found}
            lacking += [] if found else [what[:3]]
    assert lacking == [] and read == set(names())
    assert f"reads {len(read)} files" in " ".join(PAGE.split())


@shared
def test_its_hashes_are_those_of_the_files_here():
    listed = provenance.read_manifest(SHARED)
    assert [line for line in LINES if listed.get(Path(line[66:-1])) != line[:64]] == []
    sizes = {name: (SHARED / name).stat().st_size for name in names()}
    for name in sorted(names(), key=sizes.get)[::20]:  # that list is one of the files as they are
        digest = hashlib.sha256((SHARED / name).read_bytes()).hexdigest()
        assert f"{digest}  {name}\n" in LINES


def test_the_page_has_the_parts_with_their_numbers_of_files_and_hashes():
    shown = re.findall(r"^\| (\w+) \| (\d+) \|.*\| `([0-9a-f]{64})` \|$", PAGE, re.M)
    parts: dict[str, list[str]] = {}
    for line in LINES:
        parts.setdefault(line[66:].split("/")[0], []).append(line)
    expected = {
        (part, str(len(lines)), hashlib.sha256("".join(lines).encode()).hexdigest())
        for part, lines in parts.items()
    }
    assert set(shown) == expected and len(shown) == len(expected)


def test_every_repository_has_a_whole_commit_or_a_treebank_s_tag():
    named = re.findall(r"([\w.-]+(?:/[\w.-]+)?) @\s+(\S+?)[:;,.)]*(?=\s)", PAGE)
    assert len(named) == PAGE.count("@") > 50
    for repository, at in named:
        treebank = re.fullmatch(r"UD_\w+-\w+", repository) and re.fullmatch(r"r2\.[57]", at)
        assert treebank or ("/" in repository and re.fullmatch(r"[0-9a-f]{40}", at)), repository


def test_the_page_names_a_source_for_each_language_of_udpos():
    """A row of the table of treebanks, or one of the table of development files."""
    said = yaml.safe_load(re.search(r"(?s)```yaml\n(.*?)```", PAGE)[1])["udpos"]["test"][
        "languages"
    ]
    treebanks = dict(re.findall(r"^\| ([a-z]{2}) \| (UD_.*?) \|", PAGE, re.M))
    blobs = dict(re.findall(r"^\| ([a-z]{2}) \|.*\| ([0-9a-f]{40}) \|$", PAGE, re.M))
    tested = {w.language for w in read_by_the_study() if w[:2] == ("udpos", "test")}
    assert set(treebanks) | set(blobs) == tested and not set(treebanks) & set(blobs)
    assert set(blobs) == {code for code, is_ in said.items() if is_["status"] == "development"}
    if SHARED.is_dir():
        for code, blob in blobs.items():
            content = (SHARED / f"udpos/test-{code}.tsv").read_bytes()
            assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == blob


@shared
def test_the_statuses_on_the_page_are_those_of_the_folder(tmp_path):
    (tmp_path / provenance.FILE).write_text(re.search(r"(?s)```yaml\n(.*?)```", PAGE)[1])
    ours, theirs = (provenance.read_provenance(folder) for folder in (tmp_path, SHARED))
    for task, split, language, _ in read_by_the_study():
        here, there = (provenance.part_of(said, task, split, language) for said in (ours, theirs))
        assert (here and here.status) == (there and there.status), (task, split, language)
        assert here or (task, split) == ("tydiqa", "dev")  # taken off the training rows
