"""The "files" source: real files where they are at hand, and small ones written here in every
layout of every task.
"""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from file_layouts import (
    ARTICLE,
    BUCC,
    CASES,
    CONLLU,
    COPA,
    COSMOS,
    EN,
    MNLI,
    PAWS,
    SIQA,
    SPAN,
    XNLI,
    XQUAD_R,
    lareqa,
    question,
    squad,
    write,
)
from xgrl.tasks import TASKS, RowsLost, load_task
from xgrl.tasks.files import TATOEBA, ccg_labels
from xgrl.tasks.rows import answer_pair, held_out, marked_mention
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import find, read_columns, read_lines, read_records

load = partial(load_task, source="files")


# Real files


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data with real files is not here")
    return folder


def test_real_tatoeba_by_either_code_and_either_folder(data):
    for code in ("deu", "rus", "ara", "jpn"):
        queries, candidates = (
            load("tatoeba", code, split, path=data) for split in ("queries", "candidates")
        )
        assert len(queries) == 1000
        assert queries["id"] == candidates["id"]
        assert queries["id"][0] == f"tatoeba-{code}-0"
        assert queries["gold"] == [[id] for id in queries["id"]]
        assert queries["text"] != candidates["text"]
    assert load("tatoeba", "ja", "queries", path=data / "tatoeba").to_list() == queries.to_list()


def test_real_xcopa_shares_ids_and_says_what_is_asked(data):
    found = {
        language: load("xcopa", language, "test", path=data)
        for language in ("id", "it", "th", "zh")
    }
    for language, rows in found.items():
        assert len(rows) == 500 and rows["id"] == found["id"]["id"] and set(rows["label"]) == {0, 1}
        lines = [
            json.loads(line)
            for line in (data / "xcopa" / language / f"test.{language}.jsonl").open(
                encoding="utf-8"
            )
        ]
        for line, row in zip(lines, rows, strict=True):
            assert row["prompt"].startswith(line["premise"].strip())
            assert row["prompt"].endswith(f"the {line['question']}?")
            assert row["choices"] == [line["choice1"], line["choice2"]]
            assert row["label"] == line["label"]


def test_real_xquad_has_every_answer_at_its_offset(data):
    found = {
        language: load("xquad", language, "test", path=data) for language in ("en", "de", "hi")
    }
    for rows in found.values():
        assert len(rows) == 1190
        assert rows["id"] == found["en"]["id"]
        assert rows["id"][0] == "56beb4343aeaaa14008c925b"
        for row in rows:
            for text, start in zip(*row["answers"].values(), strict=True):
                assert text and row["context"][start : start + len(text)] == text


def test_real_conllu_has_the_words_and_not_the_fused_forms(data):
    rows = load("udpos", "en", "dev", path=data)
    lines = (data / "udpos" / "en_ewt-ud-dev.conllu").read_text(encoding="utf-8").split("\n")
    assert (
        len(rows) == sum(line.startswith("# sent_id") for line in lines) == 2001
        and rows["id"][0] == "en_ewt-0"
    )
    assert (
        sum(map(len, rows["tokens"]))
        == sum(bool(re.match(r"\d+\t", line)) for line in lines)
        == 25147
    )
    fused = next(i for i, line in enumerate(lines) if line.startswith("29-30\tdidn't"))
    sentence = sum(line.startswith("# sent_id") for line in lines[:fused]) - 1
    assert rows["tokens"][sentence][28:30] == ["did", "n't"]
    assert "didn't" not in rows["tokens"][sentence]
    tags = rows.features["tags"].feature.int2str(rows["tags"][sentence][28:30])
    assert tags == ["AUX", "PART"]


def test_real_missing_language_says_what_is_there(data):
    with pytest.raises(
        SourceError, match=r"xquad\.fr\.json does not exist.*xquad holds xquad\.de\.json"
    ):
        load("xquad", "fr", "test", path=data)


# Made files


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")  # no row may be dropped
def test_a_layout_is_read_from_the_root_and_from_the_task_s_own_folder(case, tmp_path):
    task, language, split, files, rows = CASES[case]
    write(tmp_path / task, files)
    assert load(task, language, split, path=tmp_path).to_list() == rows
    assert load(task, language, split, path=tmp_path / task).to_list() == rows


def test_every_benchmark_task_reads_files_and_is_tested_here():
    without = {name for name, task in TASKS.items() if "files" not in task.loaders}
    assert all(
        "packages" in TASKS[name].loaders or TASKS[name].format == "mixture" for name in without
    )
    assert {case[0] for case in CASES.values()} == set(TASKS) - without


def test_tatoeba_knows_xtreme_r_s_languages():
    assert len(TATOEBA) == len(set(TATOEBA.values())) == 41


def test_squad_trains_xquad_mlqa_and_lareqa(tmp_path):
    write(
        tmp_path,
        {"squad/train-v1.1.json": squad(question()), "squad/dev-v1.1.json": squad(question("q2"))},
    )
    for task in ("xquad", "mlqa"):
        assert load(task, split="train", path=tmp_path).to_list() == [SPAN]
        assert load(task, split="dev", path=tmp_path)["id"][:] == ["q2"]
    pair = {
        "id": "q1",
        "text": SPAN["question"],
        "candidate": "Ann met Bob in Rome.",
        "candidate_pair": SPAN["context"],
    }
    assert load("lareqa", split="train", path=tmp_path).to_list() == [pair] == [answer_pair(SPAN)]


def test_tydiqa_dev_is_held_out_from_train_by_context(tmp_path):
    contexts = [f"Ann met Bob {i} times." for i in range(60)]
    articles = [
        squad(question(f"english-{i}"), question(f"english-{i}b"), context=text)["data"][0]
        for i, text in enumerate(contexts)
    ]
    foreign = squad(question("finnish-1"))["data"]
    write(tmp_path, {"tydiqa/tydiqa-goldp-v1.1-train.json": {"data": articles + foreign}})
    train, dev = (load("tydiqa", split=split, path=tmp_path) for split in ("train", "dev"))
    assert len(train) + len(dev) == 120 and 0 < len(dev) < 30
    assert not set(train["context"]) & set(dev["context"]) and all(held_out(row) for row in dev)


def test_lareqa_gold_is_in_the_languages_whose_file_is_there(tmp_path):
    write(tmp_path, {name: content for name, content in XQUAD_R.items() if "en" in name})
    assert load("lareqa", "en", "queries", path=tmp_path)["gold"][:] == [["en_1_0"]]


def test_lareqa_leaves_out_a_question_whose_answer_is_in_no_sentence(tmp_path):
    write(
        tmp_path,
        {
            "xquad-r/en.json": lareqa(EN, "Bob", [[21, 30]]),
            "xquad-r/de.json": XQUAD_R["xquad-r/de.json"],
        },
    )
    with pytest.warns(UserWarning, match="1 missing gold; 0 rows"):
        load("lareqa", "en", "queries", path=tmp_path)
    assert load("lareqa", "de", "queries", path=tmp_path)["gold"][:] == [["de_1_1"]]


def test_ccg_labels_are_the_listed_tags_or_those_of_the_training_file(tmp_path):
    write(
        tmp_path,
        {"ccg/train.tsv": "I\tNP\nrun\tS\\NP\n", "ccg/dev.tsv": "I\tNP\n\nI\tNP\ngo\tN/N\n"},
    )
    assert ccg_labels(tmp_path) == ccg_labels(tmp_path / "ccg") == ("NP", "S\\NP")
    with pytest.warns(UserWarning, match="1 unknown label 'N/N'; 1 rows remain"):
        assert load("ccg", split="dev", path=tmp_path)["tags"][:] == [[0]]
    write(tmp_path, {"ccg/tags.txt": "N/N\nNP\nS\\NP\n"})
    assert ccg_labels(tmp_path) == ("N/N", "NP", "S\\NP")
    assert load("ccg", split="dev", path=tmp_path)["tags"][:] == [[1], [1, 0]]


def test_a_mention_that_crosses_sentences_keeps_the_whole_text():
    context = {
        "text": "A b. C d.",
        "sentence_spans": [{"start": 0, "end": 4}, {"start": 5, "end": 9}],
    }
    assert (
        marked_mention({"mention_span": {"start": 2, "end": 6}}, context) == "b. C: A { b. C } d."
    )


# Upstream's files win over XTREME's, whose test files have no answers


def test_upstream_s_labelled_file_is_taken_where_both_are(tmp_path):
    write(tmp_path / "panx", {"test-de.tsv": "Ann\n", "de/test": "de:Ann\tB-PER\n"})
    assert load("panx", "de", "test", path=tmp_path)["tags"][:] == [[1]]
    write(tmp_path / "bucc2018", {f"de-en.test.{side}": "de-9\tx\n" for side in ("de", "en")})
    write(tmp_path / "bucc2018", {f"de-en.training.{side}": text for side, text in BUCC.items()})
    assert load("bucc2018", "de", "queries", path=tmp_path)["id"][:] == ["de-1", "de-2"]


HIDDEN = squad({"id": "q1", "question": "Who?", "answers": [{"text": "", "answer_start": 0}]})


@pytest.mark.parametrize(
    ("task", "language", "split", "files", "message"),
    [
        (
            "xnli",
            "de",
            "test",
            {"test-de.tsv": "A\tB\n"},
            r"test-de\.tsv, line 1: found 2 columns, expected 3 .*takes the answers out"
            r".*xnli\.test\.tsv",
        ),
        (
            "pawsx",
            "de",
            "test",
            {"test-de.tsv": "A\tB\n"},
            r"line 1: found 2 columns.*x-final/de/test_2k\.tsv",
        ),
        (
            "udpos",
            "de",
            "test",
            {"test-de.tsv": "Ann\n\n"},
            r"line 1: found 1 columns, expected 2 \(word, tag\).*de_\*-ud-test\.conllu",
        ),
        (
            "panx",
            "de",
            "test",
            {"test-de.tsv": "Ann\n\n"},
            r"line 1: found 1 columns.*add the upstream file, de/test",
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": HIDDEN},
            r"xquad\.de\.json, question 1 \(q1\): expected an answer.*takes the answers out",
        ),
        (
            "mlqa",
            "de",
            "test",
            {"MLQA_V1/test/test-context-de-question-de.json": HIDDEN},
            "expected an answer.*takes the answers out",
        ),
        (
            "tydiqa",
            "ko",
            "test",
            {"tydiqa-goldp-v1.1-dev/tydiqa.goldp.ko.dev.json": HIDDEN},
            r"takes the answers out.*tydiqa-goldp-dev-korean\.json",
        ),
        (
            "tatoeba",
            "de",
            "queries",
            {"de-en.de": "ja\n", "de-en.en": "yes\n"},
            r"tatoeba\.deu-eng\.deu .*does not exist.*sorted de-en\.en",
        ),
        (
            "bucc2018",
            "de",
            "queries",
            {f"de-en.test.{side}": BUCC[side] for side in ("de", "en")},
            r"de-en\.test\.gold does not exist.*de-en\.training\.gold",
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": [{k: v for k, v in COPA.items() if k != "label"}]},
            "line 1: .*expected a label, found none",
        ),
        (
            "mewslix",
            "de",
            "queries",
            {"wikinews_mentions_no_text-test.jsonl": [ARTICLE]},
            r"get-mewsli-x\.sh makes it",
        ),
        (
            "mewslix",
            "de",
            "queries",
            {
                "wikinews_mentions-test.jsonl": [
                    ARTICLE | {"context": ARTICLE["context"] | {"text": ""}}
                ]
            },
            r"line 1: expected the mention 'Rom' at 18 to 21, found ''",
        ),
    ],
)
def test_test_files_without_their_answers_are_refused(
    task, language, split, files, message, tmp_path
):
    write(tmp_path / task, files)
    with pytest.raises(SourceError, match=message):
        load(task, language, split, path=tmp_path)


# Bad input


@pytest.mark.parametrize(
    ("task", "language", "split", "files", "message"),
    [
        (
            "xquad",
            "de",
            "test",
            {},
            r"xquad\.de\.json does not exist; the folder holds xquad; .*xquad holds nothing",
        ),
        (
            "xnli",
            "de",
            "test",
            {"other.txt": "x"},
            r"xnli\.test\.tsv or xnli\.test\.jsonl or .* or test-de\.tsv does not exist"
            r".*xnli holds other\.txt",
        ),
        (
            "tatoeba",
            "deu",
            "queries",
            {"tatoeba.deu-eng.deu": "eins\nzwei\n", "tatoeba.deu-eng.eng": "one\n"},
            r"2 lines in \.deu but 1 in \.eng",
        ),
        (
            "siqa",
            "en",
            "train",
            {"train.jsonl": [SIQA], "train-labels.lst": "2\n1\n"},
            "1 rows but .* 2 labels",
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": '{"a": "\\ud83e\\ude00",\n "data": "\\uD83D"}'},
            r"xquad\.de\.json, line 2: expected JSON, found something else \(\\ud83d is half",
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": '{"data": [\n{"a":}\n]}'},
            r"xquad\.de\.json, line 2: expected JSON",
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": {"data": [{"paragraph": []}]}},
            r"xquad\.de\.json: expected SQuAD's form.*KeyError: 'paragraphs'",
        ),
        (
            "squad",
            "en",
            "train",
            {"train-v1.1.json": squad(question() | {"answers": []})},
            r"question 1 \(q1\): expected an answer, found \[\]",
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": json.dumps(COPA) + "\n{broken\n"},
            r"test\.et\.jsonl, line 2: expected a JSON object, found '\{broken'",
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": "[1]\n"},
            r"line 1: expected a JSON object, found list",
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": [COPA, {"premise": "x", "label": 0, "idx": 1}]},
            r"line 2: expected 'question'; found premise",
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": [COPA | {"question": "why"}]},
            r"line 1: expected 'why'",
        ),
        (
            "siqa",
            "en",
            "train",
            {"train.jsonl": [SIQA], "train-labels.lst": "B\n"},
            r"train\.jsonl, line 1: found something unexpected.*'B'",
        ),
        (
            "xnli",
            "en",
            "dev",
            {"dev-en.tsv": "A\tB\tneutral\nA\tB\tC\tneutral\n"},
            r"dev-en\.tsv, line 2: found 4 columns, expected 3",
        ),
        (
            "pawsx",
            "de",
            "test",
            {"x-final/de/test_2k.tsv": "id\tsentence1\n1\tA\n"},
            r"test_2k\.tsv, line 1: expected a header with sentence2, label",
        ),
        (
            "pawsx",
            "de",
            "test",
            {"x-final/de/test_2k.tsv": PAWS + "3\tA\tB\t1\t1\n"},
            r"test_2k\.tsv, line 4: found 5 columns, expected 4",
        ),
        ("xnli", "sw", "test", {"xnli.test.tsv": XNLI}, r"expected rows in 'sw', found de, en"),
        (
            "udpos",
            "cs",
            "test",
            {"cs_pdt-ud-test.conllu": CONLLU.replace("\tAUX\t_", "\tAUX")},
            r"cs_pdt-ud-test\.conllu, line 3: found 9 columns, expected 10",
        ),
        (
            "udpos",
            "cs",
            "test",
            {"cs_pdt-ud-test.conllu": CONLLU.replace("1\tNo", "x\tNo")},
            r"line 7: expected a word's number, found 'x'",
        ),
        (
            "panx",
            "sk",
            "test",
            {"sk/test": "sk:Ann\tB-PER\nLee\tO\n"},
            r"test, line 2: expected language:word, found 'Lee",
        ),
        (
            "ccg",
            "en",
            "train",
            {"train.txt": "I|NP\nrun|\n"},
            r"train\.txt, line 2: expected word\|tag",
        ),
        (
            "ccg",
            "en",
            "train",
            {"train.tsv": "I\tNP\n", "tags.txt": "NP\nNP\n"},
            r"tags\.txt: expected each tag once",
        ),
        (
            "bucc2018",
            "de",
            "queries",
            {
                f"de-en.training.{s}": t
                for s, t in (BUCC | {"gold": "de-1\ten-2\nde-2\ten-7\n"}).items()
            },
            r"de-en\.training\.gold, line 2: expected an id of de-en\.training\.en, found 'en-7'",
        ),
        (
            "bucc2018",
            "de",
            "queries",
            {f"de-en.training.{s}": t for s, t in (BUCC | {"gold": "de-8\ten-2\n"}).items()},
            "line 1: expected an id of .*de, found 'de-8'",
        ),
        (
            "bucc2018",
            "de",
            "candidates",
            {f"de-en.training.{s}": t for s, t in (BUCC | {"en": "en-1 one\n"}).items()},
            r"training\.en, line 1: found 1 columns",
        ),
        (
            "lareqa",
            "en",
            "queries",
            {"en.json": squad(question())},
            r"sentence_breaks.*KeyError: 'sentence_breaks'",
        ),
        (
            "lareqa",
            "en",
            "candidates",
            {"en.json": lareqa(EN, "Bob", [[0, 99]])},
            r"paragraph 1: expected sentence breaks within 30 characters",
        ),
        (
            "tydiqa",
            "ko",
            "test",
            {"tydiqa-goldp-v1.1-dev.json": squad(question("finnish-1"))},
            "begins with 'korean', found none",
        ),
        (
            "mewslix",
            "pl",
            "queries",
            {"wikinews_mentions-test.jsonl": [ARTICLE]},
            "expected articles in 'pl', found none",
        ),
        ("udpos", "cs", "test", {"cs_pdt-ud-test.conllu": ""}, r"cs_pdt-ud-test\.conllu is empty"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(task, language, split, files, message, tmp_path):
    (tmp_path / task).mkdir()
    write(tmp_path / task, files)
    with pytest.raises(SourceError, match=message):
        load(task, language, split, path=tmp_path)


ENDINGS = {"ctx": "He", "endings": ["runs", "eats"], "label": 1}
QUESTION = {"stem": "Why?", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": 1}]}


@pytest.mark.parametrize(
    ("task", "file", "good", "change", "message"),
    [
        *(
            (task, file, good, {"label": label}, re.escape(f"label={label!r}: expected"))
            for task, file, good in (
                ("hellaswag", "hellaswag_val.jsonl", ENDINGS),
                ("cosmosqa", "valid.jsonl", COSMOS),
            )
            for label in (1.5, 1.0, "1.5", True, "one", [1])
        ),
        ("cosmosqa", "valid.jsonl", COSMOS, {"label": None}, "label=None: expected a whole"),
        ("cosmosqa", "valid.jsonl", COSMOS, {"answer2": 7}, "choices=.*a list of texts"),
        ("hellaswag", "hellaswag_val.jsonl", ENDINGS, {"endings": "abcd"}, "choices='abcd'"),
        ("hellaswag", "hellaswag_val.jsonl", ENDINGS, {"endings": {"a": "b"}}, "choices={'a'"),
        ("hellaswag", "hellaswag_val.jsonl", ENDINGS, {"endings": [1, 2]}, r"choices=\[1, 2\]"),
        ("hellaswag", "hellaswag_val.jsonl", ENDINGS, {"ctx": 1}, "prompt=1, .*a text and a list"),
        ("siqa", "socialIQa_v1.4_dev.jsonl", SIQA | {"correct": "A"}, {"answerC": ["x"]}, "choic"),
        ("siqa", "socialIQa_v1.4_dev.jsonl", SIQA | {"correct": "A"}, {"correct": ["A"]}, "list"),
        (
            "commonsenseqa",
            "dev_rand_split.jsonl",
            {"id": "x", "question": QUESTION | {"choices": QUESTION["choices"][:1] * 2}},
            {"question": QUESTION},
            r"choices=\['x', 1\]",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::xgrl.tasks.RowsLost")
def test_labels_and_choices_of_another_kind_are_refused_by_line(
    task, file, good, change, message, tmp_path
):
    write(tmp_path / task, {file: [good]})
    load(task, "en", "dev", path=tmp_path)
    write(tmp_path / task, {file: [good, good | change]})
    with pytest.raises(SourceError, match=rf"{re.escape(file)}, line 2: found .*{message}"):
        load(task, "en", "dev", path=tmp_path)


@pytest.mark.parametrize(
    ("task", "language", "split", "files", "reason", "left"),
    [
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": [COPA, COPA, COPA | {"idx": 6}]},
            "1 duplicate id",
            2,
        ),
        (
            "xcopa",
            "et",
            "test",
            {"test.et.jsonl": [COPA, COPA | {"idx": 6, "label": 2}]},
            "1 label out of range",
            1,
        ),
        (
            "bucc2018",
            "de",
            "queries",
            {
                f"de-en.training.{s}": t
                for s, t in (BUCC | {"de": BUCC["de"] + "de-2\tdrei\n"}).items()
            },
            "1 duplicate id",
            2,
        ),
        (
            "udpos",
            "cs",
            "test",
            {"cs_pdt-ud-test.conllu": CONLLU.replace("INTJ", "NOISE")},
            "1 unknown label 'NOISE'",
            1,
        ),
        (
            "udpos",
            "cs",
            "test",
            {"cs_pdt-ud-test.conllu": CONLLU.replace("1\tNo\tno", "1\t_\t_")},
            "1 missing tokens",
            1,
        ),
        (
            "panx",
            "en",
            "dev",
            {"dev-en.tsv": "Ann\tB-MISC\n\nLee\tO\n"},
            "1 unknown label 'B-MISC'",
            1,
        ),
        (
            "mnli",
            "en",
            "train",
            {"multinli_1.0_train.jsonl": [*MNLI, MNLI[0] | {"gold_label": "-"}]},
            "1 unknown label '-'",
            2,
        ),
        (
            "pawsx",
            "de",
            "test",
            {"de/test_2k.tsv": PAWS + "3\tA\tB\t7\n"},
            "1 label out of range",
            2,
        ),
        (
            "pawsx",
            "de",
            "test",
            {"de/test_2k.tsv": PAWS + "3\tA\tB\tyes\n"},
            "1 unknown label 'yes'",
            2,
        ),
        (
            "qqp",
            "en",
            "dev",
            {
                "dev.tsv": "id\tquestion1\tquestion2\tis_duplicate\n5\tA\tB\t1\n"
                '"\tbroken?\t0\n6\tA\tB\tC\t1\n'
            },
            "2 missing label",
            1,
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": squad(question(), question("q2", "Bob", 9))},
            "1 answer not at its offset",
            1,
        ),
        (
            "xquad",
            "de",
            "test",
            {"xquad.de.json": squad(question(), question())},
            "1 duplicate id",
            1,
        ),
        (
            "siqa",
            "en",
            "dev",
            {"socialIQa_v1.4_dev.jsonl": [SIQA | {"correct": key} for key in ("D", "AB", "", "A")]},
            "3 label out of range",
            1,
        ),
        (
            "commonsenseqa",
            "en",
            "dev",
            {"dev_rand_split.jsonl": [{"id": "x", "question": {"stem": "?", "choices": []}}]},
            "1 missing label",
            0,
        ),
        (
            "hellaswag",
            "en",
            "dev",
            {"hellaswag_val.jsonl": [{"ctx": "He", "endings": ["a", "b"]}]},
            "1 missing label",
            0,
        ),
        (
            "cosmosqa",
            "en",
            "dev",
            {"valid.jsonl": [COSMOS | {"label": "-1"}]},
            "1 label out of range",
            0,
        ),
    ],
)
def test_rows_that_break_the_format_are_counted(
    task, language, split, files, reason, left, tmp_path
):
    write(tmp_path / task, files)
    with pytest.warns(UserWarning, match=f"left out {re.escape(reason)}; {left} rows remain"):
        assert len(load(task, language, split, path=tmp_path)) == left


def test_sentences_without_their_words_are_counted_and_no_loss(tmp_path):
    """Of Japanese and Arabic treebanks most come so: the others are what there is."""
    hidden = "1\t_\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"
    write(tmp_path / "udpos", {"ja_x-ud-test.conllu": hidden * 5 + hidden.replace("_", "猫", 1)})
    with pytest.warns(RowsLost) as found:
        assert load("udpos", "ja", "test", path=tmp_path)["tokens"][:] == [["猫"]]
    assert str(found[0].message).endswith("left out 5 missing tokens; 1 rows remain")
    assert found[0].message.share == 0


@pytest.mark.parametrize(
    ("task", "language", "split", "name"),
    [
        ("tatoeba", "deu", "queries", "tatoeba.deu-eng.deu"),
        ("xcopa", "et", "test", "test.et.jsonl"),
        ("xquad", "de", "test", "xquad.de.json"),
        ("udpos", "de", "test", "de_gsd-ud-test.conllu"),
        ("xnli", "en", "dev", "dev-en.tsv"),
        ("cosmosqa", "en", "dev", "valid.csv"),
    ],
)
def test_invalid_utf8_is_refused_with_its_line(task, language, split, name, tmp_path):
    (tmp_path / "tatoeba.deu-eng.eng").write_text("x\n")
    header = (
        b"id,context,question,answer0,answer1,answer2,answer3,label\n"
        if name.endswith("csv")
        else b"\n"
    )
    (tmp_path / name).write_bytes(header + b"caf\xe9\n")
    with pytest.raises(
        SourceError, match=rf"{re.escape(name)}, line 2: expected UTF-8, found the byte 0xe9"
    ):
        if name.endswith("tsv"):
            (tmp_path / name).write_bytes(b"A\tB\tneutral\ncaf\xe9\n")
        elif name.endswith("jsonl"):
            (tmp_path / name).write_bytes(json.dumps(COPA).encode() + b"\ncaf\xe9\n")
        load(task, language, split, path=tmp_path)


# The readers


def test_lines_end_at_line_feeds_only_and_lose_mark_and_carriage_return(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffa\u2028b\r\nc\x85d\n\ne".encode())
    assert list(read_lines(tmp_path / "a")) == [(1, "a\u2028b"), (2, "c\x85d"), (3, ""), (4, "e")]


def test_the_task_s_folder_and_the_preferred_name_come_first(tmp_path):
    write(tmp_path, {"b": "1", "task/a": "2", "task/b": "3", "a": "4"})
    assert find(tmp_path, ("task",), ["a", "b"]) == tmp_path / "task" / "a"
    assert find(tmp_path / "task", ("task",), ["c", "b"]) == tmp_path / "task" / "b"
    assert find(tmp_path, ("other",), ["b", "a"]) == tmp_path / "b"


def test_quotation_marks_mean_something_only_where_they_were_written_to(tmp_path):
    (tmp_path / "a").write_text('"a ""b"""\tc\n')
    assert list(read_columns(tmp_path / "a", ("x", "y"), quoted=True)) == [(1, ['a "b"', "c"])]
    assert list(read_columns(tmp_path / "a", ("x", "y"))) == [(1, ['"a ""b"""', "c"])]


def test_a_table_with_commas_counts_lines_over_line_ends_in_quotation_marks(tmp_path):
    (tmp_path / "a").write_text('x,y\n"1\n2",3\n4,5\n')
    assert list(read_records(tmp_path / "a", ("x",), commas=True)) == [
        (3, {"x": "1\n2", "y": "3"}),
        (4, {"x": "4", "y": "5"}),
    ]


@pytest.mark.slow
def test_large_files_are_streamed(tmp_path):
    import tracemalloc

    (tmp_path / "train-en.tsv").write_text(
        "A premise of some length.\tA hypothesis of some length.\tneutral\n" * 50_000
    )
    tracemalloc.start()
    seen = sum(1 for _ in TASKS["xnli"].loaders["files"]("en", "train", tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 50_000 and peak < 1e6
