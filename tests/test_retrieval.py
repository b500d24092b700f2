"""Exact blocked nearest neighbours against sorting the whole similarity matrix."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from xgrl.retrieval import nearest


def by_sorting(queries, candidates, k):
    """All similarities, stable sort: of equal ones the lower index first."""
    similarity = queries @ candidates.T
    index = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return index, np.take_along_axis(similarity, index, 1)


@pytest.mark.parametrize("block", [1, 32, 96, 4096])
@pytest.mark.parametrize(("n", "m", "d", "k"), [(7, 1, 3, 1), (1, 333, 2, 5), (50, 900, 4, 20), (3, 41, 1, 41), (9, 97, 2, 33)])
def test_equals_sorting_everything_ties_included(n, m, d, k, block):
    """Small integers: products are exact, most similarities are tied, many are zero of either sign."""
    rng = np.random.default_rng(n)
    queries, candidates = (rng.integers(-2, 3, (rows, d)).astype(np.float32) for rows in (n, m))
    index, similarity = nearest(queries, candidates, k, block=block)
    wanted, values = by_sorting(queries, candidates, k)
    assert index.dtype == np.int64 and similarity.dtype == np.float32
    assert np.array_equal(index, wanted) and np.array_equal(similarity, values)


@pytest.mark.parametrize("order", [1, -1])
def test_candidates_that_get_better_or_worse_all_the_way(order):
    candidates = np.linspace(-1, 1, 500, dtype=np.float32)[::order, None]
    index, _ = nearest(np.array([[1.0], [-1.0]], np.float32), candidates, 40, block=32)
    ranked = np.argsort(-candidates[:, 0])
    assert np.array_equal(index[0], ranked[:40]) and np.array_equal(index[1], ranked[::-1][:40])


def test_real_vectors_agree_whatever_the_block():
    rng = np.random.default_rng(0)
    queries, candidates = (rng.standard_normal((rows, 48)).astype(np.float32) for rows in (200, 3000))
    wanted, values = by_sorting(queries, candidates, 10)
    for block in (64, 512, 8192):
        index, similarity = nearest(queries, candidates, 10, block=block)
        assert np.array_equal(index, wanted) and np.allclose(similarity, values, atol=1e-4)


def test_memory_maps_of_half_precision_and_no_queries(tmp_path):
    vectors = np.random.default_rng(1).standard_normal((70, 8)).astype(np.float16)
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    wide = vectors.astype(np.float64)
    assert np.array_equal(nearest(mapped, mapped, 3)[0], by_sorting(wide, wide, 3)[0])
    index, similarity = nearest(vectors[:0], vectors, 3)
    assert index.shape == similarity.shape == (0, 3)


def test_memory_does_not_grow_with_the_candidates():
    """numpy's share: one copied block a side, whatever the number of candidates."""
    vectors = np.random.default_rng(1).standard_normal((40_000, 16)).astype(np.float32)
    peaks = []
    for count in (2_000, 40_000):
        tracemalloc.start()
        nearest(vectors[:64], vectors[:count], 5, block=512)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_what_does_not_fit_is_refused():
    a = np.ones((4, 3), np.float32)
    for queries, candidates, k, message in [
        (a, np.ones((4, 2)), 1, "must share d"),
        (a[0], a, 1, "must share d"),
        (a, a, 5, "k=5: allowed is 1 to the number of candidates, 4"),
        (a, a, 0, "k=0"),
        (a, a[:0], 1, "number of candidates, 0"),
        (np.where(np.arange(12).reshape(4, 3) == 7, np.nan, a), a, 1, "queries: row 2 is not finite"),
        (a, np.where(np.arange(12).reshape(4, 3) == 11, np.inf, a), 1, "candidates: row 3 is not finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            nearest(queries, candidates, k)
    with pytest.raises(ValueError, match="block=0"):
        nearest(a, a, 1, block=0)
