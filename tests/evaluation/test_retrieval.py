"""Exact blocked nearest neighbours and mining against sorting the whole similarity matrix."""

import tracemalloc

import numpy as np
import pytest

from xgrl.evaluation.retrieval import best_threshold, margin_scores, mine, nearest


def by_sorting(queries, candidates, k):
    """All similarities, stable sort: of equal ones the lower index first."""
    similarity = queries @ candidates.T
    index = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return index, np.take_along_axis(similarity, index, 1)


@pytest.mark.parametrize("block", [1, 32, 96, 4096])
@pytest.mark.parametrize(
    ("n", "m", "d", "k"),
    [(7, 1, 3, 1), (1, 333, 2, 5), (50, 900, 4, 20), (3, 41, 1, 41), (9, 97, 2, 33)],
)
def test_equals_sorting_everything_ties_included(n, m, d, k, block):
    """Small integers: products are exact, most similarities tied, many zero of either sign."""
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
    queries, candidates = (
        rng.standard_normal((rows, 48)).astype(np.float32) for rows in (200, 3000)
    )
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
        (
            np.where(np.arange(12).reshape(4, 3) == 7, np.nan, a),
            a,
            1,
            "queries: row 2 is not finite",
        ),
        (
            a,
            np.where(np.arange(12).reshape(4, 3) == 11, np.inf, a),
            1,
            "candidates: row 3 is not finite",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            nearest(queries, candidates, k)
    with pytest.raises(ValueError, match="block=0"):
        nearest(a, a, 1, block=0)


# Mining


def unit(rng, *shape: int) -> np.ndarray:
    vectors = rng.standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def translations(seed: int, n: int = 60, m: int = 80, d: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """n and m vectors, of which the first 30 are near pairs, and one candidate that is near to
    everything.
    """
    rng = np.random.default_rng(seed)
    queries, candidates = unit(rng, n, d), unit(rng, m, d)
    candidates[:30] = queries[:30] + 0.05 * rng.standard_normal((30, d))
    candidates[-1] = queries.mean(0)
    return queries, candidates / np.linalg.norm(candidates, axis=1, keepdims=True)


def naive_scores(queries, candidates, k):
    """Margin scores (n, m) of all pairs, from the whole similarity matrix, in double precision."""
    cosine = queries.astype(float) @ candidates.astype(float).T
    forward = np.sort(cosine, axis=1)[:, ::-1][:, :k].mean(1)
    backward = np.sort(cosine, axis=0)[::-1][:k].mean(0)
    return cosine, cosine / ((forward[:, None] + backward) / 2)


def naive_mine(queries, candidates, k):
    cosine, scores = naive_scores(queries, candidates, k)
    pairs = set()
    for i in range(len(queries)):
        pairs.add((i, max(np.argsort(-cosine[i])[:k], key=lambda j: scores[i, j])))
    for j in range(len(candidates)):
        pairs.add((max(np.argsort(-cosine[:, j])[:k], key=lambda i: scores[i, j]), j))
    mined, sources, targets = [], set(), set()
    for i, j in sorted(pairs, key=lambda pair: -scores[pair]):
        if i not in sources and j not in targets and scores[i, j] > 0:
            mined.append((i, j, scores[i, j]))
            sources.add(i)
            targets.add(j)
    return mined


@pytest.mark.parametrize("k", [1, 4, 7])
def test_mining_equals_the_naive_computation(k):
    for seed in range(5):
        queries, candidates = translations(seed)
        expected = naive_mine(queries, candidates, k)
        for block in (32, 4096):
            mined = mine(queries, candidates, k, block)
            pairs = zip(mined[0].tolist(), mined[1].tolist(), strict=True)
            # with k = 1 all mutual neighbours have the ratio 1
            assert {*pairs} == {pair[:2] for pair in expected}
            assert np.allclose(mined[2], [pair[2] for pair in expected], atol=1e-4)
        assert mined[2].dtype == np.float64 and (np.diff(mined[2]) <= 0).all()


def test_margin_scores_equal_the_naive_computation():
    queries, candidates = translations(0)
    cosine, scores = naive_scores(queries, candidates, 4)
    forward, backward = margin_scores(queries, candidates)
    assert np.array_equal(forward[0], np.argsort(-cosine, axis=1)[:, :4])
    assert np.allclose(forward[1], np.take_along_axis(scores, forward[0], 1), atol=1e-4)
    assert np.array_equal(backward[0], np.argsort(-cosine.T, axis=1)[:, :4])
    assert np.allclose(backward[1], np.take_along_axis(scores.T, backward[0], 1), atol=1e-4)


def test_mining_finds_the_pairs_and_changing_sides_changes_nothing():
    queries, candidates = translations(1)
    mined = mine(queries, candidates)
    pairs = {*zip(mined[0].tolist(), mined[1].tolist(), strict=True)}
    assert pairs > {(i, i) for i in range(30)}
    assert len({*mined[0]}) == len({*mined[1]}) == len(mined[2]) <= len(queries)
    turned = mine(candidates, queries)
    assert {*zip(turned[1].tolist(), turned[0].tolist(), strict=True)} == pairs


def test_fewer_vectors_than_neighbours_and_equal_vectors():
    pair = np.eye(2, 3, dtype=np.float32)
    mined = mine(pair, pair[::-1], k=4)
    assert {*zip(mined[0].tolist(), mined[1].tolist(), strict=True)} == {(0, 1), (1, 0)}
    same = np.ones((3, 1), np.float32)
    mined = mine(same, same)
    assert mined[0].tolist() == mined[1].tolist() == [0] and mined[2].tolist() == [1]


def test_mining_keeps_memory_bounded():
    vectors = unit(np.random.default_rng(0), 8_000, 16)
    tracemalloc.start()
    mine(vectors, vectors, block=512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 8_000 * 500  # bytes a vector; all similarities would be 256 MB


def test_mining_refuses():
    a = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="k=0"):
        mine(a, a, k=0)
    with pytest.raises(ValueError, match="no gold pairs"):
        best_threshold({"a": 1.0}, [])
    with pytest.raises(ValueError, match="not finite"):
        best_threshold({"a": float("inf")}, ["a"])


def f1_at(threshold: float, scores: dict[str, float], gold: set[str]) -> float:
    kept = {pair for pair, value in scores.items() if value >= threshold}
    return 200 * len(kept & gold) / (len(kept) + len(gold))


def test_no_threshold_is_better_than_the_best():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        pairs = [f"s{i}\tt{i}" for i in range(30)]
        scores = {
            pair: float(rng.choice(rng.random(20))) if seed % 2 else float(rng.random())
            for pair in pairs
        }
        gold = {*rng.choice(pairs, 10, replace=False).tolist(), "s99\tt99"}
        f1 = f1_at(best_threshold(scores, gold), scores, gold)
        if seed % 2 == 0:  # with ties a cut may fall between equal scores, where no threshold can
            assert f1 == pytest.approx(max(f1_at(value, scores, gold) for value in scores.values()))


@pytest.mark.parametrize(
    ("values", "gold", "threshold", "f1"),
    [
        ({"a": 3.0, "b": 2.0, "c": 1.0}, "a", 2.5, 100),  # half-way to the next score
        ({"a": 3.0, "b": 2.0, "c": 1.0}, "abc", 1.0, 100),  # all are kept
        ({"a": 3.0, "b": 2.0, "c": 1.0}, "d", 0.0, 0),  # nothing is right
        ({"x": 4.0, "a": 3.0, "y": 2.0, "z": 1.0, "b": 0.5}, "ab", 0.5, 400 / 7),
        ({"x": 4.0, "a": 3.0, "y": 2.5, "b": 2.0, "z": 1.0}, "ab", 1.5, 200 / 3),
        ({"a": 1.0, "b": 1.0}, "a", 1.0, 200 / 3),  # a tie reaches the threshold too
        ({"a": 4.0, "x": 3.0, "y": 2.0, "b": 1.0}, "ab", 3.5, 200 / 3),  # the first of equal cuts
        ({}, "a", 0.0, 0),
    ],
)
def test_thresholds(values, gold, threshold, f1):
    assert best_threshold(values, set(gold)) == pytest.approx(threshold)
    assert f1_at(threshold, values, set(gold)) == pytest.approx(f1)
