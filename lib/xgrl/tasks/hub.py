"""Loaders ``(language, split, path) -> rows`` of the "hub" source: the table HUB says where a split
is, and how to read it.

Ids are the data set's own where those are unique, else "<task>-<split>-<row>", so that test sets
that are parallel by row share them across languages. Labels and tags are taken by the names that
the hub gives them; their order there does not matter. CCG has no entry (its licence keeps it off
the hub), nor have LAReQA (its copies there have lost the sentence breaks) and BUCC 2018 (there are
only the gold pairs): these come from the user's own files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xgrl.tasks import rows
from xgrl.tasks.files import TATOEBA
from xgrl.tasks.formats import Loader, Row
from xgrl.tasks.rows import TYDI, Record, duplicate_row, nli_row
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.hub import PARQUET, Part, load_part

BATCH = 1000  # rows that are Python objects at a time
TAGS = ("pos_tags", "ner_tags", "upos", "tags")
NUMBERED = "{task}-{split}-{n}"


@dataclass(frozen=True)
class Source:
    """One part of the hub that gives rows to one split of a task.

    Attributes:
        part: its config may hold ``{l}``, the language, and ``{iso3}``, its three letters in
            Tatoeba.
        row: ``row(record, id)`` gives a canonical row.
        id: of a row; ``{n}`` is its number in the part, ``{r[name]}`` a column, ``{task}`` and
            ``{split}`` what was asked for, ``{l}`` and ``{iso3}`` as above.
        keep: ``keep(row, language, split)``: whether a row is of this language and split; None
            keeps all.
    """

    part: Part
    row: Callable[[Record, str], Row]
    id: str = NUMBERED
    keep: Callable[[Row, str, str], bool] | None = None


def _at(place: str, row: Callable[[Record, str], Row], id: str = NUMBERED, **more: Any) -> Source:
    """A Source whose place is written "<owner>/<name> <config> <split> [<revision>]"."""
    return Source(Part(*place.split()), row, id, **more)


def _english(
    place: str, row: Callable[[Record, str], Row], id: str = NUMBERED, revision: str = ""
) -> dict[str, Source]:
    """Train and dev of "<owner>/<name> <config>", which the hub calls train and validation."""
    splits = {"train": "train", "dev": "validation"}
    return {ours: _at(f"{place} {split} {revision}", row, id) for ours, split in splits.items()}


def _anli(split: str) -> tuple[Source, ...]:
    """The three rounds of ANLI."""
    place, id = "facebook/anli plain_text", "anli-r{}-{}-{{n}}"
    return tuple(_at(f"{place} {split}_r{i}", nli_row, id.format(i, split)) for i in (1, 2, 3))


def _span(record: Record, id: str) -> Row:
    return rows.span_row(record)


def _tagged(record: Record, id: str) -> Row:
    """UDPOS and PAN-X: the words, in some copies with "<language>:" before each, and tags under one
    of the names in TAGS.
    """
    column, tokens = next((name for name in TAGS if name in record), None), record["tokens"]
    if column is None:
        raise KeyError(" or ".join(TAGS))
    before = re.match(r"[a-z]{2,3}:(?=.)", tokens[0]) if tokens else None
    if before and all(token.startswith(before[0]) for token in tokens):
        tokens = [token.removeprefix(before[0]) for token in tokens]
    return rows.tagging_row(tokens, record[column], id)


def _side(column: str) -> Callable[[Record, str], Row]:
    """One side of Tatoeba's pairs."""
    return lambda record, id: {"id": id, "text": record[column].strip()}


def _mention(record: Record, id: str) -> Row:
    """A query of Mewsli-X: the sentence with its mention marked, which this copy holds as one text,
    as XTREME-R words it.
    """
    id, gold = str(record.get("example_id", id)), [str(record["entity_id"])]
    return {"id": id, "text": record["mention"], "gold": gold}


def _entity(record: Record, id: str) -> Row:
    id = record["entity_id"] if "entity_id" in record else record["id"]
    return {"id": str(id), "text": record["description"]}


def _meant(record: Record, id: str) -> Row:
    """A training pair of Mewsli-X: a marked mention and the description of its entity."""
    candidate = {"candidate": record["entity"], "candidate_pair": ""}
    return {"id": id, "text": record["mention"]} | candidate


def _tydi(row: Row, language: str, split: str) -> bool:
    """An id begins with its question's language; dev is a part of the English training set."""
    if str(row["id"]).partition("-")[0] != TYDI[language]:
        return False
    # a broken row is kept, to be counted
    return split == "test" or not row.get("context") or rows.held_out(row) == (split == "dev")


SQUAD = _english("rajpurkar/squad plain_text", _span)
TYDIQA = "google-research-datasets/tydiqa secondary_task"
TYDI_TRAIN = _at(f"{TYDIQA} train", _span, "{r[id]}", keep=_tydi)
BITEXT = f"mteb/tatoeba-bitext-mining {{iso3}}-eng test {PARQUET}"
PAWSX_ID, COPA_ID = "pawsx-{split}-{r[id]}", "xcopa-{split}-{r[idx]}"
TAGGED_ID = "{task}-{l}-{split}-{n}"

HUB: dict[str, dict[str, Source | tuple[Source, ...]]] = {
    "anli": {
        "train": (
            _at("stanfordnlp/snli plain_text train", nli_row, "snli-train-{n}"),
            _at("nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
            *_anli("train"),
        ),
        "dev": _anli("dev"),
    },
    "mnli": {
        "train": _at("nyu-mll/glue mnli train", nli_row),
        "dev": _at("nyu-mll/glue mnli validation_matched", nli_row),
        # in MultiNLI's order: see `xgrl.prepare.arm_texts`
        "translated": _at("facebook/xnli {l} train", nli_row, "mnli-train-{n}"),
    },
    "qqp": _english("nyu-mll/glue qqp", duplicate_row),
    "squad2": _english("rajpurkar/squad_v2 squad_v2", _span),
    "squad": SQUAD,
    "hellaswag": _english("Rowan/hellaswag default", rows.hellaswag_row),
    "cosmosqa": _english("allenai/cosmos_qa default", rows.cosmosqa_row, "{r[id]}", PARQUET),
    "commonsenseqa": _english("tau/commonsense_qa default", rows.commonsenseqa_row, "{r[id]}"),
    "siqa": _english("allenai/social_i_qa default", rows.siqa_row, revision=PARQUET),
    "xnli": {
        "train": _at("nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
        "dev": _at("facebook/xnli en validation", nli_row),
        "test": _at("facebook/xnli {l} test", nli_row),
    },
    "xcopa": _english("aps/super_glue copa", rows.xcopa_row, COPA_ID, PARQUET)
    | {"test": _at("cambridgeltl/xcopa {l} test", rows.xcopa_row, COPA_ID)},
    "udpos": _english("izhx/xtreme-r-udpos en", _tagged, TAGGED_ID)
    | {"test": _at("izhx/xtreme-r-udpos {l} test", _tagged, TAGGED_ID)},
    "panx": _english("unimelb-nlp/wikiann en", _tagged, TAGGED_ID)
    | {"test": _at("unimelb-nlp/wikiann {l} test", _tagged, TAGGED_ID)},
    "xquad": SQUAD | {"test": _at("google/xquad xquad.{l} validation", _span)},
    "mlqa": SQUAD | {"test": _at("google/xtreme MLQA.{l}.{l} test", _span)},
    "tydiqa": {
        "train": TYDI_TRAIN,
        "dev": TYDI_TRAIN,
        "test": _at(f"{TYDIQA} validation", _span, "{r[id]}", keep=_tydi),
    },
    "tatoeba": {
        "queries": _at(BITEXT, _side("sentence1"), "tatoeba-{iso3}-{n}"),
        "candidates": _at(BITEXT, _side("sentence2"), "tatoeba-{iso3}-{n}"),
    },
    "mewslix": _english("izhx/mewsli-x wikipedia_pairs", _meant, revision=PARQUET)
    | {
        "queries": _at("izhx/mewsli-x {l} test", _mention, "mewslix-{l}-{n}"),
        "candidates": _at(f"izhx/mewsli-x candidate_entities test {PARQUET}", _entity),
    },
    "pawsx": _english("google-research-datasets/paws-x en", duplicate_row, PAWSX_ID)
    | {"test": _at("google-research-datasets/paws-x {l} test", duplicate_row, PAWSX_ID)},
}


def loader(task: str) -> Loader:
    """The loader of a task, a key of HUB."""
    return partial(_load, task)


def sources(task: str, language: str, split: str) -> list[Source]:
    """Where the rows of a split are, in order, with the language put in."""
    entry = HUB[task][split]
    codes = {"l": language, "iso3": TATOEBA.get(language, language), "task": task, "split": split}

    def fill(text: str) -> str:
        for name, value in codes.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    return [
        replace(
            source, part=replace(source.part, config=fill(source.part.config)), id=fill(source.id)
        )
        for source in ((entry,) if isinstance(entry, Source) else entry)
    ]


def _load(task: str, language: str, split: str, path: Path | None) -> Iterator[Row]:
    for source in sources(task, language, split):
        data = load_part(source.part)
        batches = (data[i : i + BATCH] for i in range(0, len(data), BATCH))
        for row in read(source, data.features, batches):
            if source.keep is None or source.keep(row, language, split):
                yield row


def read(
    source: Source, features: Mapping[str, Any] | None, batches: Iterable[Mapping[str, Sequence]]
) -> Iterator[Row]:
    """The rows of batches of columns.

    A record that cannot be read (a text that is missing, a label that is no number) becomes a row
    with nothing but its id, which `validate` drops and counts.

    Args:
        source: says how.
        features: of the data set; class indices are replaced with their names.
        batches: dictionaries of equally long columns.

    Raises:
        SourceError: a column that a row needs is not there.
    """
    decoders = {column: _decoder(feature) for column, feature in (features or {}).items()}
    records = (
        dict(zip(batch, values, strict=True))
        for batch in batches
        for values in zip(*batch.values(), strict=True)
    )
    for number, record in enumerate(records):
        id = None
        try:
            id = source.id.format(n=number, r=record)
            named = {
                column: decode(record[column]) for column, decode in decoders.items() if decode
            }
            row = source.row(record | named, id)
        except KeyError as error:
            if number == 0:
                raise SourceError(
                    f"{source.part}: expected a column {error.args[0]!r}; found: "
                    f"{', '.join(record)}; "
                    "the data set has changed: take an older revision of it, or source='files'"
                ) from None
            row = {"id": id}
        except (TypeError, ValueError, AttributeError):
            row = {"id": id}
        yield row


def _decoder(feature: Any) -> Callable[[Any], Any] | None:
    """What turns a column's class indices into names; None where there are none but numbers."""
    from datasets import ClassLabel, List, Sequence

    many = isinstance(feature, List | Sequence)
    label = feature.feature if many else feature
    if not isinstance(label, ClassLabel) or label.names is None:
        return None
    if all(re.search(r"\d$", name) for name in label.names):
        return None

    def one(index: int | None) -> int | str | None:
        return label.names[index] if index is not None and 0 <= index < len(label.names) else index

    return (lambda indices: [one(index) for index in indices]) if many else one
