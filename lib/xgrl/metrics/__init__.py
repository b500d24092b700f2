"""Official scores, one `evaluate.Metric` module each, in percent.

Anyone can load one with ``evaluate.load("lib/xgrl/metrics/<name>.py")``, offline; `score` uses the same classes. To add a
metric, write a module with one Metric subclass and name it in `METRICS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module

from xgrl.tasks import find_task

METRICS = {
    "accuracy": "accuracy:Accuracy",
    "retrieval_accuracy": "retrieval_accuracy:RetrievalAccuracy",
}


def score(task: str, predictions: Sequence, references: Sequence, language: str | None = None) -> dict[str, float]:
    """The official scores of a task, in percent, the main one first.

    Args:
        task: a task's name; its metric is in the tables of `xgrl.tasks`.
        predictions: n class names or indices; for retrieval the ids of the candidates that were found first.
        references: n true ones, of the same kind.
        language: of the examples; the scores that depend on it (span QA) need it, the others do not look at it.

    Returns:
        Names of scores and their values in percent.

    Raises:
        ValueError: unknown task, no predictions, unequal numbers, or a value that is missing or of another kind.
    """
    return _metric(find_task(task).metric).compute(predictions=list(predictions), references=list(references))


@cache
def _metric(name: str):
    module, attribute = METRICS[name].split(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)(keep_in_memory=True)
