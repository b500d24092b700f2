"""Retrieval that a dual encoder is trained for, from files: LAReQA (XQuAD-R), Mewsli-X.

=======  ==================================================================================================
lareqa   ``xquad-r/<l>.json``, XQuAD with the `sentence_breaks` of each paragraph; trained on SQuAD v1.1
mewslix  ``wikinews_mentions-test.jsonl`` (with the article texts put back by upstream's script),
         ``candidate_set_entities.jsonl``, ``wikipedia_pairs-{train,dev}.jsonl``
=======  ==================================================================================================
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
                yield {
                    "id": f"{language}_{paragraph}_{number}",
                    "text": context[start:end],
                    "text_pair": context,
                    "gold": [],
                }
        return
    gold: dict[str, list[str]] = {}
    for other in LAREQA:
        for there in find_all(path, ("lareqa",), _names(other))[:1]:
            for id, candidate in _answers(there, other):
                gold.setdefault(id, []).append(candidate)
    own = {id for id, _ in _answers(file, language)}
    for _, _, _, questions in _paragraphs(file):
        for question in questions:
            id = question["id"]
            yield {
                "id": id,
                "text": question["question"].strip(),
                "gold": gold[id] if id in own else None,
            }


def mewslix(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Mewsli-X: which entity is meant? Candidates, a million descriptions in 50 languages, are the
    same for every query.
    """
    if split in ("train", "dev"):
        file = _mewslix(path, f"wikipedia_pairs-{split}.jsonl")
        yield from build_rows(file, read_jsonl(file), lambda r, _: mention_pair(r))
        return
    if split == "candidates":
        file = _mewslix(path, "candidate_set_entities.jsonl")
        yield from build_rows(file, read_jsonl(file), lambda r, _: entity_row(r))
        return
    file = _mewslix(path, "wikinews_mentions-test.jsonl")
    found = False
    for rows in build_rows(file, read_jsonl(file), lambda r, n: _mentions(file, r, n, language)):
        found = found or bool(rows)
        yield from rows
    if not found:
        raise SourceError(f"{file}: expected articles in {language!r}, found none")


def _mewslix(path: Path | None, name: str) -> Path:
    hint = (
        "upstream's get-mewsli-x.sh makes it from wikinews_mentions_no_text-test.jsonl"
        if "wikinews" in name
        else ""
    )
    return find(
        path,
        ("mewslix", "mewsli-x"),
        [name, f"mewsli_x/output/dataset/{name}", f"mewsli-x/{name}"],
        hint,
    )


def _mentions(file: Path, record: Row, number: int, language: str) -> list[Row]:
    """The queries of one article, none if it is in another language."""
    context = record["context"]
    if context["language"] != language:
        return []
    rows = []
    for mention in record["mentions"]:
        span = mention["mention_span"]
        found = context["text"][span["start"] : span["end"]]
        if found != span["text"]:
            raise SourceError(
                f"{file}, line {number}: expected the mention {span['text']!r} at {span['start']} "
                f"to {span['end']}, found "
                f"{found!r}; run upstream's get-mewsli-x.sh, which puts the article texts back"
            )
        rows.append(mention_row(mention, context))
    return rows


def _names(language: str) -> list[str]:
    return [f"xquad-r/{language}.json", f"{language}.json"]


def _paragraphs(file: Path) -> Iterator[tuple[int, str, list[list[int]], list[Row]]]:
    """Number from 1, text, sentence spans and questions of each paragraph."""
    document = read_json(file)
    try:
        paragraphs = [
            paragraph for article in document["data"] for paragraph in article["paragraphs"]
        ]
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
            f"own files have none: take "
            f"those of google-research-datasets/lareqa); found something else "
            f"({type(error).__name__}: {error})"
        ) from error


def _answers(file: Path, language: str) -> Iterator[tuple[str, str]]:
    """Question id and id of the candidate that answers it; a sentence that its paragraph has twice
    counts twice.
    """
    for paragraph, context, spans, questions in _paragraphs(file):
        for question in questions:
            if len(question["answers"]) != 1 or not question["answers"][0]["text"]:
                raise SourceError(
                    f"{file}, question {question['id']}: expected one answer, found "
                    f"{question['answers']}"
                )
            if span := sentence_of(spans, question["answers"][0]["answer_start"]):
                sentence = context[slice(*span)]
                for number, (start, end) in enumerate(spans):
                    if context[start:end] == sentence:
                        yield question["id"], f"{language}_{paragraph}_{number}"
