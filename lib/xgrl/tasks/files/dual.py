"""Retrieval that a dual encoder is trained for, from files: LAReQA (XQuAD-R), Mewsli-X.

=======  ========================================================================================
lareqa   ``xquad-r/<l>.json``, XQuAD with the `sentence_breaks` of each paragraph; trained on
         SQuAD v1.1
mewslix  ``wikinews_mentions-test.jsonl`` (with the article texts put back by upstream's script),
         ``candidate_set_entities.jsonl``, ``wikipedia_pairs-{train,dev}.jsonl``
=======  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xgrl.tasks.files.spans import squad
from xgrl.tasks.formats import Row
from xgrl.tasks.rows import answer_pair, entity_row, mention_pair, mention_row, sentence_of
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import build_rows, find, find_all, read_json, read_jsonl

LAREQA = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")


def lareqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """LAReQA: which sentence, in any of the languages, answers the question?

    Candidates are the sentences of one language with their paragraph as the second text; the
    official score searches those of eleven languages together. A question's gold is the sentence in
    which its answer begins, in every language of `LAREQA` whose file is there; one without such a
    sentence is left out and counted. Question ids are the same in every language, candidate ids are
    ``<language>_<paragraph>_<sentence>``.
    """
    if split in ("train", "dev"):
        yield from map(answer_pair, squad(language, split, path))
        return
    file = find(path, ("lareqa",), _names(language))
    if split == "candidates":
        for paragraph, context, spans, _ in _paragraphs(file):
            for number, (start, end) in enumerate(spans):
                id, sentence = f"{language}_{paragraph}_{number}", context[start:end]
                yield {"id": id, "text": sentence, "text_pair": context, "gold": []}
        return
    gold: dict[str, list[str]] = {}
    for other in LAREQA:
        for translated in find_all(path, ("lareqa",), _names(other))[:1]:
            for id, candidate in _answers(translated, other):
                gold.setdefault(id, []).append(candidate)
    answered = {id for id, _ in _answers(file, language)}
    for _, _, _, questions in _paragraphs(file):
        for question in questions:
            id, text = question["id"], question["question"].strip()
            yield {"id": id, "text": text, "gold": gold[id] if id in answered else None}


def mewslix(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Mewsli-X: which entity is meant? Candidates, a million descriptions in 50 languages, are the
    same for every query.
    """
    name = {
        "queries": "wikinews_mentions-test.jsonl",
        "candidates": "candidate_set_entities.jsonl",
    }.get(split, f"wikipedia_pairs-{split}.jsonl")
    script = "upstream's get-mewsli-x.sh makes it from wikinews_mentions_no_text-test.jsonl"
    names = [name, f"mewsli_x/output/dataset/{name}", f"mewsli-x/{name}"]
    file = find(path, ("mewslix", "mewsli-x"), names, script if split == "queries" else "")
    if split != "queries":
        row = entity_row if split == "candidates" else mention_pair
        yield from build_rows(file, read_jsonl(file), lambda record, _: row(record))
        return
    there = False
    articles = build_rows(file, read_jsonl(file), lambda r, n: _mentions(file, r, n, language))
    for rows in articles:
        there = there or bool(rows)
        yield from rows
    if not there:
        raise SourceError(f"{file}: expected articles in {language!r}, found none")


def _mentions(file: Path, record: Row, number: int, language: str) -> list[Row]:
    """The queries of one article, none if it is in another language."""
    context = record["context"]
    if context["language"] != language:
        return []
    rows = []
    for mention in record["mentions"]:
        span = mention["mention_span"]
        text = context["text"][span["start"] : span["end"]]
        if text != span["text"]:
            raise SourceError(
                f"{file}, line {number}: expected the mention {span['text']!r} at {span['start']} "
                f"to {span['end']}, found {text!r}; run upstream's get-mewsli-x.sh, which puts the "
                f"article texts back"
            )
        rows.append(mention_row(mention, context))
    return rows


def _names(language: str) -> list[str]:
    return [f"xquad-r/{language}.json", f"{language}.json"]


def _paragraphs(file: Path) -> Iterator[tuple[int, str, list[list[int]], list[Row]]]:
    """Number from 1, text, sentence spans and questions of each paragraph."""
    articles = read_json(file)
    try:
        paragraphs = [part for article in articles["data"] for part in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs, 1):
            context, spans = paragraph["context"], paragraph["sentence_breaks"]
            if any(not 0 <= start < end <= len(context) for start, end in spans):
                raise SourceError(
                    f"{file}, paragraph {number}: expected sentence breaks within {len(context)} "
                    f"characters, found {spans}"
                )
            yield number, context, spans, paragraph["qas"]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{file}: expected data > paragraphs with context, qas and sentence_breaks (XQuAD's "
            f"own files have none: take those of google-research-datasets/lareqa); found something "
            f"else ({type(error).__name__}: {error})"
        ) from error


def _answers(file: Path, language: str) -> Iterator[tuple[str, str]]:
    """Question id and id of the candidate that answers it; a sentence that its paragraph has twice
    counts twice.
    """
    for paragraph, context, spans, questions in _paragraphs(file):
        for question in questions:
            answers = question["answers"]
            if len(answers) != 1 or not answers[0]["text"]:
                raise SourceError(
                    f"{file}, question {question['id']}: expected one answer, found {answers}"
                )
            if span := sentence_of(spans, answers[0]["answer_start"]):
                sentence = context[slice(*span)]
                for number, (start, end) in enumerate(spans):
                    if context[start:end] == sentence:
                        yield question["id"], f"{language}_{paragraph}_{number}"
