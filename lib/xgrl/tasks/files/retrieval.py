"""Retrieval from files, where one row follows from more than one file: Tatoeba, BUCC 2018, LAReQA.

========  =====================================================================================
tatoeba   LASER's ``tatoeba.<iso3>-eng.<iso3>`` and ``.eng``, for any of its 112 languages
bucc2018  ``<l>-en.{sample,training}.{<l>,en,gold}``; XTREME:
          ``<l>-en.{dev,test}.{<l>,en}`` and ``.dev.gold``
lareqa    ``xquad-r/<l>.json``, XQuAD with the `sentence_breaks` of each paragraph; trained on
          SQuAD v1.1
========  =====================================================================================

XTREME's script sorts the English side of Tatoeba, so that lines no longer match, and deletes
``<l>-en.test.gold``. Both are refused; the upstream files have what is missing.
"""

from collections.abc import Iterator
from pathlib import Path

from xgrl.tasks.files import layouts
from xgrl.tasks.files.layouts import Wanted, load
from xgrl.tasks.formats import Row
from xgrl.tasks.rows import TATOEBA, answer_pair, sentence_of
from xgrl.tasks.sources import SourceError, unlike
from xgrl.tasks.sources import files as source

COLUMNS = ("id", "sentence")
LAREQA = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")


def wanted(task: str, language: str, split: str) -> list[Wanted]:
    """The files that a split of one of these tasks is read from."""
    if task == "lareqa" and split in ("train", "dev"):
        return layouts.wanted("squad", language, split)
    if task == "lareqa":
        return [(["lareqa"], _names(language))]
    if task == "tatoeba":
        code = TATOEBA.get(language, language)
        names = [f"tatoeba.{code}-eng.{side}" for side in (code, "eng")]
        return [(["tatoeba"], [name, f"v1/{name}"]) for name in names]
    pair, files = f"{language}-en", []
    parts = ("sample", "dev") if split.startswith("dev_") else ("training", "test")
    for side in (language, "en", "gold"):
        names = [f"{pair}.{part}.{side}" for part in parts]
        files.append((["bucc2018", "bucc"], [*names, *(f"{pair}/{name}" for name in names)]))
    return files


def tatoeba(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Sentences (queries) and their English translations (candidates) of a language, a 2-letter
    code of XTREME-R or a 3-letter code of LASER; line numbers are ids, within a language.
    """
    code = TATOEBA.get(language, language)
    hint = ""
    if source.find_all(path, ("tatoeba",), [f"{language}-en.{language}"]):
        hint = f"XTREME's script sorted {language}-en.en, so that its lines match no more: "
        hint += "add LASER's two files"
    files = [source.find(path, *file, hint) for file in wanted("tatoeba", language, split)]
    foreign, english = (sum(1 for _ in source.read_lines(file)) for file in files)
    if foreign != english:
        counts = f"{foreign} lines in .{code} but {english} in .eng; fetch both anew"
        raise SourceError(f"tatoeba.{code}-eng in {files[0].parent}: {counts}")
    for number, line in source.read_lines(files[split == "candidates"]):
        yield {"id": f"tatoeba-{code}-{number - 1}", "text": line.strip()}


def bucc2018(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Two collections, in de, fr, ru or zh and in English, of which some sentences are translations
    of each other; ids are BUCC's. Splits: queries, candidates; dev_queries, dev_candidates tune.

    A query's gold: its English translations, mostly none, []. A candidate's gold is [].
    """
    pair = f"{language}-en"
    upstream = "sample" if split.startswith("dev_") else "training"
    first = source.find(path, *wanted("bucc2018", language, split)[0])
    # All three files have to be upstream's or all XTREME's; upstream's own "test" has no gold.
    part, hint = first.name.split(".")[1], source.withheld([f"{pair}.{upstream}.gold"])
    files = {}
    for side, todo in ((language, ""), ("en", ""), ("gold", hint)):
        files[side] = source.find(first.parent, (), [f"{pair}.{part}.{side}"], todo)
    queries = not split.endswith("candidates")
    gold = _gold(files, language) if queries else {}
    file = files[language if queries else "en"]

    def build(fields: list[str], _: int) -> Row:
        return {"id": fields[0], "text": fields[1].strip(), "gold": gold.get(fields[0], [])}

    yield from source.build_rows(file, source.read_columns(file, COLUMNS), build)


def _gold(files: dict[str, Path], language: str) -> dict[str, list[str]]:
    """Query id -> ids of its translations, all of which are in the two files."""
    known, gold = {}, {}
    for side in (language, "en"):
        known[side] = {id for _, (id, _) in source.read_columns(files[side], COLUMNS)}
    pairs = source.read_columns(files["gold"], (f"{language} id", "en id"))
    for number, (query, candidate) in pairs:
        for id, side in ((query, language), (candidate, "en")):
            if id not in known[side]:
                where = f"{files['gold']}, line {number}"
                raise unlike(where, f"an id of {files[side].name}", repr(id))
        gold.setdefault(query, []).append(candidate)
    return gold


def lareqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """LAReQA: which sentence, in any of the languages, answers the question?

    Candidates are the sentences of one language with their paragraph as the second text; the
    official score searches those of eleven languages together. A question's gold is the sentence in
    which its answer begins, in every language of `LAREQA` whose file is there; one without such a
    sentence is left out and counted. Question ids are the same in every language, candidate ids are
    ``<language>_<paragraph>_<sentence>``.
    """
    if split in ("train", "dev"):
        yield from map(answer_pair, load("squad", language, split, path))
        return
    file = source.find(path, ("lareqa",), _names(language))
    if split == "candidates":
        for paragraph, context, spans, _ in _paragraphs(file):
            for number, (start, end) in enumerate(spans):
                id, sentence = f"{language}_{paragraph}_{number}", context[start:end]
                yield {"id": id, "text": sentence, "text_pair": context, "gold": []}
        return
    gold: dict[str, list[str]] = {}
    for other in LAREQA:
        for translated in source.find_all(path, ("lareqa",), _names(other))[:1]:
            for id, candidate in _answers(translated, other):
                gold.setdefault(id, []).append(candidate)
    answered = {id for id, _ in _answers(file, language)}
    for _, _, _, questions in _paragraphs(file):
        for question in questions:
            id, text = question["id"], question["question"].strip()
            yield {"id": id, "text": text, "gold": gold[id] if id in answered else None}


def _names(language: str) -> list[str]:
    return [f"xquad-r/{language}.json", f"{language}.json"]


def _paragraphs(file: Path) -> Iterator[tuple[int, str, list[list[int]], list[Row]]]:
    """Number from 1, text, sentence spans and questions of each paragraph."""
    articles = source.read_json(file)
    try:
        paragraphs = [part for article in articles["data"] for part in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs, 1):
            context, spans = paragraph["context"], paragraph["sentence_breaks"]
            if any(not 0 <= start < end <= len(context) for start, end in spans):
                form = f"sentence breaks within {len(context)} characters"
                raise unlike(f"{file}, paragraph {number}", form, spans)
            yield number, context, spans, paragraph["qas"]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{file}: expected data > paragraphs with context, qas and sentence_breaks (XQuAD's "
            f"own files have none: take those of google-research-datasets/lareqa); found something "
            f"else ({type(error).__name__}: {error})"
        ) from error


def _answers(file: Path, language: str) -> Iterator[tuple[str, str]]:
    """Question id and id of each candidate that answers it: a repeated sentence counts twice."""
    for paragraph, context, spans, questions in _paragraphs(file):
        for question in questions:
            answers = question["answers"]
            if len(answers) != 1 or not answers[0]["text"]:
                raise unlike(f"{file}, question {question['id']}", "one answer", answers)
            if span := sentence_of(spans, answers[0]["answer_start"]):
                sentence = context[slice(*span)]
                for number, (start, end) in enumerate(spans):
                    if context[start:end] == sentence:
                        yield question["id"], f"{language}_{paragraph}_{number}"
