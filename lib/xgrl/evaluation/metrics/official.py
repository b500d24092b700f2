"""What the metrics share: everything is validated before it is scored, one declaration, and F1.

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
from numpy.typing import ArrayLike

STRING = datasets.Value("string")
STRINGS = datasets.List(STRING)


class Official:
    """Mixed in before `evaluate.Metric`; a metric gives `validate`, `each`, `_compute`, and in its
    docstring what it is and, after a blank line, its inputs.

    FEATURES: types of a prediction and of a reference, a pair for each kind of input. NAMES: where
    one module serves several metrics, what sets each apart; ``evaluate.load(path, name)`` takes one
    of them. needs_language: `compute` and `each` take the examples' language.
    """

    FEATURES: ClassVar[Sequence[tuple[Any, Any]]] = ((STRINGS, STRINGS),)
    NAMES: ClassVar[Mapping[str, Any]] = {}
    needs_language = False

    def _info(self) -> evaluate.MetricInfo:
        if self.NAMES and self.config_name not in self.NAMES:
            example = f"evaluate.load(path, {next(iter(self.NAMES))!r})"
            allowed = f"allowed: {', '.join(self.NAMES)}; {example}"
            raise ValueError(f"config_name={self.config_name!r}: {allowed}")
        what, _, inputs = inspect.getdoc(type(self)).partition("\n\n")
        kinds = [datasets.Features(predictions=p, references=r) for p, r in self.FEATURES]
        features = kinds if len(kinds) > 1 else kinds[0]
        return evaluate.MetricInfo(what, "", features, inputs_description=inputs)

    def _build_data_dir(self) -> str:
        """No folder where all stays in memory: the home of a cluster's job may be read-only."""
        return "" if self.keep_in_memory else super()._build_data_dir()

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


def f1_of(counts: ArrayLike) -> np.ndarray:
    """F1 in percent, (...), of summed counts: 200 matched / (predicted + expected), or 0 for 0 / 0.

    counts: (..., 3) numbers matched, predicted and expected; they add up over examples, F1 does
    not. Raises ValueError for another last axis.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim == 0 or counts.shape[-1] != 3:
        found = f"shape {counts.shape}"
        raise ValueError(f"{found}: expected (..., 3), of matched, predicted, expected")
    matched, either = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.divide(200.0 * matched, either, out=np.zeros(np.shape(either)), where=either != 0)


def f1_precision_recall(counts: np.ndarray) -> dict[str, float]:
    """F1, precision and recall in percent of counts (n, 3); 0/0 is 0, as in seqeval."""
    matched, predicted, expected = (int(total) for total in counts.sum(0))
    return {
        "f1": float(f1_of([matched, predicted, expected])),
        "precision": 100.0 * matched / predicted if predicted else 0.0,
        "recall": 100.0 * matched / expected if expected else 0.0,
    }
