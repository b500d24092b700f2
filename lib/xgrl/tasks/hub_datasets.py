"""Loaders ``(language, split, path) -> rows`` of the "hub": HUB says where and how a split is read.

Ids are the data set's own where those are unique, else "<task>-<split>-<row>", so that test sets
that are parallel by row share them across languages. Labels and tags are taken by the names that
the hub gives them; their order there does not matter. CCG has no entry (its licence keeps it off
the hub), nor have LAReQA (its copies there have lost the sentence breaks) and BUCC 2018 (there are
only the gold pairs): these come from the user's own files.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from xgrl.tasks import rows
from xgrl.tasks.formats import Loader, Row
from xgrl.tasks.rows import NUMBERED, Record, Request, duplicate_row, nli_row
from xgrl.tasks.sources import unlike
from xgrl.tasks.sources.hub import PARQUET, Part, load_part

BATCH = 1000  # rows that are Python objects at a time
TAGS = ("pos_tags", "ner_tags", "upos", "tags")


@dataclass(frozen=True)
class Source:
    """One part of the hub that gives rows to some splits; `Request.fill` fills in its braces."""

    tasks: str  # which, blanks between them; so are the splits
    splits: str
    place: str  # "<owner>/<name> <config> <split> [<revision>]"
    row: Callable[[Record, str], Row]  # ``row(record, id)`` gives a canonical row
    id: str = NUMBERED  # of a row; ``{n}`` is its number in the part, ``{r[name]}`` a column
    keep: Callable[[Row, Request], bool] | None = None  # whether a row is wanted; None keeps all

    @property
    def part(self) -> Part:
        """Data set, configuration and split."""
        return Part(*self.place.split())


def _span(record: Record, id: str) -> Row:
    return rows.span_row(record)


def _tagged(record: Record, id: str, row: Callable[..., Row] = rows.tagging_row) -> Row:
    """UDPOS and PAN-X: words, and tags in one of TAGS."""
    column = next((name for name in TAGS if name in record), None)
    if column is None:
        raise KeyError(" or ".join(TAGS))
    return row(record["tokens"], record[column], id)


def _side(column: str) -> Callable[[Record, str], Row]:
    """One side of Tatoeba's pairs."""
    return lambda record, id: {"id": id, "text": record[column].strip()}


def _mention(record: Record, id: str) -> Row:
    """A query of Mewsli-X: the marked mention, one text in this copy, as XTREME-R words it."""
    id, gold = str(record.get("example_id", id)), [str(record["entity_id"])]
    return {"id": id, "text": record["mention"], "gold": gold}


def _entity(record: Record, id: str) -> Row:
    id = record["entity_id"] if "entity_id" in record else record["id"]
    return {"id": str(id), "text": record["description"]}


def _meant(record: Record, id: str) -> Row:
    """A training pair of Mewsli-X: a marked mention and the description of its entity."""
    candidate = {"candidate": record["entity"], "candidate_pair": ""}
    return {"id": id, "text": record["mention"]} | candidate


def _is_tydi(row: Row, request: Request) -> bool:
    """An id begins with its question's language; dev is a part of the English training set."""
    if str(row["id"]).partition("-")[0] != request.fill("{tydi}"):
        return False
    # a broken row is kept, to be counted
    dev = request.split == "dev"
    return request.split == "test" or not row.get("context") or rows.held_out(row) == dev


BOTH, ALL = "train dev", "train dev test"
ANLI = "facebook/anli plain_text {split}"
TYDIQA = "google-research-datasets/tydiqa secondary_task"
BITEXT = f"mteb/tatoeba-bitext-mining {{iso3}}-eng test {PARQUET}"
# Where a task and split have several sources, their rows follow one another.
SOURCES = (
    Source("anli", "train", "stanfordnlp/snli plain_text train", nli_row, "snli-train-{n}"),
    Source("anli", "train", "nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
    Source("anli", BOTH, f"{ANLI}_r1", nli_row, "anli-r1-{split}-{n}"),
    Source("anli", BOTH, f"{ANLI}_r2", nli_row, "anli-r2-{split}-{n}"),
    Source("anli", BOTH, f"{ANLI}_r3", nli_row, "anli-r3-{split}-{n}"),
    Source("mnli", "train", "nyu-mll/glue mnli train", nli_row),
    Source("mnli", "dev", "nyu-mll/glue mnli validation_matched", nli_row),
    # in MultiNLI's order: see `xgrl.prepare.arm_texts`
    Source("mnli", "translated", "facebook/xnli {l} train", nli_row, "mnli-train-{n}"),
    Source("qqp", BOTH, "nyu-mll/glue qqp {validation}", duplicate_row),
    Source("squad2", BOTH, "rajpurkar/squad_v2 squad_v2 {validation}", _span),
    Source("squad xquad mlqa", BOTH, "rajpurkar/squad plain_text {validation}", _span),
    Source("hellaswag", BOTH, "Rowan/hellaswag default {validation}", rows.hellaswag_row),
    Source("cosmosqa", BOTH, f"allenai/cosmos_qa default {{validation}} {PARQUET}",
           rows.cosmosqa_row, "{r[id]}"),
    Source("commonsenseqa", BOTH, "tau/commonsense_qa default {validation}",
           rows.commonsenseqa_row, "{r[id]}"),
    Source("siqa", BOTH, f"allenai/social_i_qa default {{validation}} {PARQUET}", rows.siqa_row),
    Source("xnli", "train", "nyu-mll/glue mnli train", nli_row, "mnli-train-{n}"),
    Source("xnli", "dev test", "facebook/xnli {l} {validation}", nli_row),
    Source("xcopa", BOTH, f"aps/super_glue copa {{validation}} {PARQUET}", rows.xcopa_row,
           "xcopa-{split}-{r[idx]}"),
    Source("xcopa", "test", "cambridgeltl/xcopa {l} test", rows.xcopa_row, "xcopa-test-{r[idx]}"),
    Source("udpos", ALL, "izhx/xtreme-r-udpos {l} {validation}", _tagged, "udpos-{l}-{split}-{n}"),
    Source("panx", ALL, "unimelb-nlp/wikiann {l} {validation}",
           partial(_tagged, row=rows.wikiann_row), "panx-{l}-{split}-{n}"),
    Source("xquad", "test", "google/xquad xquad.{l} validation", _span),
    Source("mlqa", "test", "google/xtreme MLQA.{l}.{l} test", _span),
    Source("tydiqa", BOTH, f"{TYDIQA} train", _span, "{r[id]}", _is_tydi),
    Source("tydiqa", "test", f"{TYDIQA} validation", _span, "{r[id]}", _is_tydi),
    Source("tatoeba", "queries", BITEXT, _side("sentence1"), "tatoeba-{iso3}-{n}"),
    Source("tatoeba", "candidates", BITEXT, _side("sentence2"), "tatoeba-{iso3}-{n}"),
    Source("mewslix", BOTH, f"izhx/mewsli-x wikipedia_pairs {{validation}} {PARQUET}", _meant),
    Source("mewslix", "queries", "izhx/mewsli-x {l} test", _mention, "mewslix-{l}-{n}"),
    Source("mewslix", "candidates", f"izhx/mewsli-x candidate_entities test {PARQUET}", _entity),
    Source("pawsx", ALL, "google-research-datasets/paws-x {l} {validation}", duplicate_row,
           "pawsx-{split}-{r[id]}"),
)  # fmt: skip
HUB: dict[str, dict[str, list[Source]]] = {}  # by task and split
for _source in SOURCES:
    for _task, _split in itertools.product(_source.tasks.split(), _source.splits.split()):
        HUB.setdefault(_task, {}).setdefault(_split, []).append(_source)


def loader(task: str) -> Loader:
    """The loader of a task, a key of HUB."""
    return partial(_load, task)


def sources(request: Request) -> list[Source]:
    """Where the rows of a split are, in order."""
    fill, parts = request.fill, HUB[request.task][request.split]
    return [replace(part, place=fill(part.place), id=fill(part.id)) for part in parts]


def _load(task: str, language: str, split: str, path: Path | None) -> Iterator[Row]:
    request = Request(task, language, split)
    for source in sources(request):
        data = load_part(source.part)
        batches = (data[i : i + BATCH] for i in range(0, len(data), BATCH))
        for row in read(source, data.features, batches):
            if source.keep is None or source.keep(row, request):
                yield row


def read(
    source: Source, features: Mapping[str, Any] | None, batches: Iterable[Mapping[str, Sequence]]
) -> Iterator[Row]:
    """The rows of batches of equally long columns; `features`, those of the data set, say which
    class indices are replaced with their names. A record that cannot be read (a text that is
    missing, a label that is no number) becomes a row with nothing but its id, which `validate`
    drops and counts. SourceError: a column that a row needs is not there.
    """
    decoders = {column: _decoder(feature) for column, feature in (features or {}).items()}
    decoders = {column: decode for column, decode in decoders.items() if decode}
    records = ((list(batch), zip(*batch.values(), strict=True)) for batch in batches)
    records = (dict(zip(names, row, strict=True)) for names, rows in records for row in rows)
    for number, record in enumerate(records):
        id = None
        try:
            id = source.id.format(n=number, r=record)
            named = {column: decode(record[column]) for column, decode in decoders.items()}
            row = source.row(record | named, id)
        except KeyError as error:
            if number == 0:
                todo = "the data set has changed: take an older revision of it, or source='files'"
                expected = f"a column {error.args[0]!r}"
                raise unlike(source.part, expected, ", ".join(record), todo) from None
            row = {"id": id}
        except (TypeError, ValueError, AttributeError):
            row = {"id": id}
        yield row


def _decoder(feature: Any) -> Callable[[Any], Any] | None:
    """What turns a column's class indices into names; None where there are none but numbers."""
    from datasets import ClassLabel, List, Sequence

    many = isinstance(feature, List | Sequence)
    label = feature.feature if many else feature
    names = label.names if isinstance(label, ClassLabel) else None
    if names is None or all(re.search(r"\d$", name) for name in names):
        return None

    def one(index: int | None) -> int | str | None:
        return names[index] if index is not None and 0 <= index < len(names) else index

    return (lambda indices: [one(index) for index in indices]) if many else one
