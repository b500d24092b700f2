"""The discriminator's text: sentences of native Wikipedias, all languages of one corpus and form.

If English and foreign text differed in genre, template or length, those would be the "domain" that
a discriminator finds, not the language. So both come from the one corpus (BIG-bench
paragraph_segmentation, 1,000 articles a language, one sentence a line), pass the same filter, and
are matched in length (`xgrl.prepare.lengths`). Two targets are made from some of these articles; a
study of theirs leaves those out.

The "hub" source takes the first articles of a newer dump of each Wikipedia, cut into sentences
here; "files" the user's own sentences. Both pass the same filter.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xgrl.runs.cache import cached_table
from xgrl.tasks.embedded import documents
from xgrl.tasks.formats import CARDS, build_table, inputs_version, named
from xgrl.tasks.sentences import LONGEST, SHORTEST, passing, sentences
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import find, read_lines
from xgrl.tasks.sources.fixture import LANGUAGES as FIXTURE_LANGUAGES
from xgrl.tasks.sources.fixture import fixture_unlabelled
from xgrl.tasks.sources.hub import Part, explained, load_part
from xgrl.tasks.sources.packages import read_json
from xgrl.tasks.targets import TARGETS

if TYPE_CHECKING:
    from datasets import Dataset

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru")
EVERY = tuple(sorted({"en"} | {x for task in TARGETS for x in task.languages if "-" not in x}))
SOURCES = {"packages": LANGUAGES, "fixture": FIXTURE_LANGUAGES, "hub": EVERY, "files": EVERY}
CARD = CARDS["unlabelled"]  # by source: origin, licence, note
ARTICLES, SENTENCES = 1000, 30_000  # of a language, at most, from the hub
LINES = 10  # of a file that stay together: neighbours are often of one document
MEMBER = "bigbench/benchmark_tasks/paragraph_segmentation/task.json"
SCHEMA = pa.schema({"id": pa.string(), "text": pa.string(), "language": pa.string()})


def load_unlabelled(
    languages: Sequence[str] = LANGUAGES, source: str = "packages",
    path: str | Path | None = None, without: Sequence[str] = (),
) -> "Dataset":  # fmt: skip
    """Unlabelled sentences of several languages: id, text, language; ordered by language as given,
    then by document; see `xgrl.tasks.sentences.passing` for what is left out.

    The embedded corpus ("packages") has the languages de en es fr it nl pl pt ru, the others every
    language of a target: "hub" (wikimedia/wikipedia, dump of 1 November 2023, the first ARTICLES
    articles or SENTENCES sentences of each), "files" (``<path>/unlabelled/<language>.txt``, one
    sentence a line; the others do not look at `path`) and "fixture". Articles that targets named in
    `without` are made from (boundary, next-sentence; "packages") are left out.

    ValueError: a language or source that does not exist, no language, or no path but need of one.
    SourceError: the hub or a file cannot be read, or a language has no sentence that passes.
    """
    # a second to import, and who only looks at SOURCES does not need it
    from datasets import Dataset

    chosen = check_languages(languages, source, path, SOURCES)
    if source == "fixture":
        rows = [row for language in chosen for row in fixture_unlabelled(language)]
        return Dataset(pa.Table.from_pylist(rows, SCHEMA))
    if source == "packages":
        name = f"unlabelled-{inputs_version('bigbench')}"
        corpus = cached_table(name, lambda: build_table(_wikipedia(), SCHEMA))
        if set(without) & set(documents.MADE):
            # wikipedia-<language>-<article>-<line>
            ids = (id.split("-") for id in corpus["id"].to_pylist())
            reserved = [documents.is_reserved(code, int(article)) for _, code, article, _ in ids]
            corpus = corpus.filter(pc.invert(pa.array(reserved)))
        tables = [corpus.filter(pc.field("language") == language) for language in chosen]
    else:
        tables = [_hub(code) if source == "hub" else _file(code, path) for code in chosen]
    return Dataset(pa.concat_tables(tables))


def document(id: str) -> str:
    """What a sentence, by its id, shares its content with: its article; of a file its block of
    LINES, in all languages, as a line may be one sentence in each; else nothing, the id itself.
    """
    rest, _, line = id.rpartition("-")
    if id.startswith("file-"):
        return f"file-{int(line) // LINES}"
    return rest if id.startswith("wikipedia-") else id


def documents_apart(
    documents: Sequence, languages: Sequence, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Which texts (n,) to set apart so that no document is on both sides, and as nearly as that
    allows `share` of each language is; documents, languages: (n,) of each text.

    Documents come in random order, large ones first; each goes where it leaves the smaller sum of
    squared deviations from `share`. With two documents or more of its own a language is halved
    into two sides that both have some.
    """
    _, document = np.unique(documents, return_inverse=True)
    _, language = np.unique(languages, return_inverse=True)
    parts = np.zeros((document.max(initial=-1) + 1, language.max(initial=-1) + 1))
    np.add.at(parts, (document, language), 1)
    order = rng.permutation(len(parts))
    order = order[np.argsort(-parts[order].sum(1), kind="stable")]
    parts /= parts.sum(0)  # of a language
    apart, lacking = np.zeros(len(parts), dtype=bool), np.zeros(parts.shape[1])
    for i in order:
        lacking += share * parts[i]
        apart[i] = parts[i] @ lacking > parts[i] @ parts[i] / 2
        lacking -= apart[i] * parts[i]
    return apart[document]


def check_languages(
    languages: Sequence[str], source: str, path: str | Path | None,
    known: Mapping[str, Sequence[str]],
) -> list[str]:  # fmt: skip
    """`languages`, if any, all `known` of the source, and a path if that is "files"; else
    ValueError.
    """
    allowed = known[named("source", source, tuple(known))]
    chosen = [named("language", language, allowed) for language in languages]
    if not chosen:
        raise ValueError(f"languages=[]: give at least one of {', '.join(allowed)}")
    if source == "files" and path is None:
        raise ValueError("path=None: source='files' needs the folder with the files")
    return chosen


def _wikipedia() -> Iterator[dict[str, str]]:
    """The sentences of the embedded corpus, named by language, document and line."""
    articles = read_json("bigbench", MEMBER)["examples"]
    numbered = (
        (LANGUAGES[number * len(LANGUAGES) // len(articles)], f"{number % 1000}-{line}", raw)
        for number, article in enumerate(articles)
        for line, raw in enumerate(article["input"].split("\n"))
    )
    return passing("wikipedia", numbered)


def _hub(language: str) -> pa.Table:
    """The first sentences of a Wikipedia on the hub; only the articles that are needed are read."""
    part = Part("wikimedia/wikipedia", f"20231101.{language}")
    articles = itertools.islice(load_part(part, streaming=True), ARTICLES)
    lines = (
        (language, f"{article['id']}-{line}", sentence)
        for article in articles
        for line, sentence in enumerate(sentences(article["text"], language))
    )
    with explained(part):
        return _table(itertools.islice(passing("wikipedia", lines), SENTENCES), str(part))


def _file(language: str, folder: str | Path) -> pa.Table:
    """The sentences of one file of the user's."""
    file = find(folder, ("unlabelled",), [f"{language}.txt"])
    lines = ((language, str(number), line) for number, line in read_lines(file))
    return _table(passing("file", lines), str(file))


def _table(rows: Iterator[dict[str, str]], origin: str) -> pa.Table:
    """A table of sentences; SourceError names their origin if there is none."""
    table = build_table(rows, SCHEMA)
    if not len(table):
        wanted = f"a sentence of {SHORTEST} to {LONGEST} characters"
        raise SourceError(f"{origin}: no line of it is {wanted}")
    return table
