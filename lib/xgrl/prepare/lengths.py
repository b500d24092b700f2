"""Texts of several languages with one distribution of lengths, that of other texts.

If the texts of one language were longer, a discriminator could tell languages by length. This is
matched over a study; `xgrl.training.batches` draws near each step's labelled texts' lengths.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import numpy as np
from datasets import Dataset

from xgrl.models.tokens import Tokenizer, tokenise

CANDIDATES = 10  # texts looked at for each one wanted, so that lengths can be matched


def choose_lengths(
    rows: Dataset, languages: Iterable[str], wanted: int, longest: int, tokenizer: Tokenizer,
    lengths: np.ndarray, rng: np.random.Generator, column: str = "text",
) -> dict[str, np.ndarray]:  # fmt: skip
    """Positions (wanted,) in `rows` of as many rows of each language, all with the same lengths,
    those of other texts; ValueError where a language has fewer.

    rows: with a column `language`; longest: tokens at which a text is cut; tokenizer: counts the
    tokens; lengths: (n,) token lengths to imitate; rng: draws candidates, CANDIDATES for each row
    wanted, and chooses among them; column: whose lengths are meant.
    """
    names, count = np.array(rows["language"]), CANDIDATES * wanted
    pools = {lang: rng.permutation(np.flatnonzero(names == lang))[:count] for lang in languages}
    if short := {lang: len(pool) for lang, pool in pools.items() if len(pool) < wanted}:
        given = f"{wanted} rows a language wanted (unlabelled_rows, probe_rows)"
        apart = "documents are divided in proportion to the two"
        raise ValueError(f"{given}, but there are fewer in {short}; {apart}")
    texts = {lang: rows.select(pool)[column] for lang, pool in pools.items()}
    counted = {lang: tokenise(t, tokenizer, longest).lengths for lang, t in texts.items()}
    matched = match_lengths(counted, lengths, wanted, rng)
    return {lang: pools[lang][positions] for lang, positions in matched.items()}


def match_lengths(
    lengths: Mapping[str, np.ndarray], target: np.ndarray, n: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Choose n texts of each language so that all languages have the same distribution of lengths.

    For each of n lengths drawn from `target`, in that order, the unused text of the nearest length
    is taken; n lengths are drawn without replacement while `target` has enough.

    lengths: per language (k,) ints, the lengths in tokens of its candidate texts; target: (m,)
    ints, the lengths to imitate; rng: draws the lengths, and which of equally long texts is taken.
    Returns per language (n,) int positions into its candidates, all different; position j of every
    language stands for the same drawn length. Raises ValueError for a language with fewer than n
    candidates, or an empty `target`.
    """
    if not len(target):
        raise ValueError("target is empty: there are no lengths to imitate")
    wanted = rng.choice(np.asarray(target), size=n, replace=n > len(target))
    matched = {}
    for language, counts in lengths.items():
        if len(counts) < n:
            given = f"language {language!r} has {len(counts)} texts"
            raise ValueError(f"{given}, fewer than the {n} wanted")
        # so that the draw, not the corpus, orders texts of equal length
        shuffled = rng.permutation(len(counts))
        positions = shuffled[np.argsort(np.asarray(counts)[shuffled], kind="stable")].tolist()
        values = np.asarray(counts)[positions].tolist()
        nearest = [_take_nearest(values, positions, length) for length in wanted.tolist()]
        matched[language] = np.array(nearest, dtype=int)
    return matched


def _take_nearest(values: list[int], positions: list[int], length: int) -> int:
    """Remove the value nearest to `length` from the sorted `values`, and return its position."""
    i = bisect_left(values, length)
    if i == len(values) or (i and length - values[i - 1] <= values[i] - length):
        i -= 1
    values.pop(i)
    return positions.pop(i)
