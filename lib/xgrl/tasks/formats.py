"""What a task is, and the five canonical formats its rows come in (design, section 4).

===============  ==========================================================================
classification   id, text, text_pair ("" when none), label
multiple_choice  id, prompt, choices, label
span_qa          id, question, context, answers{text, answer_start}
tagging          id, tokens, tags
retrieval        id, text, text_pair ("" when none), gold (ids of a query's right candidates;
                 [its own id] in bitexts)
===============  ==========================================================================

Retrieval tasks that train a dual encoder have rows to do so: id, text, candidate, candidate_pair.
"""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from xgrl.runs.params import nearest_names
from xgrl.tasks.sources.fixture import LANGUAGES as FIXTURE_LANGUAGES
from xgrl.tasks.sources.packages import pin

if TYPE_CHECKING:
    from datasets import Features

Row = dict[str, Any]
Loader = Callable[[str, str, Path | None], Iterable[Row]]
FORMATS = ("classification", "multiple_choice", "span_qa", "tagging", "retrieval")
TRAINED = ("train", "dev", "test")
TEXTS = ("id", "text", "prompt", "question", "context", "candidate")  # columns of text, never empty
NAME = re.compile("[!-~]{1,20}")  # an unknown label that reasons, which are published, may name
# what people read of tasks: `origin`, `licence` and `note` of `Task`, where files can be had
CARDS = yaml.CSafeLoader(Path(__file__).with_name("cards.yaml").read_bytes()).get_single_data()
CHUNK = 5000  # rows that are Python objects at a time


@dataclass(frozen=True)
class Task:
    """One entry of the tables in `xgrl.tasks.intermediate` and `xgrl.tasks.targets`."""

    name: str  # how people call it, `load_task(name)`
    format: str  # one of FORMATS, or "mixture": all other intermediate tasks of a study together
    # source -> ``loader(language, split, path)``, which yields canonical rows with labels and tags
    # by index or name; the fixture needs none, it serves every task
    loaders: Mapping[str, Loader]
    labels: tuple[str, ...] = ()  # names of the classes or tags, in index order
    role: str = "intermediate"  # or "target"
    languages: tuple[str, ...] = ("en",)  # codes with rows; English first where it has any
    metric: str = "accuracy"  # the official score
    parallel: bool = False  # rows of different languages are translations and share ids
    pairs: bool = False  # classification of text pairs
    # retrieval: "shared", one set serves every language (loaded as English); "own", each language
    # has its own English texts, ``load_task(name, language, "candidates")``; "pooled", each has
    # candidates in that language, and those of all languages are searched together
    candidates: str = "shared"
    trained: bool = False  # retrieval: a dual encoder is trained on English pairs first
    answers: bool = False  # retrieval of the sentence that answers a question, or made of span QA
    head: str = ""  # tasks of one mixture that name the same head share it; "" means one of its own
    # English intermediate task that is fine-tuned on before this target's own training rows
    first: str = ""
    # the "files" source serves any language whose file is there, not only those of the table
    open_languages: bool = False
    # source -> languages in which it has translations of the English training rows, split
    # "translated"; the fixture has those of every intermediate classification task
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    packages: tuple[str, ...] = ()  # of ``params/packages.txt``, which the "packages" loader reads
    max_length: int = 128  # suggested longest text in tokens
    origin: str = ""  # this and the next two are for the data card: `CARDS`
    licence: str = ""
    note: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Legal values of `split`; an intermediate task is tested on nothing."""
        if self.format == "retrieval":
            tuned = ("dev_queries", "dev_candidates") if self.metric == "mined_f1" else ()
            return (*(TRAINED[:2] if self.trained else ()), "queries", "candidates", *tuned)
        return TRAINED if self.role == "target" else TRAINED[:2]

    def schema(self, split: str) -> str:
        """Of a split's rows: the format, or "pairs" for the training rows of retrieval."""
        return "pairs" if self.format == "retrieval" and split in TRAINED else self.format

    def translated(self, source: str) -> tuple[str, ...]:
        """Languages in which a source has the training rows (split "translated")."""
        if source != "fixture":
            return self.translations.get(source, ())
        has_any = self.role == "intermediate" and self.format == "classification"
        return tuple(code for code in FIXTURE_LANGUAGES if code != "en") if has_any else ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Legal values of `source`."""
        return (*self.loaders, "fixture")


class Checked(NamedTuple):
    """What `validate` returns: the table of the rows kept, and how many were dropped by reason."""

    table: pa.Table
    dropped: dict[str, int]


@cache
def inputs_version(*packages: str) -> str:
    """Names what is cached: a hash of pinned packages and of this folder's files, which made it."""
    folder = Path(__file__).parent
    code = (file.read_bytes() for end in ("py", "txt") for file in sorted(folder.rglob(f"*.{end}")))
    pins = (pin(package).sha256.encode() for package in packages)
    return hashlib.sha256(b"".join((*pins, *code))).hexdigest()[:12]


def named(key: str, value: str, allowed: Sequence[str]) -> str:
    """`value` if it is allowed, else a ValueError with key, value, nearest match, all allowed."""
    if value in allowed:
        return value
    raise ValueError(f"{key}={value!r}: {nearest_names(value, allowed)}")


def features(format: str, labels: Sequence[str] = ()) -> "Features":
    """The columns and types of a canonical format (or "pairs", training rows of retrieval), with
    the names of classes (classification) or tags (tagging) in index order.
    """
    # a second to import, and the tables do not need it
    from datasets import ClassLabel, Features, List, Value

    named("format", format, (*FORMATS, "pairs"))
    text, number = Value("string"), Value("int64")
    index = ClassLabel(names=list(labels)) if labels else number
    return Features({
        "classification": {"id": text, "text": text, "text_pair": text, "label": index},
        "multiple_choice": {"id": text, "prompt": text, "choices": List(text), "label": number},
        "span_qa": {"id": text, "question": text, "context": text,
                    "answers": {"text": List(text), "answer_start": List(number)}},
        "tagging": {"id": text, "tokens": List(text), "tags": List(index)},
        "retrieval": {"id": text, "text": text, "text_pair": text, "gold": List(text)},
        "pairs": {"id": text, "text": text, "candidate": text, "candidate_pair": text},
    }[format])  # fmt: skip


def validate(
    rows: Iterable[Row], format: str, labels: Sequence[str] = (), pairs: bool = False
) -> Checked:
    """Keep the rows that obey a canonical format (or "pairs") and count the reasons for which
    others are dropped, in bounded memory.

    Reasons: "missing <field>", "empty <field>", "duplicate id", "unknown label <name>", "label out
    of range", "too few choices", "answer not at its offset", "tokens and tags differ in number". A
    row is counted once, under the first reason that holds. Keys that are no columns of the format
    are dropped. A span question without answers (unanswerable) is legal. Labels and tags may be
    given by name, one of `labels`; without `labels` any index from 0 is legal. In retrieval a
    missing ``text_pair`` is "", a missing ``gold`` the row's own id. In classification either no
    row has a second text or all have: if `pairs`, or if any row has one, those without are dropped.
    """
    schema = features(format, labels).arrow_schema
    dropped: Counter[str] = Counter()
    table = build_table(_kept(rows, format, schema.names, labels, dropped), schema)
    if format == "classification":
        filled = pc.not_equal(pc.utf8_trim_whitespace(table["text_pair"]), "")
        if pairs or pc.any(filled).as_py():
            single = len(table) - len(whole := table.filter(filled))
            if single:
                table, dropped["empty text_pair"] = whole, single
    return Checked(table, dict(dropped))


def build_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """A table of rows, of which no more than CHUNK are Python objects at a time."""
    rows, batches = iter(rows), []
    while chunk := list(itertools.islice(rows, CHUNK)):
        batches.append(pa.RecordBatch.from_pylist(chunk, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def _kept(
    rows: Iterable[Row], format: str, columns: list[str], labels: Sequence[str], dropped: Counter
) -> Iterator[Row]:
    """The rows that obey the format, with its columns only; counts the others in `dropped`."""
    names, seen = {name: i for i, name in enumerate(labels)}, set()

    def index(label: str | int) -> str | int:
        name = f" {label!r}" if NAME.fullmatch(str(label)) else ""
        return names.get(label, f"unknown label{name}") if isinstance(label, str) else label

    for row in rows:
        if format == "retrieval":
            row = {"text_pair": "", "gold": [row.get("id")]} | row
        elif format == "tagging" and row.get("tags"):
            row = row | {"tags": [index(tag) for tag in row["tags"]]}
        elif isinstance(row.get("label"), str):
            row = row | {"label": index(row["label"])}
        if (pair := row.get("text_pair")) and not pair.strip():
            row = row | {"text_pair": ""}  # a blank is no second text
        reason = _fault(row, format, columns, len(labels))
        if reason is None and row["id"] in seen:
            reason = "duplicate id"
        if reason is None:
            seen.add(row["id"])
            yield {column: row[column] for column in columns}
        else:
            dropped[reason] += 1


def _fault(row: Row, format: str, columns: list[str], classes: int) -> str | None:
    """The first reason why a row does not obey its format, or None."""
    for column in columns:
        value = row.get(column)
        if value is None or (column in ("choices", "tokens") and None in value):
            return f"missing {column}"
        empty = column == "tokens" and not value
        empty = empty or (column == "choices" and not all(map(str.strip, value)))
        if empty or (column in TEXTS and not str(value).strip()):
            return f"empty {column}"
    if format == "multiple_choice":
        if len(row["choices"]) < 2:
            return "too few choices"
        classes = len(row["choices"])
    if format == "tagging" and len(row["tokens"]) != len(row["tags"]):
        return "tokens and tags differ in number"
    for index in (row["label"],) if "label" in columns else row.get("tags", ()):
        if isinstance(index, str):
            return index
        if index % 1 or not 0 <= index < (classes or index + 1):
            return "label out of range"
    if format == "span_qa":
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        for text, start in pairs:
            if start < 0 or row["context"][start : start + len(text)] != text:
                return "answer not at its offset"
    return None
