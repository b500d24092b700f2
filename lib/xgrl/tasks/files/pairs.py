"""Text pairs from files: XNLI, PAWS-X, MultiNLI, SNLI with MultiNLI and ANLI, QQP.

=======  ==================================================================================================
xnli     ``XNLI-1.0/xnli.{dev,test}.tsv`` or ``.jsonl`` (a header, a column `language`), train as mnli below or
         ``XNLI-MT-1.0/multinli/multinli.train.en.tsv``; XTREME: ``{train,dev}-en.tsv``, no header
pawsx    ``x-final/<l>/{train,dev_2k,test_2k}.tsv`` (id, sentence1, sentence2, label); XTREME: ``{train,dev}-en.tsv``
mnli     ``multinli_1.0/multinli_1.0_{train,dev_matched}.jsonl``; translations of its training rows (other languages than
         English) ``XNLI-MT-1.0/multinli/multinli.train.<l>.tsv``
anli     ``anli_v1.0/R{1,2,3}/{train,dev}.jsonl``, and for training mnli's and ``snli_1.0/snli_1.0_train.jsonl``
qqp      GLUE's ``QQP/{train,dev}.tsv``, whose broken lines (a text that held a line end) are left out and counted
=======  ==================================================================================================

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
    build_rows,
    find,
    read_columns,
    read_jsonl,
    read_records,
    withheld,
)

XNLI_MT = (
    "XNLI-MT-1.0/multinli/multinli.train.{}.tsv",
    "multinli/multinli.train.{}.tsv",
    "multinli.train.{}.tsv",
)
XNLI_LANGUAGES = (
    "ar",
    "bg",
    "de",
    "el",
    "es",
    "fr",
    "hi",
    "ru",
    "sw",
    "th",
    "tr",
    "ur",
    "vi",
    "zh",
)
UPSTREAM_PAWSX = {"train": "train", "dev": "dev_2k", "test": "test_2k"}


def xnli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """XNLI; dev and test ids are the project's pair ids, the same in every language (XTREME's
    files: line numbers).
    """
    plain = f"{split}-{language}.tsv"
    if split == "train":
        file = find(
            path,
            ("xnli", "mnli"),
            [plain, *(name.format("en") for name in XNLI_MT), *_multinli_names("train")],
        )
        if file.suffix == ".jsonl":
            yield from _multinli(file, "train")
        elif file.name == plain:
            yield from _xtreme(file, "mnli-train", nli_row, ())
        else:
            yield from _translated(file)
        return
    upstream = [
        f"{folder}xnli.{split}.{form}" for folder in ("", "XNLI-1.0/") for form in ("tsv", "jsonl")
    ]
    file = find(path, ("xnli",), [*upstream, plain])
    if file.name == plain:
        yield from _xtreme(file, f"xnli-{split}", nli_row, upstream)
    else:
        yield from _one_language(file, language, split)


def mnli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """MultiNLI; dev is the matched one. Rows without a majority label ("-") are left out and
    counted.

    A translated row has the number of its line, as the English one has in MultiNLI's own file; that
    both have the same order is checked where they meet (`xgrl.prepare.arm_texts`).
    """
    if split == "translated":
        yield from _translated(
            find(path, ("mnli", "xnli"), [name.format(language) for name in XNLI_MT])
        )
        return
    yield from _multinli(
        find(path, ("mnli",), _multinli_names("train" if split == "train" else "dev_matched")),
        split,
    )


def anli(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """SNLI, MultiNLI and the three rounds of ANLI together; dev is ANLI's three development sets."""
    if split == "train":
        file = find(
            path, ("snli", "anli"), ["snli_1.0_train.jsonl", "snli_1.0/snli_1.0_train.jsonl"]
        )
        yield from build_rows(
            file, read_jsonl(file), lambda r, n: nli_row(r, f"snli-train-{n - 1}")
        )
        yield from _multinli(find(path, ("mnli", "anli"), _multinli_names("train")), split)
    for number in (1, 2, 3):
        file = find(
            path, ("anli",), [f"{folder}R{number}/{split}.jsonl" for folder in ("", "anli_v1.0/")]
        )
        yield from build_rows(
            file, read_jsonl(file), lambda r, n, i=number: nli_row(r, f"anli-r{i}-{split}-{n - 1}")
        )


def qqp(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Quora Question Pairs as in GLUE; text is taken as it stands, quotation marks and all, as its
    hub copy does.
    """
    file = find(path, ("qqp",), [f"QQP/{split}.tsv", f"{split}.tsv"])
    broken = {"question1": "a broken line", "question2": "", "is_duplicate": None}
    records = read_records(file, tuple(broken), broken=broken)
    yield from build_rows(file, records, lambda r, n: duplicate_row(r, f"qqp-{split}-{n - 2}"))


def pawsx(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """PAWS-X; ids are the project's, the same in every language (XTREME's files: line numbers)."""
    name, plain = f"{language}/{UPSTREAM_PAWSX[split]}.tsv", f"{split}-{language}.tsv"
    file = find(path, ("pawsx",), [f"x-final/{name}", name, plain])
    if file.name == plain:
        yield from _xtreme(file, f"pawsx-{split}", duplicate_row, [f"x-final/{name}"])
    else:
        records = read_records(file, ("id", "sentence1", "sentence2", "label"))
        yield from build_rows(
            file, records, lambda r, n: duplicate_row(r, f"pawsx-{split}-{r['id']}")
        )


def _one_language(file: Path, language: str, split: str) -> Iterator[Row]:
    """The rows of one language of upstream's file, which has all fifteen."""
    fields = ("language", "gold_label", "sentence1", "sentence2", "pairID")
    records = read_jsonl(file) if file.suffix == ".jsonl" else read_records(file, fields)
    languages: set[str] = set()
    for row in build_rows(
        file,
        records,
        lambda r, _: nli_row(r, f"xnli-{split}-{r['pairID']}") | {"language": r["language"]},
    ):
        languages.add(row["language"])
        if row["language"] == language:
            yield row
    if language not in languages:
        raise SourceError(
            f"{file}: expected rows in {language!r}, found "
            f"{', '.join(sorted(languages)) or 'no row at all'}"
        )


def _translated(file: Path) -> Iterator[Row]:
    """MultiNLI's training rows in the file of one language of XNLI-MT; English is among them."""
    records = read_records(file, ("premise", "hypo", "label"))
    yield from build_rows(
        file, records, lambda r, n: nli_row({**r, "hypothesis": r["hypo"]}, f"mnli-train-{n - 2}")
    )


def _multinli_names(part: str) -> list[str]:
    return [f"{folder}multinli_1.0_{part}.jsonl" for folder in ("", "multinli_1.0/")]


def _multinli(file: Path, split: str) -> Iterator[Row]:
    yield from build_rows(file, read_jsonl(file), lambda r, n: nli_row(r, f"mnli-{split}-{n - 1}"))


def _xtreme(
    file: Path, prefix: str, build: Callable[..., Row], upstream: Sequence[str]
) -> Iterator[Row]:
    """A file of XTREME's layout: two texts and a label on each line, quoted by Python's csv module."""
    names = ("sentence1", "sentence2", "label")
    lines = read_columns(file, names, quoted=True, hint=withheld(upstream) if upstream else ANEW)
    yield from build_rows(
        file, lines, lambda f, n: build(dict(zip(names, f, strict=True)), f"{prefix}-{n - 1}")
    )
