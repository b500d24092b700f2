"""Scores of ranked candidates, of the first 20, in percent: `mrr` (Mewsli-X) and `map` (LAReQA).

``evaluate.load("lib/xgrl/evaluation/metrics/ranking.py", "mrr")``, or ``"map"``.

`mrr`, the mean reciprocal rank, looks at the first right candidate only. XTREME-R's script computes
exactly this and calls it "map@20": with one right entity a mention, which Mewsli-X has, mean
average precision is the same number.

`map`, the mean average precision, looks at all. Relevant are the answers to a question in all
languages. The divisor is the number of relevant candidates, 20 at most, so that 100 can be reached;
scikit-learn's `average_precision_score` knows no depth and looks at the whole ranking. XTREME-R's
script takes the mean over the questions of all languages together; a mean over languages differs
from it as far as the languages have unequal numbers of questions.

Sources: Roy et al. 2020, arXiv 2004.05484; Ruder et al. 2021, arXiv 2104.07412, and its script.
"""

from collections.abc import Sequence
from typing import ClassVar

import evaluate
import numpy as np

from .official import Official, validate_lists, validate_number

DEPTH = 20  # XTREME-R looks no further


def reciprocal_rank(ranked: Sequence[str], relevant: set[str]) -> float:
    """100 divided by the rank of the first relevant candidate; 0 when it is not among 20."""
    ranks = (rank for rank, name in enumerate(ranked[:DEPTH], start=1) if name in relevant)
    return 100.0 / next(ranks, np.inf)


def average_precision(ranked: Sequence[str], relevant: set[str]) -> float:
    """100 times the precision at each relevant candidate's rank, summed, over min(relevant, 20).

    A candidate that is named twice keeps both places but is found only once.
    """
    left, hits, total = set(relevant), 0, 0.0
    for rank, name in enumerate(ranked[:DEPTH], start=1):
        if name in left:
            left.remove(name)
            hits += 1
            total += hits / rank
    return 100.0 * total / min(len(relevant), DEPTH)


class Ranking(Official, evaluate.Metric):
    """100 times the mean reciprocal rank (mrr), or average precision (map), at 20.

    predictions: n lists of ids, best first. references: n lists of relevant ids. Returns
    {'mrr@20': 0 to 100} or {'map@20': 0 to 100}.
    """

    NAMES: ClassVar = {"mrr": reciprocal_rank, "map": average_precision}

    def validate(self, predictions: Sequence, references: Sequence) -> None:
        """ValueError for unequal numbers, no queries, ids that are no strings, or none relevant."""
        validate_number(predictions, references)
        validate_lists(predictions, references, "candidate ids")
        for row, relevant in enumerate(references):
            if len(relevant) == 0:
                raise ValueError(f"reference {row} has no relevant ids: expected one at least")

    def each(self, predictions: Sequence, references: Sequence) -> np.ndarray:
        """(n, 1): a query's score, 0 to 100."""
        one, pairs = self.NAMES[self.config_name], zip(predictions, references, strict=True)
        return np.array([[one(ranked, set(relevant))] for ranked, relevant in pairs])

    def _compute(self, predictions: Sequence, references: Sequence) -> dict[str, float]:
        return {f"{self.config_name}@{DEPTH}": float(self.each(predictions, references).mean())}
