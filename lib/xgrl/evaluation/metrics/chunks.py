"""Chunks of tagged sentences, as the benchmark's scorer sees them, and how many of two taggings
match.

XTREME scores PAN-X and UDPOS with seqeval, whose chunking is the one of conlleval. Version 0.0.12,
which its published numbers come from, reads a tag's first letter as its prefix and the part after a
hyphen as its type. It puts an "O" between sentences, so no chunk crosses a sentence border, and
counts add up over sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Chunk = tuple[str, int, int]  # type, first position, position after the last


def bio_chunks(tags: Sequence[str]) -> set[Chunk]:
    """Chunks of BIO tags: "B-x" always begins one; "I-x" goes on with a chunk of type x, and begins
    one elsewhere.
    """
    chunks: set[Chunk] = set()
    start, kind = -1, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, type_ = tag.partition("-")
        if start >= 0 and (prefix != "I" or type_ != kind):
            chunks.add((kind, start, i))
            start = -1
        if start < 0 and prefix != "O":
            start, kind = i, type_
    return chunks


def run_chunks(tags: Sequence[str]) -> set[Chunk]:
    """Chunks of tags without prefixes: runs of one tag. A tag in S (SCONJ, SYM), B or E stands
    alone: seqeval 0.0.12 takes its first letter for the prefix of a chunk that is single, begins or
    ends.
    """
    chunks: set[Chunk] = set()
    start = 0
    for i in range(1, len(tags) + 1):
        if i == len(tags) or tags[i] != tags[start] or tags[i][0] in "SBE":
            chunks.add((tags[start], start, i))
            start = i
    return chunks


def is_bio(tag: str) -> bool:
    """Whether a tag is "O", "B-x" or "I-x"."""
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def is_plain(tag: str) -> bool:
    """Whether a tag has no prefix; seqeval would read one in "O", in any hyphen, and would not
    count ".x".
    """
    return bool(tag) and tag[0] not in "O." and "-" not in tag


def check_tags(
    predictions: Sequence, references: Sequence, allowed: Callable[[str], bool], form: str
) -> None:
    """Raise ValueError unless both sides are tags of the same words, all of them `allowed`; `form`
    names what is.
    """
    for row, (found, true) in enumerate(zip(predictions, references, strict=True)):
        if len(found) != len(true):
            raise ValueError(
                f"sentence {row}: found {len(found)} predicted tags for {len(true)} words, "
                f"expected one a word"
            )
        if len(true) == 0:
            raise ValueError(f"sentence {row} has no tags")
        for name, tags in (("prediction", found), ("reference", true)):
            for i, tag in enumerate(tags):
                if not allowed(tag) or tag.split() != [tag]:
                    raise ValueError(f"{name} {row}, word {i} has the tag {tag!r}: expected {form}")


def matches(
    predictions: Sequence, references: Sequence, chunks: Callable[[Sequence[str]], set[Chunk]]
) -> np.ndarray:
    """(n, 3) int64: chunks of a sentence that match in type and both ends, that were predicted,
    that were expected.
    """
    counts = np.empty((len(references), 3), np.int64)
    for row, pair in enumerate(zip(predictions, references, strict=True)):
        found, true = map(chunks, pair)
        counts[row] = len(found & true), len(found), len(true)
    return counts
