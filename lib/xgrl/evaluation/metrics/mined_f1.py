"""F1 of mined sentence pairs in percent: BUCC 2018.

Pairs are sets: sides may differ in number, a pair named twice counts once. Source: Zweigenbaum et
al. 2018 (BUCC shared task); Hu et al. 2020, arXiv 2003.11080, and its evaluation script.
"""

from collections.abc import Iterable, Sequence

import evaluate
import numpy as np

from .official import Official, entries, f1_precision_recall, sizes


def by_source(predictions: Iterable[str], references: Iterable[str]) -> tuple[list, list]:
    """Distinct pairs of each source sentence, (n lists, n lists), in the order in which references,
    then predictions first name the source. Pairs with an empty target go, their source stays.
    """
    mined, gold = {}, {}  # a source's pairs, as the keys of a dict
    for pairs, own, other in ((references, gold, mined), (predictions, mined, gold)):
        for pair in pairs:
            source, _, target = pair.partition("\t")
            other.setdefault(source, {})
            row = own.setdefault(source, {})
            if target:
                row[pair] = None
    return [list(mined[source]) for source in gold], [list(row) for row in gold.values()]


class MinedF1(Official, evaluate.Metric):
    """F1 of the set of mined pairs.

    predictions, references: pairs 'source id<tab>target id'; numbers may differ. Returns f1,
    precision, recall, 0 to 100.
    """

    def add_batch(self, *, predictions=None, references=None, **options) -> None:
        """Add pairs, kept as rows of a source sentence: `evaluate` wants sides of equal length."""
        self.validate(predictions, references)
        mined, gold = by_source(predictions, references)
        evaluate.Metric.add_batch(self, predictions=mined, references=gold, **options)

    def validate(self, predictions: Sequence, references: Sequence) -> None:
        """ValueError without a reference, or for no "source id<tab>target id" (no id: no pair)."""
        n, m = sizes(predictions, references)
        if n is None or not m:
            raise ValueError(f"expected pairs, one gold pair at least, found {n} and {m}")
        for name, pair in entries(predictions, references):
            ids = pair.split("\t") if isinstance(pair, str) else []
            if len(ids) != 2 or not ids[0]:
                expected = "expected a source id, a tab and a target id (or nothing)"
                raise ValueError(f"{name} is {pair!r}: {expected}")

    def each(self, predictions: Sequence, references: Sequence) -> np.ndarray:
        """(n, 3) int64: pairs of a source sentence matched, predicted and expected.

        Source sentences are in the order in which references, then predictions first name them; one
        whose target is empty on both sides has a row of zeros. So arms that name the same sources
        in the same order have rows that fit.
        """
        sides = zip(*by_source(predictions, references), strict=True)
        rows = [(len({*mined} & {*gold}), len(mined), len(gold)) for mined, gold in sides]
        return np.array(rows, dtype=np.int64)

    def _compute(self, predictions: Sequence, references: Sequence) -> dict[str, float]:
        flat = [[pair for row in rows for pair in row] for rows in (predictions, references)]
        return f1_precision_recall(self.each(*flat))
