"""What the metrics share: a check of everything before anything is scored, and one way of declaring
inputs.

`Official` is mixed into `evaluate.Metric` and is no subclass of it: `evaluate.load` takes the first
such class it finds in a module, which must be the metric itself. For the same reason helpers import
no other helper: `evaluate.load` copies only the files that the metric's own module names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

STRING = datasets.Value("string")
STRINGS = datasets.List(STRING)


class Official:
    """Mixed in before `evaluate.Metric`; a metric gives `check`, `each` and `_compute`.

    Attributes:
        needs_language: `compute` and `each` take the examples' language.
        counted: `each` gives counts of which the headline is a function, F1, and not a mean.
    """

    needs_language = False
    counted = False

    def add(self, *, prediction: Any = None, reference: Any = None, **options: Any) -> None:
        """Add one example, checked as in `add_batch`."""
        self.add_batch(predictions=[prediction], references=[reference], **options)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **options: Any) -> None:
        """Add examples to be scored; ValueError for what the metric's `check` refuses."""
        self.check(predictions, references)
        super().add_batch(predictions=predictions, references=references, **options)


def declare(
    description: str, inputs: str, predictions: Any = STRINGS, references: Any = STRINGS
) -> evaluate.MetricInfo:
    """The declaration of a metric whose inputs have one form each."""
    features = datasets.Features({"predictions": predictions, "references": references})
    return evaluate.MetricInfo(
        description=description, citation="", inputs_description=inputs, features=features
    )


def check_number(predictions: Sequence | None, references: Sequence | None) -> None:
    """Raise ValueError unless there are as many predictions as references, one at least."""
    if predictions is None or references is None or len(predictions) != len(references):
        found = [None if values is None else len(values) for values in (predictions, references)]
        raise ValueError(
            f"expected as many predictions as references, found {found[0]} and {found[1]}"
        )
    if len(predictions) == 0:
        raise ValueError("no predictions to score")


def check_lists(predictions: Sequence, references: Sequence, of: str) -> None:
    """Raise ValueError unless each prediction and reference is a list of strings; `of` names what
    they are.
    """
    for name, rows in (("prediction", predictions), ("reference", references)):
        for row, values in enumerate(rows):
            if not isinstance(values, list | tuple | np.ndarray):
                raise ValueError(f"{name} {row} is {values!r}: expected a list of {of}")
            for value in values:
                if not isinstance(value, str):
                    raise ValueError(
                        f"{name} {row} holds {value!r}: expected {of}, all of them strings"
                    )
