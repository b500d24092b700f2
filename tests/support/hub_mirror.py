"""A folder laid out as clones of the hub's data sets, a few rows each in their real columns, for
`tests/tasks/test_hub_datasets.py`.

Three layouts occur: the README's ``configs``, ``<config>/<split>-00000-of-00001.parquet`` (or
``data/``) without one, and the branch refs/convert/parquet, ``<config>/<split>/0000.parquet``.
Class labels are in the parquet metadata where the hub has them.
"""

import json
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, List, Value

TEXT, INT = Value("string"), Value("int32")
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])
UD = [
    "NOUN",
    "PUNCT",
    "ADP",
    "NUM",
    "SYM",
    "SCONJ",
    "ADJ",
    "PART",
    "DET",
    "CCONJ",
    "PROPN",
    "PRON",
    "X",
    "_",
    "ADV",
    "INTJ",
    "VERB",
    "AUX",
]
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
PAIRS = {"premise": TEXT, "hypothesis": TEXT, "label": NLI}
SPANS = {
    "id": TEXT,
    "title": TEXT,
    "context": TEXT,
    "question": TEXT,
    "answers": {"text": List(TEXT), "answer_start": List(INT)},
}
COPA = {"premise": TEXT, "choice1": TEXT, "choice2": TEXT, "question": TEXT, "idx": INT}
COSMOS = {
    column: TEXT
    for column in ("id", "context", "question", "answer0", "answer1", "answer2", "answer3")
} | {"label": INT}
SIQA = {
    column: TEXT for column in ("context", "question", "answerA", "answerB", "answerC", "label")
}
HELLASWAG = {
    "ind": INT,
    "activity_label": TEXT,
    "ctx_a": TEXT,
    "ctx_b": TEXT,
    "ctx": TEXT,
    "endings": List(TEXT),
    "source_id": TEXT,
    "split": TEXT,
    "split_type": TEXT,
    "label": TEXT,
}
COMMONSENSE = {
    "id": TEXT,
    "question": TEXT,
    "question_concept": TEXT,
    "choices": {"label": List(TEXT), "text": List(TEXT)},
    "answerKey": TEXT,
}
UDPOS = {"tokens": List(TEXT), "pos_tags": List(ClassLabel(names=UD))}
WIKIANN = {
    "tokens": List(TEXT),
    "ner_tags": List(ClassLabel(names=NER)),
    "langs": List(TEXT),
    "spans": List(TEXT),
}
PAWS = {"id": INT, "sentence1": TEXT, "sentence2": TEXT, "label": ClassLabel(names=["0", "1"])}
WIKIPEDIA = {column: TEXT for column in ("id", "url", "title", "text")}


def put(root: Path, place: str, features: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    """Write rows to one parquet file of a mirror; a file name without ending stands for one of
    ``-00000-of-00001.parquet``.
    """
    path = root / (place if place.endswith(".parquet") else f"{place}-00000-of-00001.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=Features(features)).to_parquet(path)
    return path


def span(id: str, context: str, question: str, *answers: str) -> dict[str, Any]:
    """A row of SQuAD and its kin, with answers where they first occur."""
    found = {"text": list(answers), "answer_start": [context.index(answer) for answer in answers]}
    return {"id": id, "title": "t", "context": context, "question": question, "answers": found}


def pair(text: str, other: str, label: int) -> dict[str, Any]:
    """A row of an NLI data set."""
    return {"premise": text, "hypothesis": other, "label": label}


def build(root: Path) -> Path:
    """Fill a folder with every data set of `xgrl.tasks.hub_datasets.HUB`, and Wikipedia."""
    put(
        root,
        "stanfordnlp/snli/plain_text/train",
        PAIRS,
        [pair("a dog", "an animal", 0), pair("x", "y", -1), pair("b", "c", 2)],
    )
    for split, rows in {
        "train": [pair("m0", "h0", 1), pair("m1", "h1", 0)],
        "validation_matched": [pair("v", "w", 2)],
    }.items():
        indexed = [row | {"idx": i} for i, row in enumerate(rows)]
        put(root, f"nyu-mll/glue/mnli/{split}", PAIRS | {"idx": INT}, indexed)
    qqp = {
        "question1": TEXT,
        "question2": TEXT,
        "label": ClassLabel(names=["not_duplicate", "duplicate"]),
        "idx": INT,
    }
    for split in ("train", "validation"):
        put(
            root,
            f"nyu-mll/glue/qqp/{split}",
            qqp,
            [{"question1": "q1", "question2": "q2", "label": 1, "idx": 0}],
        )
    for split in (f"{part}_r{i}" for part in ("train", "dev") for i in (1, 2, 3)):
        row = pair(f"p {split}", "h", 1) | {"uid": "u", "reason": ""}
        put(
            root,
            f"facebook/anli/plain_text/{split}",
            {"uid": TEXT} | PAIRS | {"reason": TEXT},
            [row],
        )
    squad = span(
        "5733be28", "Beyoncé was born in Houston, Texas.", " Where was she born? ", "Houston"
    )
    none = span("5a8d7bf7", "The Normans were in Normandy.", "Who was in Rome?")
    for split in ("train", "validation"):
        put(root, f"rajpurkar/squad/plain_text/{split}", SPANS, [squad])
        put(root, f"rajpurkar/squad_v2/squad_v2/{split}", SPANS, [squad, none])
    _choices(root)
    for language, words in {"en": ("Yes", "No"), "de": ("Ja", "Nein")}.items():
        put(
            root,
            f"facebook/xnli/{language}/test",
            PAIRS,
            [pair(words[0], words[1], 2), pair(words[1], words[1], 0)],
        )
    put(root, "facebook/xnli/de/train", PAIRS, [pair("M0", "H0", 1), pair("M1", "H1", 0)])
    for language, words in {"en": ("e", "E!", "f"), "de": ("E-de", "noch einmal", "f-de")}.items():
        put(
            root,
            f"facebook/xnli/{language}/validation",
            PAIRS,
            [pair("d", word, 1) for word in words],
        )
    _tagging(root)
    for language, context in {"en": "It is in Rome.", "de": "Es ist in Rom."}.items():
        place = context.split()[-1].strip(".")
        plain = {column: kind for column, kind in SPANS.items() if column != "title"}
        row = {
            column: value
            for column, value in span("x1", context, "?", place).items()
            if column != "title"
        }
        put(root, f"google/xquad/xquad.{language}/validation", plain, [row])
        put(
            root,
            f"google/xtreme/MLQA.{language}.{language}/test",
            SPANS,
            [span("a4", context, "?", place)],
        )
    _tydi(root)
    for code, word in {"deu": "Hallo", "rus": "Привет"}.items():
        rows = [
            {"sentence1": word, "sentence2": "Hello"},
            {"sentence1": f"{word}!", "sentence2": "Hello!"},
        ]
        put(
            root,
            f"mteb/tatoeba-bitext-mining/{code}-eng/test/0000.parquet",
            {"sentence1": TEXT, "sentence2": TEXT},
            rows,
        )
    _mewsli(root)
    paws = [
        {"id": 1, "sentence1": "a b", "sentence2": "b a", "label": 0},
        {"id": 2, "sentence1": "a", "sentence2": "a", "label": 1},
    ]
    for language in ("en", "de"):
        for split in ("train", "validation", "test"):
            put(root, f"google-research-datasets/paws-x/{language}/{split}", PAWS, paws)
    for language, sentence in {
        "de": "Das ist der Satz {}.",
        "th": "นี่คือประโยคหมายเลข {} ของบทความ",
    }.items():
        article = "Titel\n\n" + " ".join(
            sentence.format(word) for word in ("alpha", "beta", "gamma")
        )
        rows = [
            {"id": str(i), "url": "", "title": "t", "text": f"{article}\n{i}"} for i in range(5)
        ]
        put(root, f"wikimedia/wikipedia/20231101.{language}/train", WIKIPEDIA, rows)
    return root


def _choices(root: Path) -> None:
    ending = {
        "ctx_a": "A man sits.",
        "ctx_b": "he",
        "ctx": "A man sits. he",
        "endings": ["runs", "eats", "sleeps", "flies"],
    }
    for split, labels in {"train": ["3", "0"], "validation": ["1"], "test": [""]}.items():
        rows = [
            {
                "ind": 7,
                "activity_label": "x",
                "source_id": "s",
                "split": split,
                "split_type": "z",
                "label": label,
            }
            | ending
            for label in labels
        ]
        put(root, f"Rowan/hellaswag/data/{split}", HELLASWAG, rows)
    answers = {f"answer{i}": f"because {i}" for i in range(4)}
    for split in ("train", "validation"):
        cosmos = {
            "id": f"3Q9##{split}",
            "context": "It rained. ",
            "question": "Why?",
            "label": 3,
        } | answers
        put(root, f"allenai/cosmos_qa/default/{split}/0000.parquet", COSMOS, [cosmos])
        siqa = {
            "context": "Kai won.",
            "question": "How does Kai feel?",
            "answerA": "sad",
            "answerB": "glad",
            "answerC": "ill",
        }
        put(
            root,
            f"allenai/social_i_qa/default/{split}/0000.parquet",
            SIQA,
            [siqa | {"label": "2\n"}],
        )
        choices = {"label": list("ABCDE"), "text": ["bank", "library", "mall", "park", "sea"]}
        row = {
            "id": f"075e{split}",
            "question": "Where is a book?",
            "question_concept": "book",
            "choices": choices,
        }
        put(root, f"tau/commonsense_qa/data/{split}", COMMONSENSE, [row | {"answerKey": "B"}])
        copa = {
            "premise": "My body cast a shadow.",
            "choice1": "The sun rose.",
            "choice2": "It rained.",
            "idx": 0,
        }
        features = COPA | {"label": ClassLabel(names=["choice1", "choice2"])}
        put(
            root,
            f"aps/super_glue/copa/{split}/0000.parquet",
            features,
            [copa | {"question": "cause", "label": 0}],
        )
    (root / "aps/super_glue/super_glue.py").write_text("raise SystemExit('code of others')")
    for language, premise in {
        "et": "Ese oli mullikilesse mähitud. ",
        "zh": "该物品用气泡包装包裹着。",
    }.items():
        row = {
            "premise": premise,
            "choice1": "a",
            "choice2": "b",
            "question": "effect",
            "idx": 5,
            "label": 1,
            "changed": False,
        }
        put(
            root,
            f"cambridgeltl/xcopa/{language}/test",
            COPA | {"label": INT, "changed": Value("bool")},
            [row],
        )


def _tagging(root: Path) -> None:
    tags = [UD.index(tag) for tag in ("PRON", "VERB", "PUNCT")]
    names = {"en": ("train", "dev", "test"), "de": ("test",)}
    for language, splits in names.items():
        for split in splits:
            rows = [{"tokens": ["Sie", "liest", "."], "pos_tags": tags}]
            put(root, f"izhx/xtreme-r-udpos/{language}/{split}.parquet", UDPOS, rows)
    lines = ["---", "license: other", "configs:"]
    for language, splits in names.items():
        lines += [f"- config_name: {language}", "  data_files:"]
        for split in splits:
            lines += [
                f"  - split: {'validation' if split == 'dev' else split}",
                f"    path: {language}/{split}.parquet",
            ]
    (root / "izhx/xtreme-r-udpos/README.md").write_text("\n".join([*lines, "---", "# UD"]))
    for language in ("en", "de"):
        for split in ("train", "validation", "test"):
            rows = [
                {
                    "tokens": ["Angela", "Merkel", "in", "Rom"],
                    "ner_tags": [1, 2, 0, 5],
                    "langs": [language] * 4,
                    "spans": [],
                },
                {
                    "tokens": [f"{language}:Rom", f"{language}::"],
                    "ner_tags": [5, 0],
                    "langs": [language] * 2,
                    "spans": [],
                },
            ]
            put(root, f"unimelb-nlp/wikiann/{language}/{split}", WIKIANN, rows)


def _tydi(root: Path) -> None:
    rows = {
        "train": [
            span(f"english-{i}-0", f"Passage {i} is here.", "Which?", str(i)) for i in range(60)
        ]
        + [span("finnish-1-0", "Talo on tässä.", "Missä?", "tässä")],
        "validation": [
            span("english-9-0", "It is here.", "Where?", "here"),
            span("finnish-2-0", "Talo on.", "Mikä?", "Talo"),
        ],
    }
    for split, found in rows.items():
        put(root, f"google-research-datasets/tydiqa/secondary_task/{split}", SPANS, found)


def _mewsli(root: Path) -> None:
    clone = "izhx/mewsli-x"
    for split in ("train", "validation"):
        rows = [{"mention": "Rome: in { Rome } today", "entity": "Rome is the capital of Italy."}]
        put(
            root,
            f"{clone}/wikipedia_pairs/{split}/0000.parquet",
            {"mention": TEXT, "entity": TEXT},
            rows,
        )
    entities = [
        {"entity_id": "Q220", "title": "Roma", "description": "Roma è la capitale."},
        {"entity_id": "Q64", "title": "Berlin", "description": "Берлин — столица."},
    ]
    put(
        root,
        f"{clone}/candidate_entities/test/0000.parquet",
        {name: TEXT for name in entities[0]},
        entities,
    )
    lines = [
        "---",
        "configs:",
        "- config_name: wikipedia_pairs",
        "  data_files:",
        "  - split: train",
        "    path: wikipedia_pairs/train.jsonl.tar.gz",
    ]
    for language in ("en", "de"):
        folder = root / clone / "wikinews_mentions" / language
        folder.mkdir(parents=True)
        mention = {
            "example_id": f"m-{language}-1",
            "mention": "Rom: in { Rom } heute",
            "entity_id": "Q220",
        }
        (folder / "test.jsonl").write_text(json.dumps(mention) + "\n")
        lines += [
            f"- config_name: {language}",
            "  data_files:",
            "  - split: test",
            f"    path: wikinews_mentions/{language}/test.jsonl",
        ]
    (root / clone / "README.md").write_text("\n".join([*lines, "---", "# Mewsli-X"]))
