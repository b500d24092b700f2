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

from xgrl.tasks.files import TATOEBA
from xgrl.tasks.formats import Loader, Row
from xgrl.tasks.rows import (
    TYDI,
    Record,
    commonsenseqa_row,
    cosmosqa_row,
    duplicate_row,
    held_out,
    hellaswag_row,
    nli_row,
    siqa_row,
    span_row,
    tagging_row,
    xcopa_row,
)
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.hub import PARQUET, Part, load_part

BATCH = 1000  # rows that are Python objects at a time
TAGS = ("pos_tags", "ner_tags", "upos", "tags")


@dataclass(frozen=True)
class Source:
    """One part of the hub that gives rows to one split of a task.

    Attributes:
        part: its config may hold ``{l}``, the language, and ``{iso3}``, its three letters in
            Tatoeba.
        row: ``row(record, id)`` gives a canonical row.
        id: of a row; ``{n}`` is its number in the part, ``{r[name]}`` a column, ``{l}`` and
            ``{iso3}`` as above; "" means "<task>-<split>-{n}".
        keep: ``keep(row, language, split)``: whether a row is of this language and split; None
            keeps all.
    """

    part: Part
    row: Callable[[Record, str], Row]
    id: str = ""
    keep: Callable[[Row, str, str], bool] | None = None


def _at(place: str, row: Callable[[Record, str], Row], id: str = "", **more: Any) -> Source:
    """A Source whose place is written "<owner>/<name> <config> <split> [<revision>]"."""
    return Source(Part(*place.split()), row, id, **more)


def _span(record: Record, id: str) -> Row:
    return span_row(record)


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
    return tagging_row(tokens, record[column], id)


def _foreign(record: Record, id: str) -> Row:
    return {"id": id, "text": record["sentence1"].strip()}


def _english(record: Record, id: str) -> Row:
    return {"id": id, "text": record["sentence2"].strip()}


def _mention(record: Record, id: str) -> Row:
    """A query of Mewsli-X: the sentence with its mention marked, which this copy holds as one text,
    as XTREME-R words it.
    """
    return {
        "id": str(record.get("example_id", id)),
        "text": record["mention"],
        "gold": [str(record["entity_id"])],
    }


def _entity(record: Record, id: str) -> Row:
    return {
        "id": str(record["entity_id"] if "entity_id" in record else record["id"]),
        "text": record["description"],
    }


def _meant(record: Record, id: str) -> Row:
    """A training pair of Mewsli-X: a marked mention and the description of the entity that it
    means.
    """
    return {
        "id": id,
        "text": record["mention"],
        "candidate": record["entity"],
        "candidate_pair": "",
    }


def _tydi(row: Row, language: str, split: str) -> bool:
    """A question's language is what its id begins with; dev is a part of the English training
    questions.
    """
    if str(row["id"]).partition("-")[0] != TYDI[language]:
        return False
    # a broken row is kept, to be counted
    return split == "test" or not row.get("context") or held_out(row) == (split == "dev")


SQUAD = {
    "train": _at("rajpurkar/squad plain_text train", _span),
    "dev": _at("rajpurkar/squad plain_text validation", _span),
}
TYDI_TRAIN = _at(
    "google-research-datasets/tydiqa secondary_task train", _span, "{r[id]}", keep=_tydi
)

HUB: dict[str, dict[str, Source | tuple[Source, ...]]] = {
    "anli": {
        "train": (
            _at("stanfordnlp/snli plain_text train", nli_row, "snli-train-{n}"),
            _at("nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
            *(
                _at(f"facebook/anli plain_text train_r{i}", nli_row, f"anli-r{i}-train-{{n}}")
                for i in (1, 2, 3)
            ),
        ),
        "dev": tuple(
            _at(f"facebook/anli plain_text dev_r{i}", nli_row, f"anli-r{i}-dev-{{n}}")
            for i in (1, 2, 3)
        ),
    },
    "mnli": {
        "train": _at("nyu-mll/glue mnli train", nli_row),
        "dev": _at("nyu-mll/glue mnli validation_matched", nli_row),
        # in MultiNLI's order: see `xgrl.prepare.arm_texts`
        "translated": _at("facebook/xnli {l} train", nli_row, "mnli-train-{n}"),
    },
    "qqp": {
        "train": _at("nyu-mll/glue qqp train", duplicate_row),
        "dev": _at("nyu-mll/glue qqp validation", duplicate_row),
    },
    "squad2": {
        "train": _at("rajpurkar/squad_v2 squad_v2 train", _span),
        "dev": _at("rajpurkar/squad_v2 squad_v2 validation", _span),
    },
    "squad": SQUAD,
    "hellaswag": {
        "train": _at("Rowan/hellaswag default train", hellaswag_row),
        "dev": _at("Rowan/hellaswag default validation", hellaswag_row),
    },
    "cosmosqa": {
        "train": _at(f"allenai/cosmos_qa default train {PARQUET}", cosmosqa_row, "{r[id]}"),
        "dev": _at(f"allenai/cosmos_qa default validation {PARQUET}", cosmosqa_row, "{r[id]}"),
    },
    "commonsenseqa": {
        "train": _at("tau/commonsense_qa default train", commonsenseqa_row, "{r[id]}"),
        "dev": _at("tau/commonsense_qa default validation", commonsenseqa_row, "{r[id]}"),
    },
    "siqa": {
        "train": _at(f"allenai/social_i_qa default train {PARQUET}", siqa_row),
        "dev": _at(f"allenai/social_i_qa default validation {PARQUET}", siqa_row),
    },
    "xnli": {
        "train": _at("nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
        "dev": _at("facebook/xnli en validation", nli_row),
        "test": _at("facebook/xnli {l} test", nli_row),
    },
    "xcopa": {
        "train": _at(f"aps/super_glue copa train {PARQUET}", xcopa_row, "xcopa-train-{r[idx]}"),
        "dev": _at(f"aps/super_glue copa validation {PARQUET}", xcopa_row, "xcopa-dev-{r[idx]}"),
        "test": _at("cambridgeltl/xcopa {l} test", xcopa_row, "xcopa-test-{r[idx]}"),
    },
    "udpos": {
        "train": _at("izhx/xtreme-r-udpos en train", _tagged, "udpos-en-train-{n}"),
        "dev": _at("izhx/xtreme-r-udpos en validation", _tagged, "udpos-en-dev-{n}"),
        "test": _at("izhx/xtreme-r-udpos {l} test", _tagged, "udpos-{l}-test-{n}"),
    },
    "panx": {
        "train": _at("unimelb-nlp/wikiann en train", _tagged, "panx-en-train-{n}"),
        "dev": _at("unimelb-nlp/wikiann en validation", _tagged, "panx-en-dev-{n}"),
        "test": _at("unimelb-nlp/wikiann {l} test", _tagged, "panx-{l}-test-{n}"),
    },
    "xquad": SQUAD | {"test": _at("google/xquad xquad.{l} validation", _span)},
    "mlqa": SQUAD | {"test": _at("google/xtreme MLQA.{l}.{l} test", _span)},
    "tydiqa": {
        "train": TYDI_TRAIN,
        "dev": TYDI_TRAIN,
        "test": _at(
            "google-research-datasets/tydiqa secondary_task validation",
            _span,
            "{r[id]}",
            keep=_tydi,
        ),
    },
    "tatoeba": {
        "queries": _at(
            f"mteb/tatoeba-bitext-mining {{iso3}}-eng test {PARQUET}",
            _foreign,
            "tatoeba-{iso3}-{n}",
        ),
        "candidates": _at(
            f"mteb/tatoeba-bitext-mining {{iso3}}-eng test {PARQUET}",
            _english,
            "tatoeba-{iso3}-{n}",
        ),
    },
    "mewslix": {
        "train": _at(f"izhx/mewsli-x wikipedia_pairs train {PARQUET}", _meant),
        "dev": _at(f"izhx/mewsli-x wikipedia_pairs validation {PARQUET}", _meant),
        "queries": _at("izhx/mewsli-x {l} test", _mention, "mewslix-{l}-{n}"),
        "candidates": _at(f"izhx/mewsli-x candidate_entities test {PARQUET}", _entity),
    },
    "pawsx": {
        "train": _at(
            "google-research-datasets/paws-x en train", duplicate_row, "pawsx-train-{r[id]}"
        ),
        "dev": _at(
            "google-research-datasets/paws-x en validation", duplicate_row, "pawsx-dev-{r[id]}"
        ),
        "test": _at(
            "google-research-datasets/paws-x {l} test", duplicate_row, "pawsx-test-{r[id]}"
        ),
    },
}


def loader(task: str) -> Loader:
    """The loader of a task, a key of HUB."""
    return partial(_load, task)


def sources(task: str, language: str, split: str) -> list[Source]:
    """Where the rows of a split are, in order, with the language put in."""
    found = HUB[task][split]
    codes = {"l": language, "iso3": TATOEBA.get(language, language)}
    filled = []
    for source in (found,) if isinstance(found, Source) else found:
        part = replace(source.part, config=source.part.config.format(**codes))
        id = (
            (source.id or f"{task}-{split}-{{n}}")
            .replace("{l}", language)
            .replace("{iso3}", codes["iso3"])
        )
        filled.append(replace(source, part=part, id=id))
    return filled


def _load(task: str, language: str, split: str, path: Path | None) -> Iterator[Row]:
    for source in sources(task, language, split):
        data = load_part(source.part)
        for row in read(
            source, data.features, (data[i : i + BATCH] for i in range(0, len(data), BATCH))
        ):
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
    names = {
        column: decode
        for column, feature in (features or {}).items()
        if (decode := _decoder(feature))
    }
    number = 0
    for batch in batches:
        for values in zip(*batch.values(), strict=True):
            record, id = dict(zip(batch, values, strict=True)), None
            try:
                id = source.id.format(n=number, r=record)
                row = source.row(
                    record | {column: decode(record[column]) for column, decode in names.items()},
                    id,
                )
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
            number += 1
            yield row


def _decoder(feature: Any) -> Callable[[Any], Any] | None:
    """What turns the class indices of a column into names; None for other columns, and where the
    names are only numbers.
    """
    from datasets import ClassLabel, List, Sequence

    many = isinstance(feature, List | Sequence)
    label = feature.feature if many else feature
    if (
        not isinstance(label, ClassLabel)
        or label.names is None
        or all(re.search(r"\d$", name) for name in label.names)
    ):
        return None

    def one(index: int | None) -> int | str | None:
        return label.names[index] if index is not None and 0 <= index < len(label.names) else index

    return (lambda indices: [one(index) for index in indices]) if many else one
