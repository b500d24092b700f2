"""Small files in every layout of every benchmark task, and the rows they must give: for
tests/tasks/test_files.py.
"""

import json
from pathlib import Path


def write(root: Path, files: dict[str, object]) -> Path:
    """Write files by relative name: text as it is, a list of dictionaries as JSON lines, anything
    else as JSON.
    """
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in content)
        (root / name).write_text(
            content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
        )
    return root


def squad(
    *questions: dict[str, object], context: str = "Ann met Bob in Rome. They ate."
) -> dict[str, object]:
    return {
        "version": "1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}],
    }


def question(id: str = "q1", text: str = "Bob", start: int = 8) -> dict[str, object]:
    return {
        "id": id,
        "question": "Whom did Ann meet?",
        "answers": [{"text": text, "answer_start": start}],
    }


# Made files: name of the case -> task, language, split, the files in its folder, the rows

CONLLU = (
    "# sent_id = "
    "1\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\t_\t_\t0\t_\t_\t_\n2\tn't\tnot\tPART\t_\t_\t1\t_\t_\t_\n"
    "2.1\tgo\tgo\tVERB\t_\t_\t_\t_\t_\t_\n\n1\tNo\tno\tINTJ\t_\t_\t0\t_\t_\t_\n"
)
XNLI = (
    'language\tgold_label\tsentence1\tsentence2\tpairID\nde\tneutral\t"A\tB\t7\n'
    "en\tentailment\tC\tD\t7\n"
)
PAWS = 'id\tsentence1\tsentence2\tlabel\n1\tA\t"" B\t1\n2\tC\tD\t0\n'
MNLI = [
    {"gold_label": "neutral", "sentence1": "A", "sentence2": "B"},
    {"gold_label": "contradiction", "sentence1": "C", "sentence2": "D"},
]
NLI_ROWS = [
    {"id": "mnli-train-0", "text": "A", "text_pair": "B", "label": 1},
    {"id": "mnli-train-1", "text": "C", "text_pair": "D", "label": 2},
]
TRIPLES = "A\tB\tneutral\r\nC\tD\tcontradiction\r\n"
SPAN = {
    "id": "q1",
    "question": "Whom did Ann meet?",
    "context": "Ann met Bob in Rome. They ate.",
    "answers": {"text": ["Bob"], "answer_start": [8]},
}
COPA = {
    "premise": "It rained.",
    "question": "effect",
    "choice1": "Wet.",
    "choice2": "Dry.",
    "label": 0,
    "idx": 5,
}
SIQA = {
    "context": "Kai fell.",
    "question": "Why?",
    "answerA": "ice",
    "answerB": "rain",
    "answerC": "luck",
}
SIQA_ROW = {
    "id": "siqa-train-0",
    "prompt": "Kai fell. Why?",
    "choices": ["ice", "rain", "luck"],
    "label": 1,
}
COSMOS = {
    "id": "c1",
    "context": "It rained,\nall day.",
    "question": "Why?",
    "answer0": "a",
    "answer1": "b",
    "answer2": "c",
    "answer3": 'd "e"',
    "label": "3",
}
COSMOS_ROW = {
    "id": "c1",
    "prompt": "It rained,\nall day. Why?",
    "choices": ["a", "b", "c", 'd "e"'],
    "label": 3,
}
BREAKS = {"sentence_breaks": [[0, 20], [21, 30]]}
BUCC = {"de": "de-1\teins\nde-2\tzwei\n", "en": "en-1\ttwo\nen-2\tone\n", "gold": "de-1\ten-2\n"}
ARTICLE = {
    "context": {
        "language": "de",
        "text": "Kurz. Ann mag {x} Rom.",
        "sentence_spans": [{"start": 0, "end": 5}, {"start": 6, "end": 22}],
    },
    "mentions": [
        {
            "example_id": "m1",
            "entity_id": "Q220",
            "mention_span": {"start": 18, "end": 21, "text": "Rom"},
        }
    ],
}
ENTITY = {"entity_id": "Q220", "title": "Roma", "description": "Roma è una\ncittà."}
PAIR = {
    "contextual_mention": {
        "context": {
            "language": "en",
            "text": "Rome is old.",
            "sentence_spans": [{"start": 0, "end": 12}],
        },
        "mention": {
            "example_id": "w1",
            "entity_id": "Q220",
            "mention_span": {"start": 0, "end": 4, "text": "Rome"},
        },
    },
    "entity": ENTITY,
}
POS_ROWS = [["do", "n't"], [3, 9]], [["No"], [6]]


def tagged(*rows: tuple[str, list[list[object]]]) -> list[dict[str, object]]:
    return [{"id": id, "tokens": tokens, "tags": tags} for id, (tokens, tags) in rows]


def lareqa(context: str, answer: str, breaks: list[list[int]]) -> dict[str, object]:
    document = squad(question("q1", answer, context.index(answer)), context=context)
    document["data"][0]["paragraphs"][0]["sentence_breaks"] = breaks
    return document


EN, DE = "Ann met Bob in Rome. They ate.", "Dann assen sie. Ann traf Bob."
XQUAD_R = {
    "xquad-r/en.json": lareqa(EN, "Bob", [[0, 20], [21, 30]]),
    "xquad-r/de.json": lareqa(DE, "Bob", [[0, 15], [16, 29]]),
}
MNLI_TSV = "premise\thypo\tlabel\nA\tB\tneutral\nC\tD\tcontradictory\n"

CASES = {
    "xnli upstream tsv": (
        "xnli",
        "de",
        "test",
        {"XNLI-1.0/xnli.test.tsv": XNLI},
        [{"id": "xnli-test-7", "text": '"A', "text_pair": "B", "label": 1}],
    ),
    "xnli upstream tsv, English": (
        "xnli",
        "en",
        "test",
        {"XNLI-1.0/xnli.test.tsv": XNLI},
        [{"id": "xnli-test-7", "text": "C", "text_pair": "D", "label": 0}],
    ),
    "xnli upstream jsonl": (
        "xnli",
        "de",
        "test",
        {"xnli.test.jsonl": [MNLI[1] | {"language": "de", "pairID": "7"}]},
        [{"id": "xnli-test-7", "text": "C", "text_pair": "D", "label": 2}],
    ),
    "xnli XTREME dev": (
        "xnli",
        "en",
        "dev",
        {"dev-en.tsv": '"""A"" b"\tB\tneutral\r\n'},
        [{"id": "xnli-dev-0", "text": '"A" b', "text_pair": "B", "label": 1}],
    ),
    "xnli XTREME train": ("xnli", "en", "train", {"train-en.tsv": TRIPLES}, NLI_ROWS),
    "xnli XNLI-MT train": (
        "xnli",
        "en",
        "train",
        {"XNLI-MT-1.0/multinli/multinli.train.en.tsv": MNLI_TSV},
        NLI_ROWS,
    ),
    "xnli multinli train": (
        "xnli",
        "en",
        "train",
        {"multinli_1.0/multinli_1.0_train.jsonl": MNLI},
        NLI_ROWS,
    ),
    "mnli": ("mnli", "en", "train", {"multinli_1.0/multinli_1.0_train.jsonl": MNLI}, NLI_ROWS),
    "mnli translated": (
        "mnli",
        "de",
        "translated",
        {
            "XNLI-MT-1.0/multinli/multinli.train.de.tsv": MNLI_TSV,
            "multinli.train.sw.tsv": "no such thing",
        },
        NLI_ROWS,
    ),
    "mnli dev": (
        "mnli",
        "en",
        "dev",
        {"multinli_1.0_dev_matched.jsonl": MNLI[:1]},
        [NLI_ROWS[0] | {"id": "mnli-dev-0"}],
    ),
    "anli": (
        "anli",
        "en",
        "train",
        {
            "snli_1.0/snli_1.0_train.jsonl": MNLI[:1],
            "multinli_1.0/multinli_1.0_train.jsonl": MNLI[1:],
            **{
                f"anli_v1.0/R{i}/train.jsonl": [
                    {"uid": f"u{i}", "context": "E", "hypothesis": "F", "label": "c"}
                ]
                for i in (1, 2, 3)
            },
        },
        [
            NLI_ROWS[0] | {"id": "snli-train-0"},
            NLI_ROWS[1] | {"id": "mnli-train-0"},
            *(
                {"id": f"anli-r{i}-train-0", "text": "E", "text_pair": "F", "label": 2}
                for i in (1, 2, 3)
            ),
        ],
    ),
    "anli dev": (
        "anli",
        "en",
        "dev",
        {f"R{i}/dev.jsonl": [{"context": "E", "hypothesis": "F", "label": "e"}] for i in (1, 2, 3)},
        [{"id": f"anli-r{i}-dev-0", "text": "E", "text_pair": "F", "label": 0} for i in (1, 2, 3)],
    ),
    "pawsx upstream": (
        "pawsx",
        "de",
        "test",
        {"x-final/de/test_2k.tsv": PAWS},
        [
            {"id": "pawsx-test-1", "text": "A", "text_pair": '"" B', "label": 1},
            {"id": "pawsx-test-2", "text": "C", "text_pair": "D", "label": 0},
        ],
    ),
    "pawsx XTREME": (
        "pawsx",
        "en",
        "train",
        {"train-en.tsv": 'A\t"say ""B"""\t1\r\n'},
        [{"id": "pawsx-train-0", "text": "A", "text_pair": 'say "B"', "label": 1}],
    ),
    "qqp": (
        "qqp",
        "en",
        "dev",
        {
            "QQP/dev.tsv": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
            '5\t1\t2\tA "x\tB\t1\n'
        },
        [{"id": "qqp-dev-0", "text": 'A "x', "text_pair": "B", "label": 1}],
    ),
    "udpos CoNLL-U, two treebanks": (
        "udpos",
        "cs",
        "test",
        {
            "UD_Czech-PDT/cs_pdt-ud-test.conllu": CONLLU,
            "UD_Czech-CAC/cs_cac-ud-test.conllu": CONLLU,
            "UD_Old/csx_old-ud-test.conllu": "wrong",
        },
        tagged(
            ("cs_cac-0", POS_ROWS[0]),
            ("cs_cac-1", POS_ROWS[1]),
            ("cs_pdt-0", POS_ROWS[0]),
            ("cs_pdt-1", POS_ROWS[1]),
        ),
    ),
    "udpos XTREME": (
        "udpos",
        "en",
        "train",
        {"train-en.tsv": "do\tAUX\nn't\tPART\n\nNo\tINTJ\n"},
        tagged(("udpos-en-train-0", POS_ROWS[0]), ("udpos-en-train-1", POS_ROWS[1])),
    ),
    "panx WikiAnn": (
        "panx",
        "sk",
        "test",
        {"sk/test": "sk:Ann\tB-PER\nsk::\tO\n\nsk:Rím\tB-LOC\n"},
        tagged(("panx-sk-test-0", [["Ann", ":"], [1, 0]]), ("panx-sk-test-1", [["Rím"], [5]])),
    ),
    "panx XTREME": (
        "panx",
        "en",
        "dev",
        {"dev-en.tsv": "Ann\tB-PER\nLee\tI-PER\n\n"},
        tagged(("panx-en-dev-0", [["Ann", "Lee"], [1, 2]])),
    ),
    "panx WikiAnn under XTREME's name": (
        "panx",
        "sk",
        "test",
        {"test-sk.tsv": "sk:Ann\tB-PER\nsk::\tO\n\nsk:Rím\tB-LOC\n\nsk:Ann\tO\nLee\tO\n"},
        tagged(
            ("panx-sk-test-0", [["Ann", ":"], [1, 0]]),
            ("panx-sk-test-1", [["Rím"], [5]]),
            ("panx-sk-test-2", [["sk:Ann", "Lee"], [0, 0]]),
        ),
    ),
    "panx WikiAnn of a language with a longer code": (
        "panx",
        "zh-yue",
        "test",
        {"test-zh-yue.tsv": "zh-yue:香\tB-LOC\nzh-yue:港\tI-LOC\n\nhttp://x\tO\n"},
        tagged(
            ("panx-zh-yue-test-0", [["香", "港"], [5, 6]]),
            ("panx-zh-yue-test-1", [["http://x"], [0]]),
        ),
    ),
    "ccg tsv": (
        "ccg",
        "en",
        "train",
        {"train.tsv": "I\tNP\nrun\tS\\NP\n\nHe\tNP\n"},
        tagged(("ccg-train-0", [["I", "run"], [0, 1]]), ("ccg-train-1", [["He"], [0]])),
    ),
    "ccg pipes": (
        "ccg",
        "en",
        "dev",
        {"dev.txt": "I|PRP|NP run|VBP|S\\NP\nHe|NP\n", "tags.txt": "S\\NP\nNP\n"},
        tagged(("ccg-dev-0", [["I", "run"], [1, 0]]), ("ccg-dev-1", [["He"], [1]])),
    ),
    "squad": ("squad", "en", "train", {"train-v1.1.json": squad(question())}, [SPAN]),
    "squad2": (
        "squad2",
        "en",
        "dev",
        {"dev-v2.0.json": squad(question(), question("q2") | {"answers": []})},
        [SPAN, SPAN | {"id": "q2", "answers": {"text": [], "answer_start": []}}],
    ),
    "xquad in a language of no table": (
        "xquad",
        "fr",
        "test",
        {"xquad.fr.json": squad(question())},
        [SPAN],
    ),
    "mlqa": (
        "mlqa",
        "de",
        "test",
        {"MLQA_V1/test/test-context-de-question-de.json": squad(question())},
        [SPAN],
    ),
    "tydiqa upstream": (
        "tydiqa",
        "fi",
        "test",
        {"tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-finnish.json": squad(question())},
        [SPAN],
    ),
    "tydiqa upstream, one file": (
        "tydiqa",
        "fi",
        "test",
        {"tydiqa-goldp-v1.1-dev.json": squad(question("finnish-1"), question("korean-2"))},
        [SPAN | {"id": "finnish-1"}],
    ),
    "tydiqa with answers under XTREME's name": (
        "tydiqa",
        "fi",
        "test",
        {"tydiqa-goldp-v1.1-dev/tydiqa.goldp.fi.dev.json": squad(question())},
        [SPAN],
    ),
    "tydiqa XTREME's train": (
        "tydiqa",
        "en",
        "train",
        {"tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json": squad(question("1"), question("1"))},
        [SPAN | {"id": "english-0"}, SPAN | {"id": "english-1"}],
    ),
    "tatoeba in a language of no table": (
        "tatoeba",
        "swe",
        "candidates",
        {"v1/tatoeba.swe-eng.swe": "ja\n", "v1/tatoeba.swe-eng.eng": "yes\n"},
        [{"id": "tatoeba-swe-0", "text": "yes", "text_pair": "", "gold": ["tatoeba-swe-0"]}],
    ),
    "bucc2018 queries": (
        "bucc2018",
        "de",
        "queries",
        {f"de-en/de-en.training.{side}": text for side, text in BUCC.items()},
        [
            {"id": "de-1", "text": "eins", "text_pair": "", "gold": ["en-2"]},
            {"id": "de-2", "text": "zwei", "text_pair": "", "gold": []},
        ],
    ),
    "bucc2018 candidates": (
        "bucc2018",
        "de",
        "candidates",
        {f"de-en.training.{side}": text for side, text in BUCC.items()},
        [
            {"id": "en-1", "text": "two", "text_pair": "", "gold": []},
            {"id": "en-2", "text": "one", "text_pair": "", "gold": []},
        ],
    ),
    "bucc2018 XTREME dev": (
        "bucc2018",
        "de",
        "dev_queries",
        {f"de-en.dev.{side}": text for side, text in BUCC.items()},
        [
            {"id": "de-1", "text": "eins", "text_pair": "", "gold": ["en-2"]},
            {"id": "de-2", "text": "zwei", "text_pair": "", "gold": []},
        ],
    ),
    "lareqa queries": (
        "lareqa",
        "en",
        "queries",
        XQUAD_R,
        [{"id": "q1", "text": "Whom did Ann meet?", "text_pair": "", "gold": ["de_1_1", "en_1_0"]}],
    ),
    "lareqa candidates": (
        "lareqa",
        "de",
        "candidates",
        XQUAD_R,
        [
            {"id": "de_1_0", "text": "Dann assen sie.", "text_pair": DE, "gold": []},
            {"id": "de_1_1", "text": "Ann traf Bob.", "text_pair": DE, "gold": []},
        ],
    ),
    "mewslix queries": (
        "mewslix",
        "de",
        "queries",
        {"wikinews_mentions-test.jsonl": [ARTICLE]},
        [{"id": "m1", "text": "Rom: Ann mag (x) { Rom } .", "text_pair": "", "gold": ["Q220"]}],
    ),
    "mewslix candidates": (
        "mewslix",
        "en",
        "candidates",
        {"candidate_set_entities.jsonl": [ENTITY]},
        [{"id": "Q220", "text": "Roma è una città.", "text_pair": "", "gold": []}],
    ),
    "mewslix train": (
        "mewslix",
        "en",
        "train",
        {"mewsli_x/output/dataset/wikipedia_pairs-train.jsonl": [PAIR]},
        [
            {
                "id": "w1",
                "text": "Rome: { Rome } is old.",
                "candidate": "Roma è una città.",
                "candidate_pair": "",
            }
        ],
    ),
    "xcopa XTREME-R": (
        "xcopa",
        "et",
        "test",
        {"test.et.jsonl": [COPA]},
        [
            {
                "id": "xcopa-test-5",
                "prompt": "It rained. What was the effect?",
                "choices": ["Wet.", "Dry."],
                "label": 0,
            }
        ],
    ),
    "copa": (
        "xcopa",
        "en",
        "dev",
        {"COPA/val.jsonl": [COPA | {"question": "cause", "label": 1}]},
        [
            {
                "id": "xcopa-dev-5",
                "prompt": "It rained. What was the cause?",
                "choices": ["Wet.", "Dry."],
                "label": 1,
            }
        ],
    ),
    "siqa 1.4": (
        "siqa",
        "en",
        "train",
        {"socialIQa_v1.4_trn.jsonl": [SIQA | {"correct": "B"}]},
        [SIQA_ROW],
    ),
    "siqa with labels beside": (
        "siqa",
        "en",
        "train",
        {"train.jsonl": [SIQA], "train-labels.lst": "2\n"},
        [SIQA_ROW],
    ),
    "hellaswag": (
        "hellaswag",
        "en",
        "dev",
        {
            "hellaswag_val.jsonl": [
                {"ind": 3, "ctx": "He", "endings": ["a", "b", "c", "d"], "label": 2}
            ]
        },
        [{"id": "hellaswag-dev-0", "prompt": "He", "choices": ["a", "b", "c", "d"], "label": 2}],
    ),
    "cosmosqa csv": (
        "cosmosqa",
        "en",
        "dev",
        {
            "valid.csv": ",".join(COSMOS)
            + "\n"
            + 'c1,"It rained,\nall day.",Why?,a,b,c,"d ""e""",3\n'
        },
        [COSMOS_ROW],
    ),
    "cosmosqa jsonl": ("cosmosqa", "en", "train", {"train.jsonl": [COSMOS]}, [COSMOS_ROW]),
    "commonsenseqa": (
        "commonsenseqa",
        "en",
        "train",
        {
            "train_rand_split.jsonl": [
                {
                    "id": "x",
                    "answerKey": "B",
                    "question": {
                        "stem": "What?",
                        "choices": [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}],
                    },
                }
            ]
        },
        [{"id": "x", "prompt": "What?", "choices": ["a", "b"], "label": 1}],
    ),
}
