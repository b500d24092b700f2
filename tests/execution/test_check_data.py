"""Files of another hash than those of the published study are named, and none is refused."""

import hashlib

from file_layouts import write
from xgrl.execution import check_data

STUDY = """
study: mine
scientific:
  intermediate: [sarcasm]
  targets: [tatoeba]
  languages: [de]
  unlabelled_languages: [en, de]
  probe_target: ""
fixed: {sources: {default: [files], intermediate/sarcasm: [packages]}}
"""
FILES = {
    "tatoeba/tatoeba.deu-eng.deu": "Eins.\n",
    "tatoeba/tatoeba.deu-eng.eng": "One.\n",
    "unlabelled/en.txt": "A sentence.\n",
    "unlabelled/de.txt": "Ein Satz.\n",
    "panx/test-de.tsv": "read by no task of the study",
}


def test_files_that_the_list_beside_the_study_lacks_or_has_otherwise_are_named(
    root, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XGRL_DATA", str(write(tmp_path / "data", FILES)))
    write(tmp_path, {"mine.yaml": STUDY})
    files = [str(root / "params/base.yaml"), str(tmp_path / "mine.yaml")]
    same = "study mine: all 4 splits and languages are in"

    def said(listed: dict[str, str] | None) -> list[str]:
        if listed is not None:
            hashes = {name: hashlib.sha256(text.encode()) for name, text in listed.items()}
            lines = [f"{hashed.hexdigest()}  {name}\n" for name, hashed in hashes.items()]
            write(tmp_path, {"mine.sha256": "".join(lines)})
        assert check_data.main(files) == 0
        first, *others = capsys.readouterr().out.splitlines()
        assert first.startswith(same)
        return others

    assert said(None) == []
    assert said(FILES | {"xnli/dev-en.tsv": "not here"}) == []
    changed = FILES | {"unlabelled/de.txt": "Ein anderer.\n", "panx/test-de.tsv": "other"}
    del changed["tatoeba/tatoeba.deu-eng.deu"]
    (line,) = said(changed)
    assert line == "2 are not those of mine.sha256: tatoeba/tatoeba.deu-eng.deu, unlabelled/de.txt"
