"""All that a study reads from files is looked for before anything is computed."""

import hashlib

import pytest
import yaml

from file_layouts import SIQA, question, squad, write
from small_study import job
from xgrl.execution import check_data, checks
from xgrl.prepare.needed_files import needed, not_official, wrong_files
from xgrl.runs.study_files import read_study
from xgrl.tasks import TABLES
from xgrl.tasks.files import wanted_files
from xgrl.tasks.files.layouts import WHERE

TAGGED = "Rom\tB-LOC\nruft\tO\n"
FILES = {
    "siqa/train.jsonl": [SIQA],
    "siqa/train-labels.lst": "2\n",
    "siqa/dev.jsonl": [SIQA],
    "siqa/dev-labels.lst": "2\n",
    "panx/train-en.tsv": TAGGED,
    "panx/dev-en.tsv": TAGGED,
    "panx/test-en.tsv": TAGGED,
    "panx/test-de.tsv": TAGGED,
    "xcopa/de.txt": "beside",
    "tydiqa/tydiqa-goldp-v1.1-train.json": squad(question("english-1")),
    "tydiqa/tydiqa-goldp-dev-english.json": squad(question("english-1")),
    "tatoeba/tatoeba.deu-eng.deu": "Eins.\n",
    "tatoeba/tatoeba.deu-eng.eng": "One.\n",
    "unlabelled/en.txt": "A sentence.\n",
    "unlabelled/de.txt": "Ein Satz.\n",
}
TASKS = {"intermediate": ["siqa"], "targets": ["panx", "tatoeba"], "languages": ["en", "de"]}


def values(folder, **changes) -> dict:
    text = {"unlabelled_languages": ["en", "de"], "sources": ["files"], "path": str(folder)}
    return job(**(TASKS | text | changes))


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "data", FILES)


def test_what_a_study_reads_is_all_there_or_named_with_where_it_can_be_had(folder):
    assert wrong_files(values(folder)) == []
    asked = [what[:3] for what in needed(values(folder))]
    assert ("siqa", "dev", "en") in asked and ("tatoeba", "candidates", "de") in asked
    assert ("panx", "test", "de") in asked and ("parallel", "train", "de") in asked
    for name in ("siqa/dev-labels.lst", "panx/test-de.tsv", "unlabelled/de.txt"):
        (folder / name).unlink()
    found = {
        row[:3]: row[:2:-1] for row in wrong_files(values(folder, languages=["de", "en", "fr"]))
    }
    assert found["siqa", "dev", "en"][0].endswith(" or dev-labels.lst")
    assert "test-fr.tsv" in found["panx", "test", "fr"][0]
    assert found["panx", "test", "de"][1] == WHERE["panx"]
    assert found["unlabelled", "train", "de"][0] == "missing: de.txt"
    assert "tatoeba.fra-eng" in found["tatoeba", "queries", "fr"][0]
    assert ("parallel", "train", "de") not in found and ("panx", "test", "en") not in found


def test_a_first_row_that_cannot_be_read_is_found_before_the_study_is(folder):
    write(folder, {"panx/test-de.tsv": "Rom\n", "panx/dev-en.tsv": "\n"})
    (withheld, empty) = wrong_files(values(folder))[::-1]
    assert withheld[:3] == ("panx", "test", "de") and "line 1" in withheld[4]
    assert empty[:3] == ("panx", "dev", "en") and "no row" in empty[4]


def test_a_file_of_another_hash_is_named(folder):
    names = ["panx/test-de.tsv", "siqa/train.jsonl", "provenance.yaml"]
    write(folder, {"provenance.yaml": "panx: {licence: ours}\n"})
    lines = [f"{hashlib.sha256((folder / x).read_bytes()).hexdigest()}  {x}\n" for x in names]
    write(folder, {"MANIFEST.sha256": "".join(lines) + f"{'0' * 64}  not/here\n"})
    assert wrong_files(values(folder)) == []
    write(folder, {"panx/test-de.tsv": TAGGED + TAGGED, "provenance.yaml": "panx: {}\n"})
    found = [(row[0], row[4]) for row in wrong_files(values(folder))]
    assert found == [
        ("", "provenance.yaml is not the file of MANIFEST.sha256"),
        ("panx", "panx/test-de.tsv is not the file of MANIFEST.sha256"),
    ]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "MANIFEST.sha256",
        "provenance.yaml",
    ]


@pytest.mark.parametrize("name", [name for role in TABLES.values() for name in role])
def test_every_task_from_files_says_which_and_where(name):
    for role in TABLES:
        task = TABLES[role].get(name)
        if task and "files" in task.loaders:
            assert task.name in WHERE
            translated = ["translated"] if task.translated("files") else []
            for split in (*task.splits, *translated):
                files = wanted_files(name, "en" if split in ("train", "dev") else "de", split)
                assert files and all(folders and names for folders, names in files), split


def test_sources_and_languages_by_task_ask_for_those_files_alone(folder):
    by_task = {"default": ["fixture"], "panx": ["files"], "parallel": ["files"]}
    asked = values(folder, sources=by_task, languages={"default": ["fr"], "panx": ["en", "de"]})
    splits = [("train", "en"), ("dev", "en"), ("test", "en"), ("test", "de")]
    expected = [("panx", *split) for split in splits] + [("parallel", "train", "de")]
    assert [what[:3] for what in needed(asked)] == expected and wrong_files(asked) == []
    assert not_official(asked) == ["panx in en de: not stated"]
    asked["sources"] = {"default": ["files"], "panx": ["fixture"], "unlabelled": ["fixture"]}
    tasks = {what.task for what in needed(asked)}
    assert tasks == {"siqa", "tatoeba", "parallel"}
    mixed = values(folder, intermediate=["siqa", "multitask"], sources={"siqa": ["files"]})
    assert {what.task for what in needed(mixed)} == {"siqa"}


def test_a_target_that_another_one_is_trained_for_needs_no_training_files(folder):
    borrowed = {"xquad": "tydiqa", "mlqa": "tydiqa", "lareqa": "tydiqa"}
    asked = values(folder, targets=["tydiqa", *borrowed], train_from=borrowed)
    wanted = {(what.task, what.split) for what in needed(asked) if what.load}
    english = {("tydiqa", "train"), ("tydiqa", "dev")}
    assert english < wanted  # of which lareqa's pairs are made
    trained = {pair for pair in wanted if pair[1] in ("train", "dev") and pair[0] != "siqa"}
    assert trained == english and ("xquad", "test") in wanted and ("lareqa", "queries") in wanted
    own = {what[:2] for what in needed(values(folder, targets=["tydiqa", *borrowed]))}
    assert {("xquad", "train"), ("mlqa", "dev"), ("lareqa", "train")} < own


def test_01_does_not_start_without_its_files(folder, monkeypatch):
    (folder / "panx/test-de.tsv").unlink()
    asked = values(folder, path="", outputs=str(folder.parent))
    with pytest.raises(checks.Refused, match=r"path=''.*by path or XGRL_DATA"):
        checks.check_job("01_prepare", asked)
    monkeypatch.setenv("XGRL_DATA", str(folder / "nowhere"))
    with pytest.raises(checks.Refused, match="nowhere': no such folder"):
        checks.check_job("01_prepare", asked)
    monkeypatch.setenv("XGRL_DATA", str(folder))
    with pytest.raises(checks.Refused, match=r"1 files .* first panx test de: missing: .*test-de"):
        checks.check_job("01_prepare", asked)
    write(folder, {"panx/test-de.tsv": TAGGED})
    assert checks.check_job("01_prepare", asked)["path"] == ""  # as the study file says it


STUDY = """
study: mine
scientific:
  intermediate: [siqa]
  targets: [panx, tatoeba]
  languages: [en, de]
  unlabelled_languages: [en, de]
  probe_target: ""
fixed: {sources: [files]}
"""


def test_the_command_prints_one_table_and_ends_with_2(folder, root, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text(STUDY)
    files = [str(root / "params/base.yaml"), str(tmp_path / "mine.yaml")]
    assert check_data.main(files) == 2
    said = capsys.readouterr().err
    assert "XGRL_DATA; it holds for study mine:" in said
    rows = [line.split("  ") for line in said.splitlines()]
    (panx,) = [row for row in rows if row[0] == "panx" and "test" in row]
    assert panx[-1].strip() == "en de" and any("mmner" in cell for cell in panx)
    assert "unlabelled" in said and "tatoeba.deu-eng.deu" in said
    monkeypatch.setenv("XGRL_DATA", str(folder))
    assert check_data.main(files) == 0
    assert "study mine: all 10 splits and languages" in capsys.readouterr().out
    (folder / "panx/test-de.tsv").unlink()
    (folder / "tatoeba/tatoeba.deu-eng.eng").unlink()
    assert check_data.main(files) == 2
    first, head, *rows = capsys.readouterr().err.splitlines()
    assert "study mine" in first and str(folder) in first
    assert head.split()[:3] == ["task", "split", "language"] and len(rows) == 3
    assert rows[0].split()[:3] == ["panx", "test", "de"] and WHERE["panx"] in rows[0]
    assert len({row.index("missing: ") for row in rows}) == 1
    laptop = [files[0], str(root / "params/laptop.yaml")]
    assert check_data.main(laptop) == 0 and "reads no files" in capsys.readouterr().out


def test_a_study_of_official_test_sets_refuses_others(folder, root, tmp_path, monkeypatch):
    said = {"panx": {"test": {"status": "development", "languages": {"en": {"status": "partial"}}}}}
    write(folder, {"provenance.yaml": yaml.safe_dump(said)})
    other = ["panx in en: partial", "panx in de: development", "tatoeba in de: not stated"]
    assert not_official(values(folder)) == other
    assert not_official(values("")) == []
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.replace("[files]", "[files], test_data: official"))
    files = [root / "params/base.yaml", path]
    assert checks.check_study(read_study(*files))  # no data here: nothing is computed from them
    monkeypatch.setenv("XGRL_DATA", str(folder))
    with pytest.raises(checks.Refused, match=f"test_data='official': {'; '.join(other)}"):
        checks.check_study(read_study(*files))
    official = {"test": {"status": "official"}}
    said = {"panx": official, "tatoeba": official}
    write(folder, {"provenance.yaml": yaml.safe_dump(said)})
    assert checks.check_study(read_study(*files)).fixed.test_data == "official"
