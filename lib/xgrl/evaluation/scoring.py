"""Official scores of a task: each task names a metric, `METRICS` says which class computes it.

To add a metric, write a module in `xgrl.evaluation.metrics` and name its class here.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from xgrl.evaluation.metrics.accuracy import Accuracy
from xgrl.evaluation.metrics.answers import Answers
from xgrl.evaluation.metrics.chunk_f1 import ChunkF1
from xgrl.evaluation.metrics.counts import f1_of
from xgrl.evaluation.metrics.mined_f1 import MinedF1
from xgrl.evaluation.metrics.official import Official
from xgrl.evaluation.metrics.ranking import Ranking
from xgrl.tasks import find_task

METRICS: dict[str, type[Official]] = {
    "accuracy": Accuracy,
    "retrieval_accuracy": Accuracy,
    "span_f1": ChunkF1,
    "tag_f1": ChunkF1,
    "squad": Answers,
    "mlqa": Answers,
    "mrr": Ranking,
    "map": Ranking,
    "mined_f1": MinedF1,
}


def score(
    task: str, predictions: Sequence, references: Sequence, language: str | None = None
) -> dict[str, float]:
    """The official scores of a task, in percent, the main one first.

    task: a task's name; its metric is in the tables of `xgrl.tasks`. predictions: n, of the
    metric's kind (the table of `xgrl.evaluation.metrics`). references: n true ones. language: of
    the examples; the scores that depend on it (MLQA) need it, the others do not look at it. Raises
    ValueError for an unknown task, no predictions, unequal numbers, or a value that is missing or
    of another kind.
    """
    return compute(find_task(task).metric, predictions, references, language)


def compute(
    metric: str, predictions: Sequence, references: Sequence, language: str | None = None
) -> dict[str, float]:
    """`score`, by the metric's name."""
    scorer = _metric(metric)
    return scorer.compute(
        predictions=list(predictions), references=list(references), **_options(scorer, language)
    )


def headline(scores: Mapping[str, float]) -> float:
    """What enters the averages: (exact match + F1) / 2 for span QA, else the first score."""
    if not scores:
        raise ValueError("no scores to take the headline of")
    if "exact_match" in scores:
        return (scores["exact_match"] + scores["f1"]) / 2
    return next(iter(scores.values()))


def contributions(
    metric: str, predictions: Sequence, references: Sequence, language: str | None = None
) -> np.ndarray:
    """What each example adds to the headline of a metric of `METRICS`; arguments as for `score`.

    Returns (n, 1) float64, points whose mean is the headline; or, for an F1 over the corpus, (n, 3)
    int64: how much was matched, predicted and expected, whose sums give the headline through
    `from_counts`. An example is a sentence, a question, a query; for mined pairs a source sentence
    (in what order: `MinedF1.each`).
    """
    scorer = _metric(metric)
    predictions, references = list(predictions), list(references)
    scorer.validate(predictions, references)
    return scorer.each(predictions, references, **_options(scorer, language))


def from_counts(metric: str, sums: ArrayLike) -> np.ndarray:
    """The headline (...) of summed `contributions` (..., 3), where it is an F1 over the corpus.

    A function for `xgrl.stats.jackknife`; 0/0 is 0. Raises ValueError for a metric that is a mean,
    and for another last axis.
    """
    if not _metric(metric).counted:
        counted = ", ".join(name for name, kind in METRICS.items() if kind.counted)
        raise ValueError(
            f"{metric!r} is the mean of its contributions; those with counts: {counted}"
        )
    return f1_of(sums)


def _options(scorer: Official, language: str | None) -> dict[str, str | None]:
    return {"language": language} if scorer.needs_language else {}


@cache
def _metric(name: str) -> Official:
    if name not in METRICS:
        raise ValueError(f"metric={name!r}: allowed: {', '.join(METRICS)}")
    return METRICS[name](config_name=name, keep_in_memory=True)
