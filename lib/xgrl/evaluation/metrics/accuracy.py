"""Accuracy in percent: XNLI, PAWS-X, XCOPA and the embedded classification tasks; and at rank 1, as
`retrieval_accuracy`, Tatoeba (Artetxe and Schwenk 2019, arXiv 1812.10464; XTREME).

100 times scikit-learn's `accuracy_score`, over classes or the candidates found first.
"""

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

from .official import STRING, Official, entries, validate_number

INTEGER = datasets.Value("int64")


class Accuracy(Official, evaluate.Metric):
    """100 times the share of equal labels: classes or candidates, all by index or all by name.

    predictions, references: n labels each; in retrieval the candidates ranked first and the gold
    ones. Returns {'accuracy': 0 to 100}.
    """

    FEATURES = ((INTEGER, INTEGER), (STRING, STRING))

    def validate(self, predictions: Sequence, references: Sequence) -> None:
        """ValueError for unequal numbers, no examples, or labels that are not all integers or all
        strings: the features of `datasets` would turn 1.5 into 1 and NaN into "nan" without a word.
        """
        validate_number(predictions, references)
        first: dict[str, str] = {}
        for name, label in entries(predictions, references):
            if not isinstance(label, str | int | np.integer):
                raise ValueError(f"{name} is {label!r}: expected a class index or a string")
            first.setdefault("strings" if isinstance(label, str) else "integers", name)
        if len(first) > 1:
            found = f"{first['integers']} is an integer, {first['strings']} is not"
            raise ValueError(f"labels must be all integers or all strings: {found}")

    def each(self, predictions: Sequence, references: Sequence) -> np.ndarray:
        """(n, 1): 100 for a right label, else 0."""
        pairs = zip(predictions, references, strict=True)
        return np.array([[100.0 * (label == gold)] for label, gold in pairs])

    def _compute(self, predictions: Sequence, references: Sequence) -> dict[str, float]:
        return {"accuracy": float(self.each(predictions, references).mean())}
