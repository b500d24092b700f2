"""Text pairs from files: XNLI, PAWS-X, MultiNLI, SNLI with MultiNLI and ANLI, QQP.

=======  ========================================================================================
xnli     ``XNLI-1.0/xnli.{dev,test}.tsv`` or ``.jsonl`` (a header, a column `language`), train as
         mnli below or ``XNLI-MT-1.0/multinli/multinli.train.en.tsv``; XTREME:
         ``{train,dev}-en.tsv``, no header
pawsx    ``x-final/<l>/{train,dev_2k,test_2k}.tsv`` (id, sentence1, sentence2, label); XTREME:
         ``{train,dev}-en.tsv``
mnli     ``multinli_1.0/multinli_1.0_{train,dev_matched}.jsonl``; translations of its training
         rows (other languages than English) ``XNLI-MT-1.0/multinli/multinli.train.<l>.tsv``
anli     ``anli_v1.0/R{1,2,3}/{train,dev}.jsonl``, and for training mnli's and
         ``snli_1.0/snli_1.0_train.jsonl``
qqp      GLUE's ``QQP/{train,dev}.tsv``, whose broken lines (a text that held a line end) are
         left out and counted
=======  ========================================================================================

XTREME's script takes the labels out of ``test-<l>.tsv``. Such a file is refused; the upstream file
has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from xgrl.tasks.formats import Row
from xgrl.tasks.rows import duplicate_row, nli_row
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import (
    ANEW,
    Record,
    build_rows,
    find,
    numbered_rows,
    read_columns,
    read_jsonl,
    read_records,
    withheld,
)

XNLI_LANGUAGES = (
    "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh",
)  # fmt: skip
UPSTREAM_PAWSX = {"train": "train", "dev": "dev_2k", "test": "test_2k"}


def xnli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """XNLI; dev and test ids are the project's pair ids, the same in every language (XTREME's
    files: line numbers).
    """
    plain = f"{split}-{language}.tsv"
    if split == "train":
        names = [plain, *_translated_names("en"), *_multinli_names("train")]
        file = find(path, ("xnli", "mnli"), names)
        if file.suffix == ".jsonl":
            return _lines(file, "mnli-train")
        return _xtreme(file, "mnli-train", nli_row) if file.name == plain else _translated(file)
    forms = (f"xnli.{split}.tsv", f"xnli.{split}.jsonl")
    upstream = [f"{folder}{form}" for folder in ("", "XNLI-1.0/") for form in forms]
    file = find(path, ("xnli",), [*upstream, plain])
    if file.name == plain:
        return _xtreme(file, f"xnli-{split}", nli_row, upstream)
    return _one_language(file, language, split)


def mnli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """MultiNLI; dev is the matched one. Rows without a majority label ("-") are left out and
    counted.

    A translated row has the number of its line, as the English one has in MultiNLI's own file; that
    both have the same order is checked where they meet (`xgrl.prepare.arm_texts`).
    """
    if split == "translated":
        return _translated(find(path, ("mnli", "xnli"), _translated_names(language)))
    names = _multinli_names("train" if split == "train" else "dev_matched")
    return _lines(find(path, ("mnli",), names), f"mnli-{split}")


def anli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """SNLI, MultiNLI and the three rounds of ANLI together; dev is ANLI's development sets."""
    if split == "train":
        name = "snli_1.0_train.jsonl"
        yield from _lines(find(path, ("snli", "anli"), [name, f"snli_1.0/{name}"]), "snli-train")
        yield from _lines(find(path, ("mnli", "anli"), _multinli_names(split)), "mnli-train")
    for number in (1, 2, 3):
        name = f"R{number}/{split}.jsonl"
        file = find(path, ("anli",), [name, f"anli_v1.0/{name}"])
        yield from _lines(file, f"anli-r{number}-{split}")


def qqp(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Quora Question Pairs as in GLUE; text is taken as it stands, quotation marks and all, as its
    hub copy does.
    """
    file = find(path, ("qqp",), [f"QQP/{split}.tsv", f"{split}.tsv"])
    broken = {"question1": "a broken line", "question2": "", "is_duplicate": None}
    records = read_records(file, tuple(broken), broken=broken)
    return numbered_rows(file, records, duplicate_row, f"qqp-{split}", first=2)


def pawsx(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """PAWS-X; ids are the project's, the same in every language (XTREME's files: line numbers)."""
    name, plain = f"{language}/{UPSTREAM_PAWSX[split]}.tsv", f"{split}-{language}.tsv"
    file = find(path, ("pawsx",), [f"x-final/{name}", name, plain])
    if file.name == plain:
        return _xtreme(file, f"pawsx-{split}", duplicate_row, [f"x-final/{name}"])
    records = read_records(file, ("id", "sentence1", "sentence2", "label"))
    return build_rows(
        file, records, lambda record, _: duplicate_row(record, f"pawsx-{split}-{record['id']}")
    )


def _one_language(file: Path, language: str, split: str) -> Iterator[Row]:
    """The rows of one language of upstream's file, which has all fifteen."""
    fields = ("language", "gold_label", "sentence1", "sentence2", "pairID")
    records = read_jsonl(file) if file.suffix == ".jsonl" else read_records(file, fields)
    languages: set[str] = set()

    def build(record: Record, _: int) -> Row:
        row = nli_row(record, f"xnli-{split}-{record['pairID']}")
        return row | {"language": record["language"]}

    for row in build_rows(file, records, build):
        languages.add(row["language"])
        if row["language"] == language:
            yield row
    if language not in languages:
        held = ", ".join(sorted(languages)) or "no row at all"
        raise SourceError(f"{file}: expected rows in {language!r}, found {held}")


def _translated_names(language: str) -> list[str]:
    name = f"multinli.train.{language}.tsv"
    return [f"XNLI-MT-1.0/multinli/{name}", f"multinli/{name}", name]


def _translated(file: Path) -> Iterator[Row]:
    """MultiNLI's training rows in the file of one language of XNLI-MT; English is among them."""

    def row(record: Record, id: str) -> Row:
        return nli_row({**record, "hypothesis": record["hypo"]}, id)

    records = read_records(file, ("premise", "hypo", "label"))
    return numbered_rows(file, records, row, "mnli-train", first=2)


def _multinli_names(part: str) -> list[str]:
    return [f"{folder}multinli_1.0_{part}.jsonl" for folder in ("", "multinli_1.0/")]


def _lines(file: Path, prefix: str) -> Iterator[Row]:
    """A file of JSON lines of SNLI, MultiNLI or ANLI."""
    return numbered_rows(file, read_jsonl(file), nli_row, prefix)


def _xtreme(
    file: Path, prefix: str, row: Callable[[Record, str], Row], upstream: Sequence[str] = ()
) -> Iterator[Row]:
    """A file of XTREME's layout: two texts and a label a line, quoted by Python's csv module."""
    names = ("sentence1", "sentence2", "label")
    lines = read_columns(file, names, quoted=True, hint=withheld(upstream) if upstream else ANEW)
    records = ((number, dict(zip(names, fields, strict=True))) for number, fields in lines)
    return numbered_rows(file, records, row, prefix)
