"""Tagging from files: UDPOS, PAN-X, CCG.

=====  ==========================================================================================
udpos  CoNLL-U, ``<l>_<treebank>-ud-{train,dev,test}.conllu``, flat or in ``UD_*`` folders, all
       treebanks of a language in the order of their names; XTREME: ``{train,dev}-<l>.tsv``, lines
       ``word TAB tag``
panx   WikiAnn's ``<l>/{train,dev,test}`` or ``<l>-{train,dev,test}``, lines ``<l>:word TAB tag``;
       XTREME: ``{train,dev}-<l>.tsv`` without the prefix
ccg    ``{train,dev}.tsv``, lines ``word TAB tag``, or ``{train,dev}.txt``, a sentence a line,
       ``word|tag`` or ``word|part of speech|tag``, which whoever has a CCGbank licence makes of it
=====  ==========================================================================================

An empty line ends a sentence. XTREME's script takes the tags out of ``test-<l>.tsv``. Such a file
is refused; the upstream file has them. In CoNLL-U the words are the syntactic ones: lines of
multi-word tokens (``1-2``) and of empty nodes (``1.1``) are passed over. XTREME's own files have
the multi-word tokens instead, so CoNLL-U, where it is there, serves all splits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from xgrl.tasks.formats import Row
from xgrl.tasks.rows import tagging_row
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import (
    ANEW,
    build_rows,
    check_columns,
    find,
    find_all,
    read_blocks,
    read_lines,
    withheld,
)

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
WordTag = tuple[str, str] | None


def udpos(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """Universal Dependencies; ids are the treebank and the sentence's number in its file."""
    name = f"{language}_*-ud-{split}.conllu"
    treebanks = find_all(path, ("udpos",), [name, f"UD_*/{name}", f"*/UD_*/{name}"])
    for file in treebanks:
        for row in _sentences(file, file.name.partition("-")[0], _conllu):
            # Some treebanks come without their words, for copyright; such sentences are left out
            # and counted.
            yield row | {"tokens": []} if set(row["tokens"]) == {"_"} else row
    if treebanks:
        return
    file = find(path, ("udpos",), [name, f"UD_*/{name}", f"{split}-{language}.tsv"])
    read = partial(_tabbed, hint=withheld([name]) if split == "test" else ANEW)
    yield from _sentences(file, f"udpos-{language}-{split}", read)


def panx(language: str, split: str, path: Path | None) -> Iterator[Row]:
    """PAN-X, the balanced splits of WikiAnn; ids are the sentence's number in its file."""
    name, plain = f"{language}-{split}", f"{split}-{language}.tsv"
    upstream = [f"{language}/{split}", name, f"panx_dataset/{name}"]
    file = find(path, ("panx", "wikiann"), [*upstream, plain])
    read = partial(_tabbed, hint=withheld(upstream) if split == "test" else ANEW)
    read = read if file.name == plain else _prefixed
    return _sentences(file, f"panx-{language}-{split}", read)


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
    if not (listed := find_all(path, ("ccg",), ["tags.txt"])):
        return tuple(sorted({tag for row in _ccg_sentences(path, "train") for tag in row["tags"]}))
    tags = [line.strip() for _, line in read_lines(listed[0]) if line.strip()]
    if len(set(tags)) != len(tags):
        raise SourceError(
            f"{listed[0]}: expected each tag once, found {len(tags)} lines and {len(set(tags))} "
            f"tags"
        )
    return tuple(tags)


def _ccg_sentences(path: str | Path | None, split: str) -> Iterator[Row]:
    hint = "they are made from CCGbank, which LDC licenses"
    file = find(path, ("ccg",), [f"{split}.tsv", f"{split}.txt"], hint)
    if file.suffix == ".tsv":
        return _sentences(file, f"ccg-{split}", _tabbed)
    return build_rows(file, read_lines(file), partial(_piped, file, f"ccg-{split}"))


def _piped(file: Path, prefix: str, line: str, number: int) -> Row:
    items = [item.split("|") for item in line.split()]
    for item in items:
        if len(item) not in (2, 3) or not all(item):
            raise SourceError(
                f"{file}, line {number}: expected word|tag or word|part of speech|tag, found "
                f"{'|'.join(item)!r}"
            )
    id = f"{prefix}-{number - 1}"
    return tagging_row([item[0] for item in items], [item[-1] for item in items], id)


def _sentences(file: Path, prefix: str, read: Callable[[Path, int, str], WordTag]) -> Iterator[Row]:
    """The rows of a file of columns; `read` makes a word and its tag of a line, or None where there
    is no word on it.
    """
    for number, block in enumerate(read_blocks(read_lines(file))):
        if tagged := [word for line, text in block if (word := read(file, line, text)) is not None]:
            words, tags = map(list, zip(*tagged, strict=True))
            yield tagging_row(words, tags, f"{prefix}-{number}")


def _tabbed(file: Path, number: int, line: str, hint: str = ANEW) -> WordTag:
    word, tag = check_columns(file, number, line.split("\t"), ("word", "tag"), hint)
    return word, tag


def _prefixed(file: Path, number: int, line: str) -> WordTag:
    word, tag = check_columns(file, number, line.split("\t"), ("language:word", "tag"))
    prefix, colon, word = word.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z-]+", prefix):
        raise SourceError(
            f"{file}, line {number}: expected language:word, found {line[:60]!r}; {ANEW}"
        )
    return word, tag


def _conllu(file: Path, number: int, line: str) -> WordTag:
    if line.startswith("#"):
        return None
    fields = check_columns(file, number, line.split("\t"), CONLLU)
    if re.fullmatch(r"\d+[-.]\d+", fields[0]):
        return None
    if not fields[0].isdecimal():
        raise SourceError(
            f"{file}, line {number}: expected a word's number, found {fields[0]!r}; {ANEW}"
        )
    return fields[1], fields[3]
