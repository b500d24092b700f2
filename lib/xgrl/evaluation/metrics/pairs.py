"""Mined pairs as sets, one row a source sentence."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def check_pairs(name: str, pairs: Iterable) -> None:
    """Raise ValueError unless each pair is "source id<tab>target id"; the target may be empty,
    which is no pair.
    """
    for row, pair in enumerate(pairs):
        parts = pair.split("\t") if isinstance(pair, str) else []
        if len(parts) != 2 or not parts[0]:
            raise ValueError(
                f"{name} {row} is {pair!r}: expected a source id, a tab and a target id (or "
                f"nothing after the tab)"
            )


def by_source(
    predictions: Iterable[str], references: Iterable[str]
) -> tuple[list[list[str]], list[list[str]]]:
    """The distinct pairs of each source sentence, (n lists, n lists), in the order in which
    references, then predictions first name the source. A pair with an empty target is left out, its
    source is kept.
    """
    found: dict[str, dict[str, None]] = {}
    true: dict[str, dict[str, None]] = {}
    for pairs, here, there in ((references, true, found), (predictions, found, true)):
        for pair in pairs:
            source, _, target = pair.partition("\t")
            there.setdefault(source, {})
            row = here.setdefault(source, {})
            if target:
                row[pair] = None
    return [list(found[source]) for source in true], [list(row) for row in true.values()]


def matches(predictions: Iterable[list[str]], references: Iterable[list[str]]) -> np.ndarray:
    """(n, 3) int64: pairs of a source sentence that were mined and are right, that were mined, that
    are right.
    """
    rows = [
        (len({*found} & {*true}), len({*found}), len({*true}))
        for found, true in zip(predictions, references, strict=True)
    ]
    return np.array(rows, dtype=np.int64)
