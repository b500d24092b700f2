"""`xgrl.tasks.parallel` and `xgrl.tasks.messages`: pairs that say the same, text that is of its
language, and no test row.
"""

import re

import numpy as np
import pytest

from xgrl.tasks import load_task, messages, unlabelled
from xgrl.tasks.leakage import leakage, normalise
from xgrl.tasks.messages import load_messages
from xgrl.tasks.parallel import SOURCES, load_parallel
from xgrl.tasks.sentences import SENTENCE
from xgrl.tasks.sources import SourceError
from xgrl.tasks.unlabelled import load_unlabelled

# Without data


def test_pairs_of_the_fixture_say_the_same_in_every_language():
    rows = load_parallel(["de", "th"], source="fixture")
    german, thai = (
        rows.filter(lambda row, code=code: row["language"] == code) for code in ("de", "th")
    )
    assert german["id"] == thai["id"]
    assert german["english"] == thai["english"]
    assert len(set(german["id"])) == 300
    forms: dict[str, set[str]] = {}
    for row in german:
        for english, foreign in zip(row["english"].split(), row["text"].split(), strict=True):
            forms.setdefault(english, set()).add(foreign)
    assert len(forms) == 240 and all(len(found) == 1 for found in forms.values())
    shared = np.mean([english in found for english, found in forms.items()])
    assert 0.3 < shared < 0.5, "cognates"
    tests = {
        "intent": load_task("intent", "de", "test", source="fixture")["text"],
        "unlabelled": load_unlabelled(["de"], "fixture")["text"],
    }
    assert leakage({"pairs": german["text"]}, tests)[0][["exact", "near"]].to_numpy().sum() == 0


@pytest.mark.parametrize(
    ("languages", "arguments", "message"),
    [
        (["en"], {}, r"language='en': .*allowed: pl, de, es"),
        (["it"], {"source": "hub"}, r"language='it': .*allowed: ar, bg"),
        (
            ["de"],
            {"source": "hubb"},
            r"source='hubb': did you mean 'hub'\? allowed: packages, fixture, hub, files",
        ),
        ([], {"source": "fixture"}, r"languages=\[\]: give at least one of af"),
        (["de"], {"source": "files"}, r"path=None: source='files' needs the folder"),
    ],
)
def test_refusals_name_what_was_wrong_and_what_is_allowed(languages, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_parallel(languages, **arguments)


def test_pairs_of_one_s_own_come_before_tatoeba_and_alone_where_tatoeba_is_a_test_set(tmp_path):
    (tmp_path / "tatoeba.deu-eng.deu").write_text("Hallo\nGut\n")
    (tmp_path / "tatoeba.deu-eng.eng").write_text("Hello\nGood\n")
    rows = load_parallel(["de"], "files", tmp_path)
    assert rows.to_list() == [
        {"id": "tatoeba-deu-0", "language": "de", "text": "Hallo", "english": "Hello"},
        {"id": "tatoeba-deu-1", "language": "de", "text": "Gut", "english": "Good"},
    ]
    with pytest.raises(
        SourceError, match=r"de\.tsv does not exist.*Tatoeba's sentences are this study's test set"
    ):
        load_parallel(["de"], "files", tmp_path, without=["xnli", "tatoeba"])
    (tmp_path / "parallel").mkdir()
    (tmp_path / "parallel" / "de.tsv").write_text("Ja\tYes\n\tnothing\nDoch\tyes!\nNein\tNo\n")
    rows = load_parallel(["de"], "files", tmp_path, without=["tatoeba"])
    assert [tuple(row.values()) for row in rows] == [
        ("parallel-0", "de", "Ja", "Yes"),
        ("parallel-3", "de", "Nein", "No"),
    ]
    (tmp_path / "parallel" / "de.tsv").write_text("Ja\tYes\tOui\n")
    with pytest.raises(
        SourceError, match=r"de\.tsv, line 1: found 3 columns, expected 2 \(de, en\)"
    ):
        load_parallel(["de"], "files", tmp_path)
    (tmp_path / "parallel" / "de.tsv").write_text("...\tYes\n")
    with pytest.raises(SourceError, match="no pair of 'de' and English has text on both sides"):
        load_parallel(["de"], "files", tmp_path)


def test_text_for_language_modelling_is_the_discriminators_where_it_may_be():
    assert {
        source
        for source in messages.SOURCES
        if messages.SOURCES[source] is not unlabelled.SOURCES[source]
    } == {"packages"}
    assert set(messages.CARD) == set(messages.SOURCES)
    assert "canary" in unlabelled.CARD["packages"][2]
    with pytest.raises(ValueError, match=r"language='hi': .*allowed: en, bg"):
        load_messages(["hi"])
    with pytest.raises(ValueError, match="give at least one"):
        load_messages([])


def test_messages_with_markup_are_left_out_and_the_rest_is_cut_into_sentences(monkeypatch):
    english = (
        '{"x": {"y": "The lamp is burning. The lamp is switched off.", "z": "See {url} for more '
        'of it."}}'
    )
    german = '{"x": {"y": "Die Lampe ist jetzt an.", "z": "The lamp is switched off!"}}'
    files = {
        f"a/b/c/translations/{code}.json": text.encode()
        for code, text in {"en": english, "de": german}.items()
    }
    monkeypatch.setattr(
        messages,
        "read_matching",
        lambda _, pattern: [item for item in files.items() if item[0].endswith(pattern[-7:])],
    )
    assert [row["id"] for row in messages._table("en").to_pylist()] == [
        "message-en-c/x/y-0",
        "message-en-c/x/y-1",
    ]
    german = messages._table("de").to_pylist()
    assert german == [
        {"id": "message-de-c/x/y-0", "text": "Die Lampe ist jetzt an.", "language": "de"}
    ]


# Real data


@pytest.mark.embedded
def test_real_pairs_are_parallel_and_no_test_rows():
    """Digits of a sentence survive its translation, the last rows that are used included."""
    rows = load_parallel(SOURCES["packages"]).to_pandas()
    sizes = rows.groupby("language").size()
    assert sizes.min() > 35_000 and sizes["pl"] > 44_000
    tests = {
        row for language in ("en", "pl") for row in load_task("sentiment", language, "test")["id"]
    }
    assert not tests & set(rows["id"])
    assert not {row.replace("sentiment", "bitext") for row in rows["id"]} & set(
        load_task("bitext", "en", "candidates")["id"]
    )
    for language, found in rows.groupby("language"):
        last = found.loc[found["id"].str[10:].astype(int).sort_values().index][-1500:]
        digits = last[last["english"].str.contains(r"\d")]
        same = [
            sorted(re.findall(r"\d+", a)) == sorted(re.findall(r"\d+", b))
            for a, b in zip(digits["text"], digits["english"], strict=True)
        ]
        assert np.mean(same) > 0.65, language
    assert (
        rows.groupby("language")["english"]
        .apply(lambda texts: texts.map(normalise).is_unique)
        .all()
    )


@pytest.mark.embedded
def test_no_real_pair_is_nearly_a_test_sentence():
    rows = load_parallel(["ja"])
    tests = {
        "en": load_task("sentiment", "en", "test")["text"],
        "ja": load_task("sentiment", "ja", "test")["text"],
    }
    assert (
        leakage({"english": rows["english"][:6000]}, {"en": tests["en"]})[0][["exact", "near"]]
        .to_numpy()
        .sum()
        == 0
    )
    assert leakage({"ja": rows["text"]}, {"ja": tests["ja"]}, near_in=())[0]["exact"].sum() == 0


@pytest.mark.embedded
def test_real_messages_are_sentences_of_their_language_and_not_of_bigbench():
    common = {
        "de": "der",
        "en": "the",
        "es": "los",
        "fr": "les",
        "nl": "het",
        "pl": "się",
        "pt": "uma",
        "ru": "на",
        "it": "della",
    }
    rows = load_messages(tuple(common)).to_pandas()
    sizes = rows.groupby("language").size()
    assert sizes.min() >= 900 and sizes["de"] > 8_000 and rows["id"].is_unique
    assert rows["text"].map(lambda text: SENTENCE.fullmatch(text) is not None).all()
    assert not rows["text"].str.contains(r"[{}<>\[\]]|://").any()
    for language, texts in rows.groupby("language")["text"]:
        words = " ".join(texts).lower().split()
        assert max(common, key=lambda code: words.count(common[code])) == language
    english = set(rows.loc[rows["language"] == "en", "text"].map(normalise))
    assert not english & set(rows.loc[rows["language"] != "en", "text"].map(normalise))
    assert not english & set(map(normalise, load_unlabelled(["en"])["text"]))
