"""Scoring one label an example: what it is declared as, what is refused, and the share of equal labels."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np


def label_info(description: str, inputs: str) -> evaluate.MetricInfo:
    """The declaration of a metric over labels that are all class indices or all strings."""
    kinds = [datasets.Value("int64"), datasets.Value("string")]
    features = [datasets.Features({"predictions": kind, "references": kind}) for kind in kinds]
    return evaluate.MetricInfo(description=description, citation="", inputs_description=inputs, features=features)


def check_labels(predictions: Sequence | None, references: Sequence | None) -> None:
    """Raise ValueError unless both are n >= 1 labels, all of them integers or all of them strings.

    The features of `datasets` would turn 1.5 into 1 and NaN into "nan" without a word.
    """
    if predictions is None or references is None or len(predictions) != len(references):
        found = [None if values is None else len(values) for values in (predictions, references)]
        raise ValueError(f"expected as many predictions as references, found {found[0]} and {found[1]}")
    if len(predictions) == 0:
        raise ValueError("no predictions to score")
    kinds: dict[str, str] = {}
    for name, values in (("prediction", predictions), ("reference", references)):
        for row, value in enumerate(values):
            kind = "strings" if isinstance(value, str) else "integers" if isinstance(value, int | np.integer) else None
            if kind is None:
                raise ValueError(f"{name} {row} is {value!r}: expected a class index or a string")
            kinds.setdefault(kind, f"{name} {row}")
    if len(kinds) > 1:
        raise ValueError(
            f"labels must be all integers or all strings: {kinds['integers']} is an integer, {kinds['strings']} is not"
        )


def percent_equal(predictions: Sequence, references: Sequence) -> float:
    """100 times the share of positions whose labels are equal."""
    return 100.0 * sum(found == true for found, true in zip(predictions, references, strict=True)) / len(references)
