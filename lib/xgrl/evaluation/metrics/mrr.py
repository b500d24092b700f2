"""Mean reciprocal rank of the first 20 candidates, in percent: Mewsli-X.

XTREME-R's script computes exactly this and calls it "map@20": with one right entity a mention,
which Mewsli-X has, mean average precision is the same number. With more, this looks at the first
right one only; `map` looks at all. Source: Ruder et al. 2021, arXiv 2104.07412, and its evaluation
script.
"""

from __future__ import annotations

import evaluate
import numpy as np

from .base import Official, check_lists, check_number, declare
from .ranking import check_relevant, reciprocal_ranks

DESCRIPTION = "Mean over queries of 1 / rank of the first relevant candidate among 20, in percent."
INPUTS = (
    "predictions: n lists of ids, best first. references: n lists of relevant ids. Returns "
    "{'mrr@20': 0 to 100}."
)


class Mrr(Official, evaluate.Metric):
    """100 times the mean reciprocal rank at 20."""

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
        """(n, 1): 100 / rank of the first relevant candidate, or 0."""
        return reciprocal_ranks(predictions, references)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"mrr@20": float(self.each(predictions, references).mean())}
