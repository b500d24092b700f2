"""Texts of single arms: there only for the arm that needs them, matched, held apart from what
measures and what tests.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from small_study import job, prepare
from xgrl.models.encoder import load_encoder
from xgrl.prepare import arm_texts, leaks, select_rows
from xgrl.prepare.write import encode_all
from xgrl.tasks import find_task, load_task, messages
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources import SourceError

ALL = ["standard", "dann", "mlm", "lexical", "translated"]
NEW = {
    "language-modelling",
    "pairs",
    "intermediate/sarcasm/translated",
    "intermediate/question-type/translated",
}
LENGTHS = np.arange(8, 14)


@pytest.fixture(scope="module")
def tokenizer():
    return load_encoder("tiny")[1]


@pytest.fixture(scope="module")
def corpora():
    return select_rows.gather(job(arms=ALL))[0]


def texts(tokenizer, corpora, **changes) -> tuple[dict[str, Dataset], Dataset]:
    values = job(**({"arms": ALL} | changes))
    unlabelled, _ = select_rows.choose_unlabelled(values, tokenizer, LENGTHS)
    parallel_texts = arm_texts.choose_parallel(values, corpora)
    return arm_texts.text_of_arms(
        values, corpora, unlabelled, parallel_texts, tokenizer, LENGTHS
    ), parallel_texts


@pytest.mark.slow
def test_a_text_is_there_for_the_arm_that_needs_it_and_changes_nothing_else(tmp_path):
    plain = prepare(tmp_path / "plain", arms=["standard", "dann"])
    more = prepare(tmp_path / "more", arms=[*ALL, "lexical-tokens"])
    assert not any(plain.has(name) for name in NEW) and all(more.has(name) for name in NEW)
    for file in sorted(plain.folder.rglob("*.npy")) + sorted(plain.folder.rglob("rows.parquet")):
        name = file.relative_to(plain.folder)
        if name.name not in ("tokens.npy", "kept_ids.npy", "hidden.npy"):
            assert file.read_bytes() == (more.folder / name).read_bytes(), name
    for name in ("intermediate/sarcasm/train", "unlabelled", "target/intent/test-de"):
        before, after = (found.corpus(name) for found in (plain, more))
        np.testing.assert_allclose(before.hidden, after.hidden, atol=1e-6)
    assert more.record["metrics"]["text_languages"] == {
        "language-modelling": ["en", "de", "es", "fr"]
    }
    assert plain.record["metrics"]["text_languages"] == {}
    for name in NEW:
        corpus = more.corpus(name)
        assert len(corpus.hidden) == len(corpus.tokens.ids) > 0
        assert corpus.format == select_rows.schema_of(name)


def test_translations_have_id_and_label_of_their_row_and_languages_take_turns(tokenizer, corpora):
    found, _ = texts(tokenizer, corpora)
    english = {row["id"]: row for row in corpora["intermediate/sarcasm/train"]}
    rows = found["intermediate/sarcasm/translated"]
    ids, languages = zip(*(row["id"].split("|") for row in rows), strict=True)
    assert sorted(ids) == sorted(english)
    assert pd.Series(languages).value_counts().to_dict() == {"de": 20, "es": 20, "fr": 20}
    for row, id in zip(rows, ids, strict=True):
        assert row["label"] == english[id]["label"] and row["text"] != english[id]["text"]
        assert len(row["text"].split()) == len(english[id]["text"].split())
    again = {
        row["id"]: row["text"] for row in load_task("sarcasm", "de", "translated", source="fixture")
    }
    assert all(
        again[id] == row["text"]
        for row, id, code in zip(rows, ids, languages, strict=True)
        if code == "de"
    )


def test_a_row_that_a_language_lacks_is_asked_of_the_next_one(monkeypatch, corpora):
    english = corpora["intermediate/sarcasm/train"]
    load = select_rows.load_rows

    def half(task, language, split, values):
        rows = load(task, language, split, values)
        return rows.filter(lambda row: language != "de" or row["id"] not in english["id"][:30])

    monkeypatch.setattr(arm_texts, "load_rows", half)
    rows = arm_texts._translated(find_task("sarcasm", "intermediate"), english, job())
    languages = pd.Series([row.split("|")[1] for row in rows["id"]]).value_counts().to_dict()
    assert languages == {"de": 10, "es": 30, "fr": 20}


@pytest.mark.parametrize(("wrong", "kept"), [(0, 60), (1, None), (30, None)])
def test_rows_of_another_order_are_refused(monkeypatch, corpora, wrong, kept):
    english = corpora["intermediate/sarcasm/train"]
    spoiled = set(english["id"][:wrong])
    load = select_rows.load_rows

    def other(task, language, split, values):
        rows = load(task, language, split, values)
        return rows.map(
            lambda row: {"label": 1 - row["label"] if row["id"] in spoiled else row["label"]}
        )

    monkeypatch.setattr(arm_texts, "load_rows", other)
    task = find_task("sarcasm", "intermediate")
    if kept:
        assert len(arm_texts._translated(task, english, job())) == kept
        return
    with pytest.raises(
        SourceError,
        match=r"sarcasm translated into 'de' from .* 20 rows 20 have the id.*and (19|10) its",
    ):
        arm_texts._translated(task, english, job())


def test_single_rows_with_another_label_are_left_out(monkeypatch):
    english = load_task("sarcasm", "en", "train", source="fixture")
    spoiled = english["id"][0]
    load = select_rows.load_rows
    monkeypatch.setattr(
        arm_texts,
        "load_rows",
        lambda *of: load(*of).map(
            lambda row: row | {"label": (row["label"] + (row["id"] == spoiled)) % 2}
        ),
    )
    values = job(unlabelled_languages=["en", "de", "es"])
    rows = arm_texts._translated(find_task("sarcasm", "intermediate"), english, values)
    assert len(rows) == len(english) - 1
    assert not any(row.startswith(f"{spoiled}|") for row in rows["id"])


def test_pairs_are_balanced_matched_and_apart_from_the_parallel_texts(tokenizer, corpora):
    found, parallel_texts = texts(tokenizer, corpora)
    rows = found["pairs"].to_pandas()
    ids, languages = rows["id"].str.split("|").str[0], rows["id"].str.split("|").str[1]
    assert languages.value_counts().to_dict() == {"de": 30, "es": 30, "fr": 30}
    assert rows["id"].is_unique
    assert not set(ids) & set(parallel_texts["id"])
    assert not set(rows["text"].map(normalise)) & set(map(normalise, parallel_texts["text"]))
    words = rows["text"].str.split().str.len()
    assert (words == rows["candidate"].str.split().str.len()).all()
    assert words.groupby(languages).mean().max() < 12
    limited, _ = texts(
        tokenizer,
        corpora,
        unlabelled_rows=150,
        probe_rows=200 - 150,
        unlabelled_languages=["en", "de"],
    )
    assert len(limited["pairs"]) == 150
    scarce, _ = texts(
        tokenizer, corpora, unlabelled_rows=100, probe_rows=100, unlabelled_languages=["en", "de"]
    )
    assert len(scarce["pairs"]) == 100


def test_parallel_texts_share_ids_and_are_in_no_training_corpus(tokenizer, corpora):
    values = job(languages=["en", "de", "ja"], unlabelled_languages=["en", "fr"])
    rows = arm_texts.choose_parallel(values, corpora).to_pandas()
    by_language = rows.groupby("language")["id"].apply(list)
    assert set(by_language.index) == {"en", "de", "ja", "fr"}
    assert {len(ids) for ids in by_language} == {10}
    assert all(ids == by_language["en"] for ids in by_language)
    assert arm_texts.choose_parallel(values, corpora).to_pandas().equals(rows)
    planted = Dataset.from_dict(
        {
            "id": ["a", "b"],
            "text": rows.loc[rows["language"] == "en", "text"].tolist()[:2],
            "label": [0, 1],
        }
    )
    spoiled = arm_texts.choose_parallel(values, {"intermediate/sarcasm/train": planted}).to_pandas()
    assert not set(planted["text"]) & set(spoiled["text"]) and len(spoiled) == len(rows)


def test_ids_that_all_languages_have_come_first(monkeypatch):
    pool = pd.DataFrame(
        [
            (f"p{i}", code, f"{code} {i}", f"en {i}")
            for code in ("de", "fr")
            for i in range(40)
            if code == "de" or i >= 25
        ],
        columns=["id", "language", "text", "english"],
    )
    monkeypatch.setattr(arm_texts.parallel, "load_parallel", lambda *_: Dataset.from_pandas(pool))
    rows = arm_texts.choose_parallel(job(languages=["de", "fr"], probe_rows=12), {}).to_pandas()
    german, french, english = (
        set(rows.loc[rows["language"] == code, "id"]) for code in ("de", "fr", "en")
    )
    assert german == french == english
    assert len(german) == 12
    assert all(int(id[1:]) >= 25 for id in german)
    rows = arm_texts.choose_parallel(job(languages=["de", "fr"], probe_rows=20), {}).to_pandas()
    german, french, english = (
        set(rows.loc[rows["language"] == code, "id"]) for code in ("de", "fr", "en")
    )
    assert len(german) == 20 and len(french) == 15 and french < german == english


def test_a_source_without_pairs_gives_no_parallel_text_and_refuses_the_arm(tokenizer, corpora):
    values = job(
        sources=["hub"],
        languages=["it"],
        targets=["xcopa"],
        unlabelled_languages=["en", "it"],
        arms=["standard", "lexical"],
    )
    empty = arm_texts.choose_parallel(values, corpora)
    assert len(empty) == 0 and empty.column_names == ["id", "language", "text"]
    with pytest.raises(
        ValueError,
        match=r"unlabelled_languages=\['en', 'it'\]: sources \['hub'\] have no translation pair",
    ):
        arm_texts.text_of_arms(values, corpora, empty, empty, tokenizer, LENGTHS)
    table = arm_texts.language_table(job(languages=["en", "de"]), empty, tokenizer)
    assert table["pieces"].isna().all()


def test_tasks_without_translations_are_left_out_or_refused(tokenizer):
    values = job(intermediate=["sarcasm", "hellaswag"], arms=["standard", "translated"])
    corpora, _ = select_rows.gather(values)
    found = arm_texts.text_of_arms(values, corpora, None, None, tokenizer, LENGTHS)
    assert set(found) == {"intermediate/sarcasm/translated"}
    values = job(intermediate=["hellaswag"], arms=["standard", "translated"])
    with pytest.raises(
        ValueError, match=r"intermediate=\['hellaswag'\].*have translations of none of these"
    ):
        arm_texts.text_of_arms(values, corpora, None, None, tokenizer, LENGTHS)
    with pytest.raises(ValueError, match=r"'sarcasm' has translations into none of these"):
        arm_texts._translated(
            find_task("sarcasm", "intermediate"),
            corpora["intermediate/sarcasm/train"],
            values | {"unlabelled_languages": ["en"]},
        )


def test_planted_leaks_are_dropped_from_every_text_and_from_both_sides_of_a_pair(
    tokenizer, corpora
):
    found, _ = texts(tokenizer, corpora)
    tests = {name: rows for name, rows in corpora.items() if "/test-" in name}
    test = tests["target/sentiment/test-de"]["text"]
    near = " ".join([*test[1].split()[:-1], "zuvilo"])

    def spoil(rows: Dataset, column: str, text: str) -> Dataset:
        return Dataset.from_list(
            [*rows, rows[0] | {"id": f"planted {column}", column: text}], features=rows.features
        )

    spoiled = {
        "language-modelling": spoil(found["language-modelling"], "text", test[0]),
        "pairs": spoil(spoil(found["pairs"], "text", test[0]), "candidate", near),
        "intermediate/sarcasm/translated": spoil(
            found["intermediate/sarcasm/translated"], "text", test[0]
        ),
    }
    clean, table = leaks.drop_leaked(tests | spoiled)
    for name in spoiled:
        assert not any(row.startswith("planted") for row in clean[name]["id"]), name
        assert len(clean[name]) >= len(found[name]) - 3
    assert set(table["train"]) == {*spoiled, leaks.TRANSLATIONS}
    line = table.set_index(["train", "test"]).loc[(leaks.TRANSLATIONS, "target/sentiment/test-de")]
    assert line["near"] >= 1 and line["train_rows"] == len(spoiled["pairs"])


def test_language_modelling_text_from_the_packages_is_not_the_discriminators(
    tokenizer, monkeypatch
):
    rows = [
        (f"m-{code}-{i}", "wort " * (3 + i % 9) + ".", code)
        for code in ("en", "de")
        for i in range(50)
    ]
    pool = Dataset.from_dict(
        dict(zip(("id", "text", "language"), map(list, zip(*rows, strict=True)), strict=True))
    )
    monkeypatch.setattr(messages, "load_messages", lambda languages: pool)
    values = job(
        sources=["packages"], arms=["standard", "mlm"], unlabelled_languages=["en", "th", "de"]
    )
    found = arm_texts.text_of_arms(values, {}, None, None, tokenizer, LENGTHS)[
        "language-modelling"
    ].to_pandas()
    assert arm_texts.text_languages(values) == {"language-modelling": ["en", "de"]}
    assert found.groupby("label").size().to_dict() == {0: 30, 1: 30}
    assert set(found.loc[found["label"] == 1, "language"]) == {"de"}
    counted = encode_all({"language-modelling": Dataset.from_pandas(found)}, tokenizer, 32)[
        "language-modelling"
    ]
    scarce = arm_texts.text_of_arms(
        values | {"unlabelled_rows": 80}, {}, None, None, tokenizer, LENGTHS
    )["language-modelling"]
    assert len(scarce) == 100, "as many as there are"
    by_label = [np.sort(counted.tokens.lengths[found["label"] == label]) for label in (0, 1)]
    np.testing.assert_array_equal(*by_label)


def test_the_table_of_languages_says_what_is_seen_and_what_a_language_costs(tokenizer):
    values = job(languages=["en", "de", "ja"], unlabelled_languages=["en", "de"])
    texts = Dataset.from_dict({
        "id": ["1", "1", "2", "2"], "language": ["en", "de", "en", "de"],
        "text": ["a b", "a b c d", "a b c d", "a b c d e f g h"],
    })  # fmt: skip
    table = arm_texts.language_table(values, texts, tokenizer).set_index("language")
    assert list(table.columns) == [
        "seen",
        "syntactic",
        "phonological",
        "inventory",
        "geographic",
        "genetic",
        "pieces",
    ]
    assert table["seen"].to_dict() == {"en": True, "de": True, "ja": False}
    assert table["pieces"]["en"] == 1
    assert table["pieces"]["de"] == pytest.approx(2.0)
    assert np.isnan(table["pieces"]["ja"])
    assert table[list(arm_texts.typology.DISTANCES)].isna().all(axis=None), (
        "pseudo-languages are nowhere"
    )


def test_what_is_left_out_is_remembered_once():
    told = ["b left out"]
    with select_rows.remembered(told):
        for message in ("b left out", "a left out: x", "a left out: x", "something else"):
            warnings.warn(message, stacklevel=1)
    assert told == ["b left out", "a left out: x"]


def test_what_only_measures_stops_no_study(tokenizer, tmp_path, monkeypatch):
    def unreachable(*_):
        raise SourceError("no network")

    monkeypatch.setattr(arm_texts.typology, "distances", unreachable)
    monkeypatch.setattr(arm_texts.parallel, "load_parallel", unreachable)
    values = job(
        sources=["hub"], targets=["xnli"], languages=["en", "de"], unlabelled_languages=["en", "de"]
    )
    with pytest.warns(UserWarning, match="parallel texts are left out: no network"):
        texts = arm_texts.choose_parallel(values, {})
    with pytest.warns(UserWarning, match="distances between languages are left out: no network"):
        table = arm_texts.language_table(values, texts, tokenizer)
    assert table["language"].tolist() == ["en", "de"] and table.iloc[:, 2:].isna().all(axis=None)


def test_of_files_those_languages_are_used_whose_file_is_there(tmp_path):
    (tmp_path / "parallel").mkdir()
    (tmp_path / "parallel" / "de.tsv").write_text(
        "".join(f"Satz {i}\tsentence {i}\n" for i in range(30))
    )
    (tmp_path / "tatoeba.jpn-eng.jpn").write_text("".join(f"文 {i}\n" for i in range(30)))
    (tmp_path / "tatoeba.jpn-eng.eng").write_text("".join(f"phrase {i}\n" for i in range(30)))
    values = job(
        sources=["files"],
        path=str(tmp_path),
        targets=["xnli", "pawsx"],
        languages=["en", "de", "ja", "fr"],
    )
    rows = arm_texts.choose_parallel(values, {}).to_pandas()
    assert rows.groupby("language").size().to_dict() == {"de": 10, "en": 20, "ja": 10}
    assert rows.groupby("id").size().eq(2).all(), "a sentence and its English form"
    tested = arm_texts.choose_parallel(
        values | {"targets": ["xnli", "pawsx", "tatoeba"]}, {}
    ).to_pandas()
    assert set(tested["language"]) == {"en", "de"}


@pytest.mark.embedded
@pytest.mark.filterwarnings("ignore:sentiment")
def test_sentiment_as_intermediate_and_target_shares_its_splits_and_no_row_of_them(tokenizer):
    for split in ("train", "dev"):
        one, other = (
            load_task("sentiment", "en", split, role=role) for role in ("intermediate", "target")
        )
        assert one.to_list() == other.to_list()
    test = set(load_task("sentiment", "en", "test")["id"])
    # German ends early, Chinese has empty lines
    for language, share in {"de": 0.79, "pl": 1.0, "zh": 0.99}.items():
        rows = load_task("sentiment", language, "translated", role="intermediate")
        english = load_task("sentiment", role="intermediate")
        label = dict(zip(english["id"], english["label"], strict=True))
        assert not set(rows["id"]) & test and set(rows["id"]) <= set(label)
        assert all(label[row["id"]] == row["label"] for row in rows)
        assert share - 0.005 < len(rows) / len(english) <= share + 0.005


def test_parallel_texts_and_the_discriminator_s_have_sources_of_their_own(monkeypatch):
    asked = []
    monkeypatch.setattr(
        arm_texts.parallel, "has_pairs", lambda *place: asked.append(place[1:3]) or False
    )
    monkeypatch.setattr(select_rows, "load_unlabelled", lambda *place, **_: asked.append(place[1:]))
    monkeypatch.setattr(select_rows, "choose_lengths", None)
    sources = {"default": ["fixture"], "parallel": ["files"], "unlabelled": ["own", "hub"]}
    values = job(sources=sources, path="/data")
    assert not len(arm_texts.choose_parallel(values, {}))
    assert set(asked) == {("files", "/data")}
    with pytest.raises(TypeError):
        select_rows.choose_unlabelled(values, None, LENGTHS)
    assert asked[-1] == ("hub", "/data")
