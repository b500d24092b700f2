"""Sentences and their translations, none of which is in a test set of the study: pairs to train on,
texts to measure alignment.

========  ==========================================================================================
packages  MultiEmo (BIG-bench), the training and development rows of `sentiment`, which are no test
          rows of `sentiment` or `bitext`; German and Portuguese as far as they are parallel. Polish
          is human, all others DeepL
hub       the hypotheses of XNLI's development set, translated by people into 14 languages
files     ``<path>/parallel/<language>.tsv``, lines ``foreign TAB english``; without it Tatoeba's
          files, if it is not a target
fixture   pseudo-languages, the same concepts in the same order
========  ==========================================================================================

Ids are the same in every language (but Tatoeba's): texts of two foreign ones can be matched too.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from xgrl.runs.cache import cached_table
from xgrl.tasks.embedded import multilingual
from xgrl.tasks.files import TATOEBA, XNLI_LANGUAGES, tatoeba
from xgrl.tasks.formats import CARDS, Row, inputs_version
from xgrl.tasks.leakage import normalise
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import ANEW, find, find_all, read_columns
from xgrl.tasks.sources.fixture import LANGUAGES as FIXTURE_LANGUAGES
from xgrl.tasks.sources.fixture import fixture_parallel
from xgrl.tasks.sources.hub import Part, load_part
from xgrl.tasks.unlabelled import EVERY, check_languages

if TYPE_CHECKING:
    from datasets import Dataset

SOURCES = {"packages": multilingual.SENTIMENT, "fixture": FIXTURE_LANGUAGES}
SOURCES |= {"hub": XNLI_LANGUAGES, "files": EVERY}
SOURCES = {source: tuple(x for x in known if x != "en") for source, known in SOURCES.items()}
CARD = CARDS["parallel"]  # by source: origin, licence, note
SCHEMA = pa.schema({column: pa.string() for column in ("id", "language", "text", "english")})


def load_parallel(
    languages: Sequence[str], source: str = "packages", path: str | Path | None = None,
    without: Sequence[str] = (),
) -> "Dataset":  # fmt: skip
    """Sentences of several languages with their English translations; of pairs with one English
    side one is kept: id, language, text (foreign), english; ordered by language as given.

    Arguments and errors are those of `load_unlabelled`; English is not among the languages. With
    tatoeba in `without` its files are not read, as they are the test set.
    """
    from datasets import Dataset

    tables = []
    for language in check_languages(languages, source, path, SOURCES):
        if source == "packages":
            name = f"parallel-{language}-{inputs_version('bigbench')}"
            table = cached_table(name, lambda x=language: _table(multilingual.sentiment_pairs(x)))
        elif source == "files":
            table = _table(_file(language, path, without))
        else:
            table = _table(fixture_parallel(language) if source == "fixture" else _hub(language))
        if not len(table):
            pair = f"no pair of {language!r} and English"
            raise SourceError(f"source={source!r}: {pair} has text on both sides")
        tables.append(table)
    return Dataset(pa.concat_tables(tables))


def has_pairs(
    language: str, source: str, path: str | Path | None = None, without: Sequence[str] = ()
) -> bool:
    """Whether a source has pairs of a language; of "files", whether its file is there."""
    if source != "files":
        return language in SOURCES[source]
    if find_all(path, ("parallel",), [f"{language}.tsv"]):
        return True
    name = f"tatoeba.{TATOEBA.get(language, language)}-eng.eng"
    return "tatoeba" not in without and bool(find_all(path, ("tatoeba",), [name, f"v1/{name}"]))


def _table(rows: Iterable[Row]) -> pa.Table:
    """The pairs that have text on both sides, each English side once."""
    first: dict[str, Row] = {}
    for row in rows:
        if normalise(row["text"]) and (key := normalise(row["english"])):
            first.setdefault(key, row)
    return pa.Table.from_pylist(list(first.values()), SCHEMA)


def _hub(language: str) -> Iterator[Row]:
    parts = (Part("facebook/xnli", code, "validation") for code in (language, "en"))
    foreign, english = (load_part(part)["hypothesis"] for part in parts)
    if len(foreign) != len(english):
        counts = f"{len(foreign)} development rows in {language!r}, {len(english)} in English"
        raise SourceError(f"facebook/xnli: {counts}; expected equal")
    for number, (text, original) in enumerate(zip(foreign, english, strict=True)):
        yield _pair(f"xnli-dev-{number}", language, text.strip(), original.strip())


def _file(language: str, folder: str | Path, without: Sequence[str]) -> Iterator[Row]:
    name = f"{language}.tsv"
    if "tatoeba" in without or find_all(folder, ("parallel",), [name]):
        hint = "Tatoeba's sentences are this study's test set" if "tatoeba" in without else ANEW
        file = find(folder, ("parallel",), [name], hint)
        for number, (text, english) in read_columns(file, (language, "en")):
            yield _pair(f"parallel-{number - 1}", language, text.strip(), english.strip())
        return
    sides = (tatoeba(language, split, Path(folder)) for split in ("queries", "candidates"))
    for foreign, english in zip(*sides, strict=True):
        yield _pair(foreign["id"], language, foreign["text"], english["text"])


def _pair(id: str, language: str, text: str, english: str) -> Row:
    return {"id": id, "language": language, "text": text, "english": english}
