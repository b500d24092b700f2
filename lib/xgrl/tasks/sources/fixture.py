"""Synthetic data in the canonical formats, made in code: smoke study and tests run on it, offline.

A pseudo-language is a table from concepts to word forms. Of every foreign language's forms about 40
% are cognates, identical to the English form, the rest are its own. A label, the right choice, an
answer or a tag is decided by indicator concepts, so a bag of embeddings learns the task in English,
and zero-shot accuracy lies above chance (through the cognates) and below English. Everything
follows from CRC-32 of names: one call gives one result on every machine, in every process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np

from xgrl.tasks.sources import codes

Row, Random = dict[str, Any], np.random.Generator
CONCEPTS = 240
COGNATES = 0.4
SIZES = {"train": 400, "dev": 100, "test": 60}
SIZES |= dict.fromkeys(("queries", "candidates", "dev_queries", "dev_candidates"), 60)
CHOICES = 4
TAGS = 8  # tags 0 .. 7 of a tagging task that names none
WITH_UNANSWERABLE = ("squad2",)  # tasks with questions that have no answer
UNLABELLED = 200
PARALLEL = 300
LANGUAGES = codes(
    "en af ar az bg bn ca cs da de de-CH el es et eu fa fi fr ga gl gu he hi hr ht hu id it ja jv "
    "ka kk ko lb lt mk ml mr ms my nb ne nl pa pl pt pt-BR qu ro ru sk sl sq sr sr-Latn sv sw ta "
    "te th tl tr uk ur vi wo yo zh zh-HK zh-TW"
)
SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


@cache
def word(concept: int, language: str) -> str:
    """A word form; of a concept (0 .. CONCEPTS - 1) languages may share that of "en", a cognate."""
    if language != "en" and crc32(f"cognate {concept} {language}".encode()) < COGNATES * 2**32:
        language = "en"
    key = crc32(f"form {concept} {language}".encode())
    digits = (key, key // 70, key // 70**2, key // 70**3)
    return "".join(SYLLABLES[digit % len(SYLLABLES)] for digit in digits)


def fixture_vocabulary(languages: Sequence[str] = LANGUAGES) -> list[str]:
    """All word forms of some pseudo-languages, sorted: the vocabulary of the "tiny" tokenizer."""
    return sorted({word(concept, code) for code in languages for concept in range(CONCEPTS)})


def fixture_rows(
    name: str, format: str, language: str, split: str, labels: Sequence[str] = (), *,
    parallel: bool = True, pairs: bool = False, candidates: str = "shared",
    languages: Sequence[str] = (), mined: bool = False,
) -> list[Row]:  # fmt: skip
    """The rows of one synthetic task, language and split in a canonical format, or "pairs"
    (training rows of retrieval). Labels are indices into `labels`, tags names, or else indices.

    `name` decides which concepts indicate what. Splits are train, dev, test; translated, the
    English training rows in another language; for retrieval queries, candidates, dev_queries,
    dev_candidates. `labels` names at most CONCEPTS // 2 classes (classification) or tags (tagging;
    "B-" and "I-" make spans of one or two words, and without names tags are 0 .. TAGS - 1).

    `parallel`: rows of different languages are translations of each other and share ids. `pairs`:
    classification of text pairs, the same words, split over ``text`` and ``text_pair``.
    `candidates` of retrieval are English whatever `language` says; "pooled" ones are in `language`,
    have a ``text_pair`` and the id "<item>-<language>", and a query's gold are those of its item in
    all `languages`. `mined`: about half of the queries have no partner, and empty gold.
    """
    pooled = candidates == "pooled"
    concepts = np.random.default_rng(crc32(name.encode())).permutation(CONCEPTS)
    task = _Task(name, concepts, tuple(labels), pooled if format == "pairs" else pairs)
    if format == "retrieval":
        return _retrieval(task, language, split, parallel, languages if pooled else (), mined)
    make = {"classification": _classification, "multiple_choice": _multiple_choice}
    make |= {"span_qa": _span_qa, "tagging": _tagging, "pairs": _pair}
    if format not in make:
        raise ValueError(f"format={format!r}: the fixture makes {', '.join(make)}, retrieval")
    drawn, of = ("train", "en") if split == "translated" else (split, language)
    space, prefix = _space(name, drawn, of, parallel)
    random = np.random.default_rng(crc32(space.encode()))
    row, numbers = make[format], range(SIZES[drawn])
    rows = [{"id": f"{prefix}-{i}"} | row(task, language, i, random) for i in numbers]
    return [rows[i] for i in random.permutation(len(rows))]


@dataclass(frozen=True)
class _Task:
    """What the rows of a task share; its order of the concepts decides what each of them means."""

    name: str
    concepts: np.ndarray
    labels: tuple[str, ...]
    pairs: bool


def _words(concepts: Iterable[int], language: str) -> list[str]:
    return [word(int(concept), language) for concept in concepts]


def _text(concepts: Iterable[int], language: str) -> str:
    return " ".join(_words(concepts, language))


def _some(random: Random, concepts: int | np.ndarray, low: int, high: int) -> np.ndarray:
    """`low` to `high` of the concepts, each any number of times."""
    return random.choice(concepts, size=int(random.integers(low, high + 1)))


def _classification(task: _Task, language: str, i: int, random: Random) -> Row:
    """Three concepts that indicate the label, one that indicates any, four to seven others."""
    classes = len(task.labels)
    width, label = min(6, CONCEPTS // 2 // classes), i % classes
    indicators = task.concepts[: width * classes].reshape(classes, width)
    own, stray = random.choice(indicators[label], size=3), random.choice(indicators.ravel(), size=1)
    others = _some(random, task.concepts[width * classes :], 4, 7)
    words = _words(random.permutation(np.concatenate([own, stray, others])), language)
    cut = len(words) // 2 if task.pairs else len(words)
    return {"text": " ".join(words[:cut]), "text_pair": " ".join(words[cut:]), "label": label}


def _multiple_choice(task: _Task, language: str, i: int, random: Random) -> Row:
    """Prompt and right choice share two of 24 indicators, wrong ones a word each, one a third."""
    indicators, fillers = task.concepts[:24], task.concepts[24:]
    shared, stray = np.split(random.choice(indicators, size=3, replace=False), [2])
    common, own = np.split(random.choice(fillers, size=4 * CHOICES, replace=False), [CHOICES])
    choices = [[common[k], *own[3 * k : 3 * k + 3]] for k in range(CHOICES)]
    choices[i % CHOICES][:2] = shared
    choices[(i + 1 + int(random.integers(CHOICES - 1))) % CHOICES][1] = stray[0]
    texts = [_text(random.permutation(choice), language) for choice in choices]
    prompt = _text(random.permutation(np.concatenate([shared, common])), language)
    return {"prompt": prompt, "choices": texts, "label": i % CHOICES}


def _span_qa(task: _Task, language: str, i: int, random: Random) -> Row:
    """The answer is the one or two words after the question's marker; unanswerable without it."""
    markers, answers, fillers = np.split(task.concepts, [6, 66])
    marker, length = random.choice(markers), int(random.integers(1, 3))
    before = _some(random, fillers, 2, 7)
    span = random.choice(answers, size=length, replace=False)
    after = _some(random, fillers, 2, 7)
    question = _text([random.choice(fillers), marker, random.choice(fillers)], language)
    if task.name in WITH_UNANSWERABLE and i % 3 == 2:
        context, spans = _text([*before, *after], language), {"text": [], "answer_start": []}
    else:
        lead, answer = _text([*before, marker], language), _text(span, language)
        context = f"{lead} {answer} {_text(after, language)}"
        spans = {"text": [answer], "answer_start": [len(lead) + 1]}
    return {"question": question, "context": context, "answers": spans}


def _tagging(task: _Task, language: str, i: int, random: Random) -> Row:
    """Every concept has one tag; with BIO names the first 12 of a type begin or continue spans."""
    types = [label[2:] for label in task.labels if label.startswith("B-")]
    if not types:
        names = task.labels or tuple(range(TAGS))
        drawn = _some(random, CONCEPTS, 5, 10)
        tags = [names[k % len(names)] for k in drawn.tolist()]
        return {"tokens": _words(task.concepts[drawn], language), "tags": tags}
    width = min(12, CONCEPTS // 2 // len(types))
    members = task.concepts[: width * len(types)].reshape(len(types), width)
    fillers = task.concepts[width * len(types) :]
    tokens = list(_some(random, fillers, 1, 3))
    tags = ["O"] * len(tokens)
    for _ in range(int(random.integers(1, 4))):
        kind = int(random.integers(len(types)))
        length = int(random.integers(1, 3)) if f"I-{types[kind]}" in task.labels else 1
        gap = _some(random, fillers, 1, 2)
        tokens += [*random.choice(members[kind], size=length), *gap]
        tags += [f"B-{types[kind]}", f"I-{types[kind]}"][:length] + ["O"] * len(gap)
    return {"tokens": _words(tokens, language), "tags": tags}


def _pair(task: _Task, language: str, i: int, random: Random) -> Row:
    """A query and its candidate share four concepts of six."""
    shared, own, other, rest = np.split(random.choice(CONCEPTS, size=12, replace=False), [4, 6, 8])
    sides = (random.permutation(np.concatenate([shared, more])) for more in (own, other))
    query, candidate = (_text(side, language) for side in sides)
    context = _text(rest, language) if task.pairs else ""
    return {"text": query, "candidate": candidate, "candidate_pair": context}


def _retrieval(
    task: _Task, language: str, split: str, parallel: bool, pool: Sequence[str], mined: bool
) -> list[Row]:
    """An item is six concepts in any language, with two more as context in pooled candidates."""
    drawn = "dev-items" if split.startswith("dev_") else "items"
    queries = split.endswith("queries")
    space, prefix = _space(task.name, drawn, language, parallel)
    random = np.random.default_rng(crc32(space.encode()))
    others = np.random.default_rng(crc32(f"{space} others".encode()))
    written = language if queries or pool else "en"
    rows = []
    for i in range(SIZES[split]):
        item = f"{prefix}-{i}"
        chosen = random.choice(CONCEPTS, size=6, replace=False)
        other = others.integers(CONCEPTS, size=6)
        alone = mined and crc32(item.encode()) % 2 == 0
        row: Row = {"id": f"{item}-{language}" if pool and not queries else item}
        if alone and not queries:  # a text of its own in the place of the query's partner
            row, chosen = {"id": f"{item}-other"}, other
        row["text"] = _text(chosen, written)
        if pool and not queries:
            row["text_pair"] = _text(other[:2], written)
        if queries and (pool or alone):
            row["gold"] = [] if alone else [f"{item}-{code}" for code in pool]
        rows.append(row)
    return [rows[i] for i in random.permutation(len(rows))]


def _space(name: str, drawn: str, language: str, parallel: bool) -> tuple[str, str]:
    """The name of a random draw, and what the ids of its rows begin with."""
    if parallel:
        return f"{name} {drawn}", f"{name}-{drawn}"
    return f"{name} {drawn} {language}", f"{name}-{language}-{drawn}"


def fixture_unlabelled(language: str) -> list[dict[str, str]]:
    """UNLABELLED sentences of a pseudo-language: id, text, language. Not parallel to anything."""
    rows = []
    for i, concepts in enumerate(_sentences(f"unlabelled {language}", UNLABELLED)):
        id, text = f"unlabelled-{language}-{i}", _text(concepts, language)
        rows.append({"id": id, "text": text, "language": language})
    return rows


def fixture_parallel(language: str) -> list[dict[str, str]]:
    """PARALLEL synthetic sentences of one pseudo-language and in English, the same concepts in the
    same order: id (the same in every language), language, text, english.
    """
    rows = []
    for i, concepts in enumerate(_sentences("parallel", PARALLEL)):
        text, english = (_text(concepts, code) for code in (language, "en"))
        rows.append({"id": f"parallel-{i}", "language": language, "text": text, "english": english})
    return rows


def _sentences(name: str, n: int) -> list[np.ndarray]:
    """The concepts of `n` sentences of six to fourteen words."""
    random = np.random.default_rng(crc32(name.encode()))
    return [_some(random, CONCEPTS, 6, 14) for _ in range(n)]
