"""F1 of runs of equal tags, in percent: UDPOS as XTREME scores it.

XTREME gives part-of-speech tags, which have no BIO prefix, to seqeval, so equal neighbours count as
one chunk, and "SCONJ" and "SYM" are read as single-word chunks. This is what seqeval 0.0.12 does,
and what the published numbers are; from 1.0 on seqeval cuts off the first letter, cannot tell CCONJ
from SCONJ and gives slightly more. It is not the accuracy of tags.
Source: Hu et al. 2020, arXiv 2003.11080, and its evaluation script.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_lists, check_number, declare
from .chunks import check_tags, is_plain, matches, run_chunks
from .counts import f1_precision_recall

DESCRIPTION = "F1, precision and recall of runs of equal tags over the whole corpus, in percent."
INPUTS = (
    "predictions, references: n lists of tags such as 'NOUN', one a word. Returns f1, precision, "
    "recall, 0 to 100."
)


class TagF1(Official, evaluate.Metric):
    """F1 of runs of one tag that agree in the tag and in both ends, over all sentences together."""

    counted = True

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers of sentences or tags, none at all, or a tag with a prefix."""
        check_number(predictions, references)
        check_lists(predictions, references, "tags")
        check_tags(
            predictions,
            references,
            is_plain,
            'a tag such as "NOUN", without hyphen and not beginning with "O" or "."',
        )

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 3): runs of a sentence matched, predicted and expected."""
        return matches(predictions, references, run_chunks)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return f1_precision_recall(self.each(predictions, references))
