"""F1 of chunks in tagged sentences, in percent: `span_f1` (PAN-X, slots) and `tag_f1` (UDPOS).

``evaluate.load("lib/xgrl/evaluation/metrics/chunk_f1.py", "span_f1")``, or ``"tag_f1"``. XTREME
scores both tasks with seqeval (micro average), whose chunking is the one of conlleval. Version
0.0.12, which its published numbers come from, reads a tag's first letter as its prefix and the part
after a hyphen as its type. It puts an "O" between sentences, so no chunk crosses a sentence border,
and counts add up over sentences.

`span_f1` is of named spans in BIO tags, the number that seqeval gives in any version (default
mode): an "I-" that follows nothing of its type begins a span. seqeval 0.0.12 cuts a type at its
last hyphen; here it is everything after the first one, as in newer versions (the types of PAN-X
have no hyphen). seqeval accepts any string as a tag; this module does not.

`tag_f1` is of runs of equal tags: XTREME gives part-of-speech tags, which have no BIO prefix, to
seqeval, so equal neighbours count as one chunk, and "SCONJ" and "SYM" are read as single-word
chunks. This is what seqeval 0.0.12 does; from 1.0 on it cuts off the first letter, cannot tell
CCONJ from SCONJ and gives slightly more. It is not the accuracy of tags.

Sources: Hu et al. 2020, arXiv 2003.11080, and its script; Ramshaw and Marcus 1995, cmp-lg/9505040.
"""

from collections.abc import Sequence
from typing import ClassVar

import evaluate
import numpy as np

from .official import Official, f1_precision_recall, validate_lists, validate_number

Chunk = tuple[str, int, int]  # type, first position, position after the last


def bio_chunks(tags: Sequence[str]) -> set[Chunk]:
    """Chunks of BIO tags: "B-x" begins one; "I-x" continues one of type x, or else begins one."""
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
    alone: seqeval 0.0.12 takes its first letter for a chunk's prefix: single, begins, ends.
    """
    chunks: set[Chunk] = set()
    start = 0
    for i in range(1, len(tags) + 1):
        if i == len(tags) or tags[i] != tags[start] or tags[i][0] in "SBE":
            chunks.add((tags[start], start, i))
            start = i
    return chunks


def _is_bio(tag: str) -> bool:
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def _is_plain(tag: str) -> bool:
    """seqeval would read a prefix in "O", in any hyphen, and would not count ".x"."""
    return bool(tag) and tag[0] not in "O." and "-" not in tag


PLAIN = 'a tag such as "NOUN", without hyphen and not beginning with "O" or "."'


class ChunkF1(Official, evaluate.Metric):
    """F1 of chunks that agree in type and in both ends, over all sentences together.

    predictions, references: n lists of tags, one a word: 'O', 'B-x' or 'I-x' (span_f1), or such as
    'NOUN' (tag_f1). Returns f1, precision, recall, 0 to 100.
    """

    NAMES: ClassVar = {
        "span_f1": (bio_chunks, _is_bio, '"O", "B-<type>" or "I-<type>"'),
        "tag_f1": (run_chunks, _is_plain, PLAIN),
    }

    def validate(self, predictions: Sequence, references: Sequence) -> None:
        """ValueError for no sentences, unequal numbers of sentences or tags, or other tags."""
        validate_number(predictions, references)
        validate_lists(predictions, references, "tags")
        _, allowed, form = self.NAMES[self.config_name]
        for row, (tagged, gold) in enumerate(zip(predictions, references, strict=True)):
            if len(tagged) != len(gold):
                found = f"{len(tagged)} predicted tags for {len(gold)} words"
                raise ValueError(f"sentence {row}: found {found}, expected one a word")
            if len(gold) == 0:
                raise ValueError(f"sentence {row} has no tags")
            for name, tags in (("prediction", tagged), ("reference", gold)):
                for i, tag in enumerate(tags):
                    if not allowed(tag) or tag.split() != [tag]:
                        found = f"{name} {row}, word {i} has the tag {tag!r}"
                        raise ValueError(f"{found}: expected {form}")

    def each(self, predictions: Sequence, references: Sequence) -> np.ndarray:
        """(n, 3) int64: chunks of a sentence matched (type, both ends), predicted and expected."""
        counts, chunks = np.empty((len(references), 3), np.int64), self.NAMES[self.config_name][0]
        for row, pair in enumerate(zip(predictions, references, strict=True)):
            predicted, expected = map(chunks, pair)
            counts[row] = len(predicted & expected), len(predicted), len(expected)
        return counts

    def _compute(self, predictions: Sequence, references: Sequence) -> dict[str, float]:
        return f1_precision_recall(self.each(predictions, references))
