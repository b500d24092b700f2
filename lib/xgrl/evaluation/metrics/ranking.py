"""Scores of ranked candidates: reciprocal rank and average precision, of the first 20."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEPTH = 20  # XTREME-R looks no further


def check_relevant(references: Sequence) -> None:
    """Raise ValueError for a query without relevant candidates: it has no score."""
    for row, relevant in enumerate(references):
        if len(relevant) == 0:
            raise ValueError(f"reference {row} has no relevant ids: expected one at least")


def reciprocal_ranks(predictions: Sequence, references: Sequence) -> np.ndarray:
    """(n, 1): 100 divided by the rank of the first relevant candidate, 0 when none is among the
    first 20.
    """
    scores = np.zeros((len(references), 1))
    for row, (ranked, relevant) in enumerate(zip(predictions, map(set, references), strict=True)):
        ranks = (
            rank for rank, candidate in enumerate(ranked[:DEPTH], start=1) if candidate in relevant
        )
        scores[row] = 100.0 / next(ranks, np.inf)
    return scores


def average_precisions(predictions: Sequence, references: Sequence) -> np.ndarray:
    """(n, 1): 100 times the precision at each relevant candidate's rank, summed and divided by
    min(relevant, 20).

    A candidate that is named twice keeps both places but is found only once.
    """
    scores = np.zeros((len(references), 1))
    for row, (ranked, relevant) in enumerate(zip(predictions, map(set, references), strict=True)):
        left, hits, total = set(relevant), 0, 0.0
        for rank, candidate in enumerate(ranked[:DEPTH], start=1):
            if candidate in left:
                left.remove(candidate)
                hits += 1
                total += hits / rank
        scores[row] = 100.0 * total / min(len(relevant), DEPTH)
    return scores
