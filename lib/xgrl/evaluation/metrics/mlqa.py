"""Exact match and F1 of answers in percent, normalised by language: MLQA.

Articles are those of the language (none in Hindi and Chinese; in Arabic the article's two letters
go wherever they stand, as in the official script), punctuation is all of Unicode's, and Chinese is
split into characters. Source: Lewis et al. 2020, arXiv 1910.07475, and its evaluation script.
"""

from __future__ import annotations

from functools import partial

import evaluate
import numpy as np

from .answers import check_answers, check_language, exact_and_f1, mlqa_words
from .base import STRING, Official, check_number, declare

DESCRIPTION = "Exact match and word F1 of answers, normalised by language, in percent."
INPUTS = (
    "predictions: n texts. references: n lists of gold texts. language: of the answers. Returns "
    "exact_match, f1."
)


class Mlqa(Official, evaluate.Metric):
    """Means over questions of exact match and of word F1, each with the best of the gold answers."""

    needs_language = True

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS, predictions=STRING)

    def compute(self, *, language: str | None = None, **inputs) -> dict[str, float]:
        """Exact match and F1; ValueError, before anything is added, for a language that MLQA does
        not have.
        """
        check_language(language)
        return super().compute(language=language, **inputs)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers, no questions, a prediction that is no string, or a
        question without answers.
        """
        check_number(predictions, references)
        check_answers(predictions, references, unanswerable=False)

    @staticmethod
    def each(predictions: list, references: list, language: str | None = None) -> np.ndarray:
        """(n, 1): 100 times the mean of exact match and F1."""
        check_language(language)
        return 100.0 * exact_and_f1(
            predictions, references, partial(mlqa_words, language=language)
        ).mean(1, keepdims=True)

    def _compute(self, predictions: list, references: list, language: str) -> dict[str, float]:
        exact, f1 = 100.0 * exact_and_f1(
            predictions, references, partial(mlqa_words, language=language)
        ).mean(0)
        return {"exact_match": float(exact), "f1": float(f1)}
