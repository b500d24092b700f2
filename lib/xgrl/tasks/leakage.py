"""Does training text turn up in a test set? Exact and near duplicates, their removal from training.

Exact: equal after NFKC, case folding, and all that is no word as one blank. Near: Jaccard
similarity of the sets of character trigrams of the normalised texts at least THRESHOLD. Texts under
SHORT words are compared exactly only (two letters of an unsegmented script count as a word). A
letter keeps its vowel signs and other marks. The near search misses nothing: a set of n members
overlaps a similar one in at least ceil(t n) of them, so the ``n - ceil(t n) + k`` rarest members of
the two have at least k in common, and only such pairs are compared (prefix filtering: Chaudhuri,
Ganti, Kaushik 2006; with k > 1: Wang, Li, Feng 2012, "Can we beat the prefix filtering?").
"""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import regex  # as `re`, and knows Unicode's categories

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse

THRESHOLD = 0.8
SHORT = 4
EXAMPLES = 3
COLUMNS = ("train", "test", "train_rows", "test_rows", "exact", "near", "examples")
BLOCK = 2048  # texts compared with all others in one product
CHUNK = 200_000  # candidate pairs compared at a time
PART = 10_000  # training texts looked at together; it bounds memory
SHARED = 5  # the k of the prefix filter: larger means longer prefixes and fewer pairs to compare
# Han, kana, Thai, Lao, Khmer, Myanmar: written without blanks between words.
UNSEGMENTED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
LETTERS = r"\p{L}\p{N}"  # and digits: what a word may begin with; marks may follow
WORDS = regex.compile(rf"[{LETTERS}][{LETTERS}\p{{M}}]*")
WORD = regex.compile(rf"(?:[{UNSEGMENTED}]\p{{M}}*){{1,2}}|[^\s{UNSEGMENTED}]+")  # if normalised


def normalise(text: str) -> str:
    """NFKC, case-folded, its words (letters and digits with their marks) with a blank between."""
    return " ".join(WORDS.findall(unicodedata.normalize("NFKC", text).casefold()))


def near_pairs(left: Sequence[str], right: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of long enough normalised texts whose trigram sets have a Jaccard similarity of at
    least THRESHOLD: two int arrays of equal length, positions in `left` (n,) and in `right` (m,).
    """
    keep_left, keep_right = _long(left), _long(right)
    if not len(keep_left) or not len(keep_right):
        return np.empty(0, int), np.empty(0, int)
    grams = _trigrams([left[i] for i in keep_left] + [right[j] for j in keep_right])
    rarest_first = np.argsort(np.asarray(grams.sum(axis=0)).ravel(), kind="stable")
    rank = np.empty_like(rarest_first)
    rank[rarest_first] = np.arange(len(rarest_first))
    size_a, size_b = np.split(np.diff(grams.indptr), [len(keep_left)])
    order_a, order_b = (np.argsort(size, kind="stable") for size in (size_a, size_b))
    a, b = grams[order_a], grams[len(order_a) + order_b]
    size_a, size_b = size_a[order_a], size_b[order_b]
    keep_left, keep_right = keep_left[order_a], keep_right[order_b]
    prefix_a, prefix_b = _prefix(a, rank), _prefix(b, rank)
    pairs = [np.empty((2, 0), int)]
    for start in range(0, a.shape[0], BLOCK):
        block = prefix_a[start : start + BLOCK]
        # Rows are sorted by size, and sets of very different sizes cannot be similar: compare with
        # a band of `right` only.
        smallest, largest = size_a[start], size_a[start + block.shape[0] - 1]
        band = np.floor(THRESHOLD * smallest), np.ceil(largest / THRESHOLD) + 1
        first, last = np.searchsorted(size_b, band)
        candidates = (block @ prefix_b[first:last].T).tocoo()
        row, column = candidates.row + start, candidates.col + first
        smaller = np.minimum(size_a[row], size_b[column])
        larger = np.maximum(size_a[row], size_b[column])
        enough = candidates.data >= np.minimum(SHARED, _overlap(smaller))
        fits = np.flatnonzero(enough & (smaller >= THRESHOLD * larger))
        for chunk in np.split(fits, range(CHUNK, len(fits), CHUNK)):
            i, j = row[chunk], column[chunk]
            shared = np.asarray(a[i].multiply(b[j]).sum(axis=1)).ravel()
            near = shared >= THRESHOLD * (size_a[i] + size_b[j] - shared) - 1e-6
            pairs.append(np.stack([keep_left[i[near]], keep_right[j[near]]]))
    left_index, right_index = np.concatenate(pairs, axis=1)
    return left_index, right_index


def leakage(
    train: Mapping[str, Sequence[str]], test: Mapping[str, Sequence[str]],
    near_in: Collection[str] | None = None,
) -> "tuple[pd.DataFrame, dict[str, np.ndarray]]":  # fmt: skip
    """Which texts does a training set share, exactly or nearly, with a test set?

    `train` and `test` are texts by name of the set; training texts are looked at PART at a time,
    near duplicates in the test sets `near_in` only (None: in all).

    Returns one row a pair: train, test, train_rows, test_rows, exact, near (test rows with an
    equal, or only a similar, training text), examples (up to EXAMPLES pairs "training text | test
    text"); and for each training set (n,) bool, True where a text has a duplicate in any test set.
    """
    import pandas as pd  # and scipy below: not on import, which every job pays for

    names = list(test)
    owner = np.repeat(np.arange(len(names)), [len(texts) for texts in test.values()])
    flat = [text for texts in test.values() for text in texts]
    normal = [normalise(text) for text in flat]
    tested = set(normal) - {""}
    searched = [j for j in range(len(flat)) if near_in is None or names[owner[j]] in near_in]
    blocks = [searched[start : start + PART] for start in range(0, len(searched), PART)]
    rows, leaked = [], {}
    for train_name, texts in train.items():
        leaked[train_name] = np.zeros(len(texts), dtype=bool)
        first: dict[str, int] = {}  # where a test text stands first
        near: dict[int, int] = {}  # test text -> training text
        for start in range(0, len(texts), PART):
            left = [normalise(text) for text in texts[start : start + PART]]
            for i, text in enumerate(left, start):
                if text in tested:
                    leaked[train_name][i] = True
                    first.setdefault(text, i)
            for block in blocks:
                i, j = near_pairs(left, [normal[k] for k in block])
                near = dict(zip((block[k] for k in j), (start + i).tolist(), strict=True)) | near
                leaked[train_name][start + i] = True
        exact = {j: first[text] for j, text in enumerate(normal) if text in first}
        near = {j: i for j, i in near.items() if j not in exact}
        for k, test_name in enumerate(names):
            equal, similar = ([j for j in sorted(x) if owner[j] == k] for x in (exact, near))
            first_few, partner = [*equal, *similar][:EXAMPLES], near | exact
            shown = [f"{texts[partner[j]]} | {flat[j]}" for j in first_few]
            sizes = (len(texts), int((owner == k).sum()), len(equal), len(similar))
            rows.append((train_name, test_name, *sizes, shown))
    return pd.DataFrame(rows, columns=COLUMNS), leaked


def distinct(texts: Sequence[str], *translations: Sequence[str]) -> np.ndarray:
    """One position for each group of texts that are exact or near duplicates of one another, so
    that no split can leak: the first of each, ascending; texts without a word are in none.

    n texts are compared exactly and nearly, `translations` (n each, in other languages) exactly.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    normal = [normalise(text) for text in texts]
    once = np.array(sorted(_first_positions(normal).values()), dtype=int)
    unlike = [normal[i] for i in once]
    edges = [once[np.stack(near_pairs(unlike, unlike))]]
    for column in (normal, *([normalise(text) for text in texts] for texts in translations)):
        first = _first_positions(column)
        equal = [(first[text], i) for i, text in enumerate(column) if text]
        edges.append(np.array(equal, dtype=int).reshape(-1, 2).T)
    start, end = np.concatenate(edges, axis=1)
    graph = sparse.coo_matrix((np.ones(len(start), bool), (start, end)), shape=(len(normal),) * 2)
    _, group = connected_components(graph, directed=False)
    _, firsts = np.unique(group, return_index=True)
    return np.sort(firsts[[bool(normal[i]) for i in firsts]])


def _first_positions(texts: Sequence[str]) -> dict[str, int]:
    """Each different text and where it stands first."""
    return {text: i for i, text in reversed(list(enumerate(texts)))}


def _long(texts: Sequence[str]) -> np.ndarray:
    """Positions of the texts that are long enough to be compared nearly."""
    return np.array([i for i, x in enumerate(texts) if len(WORD.findall(x)) >= SHORT], dtype=int)


def _trigrams(texts: Sequence[str]) -> "sparse.csr_matrix":
    """Which trigrams each text has: binary (n, distinct trigrams).

    scikit-learn's `CountVectorizer` gives the same matrix in more than twice the time.
    """
    from scipy import sparse

    codes = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    inside = row[2:] == row[:-2]
    # a code point has at most 21 bits
    grams = ((codes[:-2] << 42) | (codes[1:-1] << 21) | codes[2:])[inside]
    _, column = np.unique(grams, return_inverse=True)
    ones, shape = np.ones(len(column), np.float32), (len(texts), column.max() + 1)
    counts = sparse.csr_matrix((ones, (row[2:][inside], column)), shape=shape)
    counts.data[:] = 1
    return counts


def _overlap(size: np.ndarray) -> np.ndarray:
    """The least number of members a set of that size shares with a similar one."""
    return np.ceil(THRESHOLD * size - 1e-6).astype(int)


def _prefix(grams: "sparse.csr_matrix", rank: np.ndarray) -> "sparse.csr_matrix":
    """Of each row the rarest members, so many that similar rows share SHARED, or all they must."""
    from scipy import sparse

    size = np.diff(grams.indptr)
    row = np.repeat(np.arange(grams.shape[0]), size)
    order = np.lexsort((rank[grams.indices], row))
    within = np.arange(grams.nnz) - np.repeat(grams.indptr[:-1], size)  # from its row's rarest
    kept = within < np.repeat(size - _overlap(size) + SHARED, size)
    members = (row[kept], grams.indices[order][kept])
    return sparse.csr_matrix((np.ones(kept.sum(), np.float32), members), shape=grams.shape)
