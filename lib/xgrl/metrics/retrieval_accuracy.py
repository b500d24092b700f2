"""Accuracy at 1 of bitext retrieval in percent, as in Tatoeba (Artetxe and Schwenk 2019, arXiv 1812.10464; XTREME)."""

from __future__ import annotations

import evaluate

from .labels import check_labels, label_info, percent_equal

DESCRIPTION = "Share of queries whose nearest candidate is their translation, in percent."
INPUTS = "predictions: n first-ranked candidates, by id or position. references: n gold ones. Returns {'accuracy': 0 to 100}."


class RetrievalAccuracy(evaluate.Metric):
    """100 times the share of queries whose first-ranked candidate is the gold one."""

    def _info(self) -> evaluate.MetricInfo:
        return label_info(DESCRIPTION, INPUTS)

    def add_batch(self, *, predictions=None, references=None, **options) -> None:
        """Add candidates to be scored; ValueError for what `check_labels` refuses."""
        check_labels(predictions, references)
        super().add_batch(predictions=predictions, references=references, **options)

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        return {"accuracy": percent_equal(predictions, references)}
