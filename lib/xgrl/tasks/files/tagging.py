"""Tagging from files: UDPOS, PAN-X, CCG.

=====  ========================================================================================================
udpos  CoNLL-U, ``<l>_<treebank>-ud-{train,dev,test}.conllu``, flat or in ``UD_*`` folders, all
       treebanks of a language in the order of their names; XTREME: ``{train,dev}-<l>.tsv``, lines
       ``word TAB tag``
panx   WikiAnn's ``<l>/{train,dev,test}`` or ``<l>-{train,dev,test}``, lines ``<l>:word TAB tag``; XTREME:
       ``{train,dev}-<l>.tsv`` without the prefix
ccg    ``{train,dev}.tsv``, lines ``word TAB tag``, or ``{train,dev}.txt``, a sentence a line, ``word|tag`` or
       ``word|part of speech|tag``, which whoever has a CCGbank licence makes from it
=====  ========================================================================================================

An empty line ends a sentence. XTREME's script takes the tags out of ``test-<l>.tsv``. Such a file
is refused; the upstream file has them. In CoNLL-U the words are the syntactic ones: lines of
multi-word tokens (``1-2``) and of empty nodes (``1.1``) are passed over. XTREME's own files have
the multi-word tokens instead, so CoNLL-U, where it is there, serves all splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from xgrl.tasks.formats import Row
from xgrl.tasks.rows import tagging_row
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import (
    ANEW,
    build_rows,
    find,
    find_all,
    read_blocks,
    read_lines,
    withheld,
    wrong_columns,
)

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
WordTag = tuple[str, str] | None


def udpos(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Universal Dependencies; ids are the treebank and the sentence's number in its file."""
    name = f"{language}_*-ud-{split}.conllu"
    if treebanks := find_all(path, ("udpos",), [name, f"UD_*/{name}", f"*/UD_*/{name}"]):
        for file in treebanks:
            for row in _sentences(file, file.name.partition("-")[0], _conllu):
                # Some treebanks come without their words, for copyright; such sentences are left
                # out and counted.
                yield row | {"tokens": []} if set(row["tokens"]) == {"_"} else row
        return
    plain = f"{split}-{language}.tsv"
    file = find(path, ("udpos",), [name, f"UD_*/{name}", plain])
    yield from _sentences(
        file, f"udpos-{language}-{split}", _tabbed(withheld([name]) if split == "test" else ANEW)
    )


def panx(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """PAN-X, the balanced splits of WikiAnn; ids are the sentence's number in its file."""
    plain, upstream = (
        f"{split}-{language}.tsv",
        [f"{language}/{split}", f"{language}-{split}", f"panx_dataset/{language}-{split}"],
    )
    file = find(path, ("panx", "wikiann"), [*upstream, plain])
    read = _tabbed(withheld(upstream) if split == "test" else ANEW)
    yield from _sentences(
        file, f"panx-{language}-{split}", read if file.name == plain else _prefixed
    )


def ccg(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """CCG supertags as positions in `ccg_labels`; a dev sentence with a tag that is not among them
    is left out and counted.
    """
    index = {tag: position for position, tag in enumerate(ccg_labels(path))}
    for row in _ccg_sentences(path, split):
        yield row | {"tags": [index.get(tag, tag) for tag in row["tags"]]}


def ccg_labels(path: str | Path) -> tuple[str, ...]:
    """The CCG tags in index order: the lines of ``tags.txt``, or else the tags of the training
    file, sorted.

    The data are under licence and so cannot name the classes in the table of tasks, where
    ``labels`` is empty.

    Args:
        path: the folder of the "files" source.
    """
    if listed := find_all(path, ("ccg",), ["tags.txt"]):
        tags = [line.strip() for _, line in read_lines(listed[0]) if line.strip()]
        if len(set(tags)) != len(tags):
            raise SourceError(
                f"{listed[0]}: expected each tag once, found {len(tags)} lines and "
                f"{len(set(tags))} tags"
            )
        return tuple(tags)
    return tuple(sorted({tag for row in _ccg_sentences(path, "train") for tag in row["tags"]}))


def _ccg_sentences(path: str | Path | None, split: str) -> Iterator[Row]:
    file = find(
        path,
        ("ccg",),
        [f"{split}.tsv", f"{split}.txt"],
        "they are made from CCGbank, which LDC licenses",
    )
    if file.suffix == ".tsv":
        yield from _sentences(file, f"ccg-{split}", _tabbed(ANEW))
    else:
        yield from build_rows(
            file, read_lines(file), lambda line, n: _piped(file, line, n, f"ccg-{split}-{n - 1}")
        )


def _piped(file: Path, line: str, number: int, id: str) -> Row:
    items = [item.split("|") for item in line.split()]
    for item in items:
        if len(item) not in (2, 3) or not all(item):
            raise SourceError(
                f"{file}, line {number}: expected word|tag or word|part of speech|tag, found "
                f"{'|'.join(item)!r}"
            )
    return tagging_row([item[0] for item in items], [item[-1] for item in items], id)


def _sentences(file: Path, prefix: str, read: Callable[[Path, int, str], WordTag]) -> Iterator[Row]:
    """The rows of a file of columns; `read` makes a word and its tag of a line, or None where there
    is no word on it.
    """
    for number, block in enumerate(read_blocks(read_lines(file))):
        words = [found for line, text in block if (found := read(file, line, text)) is not None]
        if words:
            yield tagging_row(
                [word for word, _ in words], [tag for _, tag in words], f"{prefix}-{number}"
            )


def _tabbed(hint: str) -> Callable[[Path, int, str], WordTag]:
    def read(file: Path, number: int, line: str) -> WordTag:
        return _columns(file, number, line, ("word", "tag"), hint)

    return read


def _prefixed(file: Path, number: int, line: str) -> WordTag:
    word, tag = _columns(file, number, line, ("language:word", "tag"), ANEW)
    prefix, colon, word = word.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z-]+", prefix):
        raise SourceError(
            f"{file}, line {number}: expected language:word, found {line[:60]!r}; {ANEW}"
        )
    return word, tag


def _conllu(file: Path, number: int, line: str) -> WordTag:
    if line.startswith("#"):
        return None
    fields = _columns(file, number, line, CONLLU, ANEW)
    if re.fullmatch(r"\d+[-.]\d+", fields[0]):
        return None
    if not fields[0].isdecimal():
        raise SourceError(
            f"{file}, line {number}: expected a word's number, found {fields[0]!r}; {ANEW}"
        )
    return fields[1], fields[3]


def _columns(file: Path, number: int, line: str, names: Sequence[str], hint: str) -> list[str]:
    fields = line.split("\t")
    if len(fields) != len(names):
        raise wrong_columns(file, number, fields, names, hint)
    return fields
