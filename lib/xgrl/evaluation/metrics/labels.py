"""Scoring one label an example: what it is declared as, what is refused, and which labels are
equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np


def label_info(description: str, inputs: str) -> evaluate.MetricInfo:
    """The declaration of a metric over labels that are all class indices or all strings."""
    kinds = [datasets.Value("int64"), datasets.Value("string")]
    features = [datasets.Features({"predictions": kind, "references": kind}) for kind in kinds]
    return evaluate.MetricInfo(
        description=description, citation="", inputs_description=inputs, features=features
    )


def check_labels(predictions: Sequence, references: Sequence) -> None:
    """Raise ValueError unless all labels are integers or all are strings.

    The features of `datasets` would turn 1.5 into 1 and NaN into "nan" without a word.
    """
    kinds: dict[str, str] = {}
    for name, values in (("prediction", predictions), ("reference", references)):
        for row, value in enumerate(values):
            kind = (
                "strings"
                if isinstance(value, str)
                else "integers"
                if isinstance(value, int | np.integer)
                else None
            )
            if kind is None:
                raise ValueError(f"{name} {row} is {value!r}: expected a class index or a string")
            kinds.setdefault(kind, f"{name} {row}")
    if len(kinds) > 1:
        raise ValueError(
            f"labels must be all integers or all strings: {kinds['integers']} is an integer, "
            f"{kinds['strings']} is not"
        )


def equal(predictions: Sequence, references: Sequence) -> np.ndarray:
    """(n, 1): 100 where the labels are equal, else 0."""
    return np.array(
        [[100.0 * (found == true)] for found, true in zip(predictions, references, strict=True)]
    )
