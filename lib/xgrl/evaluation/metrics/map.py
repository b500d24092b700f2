"""Mean average precision of the first 20 candidates, in percent: LAReQA.

Relevant are the answers to a question in all languages. The divisor is the number of relevant
candidates, 20 at most, so that 100 can be reached; scikit-learn's `average_precision_score` knows
no depth and looks at the whole ranking. XTREME-R's script takes the mean over the questions of all
languages together; a mean over languages differs from it as far as the languages have unequal
numbers of questions. Source: Roy et al. 2020, arXiv 2004.05484; Ruder et al. 2021, arXiv
2104.07412, and its evaluation script.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_lists, check_number, declare
from .ranking import average_precisions, check_relevant

DESCRIPTION = (
    "Mean over queries of the average precision among the first 20 candidates, in percent."
)
INPUTS = (
    "predictions: n lists of ids, best first. references: n lists of relevant ids. Returns "
    "{'map@20': 0 to 100}."
)


class Map(Official, evaluate.Metric):
    """100 times the mean average precision at 20."""

    def _info(self) -> evaluate.MetricInfo:
        return declare(DESCRIPTION, INPUTS)

    @staticmethod
    def check(predictions: list, references: list) -> None:
        """ValueError for unequal numbers, no queries, ids that are no strings, or a query without
        relevant ids.
        """
        check_number(predictions, references)
        check_lists(predictions, references, "candidate ids")
        check_relevant(references)

    @staticmethod
    def each(predictions: list, references: list) -> np.ndarray:
        """(n, 1): 100 times the average precision at 20."""
        return average_precisions(predictions, references)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"map@20": float(self.each(predictions, references).mean())}
