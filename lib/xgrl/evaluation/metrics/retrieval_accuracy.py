"""Accuracy at 1 of bitext retrieval in percent, as in Tatoeba (Artetxe and Schwenk 2019, arXiv
1812.10464; XTREME).

The same as `accuracy`, over the candidates that were found first.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_number
from .labels import check_labels, equal, label_info

DESCRIPTION = "Share of queries whose nearest candidate is their translation, in percent."
INPUTS = (
    "predictions: n first-ranked candidates, by id or position. references: n gold ones. Returns "
    "{'accuracy': 0 to 100}."
)


class RetrievalAccuracy(Official, evaluate.Metric):
    """100 times the share of queries whose first-ranked candidate is the gold one."""

    def _info(self) -> evaluate.MetricInfo:
        return label_info(DESCRIPTION, INPUTS)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers, no examples, or candidates that are not all integers or
        all strings.
        """
        check_number(predictions, references)
        check_labels(predictions, references)

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 1): 100 for a right candidate, else 0."""
        return equal(predictions, references)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"accuracy": float(self.each(predictions, references).mean())}
