"""What reads the files of `xgrl.tasks.files.layouts`: JSON lines, tables, SQuAD's JSON, CoNLL-U and
other columns of words with tags.

A reader is called with a file and what is asked for, and gives canonical rows. XTREME's script
takes the answers out of its test files, mostly under other names than upstream's; such a file is
refused, and the message says which upstream file has them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from xgrl.tasks import rows
from xgrl.tasks.formats import Row
from xgrl.tasks.rows import NUMBERED, Record, Request, nli_row, tagging_row
from xgrl.tasks.sources import SourceError, unlike
from xgrl.tasks.sources import files as source

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
TEXTS = ("sentence1", "sentence2", "label")
Reader = Callable[[Path, Request], Iterator[Row]]
RowOf = Callable[[Record, str], Row]


def jsonl(row: RowOf, id: str = NUMBERED) -> Reader:
    """Reader of JSON lines, of which ``row(record, id)`` makes rows; in `id` ``{n}`` is the number
    of the line, ``{r[name]}`` a field, others as in `Request.fill`.
    """
    return lambda file, request: _rows(file, request, source.read_jsonl(file), row, id)


def table(row: RowOf, columns: Sequence[str], id: str = NUMBERED, **options: Any) -> Reader:
    """Reader of a table with a header; `options` are those of `read_records`."""

    def read(file: Path, request: Request) -> Iterator[Row]:
        return _rows(file, request, source.read_records(file, columns, **options), row, id, first=2)

    return read


def xtreme(row: RowOf, id: str = NUMBERED) -> Reader:
    """Reader of XTREME's layout: two texts and a label a line, quoted by Python's csv module."""

    def read(file: Path, request: Request) -> Iterator[Row]:
        lines = source.read_columns(file, TEXTS, quoted=True, hint=_hint(request))
        records = ((number, dict(zip(TEXTS, fields, strict=True))) for number, fields in lines)
        return _rows(file, request, records, row, id)

    return read


def _hint(request: Request) -> str:
    """What to do about a file of XTREME's layout that lacks something."""
    return source.withheld(request.upstream) if request.split == "test" else source.ANEW


def _rows(
    file: Path, request: Request, records: source.Numbered, row: RowOf, id: str, first: int = 1
) -> Iterator[Row]:
    """Rows whose id may count lines from `first`."""
    form = request.fill(id)

    def build(record: Record, line: int) -> Row:
        return row(record, form.format(n=line - first, r=record))

    return source.build_rows(file, records, build)


def copa_row(record: Record, id: str) -> Row:
    """COPA and XCOPA, which have a label in every row but those of COPA's test set."""
    if record.get("label") is None:
        raise ValueError("expected a label, found none; COPA's test labels are not public")
    return rows.xcopa_row(record, id)


def translated_row(record: Record, id: str) -> Row:
    """MultiNLI's training rows in the file of one language of XNLI-MT; English is among them."""
    return nli_row({**record, "hypothesis": record["hypo"]}, id)


def xnli_of_one_language(file: Path, request: Request) -> Iterator[Row]:
    """The rows of one language of upstream's file, which has all fifteen."""
    fields = ("language", "gold_label", *TEXTS[:2], "pairID")
    lines = file.suffix == ".jsonl"
    records = source.read_jsonl(file) if lines else source.read_records(file, fields)

    def row(record: Record, id: str) -> Row:
        return nli_row(record, id) | {"language": record["language"]}

    languages: set[str] = set()
    for each in _rows(file, request, records, row, "xnli-{split}-{r[pairID]}"):
        languages.add(each["language"])
        if each["language"] == request.language:
            yield each
    if request.language not in languages:
        held = ", ".join(sorted(languages)) or "no row at all"
        raise unlike(file, f"rows in {request.language!r}", held)


def siqa_with_labels(file: Path, request: Request) -> Iterator[Row]:
    """Social IQa with the labels in a file beside it, one number from 1 to 3 a line."""
    beside = source.find(file.parent, (), [f"{request.split}-labels.lst"])
    labels = [line.strip() for _, line in source.read_lines(beside)]
    lines = list(source.read_jsonl(file))
    if len(lines) != len(labels):
        counts = f"{file} has {len(lines)} rows but {beside} {len(labels)} labels"
        raise SourceError(f"{counts}; fetch both anew")
    labelled = zip(lines, labels, strict=True)
    records = ((number, record | {"label": label}) for (number, record), label in labelled)
    return _rows(file, request, records, rows.siqa_row, NUMBERED)


def mentions(file: Path, request: Request) -> Iterator[Row]:
    """The queries of Mewsli-X in one language, from articles with their mentions."""

    def build(record: Record, line: int) -> list[Row]:
        context = record["context"]
        if context["language"] != request.language:
            return []
        for mention in record["mentions"]:
            span = mention["mention_span"]
            text = context["text"][span["start"] : span["end"]]
            if text != span["text"]:
                what = f"the mention {span['text']!r} at {span['start']} to {span['end']}"
                todo = "run upstream's get-mewsli-x.sh, which puts the article texts back"
                raise unlike(f"{file}, line {line}", what, repr(text), todo)
        return [rows.mention_row(mention, context) for mention in record["mentions"]]

    there = False
    for queries in source.build_rows(file, source.read_jsonl(file), build):
        there = there or bool(queries)
        yield from queries
    if not there:
        raise unlike(file, f"articles in {request.language!r}", "none")


def squad(file: Path, request: Request, unanswerable: bool = False) -> Iterator[Row]:
    """The rows of a file in SQuAD's form; SourceError where it is none, an answer is empty, or
    there is none though `unanswerable` questions are not legal.
    """
    document = source.read_json(file)
    try:
        for number, row in enumerate(rows.squad_rows(document), 1):
            texts = row["answers"]["text"]
            if not all(texts) or not (texts or unanswerable):
                where = f"{file}, question {number} ({row['id']})"
                raise unlike(where, "an answer", texts, _hint(request))
            yield row
    except (KeyError, TypeError, AttributeError) as error:
        form = "SQuAD's form, data > paragraphs > qas with id, question and answers"
        raise unlike(file, form, f"something else ({type(error).__name__}: {error})") from error


def tydiqa(file: Path, request: Request) -> Iterator[Row]:
    """TyDiQA-GoldP, from upstream's files with all languages or of one, or from XTREME's, which has
    cut the ids of training questions down to numbers that many share.

    Dev is a tenth of the English training questions (`held_out`).
    """
    name, there = request.fill("{tydi}"), False
    every, cut = file.name.startswith("tydiqa-goldp-v1.1-"), file.name.endswith(".train.json")
    for number, row in enumerate(squad(file, request)):
        if every and row["id"].partition("-")[0] != name:
            continue
        there = True
        if cut and request.split == "train":
            row["id"] = f"{name}-{number}"
        if request.split == "test" or rows.held_out(row) == (request.split == "dev"):
            yield row
    if not there:
        raise unlike(file, f"questions whose id begins with {name!r}", "none")


WordTag = tuple[str, str] | None  # None where a line has no word on it


def words(
    word: Callable[[Path, int, str, Request], WordTag], ids: str = NUMBERED, row=tagging_row
) -> Reader:
    """Reader of columns, a word with its tag a line and empty lines between sentences: ``word(file,
    line number, line, request)``; ``row(words, tags, id)`` is a sentence's. In `ids` ``{n}`` is the
    sentence's number in its file, ``{treebank}`` its name's beginning, others as in `Request.fill`.
    """

    def read(file: Path, request: Request) -> Iterator[Row]:
        form = request.fill(ids)
        for number, block in enumerate(source.read_blocks(source.read_lines(file))):
            tagged = [word(file, line, text, request) for line, text in block]
            if tagged := [pair for pair in tagged if pair]:
                tokens, tags = zip(*tagged, strict=True)
                treebank = file.name.partition("-")[0]
                found = row(tokens, tags, form.format(n=number, treebank=treebank))
                # some treebanks come without their words, for copyright: left out and counted
                hidden = word is conllu and set(tokens) == {"_"}
                yield found | {"tokens": None} if hidden else found

    return read


def tabbed(file: Path, number: int, line: str, request: Request) -> WordTag:
    """``word TAB tag``."""
    fields = line.split("\t")
    return tuple(source.check_columns(file, number, fields, ("word", "tag"), _hint(request)))


def prefixed(file: Path, number: int, line: str, request: Request) -> WordTag:
    """``language:word TAB tag``, as in WikiAnn."""
    word, tag = source.check_columns(file, number, line.split("\t"), ("language:word", "tag"))
    if not (match := re.fullmatch(r"[a-z][a-z-]+:(.*)", word)):
        raise unlike(f"{file}, line {number}", "language:word", repr(line[:60]), source.ANEW)
    return match[1], tag


def conllu(file: Path, number: int, line: str, request: Request) -> WordTag:
    """CoNLL-U's syntactic words, without multi-word tokens (``1-2``) and empty nodes (``1.1``)."""
    if line.startswith("#"):
        return None
    fields = source.check_columns(file, number, line.split("\t"), CONLLU)
    if re.fullmatch(r"\d+[-.]\d+", fields[0]):
        return None
    if not fields[0].isdecimal():
        raise unlike(f"{file}, line {number}", "a word's number", repr(fields[0]), source.ANEW)
    return fields[1], fields[3]


def piped(file: Path, request: Request) -> Iterator[Row]:
    """A sentence a line, ``word|tag`` or ``word|part of speech|tag``."""

    def build(line: str, number: int) -> Row:
        items = [item.split("|") for item in line.split()]
        for item in items:
            if len(item) not in (2, 3) or not all(item):
                form = "word|tag or word|part of speech|tag"
                raise unlike(f"{file}, line {number}", form, repr("|".join(item)))
        id = request.fill(NUMBERED).format(n=number - 1)
        return tagging_row([item[0] for item in items], [item[-1] for item in items], id)

    return source.build_rows(file, source.read_lines(file), build)
