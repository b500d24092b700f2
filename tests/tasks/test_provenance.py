"""What a folder of files says of itself: read strictly, every mistake named."""

import pytest

from xgrl.tasks import data_card, provenance_of
from xgrl.tasks.files.provenance import (
    FILE,
    MANIFEST,
    describe,
    part_of,
    read_manifest,
    read_provenance,
)

TEXT = """
panx:
  licence: ours
  train: {status: official}
  test:
    status: development
    languages:
      en: {status: partial, note: one half, licence: theirs}
      de: {status: official}
lareqa: {test: {status: official}}
bucc2018: {dev: {status: replaced}}
siqa: {licence: free, train: {status: partial}}
unlabelled: {licence: open, train: {status: official}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / FILE).write_text(TEXT)
    return tmp_path


def test_a_language_is_what_its_own_line_says_or_its_split_s(folder):
    said = read_provenance(folder)
    statuses = {code: part_of(said, "panx", "test", code).status for code in ("en", "de", "fr")}
    assert statuses == {"en": "partial", "de": "official", "fr": "development"}
    assert part_of(said, "panx", "test", "fr").licence == "ours"
    assert part_of(said, "panx", "test", "en").licence == "theirs"
    assert part_of(said, "panx", "dev", "en") is None
    assert part_of(said, "lareqa", "queries", "de").status == "official"
    assert part_of(said, "bucc2018", "dev_queries", "zh").status == "replaced"
    words = "train: official; test: development; test in en: partial (one half)"
    assert describe(said, "panx") == (f"{words}; test in de: official", "ours; theirs")
    assert describe(said, "xnli") == ("not stated", "")
    same = "xnli: {test: {status: official, languages: {de: {status: official}}}}"
    (folder / FILE).write_text(same)
    assert describe(read_provenance(folder), "xnli") == ("test: official", "")


def test_a_folder_that_says_nothing_is_not_stated(tmp_path):
    assert read_provenance(tmp_path) == {} and read_manifest(tmp_path) == {}
    corpora = ["target/panx/test-de", "intermediate/siqa/train"]
    stated = provenance_of(corpora, ["files"], str(tmp_path))
    assert stated == dict.fromkeys(corpora, "not stated")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("panx: {test: {status: offical}}", ["panx.test", "'offical'", "'development'"]),
        ("panx: {test: {note: half}}", ["panx.test", "status: missing"]),
        ("panx: {test: official}", ["panx.test", "valid dictionary"]),
        ("panx: {test: {status: official, license: x}}", ["license", "did you mean 'licence'"]),
        ("panx: {tests: {status: official}}", ["panx", "train, dev, test, translated", "tests"]),
        ("panx: {licence: [x]}", ["panx", "a text as licence"]),
        ("panx: official", ["panx", "found 'official'"]),
        ("pan-x: {test: {status: official}}", ["'pan-x'", "did you mean 'panx'", "xnli"]),
        ("panx: {test: {status: official, languages: [de]}}", ["languages", "dictionary"]),
        (
            "panx: {test: {status: official, languages: {german: {status: official}}}}",
            ["panx.test.languages.german", "code"],
        ),
        (
            "panx: {test: {status: official, languages: {de: {status: dev}}}}",
            ["panx.test.languages.de", "'dev'"],
        ),
        (
            "panx: {test: {status: official, languages: {no: {}}}}",
            ["panx.test: languages", "quotes"],
        ),
        ("panx: {}\npanx: {}", ["'panx' stands twice"]),
        ("[panx]", ["expected tasks", "found ['panx']"]),
        ("panx: {test: {status: x}}\nxnli: {test: {status: y}}", ["panx.test", "xnli.test"]),
        (": [", ["not YAML"]),
    ],
)
def test_every_mistake_is_named(tmp_path, text, words):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError) as error:
        read_provenance(tmp_path)
    message = str(error.value)
    assert all(word in message for word in [FILE, *words]), message


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../x"])
def test_a_manifest_lists_files_of_its_folder_only(tmp_path, name):
    (tmp_path / MANIFEST).write_text(f"{'a' * 64}  ok/file\n{'b' * 64}  {name}\n")
    with pytest.raises(ValueError, match=f"{MANIFEST}, line 2: expected 64 hex digits"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(f"{'a' * 64}  ok/file\n{'b' * 64} *./two words\n")
    assert [str(path) for path in read_manifest(tmp_path)] == ["ok/file", "two words"]
    (tmp_path / MANIFEST).write_text("abc  file\n")
    with pytest.raises(ValueError, match="line 1"):
        read_manifest(tmp_path)


def test_corpora_and_the_data_card_say_it(folder, monkeypatch):
    corpora = ["intermediate/siqa/train", "target/xcopa/first", "target/panx/test-de"]
    corpora += ["target/panx/test-zh", "target/panx/dev", "target/lareqa/queries-ar", "unlabelled"]
    stated = ["partial", "partial", "official", "development", "not stated", "official", "official"]
    expected = dict(zip(corpora, stated, strict=True))
    assert provenance_of(corpora, ["files"], str(folder)) == expected
    monkeypatch.setenv("XGRL_DATA", str(folder))
    assert provenance_of(corpora, ["files"], "") == expected
    assert provenance_of(corpora, ["packages"], "") == {}
    rows = dict.fromkeys(corpora, 10)
    card = data_card(["siqa"], ["panx", "xcopa"], ["hub", "files"], rows).set_index("task")
    assert set(card["provenance"]) == {""}  # all from the hub
    card = data_card(["siqa"], ["panx", "xcopa"], ["files"], rows).set_index("task")
    assert card.loc["siqa", "provenance"] == "train: partial"
    assert card.loc["siqa", "licence"] == "free" and card.loc["unlabelled", "licence"] == "open"
    assert card.loc["panx", "provenance"].endswith("test in de: official")
    assert card.loc["xcopa", "provenance"] == "not stated"
    assert card.loc["xcopa", "licence"].startswith("CC BY 4.0")
    assert "provenance" not in data_card(["sarcasm"], ["intent"], ["fixture"], {})


def test_sources_by_task_and_rows_of_another_target(folder):
    corpora = ["target/panx/test-de", "target/lareqa/train", "unlabelled", "parallel_texts"]
    by_task = {"default": ["fixture"], "target/panx": ["files"], "parallel": ["files"]}
    assert provenance_of(corpora, by_task, str(folder)) == {
        "target/panx/test-de": "official", "parallel_texts": "not stated",
    }  # fmt: skip
    borrowed = {"lareqa": "panx"}
    assert provenance_of(corpora, by_task, str(folder), borrowed)["target/lareqa/train"] == (
        "official"
    )
    rows = dict.fromkeys(corpora, 10)
    card = data_card(["siqa"], ["panx"], by_task, rows, {}, str(folder)).set_index("task")
    said = card["provenance"].to_dict()
    assert said.pop("panx").startswith("train: official")
    assert said == {"siqa": "", "unlabelled": "", "parallel_texts": "not stated"}


def test_what_the_real_folder_says(shared):
    if not (shared / "xtreme-r").is_dir():
        pytest.skip("no ../shared/xtreme-r here")
    said = read_provenance(shared / "xtreme-r")
    develop = {key[2] for key, part in said.items() if part.status == "development"}
    assert {"ar", "de", "zh", ""} <= develop and len(read_manifest(shared / "xtreme-r")) > 400
    assert part_of(said, "mlqa", "test", "de").status == "development"
    assert part_of(said, "tatoeba", "queries", "de").status == "official"
