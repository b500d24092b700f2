"""Official scores of a task: each task names a metric, `METRICS` says which class computes it.

To add a metric, write a module in `xgrl.evaluation.metrics` and name its class here.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from xgrl.evaluation.metrics.accuracy import Accuracy
from xgrl.evaluation.metrics.answers import Answers
from xgrl.evaluation.metrics.chunk_f1 import ChunkF1
from xgrl.evaluation.metrics.mined_f1 import MinedF1
from xgrl.evaluation.metrics.official import Official
from xgrl.evaluation.metrics.ranking import Ranking
from xgrl.tasks import find_task

METRICS: dict[str, type[Official]] = {
    "accuracy": Accuracy, "retrieval_accuracy": Accuracy, "span_f1": ChunkF1, "tag_f1": ChunkF1,
    "squad": Answers, "mlqa": Answers, "mrr": Ranking, "map": Ranking, "mined_f1": MinedF1,
}  # fmt: skip


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
    scorer, options = _metric(find_task(task).metric, language)
    return scorer.compute(predictions=list(predictions), references=list(references), **options)


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
    `f1_of`. An example is a sentence, a question, a query; for mined pairs a source sentence
    (in what order: `MinedF1.each`).
    """
    scorer, options = _metric(metric, language)
    predictions, references = list(predictions), list(references)
    scorer.validate(predictions, references)
    return scorer.each(predictions, references, **options)


@cache
def _metric(name: str, language: str | None) -> tuple[Official, dict[str, str | None]]:
    """The metric, and the option `language` if it takes one."""
    if name not in METRICS:
        raise ValueError(f"metric={name!r}: allowed: {', '.join(METRICS)}")
    scorer = METRICS[name](config_name=name, keep_in_memory=True)
    return scorer, {"language": language} if scorer.needs_language else {}
