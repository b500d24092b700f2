"""`xgrl.tasks`: canonical rows, splits that cannot leak, and refusals that help."""

import os
import re
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from datasets import ClassLabel, Dataset

from xgrl.tasks import TABLES, TASKS, data_card, find_task, load_task, translation_languages
from xgrl.tasks.embedded import multilingual
from xgrl.tasks.embedded.commands import FEWEST_TEMPLATES, PER_TEMPLATE, commands, english_splits
from xgrl.tasks.embedded.fillers import FILLERS
from xgrl.tasks.formats import features
from xgrl.tasks.leakage import leakage, normalise
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.fixture import LANGUAGES as FIXTURE_LANGUAGES
from xgrl.tasks.sources.packages import read_json
from xgrl.tasks.unlabelled import LANGUAGES, document, documents_apart, load_unlabelled

BROKEN = [
    {"id": "1", "text": "a", "text_pair": "", "label": 1},
    {"id": "2", "text": "", "text_pair": "", "label": 1},
]


# The tables and load_task, on the fixture


def test_the_fixture_serves_every_task_language():
    assert {language for task in TASKS.values() for language in task.languages} <= set(
        FIXTURE_LANGUAGES
    )


@pytest.mark.parametrize(
    ("role", "name"), [(role, name) for role, table in TABLES.items() for name in table]
)
def test_every_task_loads_from_the_fixture(role, name):
    task = find_task(name, role)
    if task.format == "mixture":
        pytest.skip("a mixture has no rows of its own")
    for split in task.splits:
        language = "en" if split in ("train", "dev") else task.languages[-1]
        rows = load_task(name, language, split, source="fixture", role=role)
        assert rows.features == features(task.schema(split), task.labels)
        assert len(set(rows["id"])) == len(rows) > 0
        if task.labels:
            label = (
                rows.features["tags"].feature
                if task.format == "tagging"
                else rows.features["label"]
            )
            assert isinstance(label, ClassLabel) and tuple(label.names) == task.labels


@pytest.mark.parametrize("name", ["sarcasm", "mnli", "sentiment"])
def test_translated_rows_have_the_ids_and_labels_of_the_english_ones(name):
    english, german = (
        load_task(name, *of, source="fixture", role="intermediate")
        for of in (("en", "train"), ("de", "translated"))
    )
    assert german["id"] == english["id"]
    assert german["label"] == english["label"]
    assert german.features == english.features
    words = [
        [(row["text"] + " " + row["text_pair"]).split() for row in rows]
        for rows in (english, german)
    ]
    assert [len(row) for row in words[0]] == [len(row) for row in words[1]]
    same = np.mean(
        [
            a == b
            for left, right in zip(*words, strict=True)
            for a, b in zip(left, right, strict=True)
        ]
    )
    assert 0.3 < same < 0.5, "cognates"
    assert not set(german["text"]) & set(
        load_task(name, "en", "dev", source="fixture", role="intermediate")["text"]
    )


def test_languages_of_translations_are_those_of_the_first_source_that_has_any():
    task = find_task("mnli")
    assert (
        translation_languages(task, ["packages", "hub"])
        == task.translated("hub")
        != task.translated("fixture")
    )
    assert translation_languages(find_task("squad"), ["hub", "fixture"]) == ()
    assert translation_languages(find_task("sentiment", "intermediate"), ["packages"])[0] == "pl"
    assert not find_task("sentiment", "target").translated("fixture"), (
        "a target is never trained on translations"
    )


def test_a_fixture_query_s_gold_candidate_has_its_id():
    queries, candidates = (
        load_task("emoji-names", "de", split, source="fixture")
        for split in ("queries", "candidates")
    )
    assert set(queries["id"]) == set(candidates["id"])
    assert (
        candidates.to_list()
        == load_task("emoji-names", "en", "candidates", source="fixture").to_list()
    )


def test_pairs_have_two_texts_and_others_one():
    assert all(load_task("nli", source="fixture")["text_pair"])
    assert not any(load_task("sarcasm", source="fixture")["text_pair"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "sentimnt"}, r"task='sentimnt': did you mean 'sentiment'\? allowed: sarcasm"),
        (
            {"name": "sentiment", "language": "pr", "split": "test"},
            r"language='pr': did you mean .*\? allowed: en, pl",
        ),
        (
            {"name": "sentiment", "split": "tset"},
            r"split='tset': did you mean 'test'\? allowed: train, dev, test",
        ),
        ({"name": "sentiment", "source": "hubb"}, r"source='hubb': .*allowed: packages, fixture"),
        (
            {"name": "sentiment", "language": "de", "split": "train"},
            r"language='de' with split='train': training rows are English only",
        ),
        ({"name": "sarcasm", "split": "test"}, r"split='test': .*allowed: train, dev"),
        (
            {"name": "hellaswag", "split": "translated", "source": "fixture"},
            r"split='translated': .*allowed: train, dev$",
        ),
        (
            {"name": "mnli", "split": "translated", "source": "fixture"},
            r"language='en': .*allowed: af, ar",
        ),
        (
            {"name": "mnli", "language": "it", "split": "translated", "source": "hub"},
            r"language='it': .*allowed: ar, bg",
        ),
        (
            {"name": "question-type", "language": "de", "split": "translated"},
            r"split='translated': .*allowed: train, dev$",
        ),
        ({"name": "emoji-names", "split": "test"}, r"split='test': .*allowed: queries, candidates"),
        (
            {"name": "emoji-names", "language": "en", "split": "queries"},
            r"language='en': .*allowed: ar, de",
        ),
        (
            {"name": "tatoeba", "language": "en", "split": "candidates"},
            r"language='en': .*allowed: af, ar",
        ),
        (
            {"name": "tatoeba", "language": "de", "split": "queries", "source": "files"},
            r"path=None: source='files' needs the folder",
        ),
        (
            {
                "name": "tatoeba",
                "language": "de",
                "split": "queries",
                "source": "files",
                "path": "/nowhere",
            },
            r"path='/nowhere': not a folder",
        ),
        ({"name": "sentiment", "path": "somewhere"}, r"path='somewhere': source='files' needs"),
    ],
)
def test_refusals_name_what_was_wrong_and_what_is_allowed(arguments, message):
    arguments = {"source": "fixture"} | arguments if arguments["name"] == "tatoeba" else arguments
    with pytest.raises(ValueError, match=message):
        load_task(**arguments)


def test_broken_rows_are_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr("xgrl.tasks.fixture_rows", lambda *_, **__: BROKEN)
    with pytest.warns(UserWarning, match="sarcasm en train: left out 1 empty text; 1 rows remain"):
        assert len(load_task("sarcasm", source="fixture")) == 1


def test_a_task_of_pairs_takes_no_row_without_a_second_text(monkeypatch):
    rows = [{"id": "1", "text": "a", "text_pair": "", "label": 0}]
    monkeypatch.setattr("xgrl.tasks.fixture_rows", lambda *_, **__: rows)
    with pytest.warns(UserWarning, match="nli en train: left out 1 empty text_pair; 0 rows remain"):
        assert not len(load_task("nli", source="fixture"))
    assert len(load_task("sarcasm", source="fixture")) == 1


def test_the_data_card_says_what_the_fixture_is_and_counts_what_is_used():
    rows = {
        "intermediate/sarcasm/train": 300,
        "target/sentiment/train": 300,
        "target/sentiment/test-de": 40,
    }
    rows |= {
        "target/sentiment/test-fr": 38,
        "target/emoji-names/queries-de": 40,
        "target/emoji-names/candidates": 40,
    }
    card = data_card(["sarcasm"], ["sentiment", "emoji-names"], ["fixture"], rows).set_index("task")
    assert card["rows"].to_dict() == {
        "sarcasm": "300 train",
        "sentiment": "300 train, 38 to 40 test",
        "emoji-names": "40 queries, 40 candidates",
    }
    assert set(card["licence"]) == {"none: synthetic"}
    assert card["role"].tolist() == ["intermediate", "target", "target"]


def test_the_data_card_names_texts_without_a_task_and_what_may_be_done_with_them():
    rows = {"unlabelled": 4000, "language-modelling": 3000, "pairs": 20, "parallel_texts": 10}
    card = data_card(
        ["sentiment"], [], ["packages"], rows | {"intermediate/sentiment/translated": 99}
    ).set_index("task")
    assert card["role"].to_dict() == {"sentiment": "intermediate"} | dict.fromkeys(rows, "text")
    assert card.loc["sentiment", "rows"] == "99 translated"
    assert card.loc["unlabelled", "rows"] == "4,000"
    assert "canary" in card.loc["unlabelled", "notes"]
    assert "canary" not in card.loc["language-modelling", "notes"]
    assert card.loc["language-modelling", "licence"] == "Apache-2.0"
    assert card.loc["pairs", "format"] == "pairs"
    hub = data_card([], [], ["hub"], rows).set_index("task")
    assert hub.loc["unlabelled", "source"] == hub.loc["language-modelling", "source"]
    assert "XNLI" in hub.loc["pairs", "source"]


# The files source


def test_tatoeba_reads_the_files_by_either_code(shared):
    folder = shared / "data" / "tatoeba"
    german, english = (
        load_task("tatoeba", "de", split, source="files", path=folder)
        for split in ("queries", "candidates")
    )
    assert len(german) == len(english) == 1000 and german["id"] == english["id"]
    assert (
        load_task("tatoeba", "deu", "queries", source="files", path=folder).to_list()
        == german.to_list()
    )
    assert german["text"][0] == (folder / "tatoeba.deu-eng.deu").read_text().split("\n")[0].strip()


def test_tatoeba_refuses_sides_of_unequal_length(tmp_path):
    (tmp_path / "tatoeba.deu-eng.deu").write_text("eins\nzwei\n")
    (tmp_path / "tatoeba.deu-eng.eng").write_text("one\n")
    with pytest.raises(SourceError, match=r"tatoeba\.deu-eng.*2 lines in \.deu but 1 in \.eng"):
        load_task("tatoeba", "de", "queries", source="files", path=tmp_path)
    with pytest.raises(
        SourceError, match=r"tatoeba\.rus-eng\.rus does not exist; the folder holds"
    ):
        load_task("tatoeba", "ru", "queries", source="files", path=tmp_path)


# Unlabelled text


def test_translations_and_an_article_s_sentences_are_of_one_document():
    assert document("file-de-30") == document("file-zh-39") != document("file-de-40")
    assert document("wikipedia-de-7-0") == document("wikipedia-de-7-31")
    articles = {document(f"wikipedia-{place}-0") for place in ("de-7", "de-8", "fr-7")}
    assert len(articles) == 3 and document("unlabelled-en-4") == "unlabelled-en-4"


@pytest.mark.parametrize("aligned", [False, True])
def test_documents_are_divided_whole_and_in_proportion_in_every_language(aligned):
    rng = np.random.default_rng(0)
    for _ in range(20):
        languages = rng.permutation(np.repeat(list("abcd"), (200, 150, 100, 60)))
        keys = [str(key) for key in rng.integers(40, size=510)]
        if not aligned:
            keys = [key + language for key, language in zip(keys, languages, strict=True)]
        share = rng.choice([0.13, 0.25, 0.5])
        apart = documents_apart(keys, languages, share, rng)
        keys = np.array(keys)
        assert not set(keys[apart]) & set(keys[~apart])
        for language in "abcd":
            own = languages == language
            assert abs(apart[own].mean() - share) < (0.1 if aligned else 0.02)
    alone = documents_apart(np.arange(510), languages, 0.3, rng)  # to the text
    assert [alone[languages == x].sum() for x in "abcd"] == [60, 45, 30, 18]


def test_unlabelled_text_of_the_fixture_and_refusals():
    rows = load_unlabelled(["en", "th"], source="fixture")
    assert Counter(rows["language"]) == {"en": 200, "th": 200} and len(set(rows["id"])) == 400
    with pytest.raises(ValueError, match=r"language='th': .*allowed: de, en"):
        load_unlabelled(["th"])
    with pytest.raises(
        ValueError,
        match=r"source='hubb': did you mean 'hub'\? allowed: packages, fixture, hub, files",
    ):
        load_unlabelled(["de"], source="hubb")
    with pytest.raises(ValueError, match="give at least one"):
        load_unlabelled([])


# Real data


@pytest.fixture(scope="module")
def real() -> dict[tuple[str, str, str], Dataset]:
    """Every split of every embedded task in a few languages."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, task in TASKS.items():
            for split in task.splits if "packages" in task.loaders else ():
                languages = (
                    ("en",)
                    if split in ("train", "dev")
                    else [code for code in ("en", "de", "ja", "tr", "pt") if code in task.languages]
                )
                found |= {
                    (name, language, split): load_task(name, language, split)
                    for language in languages
                }
    return found


@pytest.mark.embedded
def test_sizes_are_those_of_the_data_card(real):
    sizes = {key: len(rows) for key, rows in real.items()}
    assert sizes["sarcasm", "en", "train"] + sizes["sarcasm", "en", "dev"] == pytest.approx(
        28_614, rel=0.01
    )
    assert sizes["question-type", "en", "train"] + sizes[
        "question-type", "en", "dev"
    ] == pytest.approx(6_422, rel=0.02)
    assert sizes["nli", "en", "train"] + sizes["nli", "en", "dev"] == 54_668
    assert (
        sizes["sentiment", "de", "test"]
        == sizes["sentiment", "pt", "test"]
        == sizes["sentiment", "en", "test"]
        > 4_000
    )
    assert sizes["emoji-names", "ja", "queries"] == 1500
    assert sizes["wikilingua", "tr", "candidates"] == 152


@pytest.mark.embedded
def test_label_shares_are_the_known_ones(real):
    def share(name):
        labels = real[name, "en", "train"]["label"]
        return np.bincount(labels).max() / len(labels)

    assert 0.5 < share("sarcasm") < 0.55 and share("question-type") == pytest.approx(0.31, abs=0.02)
    assert share("nli") == pytest.approx(27_242 / 54_668, abs=0.02)


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["sarcasm", "question-type", "sentiment"])
def test_no_text_of_training_is_in_another_split(real, name):
    train = {name: real[name, "en", "train"]["text"][:6000]}
    others = {
        f"{key[1]} {key[2]}": rows["text"]
        for key, rows in real.items()
        if key[0] == name and key[2] != "train"
    }
    assert leakage(train, others)[0][["exact", "near"]].to_numpy().sum() == 0


@pytest.mark.embedded
def test_nli_shares_no_page_between_train_and_dev(real):
    pages = [
        {text.partition(":")[0] for text in real["nli", "en", split]["text"]}
        for split in ("train", "dev")
    ]
    assert not pages[0] & pages[1] and all(real["nli", "en", "train"]["text_pair"])


@pytest.mark.embedded
def test_sentiment_rows_are_parallel():
    """Same ids and labels in every language, and the digits of a sentence survive its translation,
    up to the last row used.
    """
    english = load_task("sentiment", "en", "test")
    order = np.argsort([int(key.rpartition("-")[2]) for key in english["id"]])
    last = [i for i in order[-1500:] if re.search(r"\d", english[int(i)]["text"])]
    for language in multilingual.SENTIMENT[1:]:
        rows = load_task("sentiment", language, "test")
        assert rows["id"] == english["id"] and rows["label"] == english["label"]
        same = [
            sorted(re.findall(r"\d+", rows[int(i)]["text"]))
            == sorted(re.findall(r"\d+", english[int(i)]["text"]))
            for i in last
        ]
        assert np.mean(same) > 0.65, language


@pytest.mark.embedded
def test_intent_labels_come_from_english_and_languages_are_many():
    english = read_json("home-assistant-intents", "home_assistant_intents/data/en.json")
    templates = {
        name: {text for block in intent["data"] for text in block["sentences"]}
        for name, intent in english["intents"].items()
    }
    frequent = sorted(name for name in templates if len(templates[name]) >= FEWEST_TEMPLATES)
    assert tuple(frequent) == multilingual.INTENTS and len(FILLERS) == 42
    assert all(len(values) == 6 and all(values.values()) for values in FILLERS.values())


@pytest.mark.embedded
def test_intent_is_split_by_template_and_ordered_in_balance(real):
    train, dev, test = (real["intent", "en", split] for split in ("train", "dev", "test"))
    templates = [{key.split("-")[2] for key in rows["id"]} for rows in (train, dev, test)]
    assert not (
        templates[0] & templates[1] or templates[0] & templates[2] or templates[1] & templates[2]
    )
    assert (
        set(train["label"])
        == set(dev["label"])
        == set(test["label"])
        == set(range(len(multilingual.INTENTS)))
    )
    german = real["intent", "de", "test"]
    total, first = Counter(german["label"]), Counter(german["label"][:240])
    assert all(n >= max(first.values()) - 1 for label, n in first.items() if total[label] > n)
    assert max(Counter(key.rpartition("-")[0] for key in german["id"]).values()) <= PER_TEMPLATE
    assert not any(re.search(r"[\[\]{}<>|()]", text) for text in german["text"])
    assert len({normalise(text) for text in german["text"]}) == len(german)


@pytest.mark.embedded
def test_intent_sentences_are_the_same_in_another_process():
    code = (
        "from xgrl.tasks.embedded import commands as c, multilingual as m; "
        "print([r['text'] for r in c.commands('bn', m.INTENTS)][:50])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert shown.stdout.strip() == str(
        [row["text"] for row in commands("bn", multilingual.INTENTS)][:50]
    )


@pytest.mark.embedded
def test_english_templates_are_split_for_every_intent():
    splits = english_splits(commands("en", multilingual.INTENTS))
    sizes = {split: len(templates) for split, templates in splits.items()}
    assert sizes["train"] > 2.5 * sizes["test"] and sizes["test"] == sizes["dev"] > 100


@pytest.mark.embedded
def test_emoji_names_are_the_same_emoji_everywhere_and_unambiguous(real):
    candidates = load_task("emoji-names", "en", "candidates")
    assert len({normalise(text) for text in candidates["text"]}) == 1500
    for language in ("de", "ja", "tr", "pt"):
        assert set(real["emoji-names", language, "queries"]["id"]) == set(candidates["id"])
    names = dict(zip(candidates["id"], candidates["text"], strict=True))
    assert all(":" not in text and "_" not in text for text in names.values())


@pytest.mark.embedded
def test_wikilingua_gold_is_among_a_language_s_own_candidates(real):
    for language in ("de", "ja", "tr", "pt"):
        queries, candidates = (
            real["wikilingua", language, "queries"],
            real["wikilingua", language, "candidates"],
        )
        assert set(queries["id"]) <= set(candidates["id"]) and len(queries) >= 150
        assert not any("smallUrl" in text for text in queries["text"])


@pytest.mark.embedded
def test_unlabelled_sentences_are_of_their_language_and_of_one_form():
    common = {
        "de": "der",
        "en": "the",
        "es": "los",
        "fr": "les",
        "it": "della",
        "nl": "het",
        "pl": "się",
        "pt": "uma",
        "ru": "на",
    }
    rows = load_unlabelled()
    frame = rows.to_pandas()
    assert set(frame["language"]) == set(LANGUAGES)
    assert frame["language"].value_counts().min() > 20_000
    assert frame["text"].str.fullmatch(r"[^\W\d_].*[.!?]").all()
    assert frame["text"].map(normalise).is_unique
    for language, texts in frame.groupby("language")["text"]:
        sample = " ".join(texts.iloc[:3000]).lower().split()
        assert max(common, key=lambda code: sample.count(common[code])) == language


@pytest.mark.embedded
def test_unlabelled_text_is_in_no_test_set(real):
    """Boundary and next-sentence have tests of their own: they are made from the same corpus."""
    unlabelled = {"wikipedia": load_unlabelled(["en"])["text"][:5000]}
    columns = {
        key: [name for name in ("text", "prompt", "context") if name in rows.column_names]
        for key, rows in real.items()
    }
    tests = {
        " ".join(key): rows[columns[key][0]]
        for key, rows in real.items()
        if key[1] == "en"
        and key[2] in ("test", "queries")
        and columns[key]
        and key[0] not in ("boundary", "next-sentence")
    }
    assert leakage(unlabelled, tests)[0][["exact", "near"]].to_numpy().sum() == 0


@pytest.mark.embedded
def test_a_second_load_gives_the_same_rows(real):
    assert load_task("intent", "de", "test").to_list() == real["intent", "de", "test"].to_list()


@pytest.mark.embedded
def test_the_data_card_names_what_a_reader_must_know():
    embedded = [
        [name for name, task in table.items() if "packages" in task.loaders]
        for table in TABLES.values()
    ]
    card = data_card(*embedded, ["packages"], {}).set_index("task")
    assert card["source"].str.startswith("packages: ").all()
    assert card.loc["sentiment", "notes"].str.contains("DeepL").all()
    assert "non-commercial" in card.loc["wikilingua", "licence"]
    made = ("intent", "slots", "emoji-names", "wikilingua", "boundary", "next-sentence", "bitext")
    assert card.loc[[*made], "notes"].str.contains("constructed by us").all()
    from_bigbench = [
        t.name for table in TABLES.values() for t in table.values() if "bigbench" in t.packages
    ]
    assert len(from_bigbench) > 8
    assert card.loc[from_bigbench, "notes"].str.contains("canary").all()
    assert (card["licence"] != "").all()
