"""Accuracy in percent: XNLI, PAWS-X, XCOPA and the embedded classification tasks.

The same as 100 times scikit-learn's `accuracy_score`.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_number
from .labels import check_labels, equal, label_info

DESCRIPTION = "Share of examples whose predicted label is the reference label, in percent."
INPUTS = (
    "predictions, references: n labels each, all class indices or all class names. Returns "
    "{'accuracy': 0 to 100}."
)


class Accuracy(Official, evaluate.Metric):
    """100 times the share of equal labels; classes are named by index or by name."""

    def _info(self) -> evaluate.MetricInfo:
        return label_info(DESCRIPTION, INPUTS)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers, no examples, or labels that are not all integers or all
        strings.
        """
        check_number(predictions, references)
        check_labels(predictions, references)

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 1): 100 for a right label, else 0."""
        return equal(predictions, references)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"accuracy": float(self.each(predictions, references).mean())}
