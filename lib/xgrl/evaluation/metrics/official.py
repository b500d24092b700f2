"""What the metrics share: everything is validated before anything is scored, and one declaration.

`Official` is mixed into `evaluate.Metric` and is no subclass of it: `evaluate.load` takes the first
such class it finds in a module, which must be the metric itself. For the same reason helpers import
no other helper: `evaluate.load` copies only the files that the metric's own module names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

STRING = datasets.Value("string")
STRINGS = datasets.List(STRING)


class Official:
    """Mixed in before `evaluate.Metric`; a metric gives the constants below, `validate`, `each`
    and `_compute`.

    Attributes:
        DESCRIPTION, INPUTS: what is scored, and what of.
        FEATURES: types of a prediction and of a reference, one pair for each kind of input.
        NAMES: metrics that one module serves, each with what sets it apart; empty where it serves
            one. ``evaluate.load(path, name)`` takes one of them.
        needs_language: `compute` and `each` take the examples' language.
        counted: `each` gives counts of which the headline is a function, F1, and not a mean.
    """

    DESCRIPTION: ClassVar[str]
    INPUTS: ClassVar[str]
    FEATURES: ClassVar[Sequence[tuple[Any, Any]]] = ((STRINGS, STRINGS),)
    NAMES: ClassVar[Mapping[str, Any]] = {}
    needs_language = False
    counted = False

    def _info(self) -> evaluate.MetricInfo:
        if self.NAMES and self.config_name not in self.NAMES:
            raise ValueError(
                f"config_name={self.config_name!r}: allowed: {', '.join(self.NAMES)}; "
                f"evaluate.load(path, {next(iter(self.NAMES))!r})"
            )
        features = [
            datasets.Features({"predictions": prediction, "references": reference})
            for prediction, reference in self.FEATURES
        ]
        return evaluate.MetricInfo(
            description=self.DESCRIPTION,
            citation="",
            inputs_description=self.INPUTS,
            features=features if len(features) > 1 else features[0],
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **options: Any) -> None:
        """Add one example, validated as in `add_batch`."""
        self.add_batch(predictions=[prediction], references=[reference], **options)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **options: Any) -> None:
        """Add examples to be scored; ValueError for what the metric's `validate` refuses."""
        self.validate(predictions, references)
        super().add_batch(predictions=predictions, references=references, **options)


def validate_number(predictions: Sequence | None, references: Sequence | None) -> None:
    """Raise ValueError unless there are as many predictions as references, one at least."""
    if predictions is None or references is None or len(predictions) != len(references):
        sizes = [None if side is None else len(side) for side in (predictions, references)]
        raise ValueError(
            f"expected as many predictions as references, found {sizes[0]} and {sizes[1]}"
        )
    if len(predictions) == 0:
        raise ValueError("no predictions to score")


def validate_lists(predictions: Sequence, references: Sequence, kind: str) -> None:
    """Raise ValueError unless predictions and references are lists of strings, of this `kind`."""
    for name, rows in (("prediction", predictions), ("reference", references)):
        for row, values in enumerate(rows):
            if not isinstance(values, list | tuple | np.ndarray):
                raise ValueError(f"{name} {row} is {values!r}: expected a list of {kind}")
            for value in values:
                if not isinstance(value, str):
                    raise ValueError(
                        f"{name} {row} holds {value!r}: expected {kind}, all of them strings"
                    )
