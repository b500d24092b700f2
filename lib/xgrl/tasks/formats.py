"""What a task is, and the five canonical formats its rows come in (design, section 4).

=================  ================================================
classification     id, text, text_pair ("" when none), label
multiple_choice    id, prompt, choices, label
span_qa            id, question, context, answers{text, answer_start}
tagging            id, tokens, tags
retrieval          id, text; a query's gold candidate has its id
=================  ================================================
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Features

Row = dict[str, Any]
Loader = Callable[[str, str, Path | None], Iterable[Row]]
FORMATS = ("classification", "multiple_choice", "span_qa", "tagging", "retrieval")
SPLITS = {"retrieval": ("queries", "candidates")}
TRAINED = ("train", "dev", "test")


@dataclass(frozen=True)
class Task:
    """One line of the tables in `xgrl.tasks.intermediate` and `xgrl.tasks.targets`.

    Attributes:
        name: how people call it, `load_task(name)`.
        format: one of FORMATS.
        role: "intermediate" or "target".
        languages: codes with rows; English ("en") first where it has any.
        loaders: source name -> ``loader(language, split, path)``, which yields canonical rows with label or tag *indices*.
            The fixture needs none, it serves every task.
        labels: names of the classes or tags, in index order.
        metric: name of the official score.
        parallel: rows of different languages are translations of each other and share ids.
        pairs: classification of text pairs.
        shared_candidates: retrieval: one set of English candidates serves every language; else each language has its own, and
            ``load_task(name, language, "candidates")`` gives the English texts to search from that language.
        packages: registry packages the "packages" loader reads, as named in ``params/packages.txt``.
        max_length: suggested longest text in tokens.
        origin, licence, note: for the data card.
    """

    name: str
    format: str
    role: str
    languages: tuple[str, ...]
    loaders: Mapping[str, Loader]
    labels: tuple[str, ...] = ()
    metric: str = "accuracy"
    parallel: bool = False
    pairs: bool = False
    shared_candidates: bool = True
    packages: tuple[str, ...] = ()
    max_length: int = 128
    origin: str = ""
    licence: str = ""
    note: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Legal values of `split`: an intermediate task is trained and checked in English only, so it has no test rows."""
        return SPLITS.get(self.format, TRAINED if self.role == "target" else TRAINED[:2])

    @property
    def sources(self) -> tuple[str, ...]:
        """Legal values of `source`."""
        return (*self.loaders, "fixture")


@dataclass
class Checked:
    """What `validate` returns: the rows that were kept, and for each reason how many were dropped."""

    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


@cache
def code_version() -> str:
    """Hash of this folder's code: part of the name of everything cached, so that a changed loader is run again."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[:12]


def named(key: str, value: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`; else a ValueError that names key, value, what is allowed and the nearest match."""
    if value in allowed:
        return value
    lower = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(str(value).lower(), lower, n=1, cutoff=0.4)
    hint = f"; did you mean {lower[near[0]]!r}?" if near else ""
    raise ValueError(f"{key}={value!r}: allowed: {', '.join(allowed) or 'nothing'}{hint}")


def features(format: str, labels: Sequence[str] = ()) -> Features:
    """The columns and types of a canonical format.

    Args:
        format: one of FORMATS.
        labels: class names (classification) or tag names (tagging), in index order.
    """
    from datasets import ClassLabel, Features, List, Value  # a second to import, and the tables do not need it

    named("format", format, FORMATS)
    text, index = Value("string"), ClassLabel(names=list(labels)) if labels else Value("int64")
    return Features({
        "classification": {"id": text, "text": text, "text_pair": text, "label": index},
        "multiple_choice": {"id": text, "prompt": text, "choices": List(text), "label": Value("int64")},
        "span_qa": {"id": text, "question": text, "context": text,
                    "answers": {"text": List(text), "answer_start": List(Value("int64"))}},
        "tagging": {"id": text, "tokens": List(text), "tags": List(index)},
        "retrieval": {"id": text, "text": text},
    }[format])  # fmt: skip


def validate(rows: Iterable[Row], format: str, labels: Sequence[str] = ()) -> Checked:
    """Keep the rows that obey a canonical format and count the reasons for which others are dropped.

    Reasons: "missing <field>", "empty <field>", "duplicate id", "label out of range", "too few choices", "answer not
    at its offset", "tokens and tags differ in number". A row is counted once, under the first reason that holds.
    ``text_pair`` may be empty; a span question without answers (unanswerable) is legal.

    Args:
        rows: dictionaries with at least the format's columns; other keys are dropped.
        format: one of FORMATS.
        labels: class or tag names; empty: any index from 0 is legal.
    """
    columns = tuple(features(format))
    result, seen = Checked(), set()
    for row in rows:
        reason = _wrong(row, format, columns, len(labels))
        if reason is None and row["id"] in seen:
            reason = "duplicate id"
        if reason is None:
            seen.add(row["id"])
            result.rows.append({column: row[column] for column in columns})
        else:
            result.dropped[reason] += 1
    return result


def _wrong(row: Row, format: str, columns: Sequence[str], classes: int) -> str | None:
    """The first reason why a row does not obey its format, or None."""
    for column in columns:
        if row.get(column) is None:
            return f"missing {column}"
        if column in ("id", "text", "prompt", "question", "context") and not str(row[column]).strip():
            return f"empty {column}"
        if column == "tokens" and not row[column]:
            return "empty tokens"
    if format == "multiple_choice":
        if len(row["choices"]) < 2:
            return "too few choices"
        classes = len(row["choices"])
    if "label" in columns and not _in_range(row["label"], classes):
        return "label out of range"
    if format == "tagging":
        if len(row["tokens"]) != len(row["tags"]):
            return "tokens and tags differ in number"
        if not all(_in_range(tag, classes) for tag in row["tags"]):
            return "label out of range"
    if format == "span_qa":
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        if any(row["context"][start : start + len(text)] != text for text, start in pairs):
            return "answer not at its offset"
    return None


def _in_range(index: int, classes: int) -> bool:
    return index >= 0 and (not classes or index < classes)
