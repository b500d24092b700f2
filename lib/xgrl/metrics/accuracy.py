"""Accuracy in percent: XNLI, PAWS-X, XCOPA and the embedded classification tasks."""

from __future__ import annotations

import evaluate

from .labels import check_labels, label_info, percent_equal

DESCRIPTION = "Share of examples whose predicted label is the reference label, in percent."
INPUTS = "predictions, references: n labels each, all class indices or all class names. Returns {'accuracy': 0 to 100}."


class Accuracy(evaluate.Metric):
    """100 times the share of equal labels; classes are named by index or by name."""

    def _info(self) -> evaluate.MetricInfo:
        return label_info(DESCRIPTION, INPUTS)

    def add_batch(self, *, predictions=None, references=None, **options) -> None:
        """Add labels to be scored; ValueError for what `check_labels` refuses."""
        check_labels(predictions, references)
        super().add_batch(predictions=predictions, references=references, **options)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"accuracy": percent_equal(predictions, references)}
