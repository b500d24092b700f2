"""What the metrics share: everything is validated before anything is scored, and one declaration.

`Official` is mixed into `evaluate.Metric` and is no subclass of it: `evaluate.load` takes the first
such class it finds in a module, which must be the metric itself. For the same reason helpers import
no other helper: `evaluate.load` copies only the files that the metric's own module names.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

STRING = datasets.Value("string")
STRINGS = datasets.List(STRING)


class Official:
    """Mixed in before `evaluate.Metric`; a metric gives `validate`, `each`, `_compute`, and in its
    docstring what it is and, after a blank line, its inputs.

    FEATURES: types of a prediction and of a reference, a pair for each kind of input. NAMES: where
    one module serves several metrics, what sets each apart; ``evaluate.load(path, name)`` takes one
    of them. needs_language: `compute` and `each` take the examples' language. counted: `each` gives
    counts of which the headline is a function, F1, and not a mean.
    """

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
        what, _, inputs = inspect.getdoc(type(self)).partition("\n\n")
        names = ("predictions", "references")
        sides = (dict(zip(names, types, strict=True)) for types in self.FEATURES)
        features = [datasets.Features(side) for side in sides]
        features = features if len(features) > 1 else features[0]
        return evaluate.MetricInfo(what, "", features, inputs_description=inputs)

    def add(self, *, prediction: Any = None, reference: Any = None, **options: Any) -> None:
        """Add one example, validated as in `add_batch`."""
        self.add_batch(predictions=[prediction], references=[reference], **options)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **options: Any) -> None:
        """Add examples to be scored; ValueError for what the metric's `validate` refuses."""
        self.validate(predictions, references)
        super().add_batch(predictions=predictions, references=references, **options)


def entries(predictions: Sequence, references: Sequence) -> Iterator[tuple[str, Any]]:
    """All predictions and references, each with what a message calls it, as "reference 3"."""
    for name, values in (("prediction", predictions), ("reference", references)):
        for row, value in enumerate(values):
            yield f"{name} {row}", value


def sizes(predictions: Sequence | None, references: Sequence | None) -> list[int | None]:
    """How many predictions and references there are; None where there is no list of them."""
    return [None if side is None else len(side) for side in (predictions, references)]


def validate_number(predictions: Sequence | None, references: Sequence | None) -> None:
    """Raise ValueError unless there are as many predictions as references, one at least."""
    n, m = sizes(predictions, references)
    if n is None or n != m:
        raise ValueError(f"expected as many predictions as references, found {n} and {m}")
    if n == 0:
        raise ValueError("no predictions to score")


def validate_lists(predictions: Sequence, references: Sequence, kind: str) -> None:
    """Raise ValueError unless predictions and references are lists of strings, of this `kind`."""
    for name, values in entries(predictions, references):
        if not isinstance(values, list | tuple | np.ndarray):
            raise ValueError(f"{name} is {values!r}: expected a list of {kind}")
        for value in values:
            if not isinstance(value, str):
                raise ValueError(f"{name} holds {value!r}: expected {kind}, all of them strings")
