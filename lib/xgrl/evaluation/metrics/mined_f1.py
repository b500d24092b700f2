"""F1 of mined sentence pairs in percent: BUCC 2018.

Pairs are sets: their numbers may differ on the two sides, and a pair that is named twice counts
once. Source: Zweigenbaum et al. 2018 (BUCC shared task); Hu et al. 2020, arXiv 2003.11080, and its
evaluation script.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, declare
from .counts import f1_precision_recall
from .pairs import by_source, check_pairs, matches

DESCRIPTION = "F1, precision and recall of mined sentence pairs, in percent."
INPUTS = (
    "predictions, references: pairs 'source id<tab>target id'; numbers may differ. Returns f1, "
    "precision, recall, 0 to 100."
)


class MinedF1(Official, evaluate.Metric):
    """F1 of the set of mined pairs."""

    counted = True

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS)

    def add_batch(self, *, predictions=None, references=None, **options) -> None:
        """Add pairs; `evaluate` wants as many predictions as references, so what it keeps is one
        row a source sentence.
        """
        self.check(predictions, references)
        found, true = by_source(predictions, references)
        evaluate.Metric.add_batch(self, predictions=found, references=true, **options)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError without any reference, or for a pair that is not two ids with a tab between
        them.
        """
        if predictions is None or references is None or len(references) == 0:
            found = [
                None if values is None else len(values) for values in (predictions, references)
            ]
            raise ValueError(
                f"expected predicted and gold pairs, one gold pair at least, found {found[0]} and "
                f"{found[1]}"
            )
        check_pairs("prediction", predictions)
        check_pairs("reference", references)

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 3): pairs of a source sentence matched, predicted and expected.

        Source sentences are in the order in which references, then predictions first name them; one
        whose target is empty on both sides has a row of zeros. So arms that name the same sources
        in the same order have rows that fit.
        """
        return matches(*by_source(predictions, references))

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        flat = [[pair for row in rows for pair in row] for rows in (predictions, references)]
        return f1_precision_recall(matches(*by_source(*flat)))
