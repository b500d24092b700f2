"""Exact match and F1 of answers in percent: SQuAD, XQuAD and TyDiQA-GoldP.

English articles and ASCII punctuation are taken out, and words are split at white space, whatever
the language: that is how XTREME scores XQuAD and TyDiQA, and it understates languages written
without blanks. For unanswerable questions (SQuAD v2.0) the gold answers are [] or [""] and the
right prediction is "". The common `squad` metric of the `evaluate` library is the same for
answerable questions and cannot score the others. Source: Rajpurkar et al. 2016, arXiv 1606.05250;
Hu et al. 2020, arXiv 2003.11080.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .answers import check_answers, exact_and_f1, squad_words
from .base import STRING, Official, check_number, declare

DESCRIPTION = "Exact match and word F1 of answers, English normalisation, in percent."
INPUTS = (
    "predictions: n texts. references: n lists of gold texts. Returns exact_match and f1, 0 to 100."
)


class Squad(Official, evaluate.Metric):
    """Means over questions of exact match and of word F1, each with the best of the gold answers."""

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS, predictions=STRING)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers, no questions, a prediction that is no string, or gold
        answers that are no list.
        """
        check_number(predictions, references)
        check_answers(predictions, references, unanswerable=True)

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 1): 100 times the mean of exact match and F1."""
        return 100.0 * exact_and_f1(predictions, references, squad_words).mean(1, keepdims=True)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        exact, f1 = 100.0 * exact_and_f1(predictions, references, squad_words).mean(0)
        return {"exact_match": float(exact), "f1": float(f1)}
