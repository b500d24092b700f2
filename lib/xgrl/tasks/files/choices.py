"""Multiple choice from files: XCOPA, Social IQa, HellaSwag, Cosmos QA, CommonsenseQA.

=============  ==================================================================================
xcopa          ``<l>/{val,test}.<l>.jsonl`` or, XTREME-R, ``{val,test}.<l>.jsonl``; English COPA:
               SuperGLUE's ``COPA/{train,val}.jsonl`` or, XTREME-R, ``{train,val}.en.jsonl``
siqa           ``socialIQa_v1.4_{trn,dev}.jsonl``, or ``{train,dev}.jsonl`` with
               ``{train,dev}-labels.lst``
hellaswag      ``hellaswag_{train,val}.jsonl``
cosmosqa       ``{train,valid}.csv`` or ``.jsonl``
commonsenseqa  ``{train,dev}_rand_split.jsonl``
=============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xgrl.tasks.formats import Row
from xgrl.tasks.rows import commonsenseqa_row, cosmosqa_row, hellaswag_row, siqa_row, xcopa_row
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import (
    build_rows,
    find,
    numbered_rows,
    read_jsonl,
    read_lines,
    read_records,
)

COSMOS = ("id", "context", "question", "answer0", "answer1", "answer2", "answer3", "label")


def xcopa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """COPA in English, XCOPA in all other languages; ids are the sets' `idx`, the same in every
    language.
    """
    part = "val" if split == "dev" else split
    name = f"{part}.{language}.jsonl"
    names = [f"{language}/{name}", name, f"data/{language}/{name}"]
    if language == "en":
        names += [f"COPA/{part}.jsonl", f"{part}.jsonl"]
    file = find(path, ("xcopa", "copa"), names)

    def build(record: dict, number: int) -> Row:
        if record.get("label") is None:
            raise SourceError(
                f"{file}, line {number}: expected a label, found none (COPA's test labels are not "
                f"public)"
            )
        return xcopa_row(record, f"xcopa-{split}-{record['idx']}")

    return build_rows(file, read_jsonl(file), build)


def siqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Social IQa, with the labels in its lines (version 1.4) or in a file beside it, one number
    from 1 to 3 a line.
    """
    upstream = f"socialIQa_v1.4_{'trn' if split == 'train' else 'dev'}.jsonl"
    file = find(path, ("siqa",), [upstream, f"{split}.jsonl"])
    records = read_jsonl(file)
    if file.name != upstream:
        beside = find(file.parent, (), [f"{split}-labels.lst"])
        labels = [line.strip() for _, line in read_lines(beside)]
        lines = list(records)
        if len(lines) != len(labels):
            raise SourceError(
                f"{file} has {len(lines)} rows but {beside} {len(labels)} labels; fetch both anew"
            )
        labelled = zip(lines, labels, strict=True)
        records = ((number, record | {"label": label}) for (number, record), label in labelled)
    return numbered_rows(file, records, siqa_row, f"siqa-{split}")


def hellaswag(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """HellaSwag; dev is ``hellaswag_val.jsonl``."""
    file = find(path, ("hellaswag",), [f"hellaswag_{'train' if split == 'train' else 'val'}.jsonl"])
    return numbered_rows(file, read_jsonl(file), hellaswag_row, f"hellaswag-{split}")


def cosmosqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Cosmos QA; dev is ``valid``. Ids are the data set's."""
    part = "train" if split == "train" else "valid"
    file = find(path, ("cosmosqa", "cosmos_qa"), [f"{part}.csv", f"{part}.jsonl"])
    table = file.suffix == ".csv"
    records = read_records(file, COSMOS, commas=True) if table else read_jsonl(file)
    return build_rows(file, records, lambda record, _: cosmosqa_row(record, record["id"]))


def commonsenseqa(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """CommonsenseQA, the random split. Ids are the data set's."""
    file = find(path, ("commonsenseqa", "commonsense_qa"), [f"{split}_rand_split.jsonl"])
    rows = read_jsonl(file)
    return build_rows(file, rows, lambda record, _: commonsenseqa_row(record, record["id"]))
