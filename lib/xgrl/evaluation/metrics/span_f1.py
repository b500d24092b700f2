"""F1 of named spans in BIO tags, in percent: PAN-X and the embedded slots task.

The number that XTREME's script gives with seqeval (default mode, micro average), of any version: an
"I-" that follows nothing of its type begins a span. seqeval 0.0.12 cuts a type at its last hyphen;
here it is everything after the first one, as in newer versions (the types of PAN-X have no hyphen).
seqeval accepts any string as a tag; this module does not. Source: Hu et al. 2020, arXiv 2003.11080;
Ramshaw and Marcus 1995, cmp-lg/9505040.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_lists, check_number, declare
from .chunks import bio_chunks, check_tags, is_bio, matches
from .counts import f1_precision_recall

DESCRIPTION = "F1, precision and recall of spans in BIO tags over the whole corpus, in percent."
INPUTS = (
    "predictions, references: n lists of tags 'O', 'B-x' or 'I-x', one a word. Returns f1, "
    "precision, recall, 0 to 100."
)


class SpanF1(Official, evaluate.Metric):
    """F1 of spans that agree in type and in both ends, over all sentences together."""

    counted = True

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers of sentences or tags, none at all, or a tag that is not
        BIO.
        """
        check_number(predictions, references)
        check_lists(predictions, references, "tags")
        check_tags(predictions, references, is_bio, '"O", "B-<type>" or "I-<type>"')

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 3): spans of a sentence matched, predicted and expected."""
        return matches(predictions, references, bio_chunks)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return f1_precision_recall(self.each(predictions, references))
