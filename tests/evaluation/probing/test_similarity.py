"""Kernel alignment and translation pairs against their definitions, written out plainly."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import t as student

from xgrl.evaluation.probing import similarity


def unbiased_hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. (2012), equation 4, with n x n matrices."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    ones = np.ones(n)
    return (
        np.trace(k @ m)
        + k.sum() * m.sum() / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ m @ ones)
    ) / (n * (n - 3))


def test_cka_is_one_up_to_rotation_scale_and_shift():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert similarity.cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    assert similarity.cka(x.astype(np.float32), x.astype(np.float32)) == pytest.approx(1, abs=1e-12)


def test_cka_is_the_kernel_form_of_the_unbiased_estimate():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 12)) + 3
    y = rng.normal(size=(50, 5)) + x[:, :5]
    k, m = x @ x.T, y @ y.T
    expected = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert similarity.cka(x, y) == pytest.approx(expected)
    assert similarity.cka(y, x) == pytest.approx(expected)


def test_cka_of_independent_features_is_nought_on_average_where_the_plain_estimate_is_not():
    rng = np.random.default_rng(2)
    found, plain = [], []
    for _ in range(40):
        x, y = rng.normal(size=(2, 50, 100))
        found.append(similarity.cka(x, y))
        x, y = x - x.mean(0), y - y.mean(0)
        plain.append(
            np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
        )
    assert abs(np.mean(found)) < 0.02 and min(plain) > 0.5


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [(np.eye(9), np.eye(8), "9 and 8 texts"), (np.eye(3), np.eye(3), "needs 4 or more")],
)
def test_cka_refuses(x, y, message):
    with pytest.raises(ValueError, match=message):
        similarity.cka(x, y)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_cka_with_collapsed_features_is_not_estimable(kind):
    x = np.random.default_rng(0).normal(3, 1, (40, 12)).astype(kind)
    equal = np.repeat(x[:1], 40, axis=0)
    rounded = equal * (1 + np.finfo(kind).eps * np.random.default_rng(1).normal(size=(40, 12)))
    for collapsed in (equal, rounded.astype(kind), 0 * x):
        assert np.isnan([similarity.cka(x, collapsed), similarity.cka(collapsed, x)]).all()
    assert similarity.cka(x, equal + x / 100) == pytest.approx(1, abs=1e-3)


def pairs(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """English features around a common direction, and noisy copies as their translations."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 16)) + 2
    return x, 5 * (x + noise * rng.normal(size=(n, 16)))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_translation_similarity_is_means_of_cosines():
    x, y = pairs(12, 0.5)
    found = similarity.translation_similarity(x, y)
    own = np.array([cosine(a, b) for a, b in zip(x, y, strict=True)])
    other = [cosine(x[i], y[j]) for i in range(12) for j in range(12) if i != j]
    half = student.ppf(0.975, 11) * own.std(ddof=1) / np.sqrt(12)
    assert (found.cosine, found.low, found.high) == pytest.approx(
        (own.mean(), own.mean() - half, own.mean() + half)
    )
    assert found.random == pytest.approx(np.mean(other)) and found.n == 12
    assert found.gap == pytest.approx(found.cosine - found.random)
    assert found.gap_low < found.gap < found.gap_high


def test_translation_gap_has_the_interval_of_its_pseudo_values():
    x, y = pairs(9, 1.0)

    def gap(keep):
        return similarity.translation_similarity(x[keep], y[keep]).gap

    everything = np.arange(9)
    pseudo = np.array(
        [9 * gap(everything) - 8 * gap(everything[everything != i]) for i in range(9)]
    )
    half = student.ppf(0.975, 8) * pseudo.std(ddof=1) / 3
    found = similarity.translation_similarity(x, y)
    assert pseudo.mean() == pytest.approx(found.gap)
    assert (found.gap_low, found.gap_high) == pytest.approx((found.gap - half, found.gap + half))


def test_translation_gap_covers_nought_where_there_are_no_translations():
    covered = 0
    for seed in range(200):
        x, y = pairs(40, 0.0, seed)
        found = similarity.translation_similarity(x, np.random.default_rng(seed).permutation(y))
        covered += found.gap_low <= 0 <= found.gap_high
    assert covered > 178  # of 200 intervals of 95 %, fewer than that with probability .0007


def test_translation_similarity_knows_no_length():
    x, y = pairs(20, 0.5)
    found = similarity.translation_similarity(x, y)
    scaled = similarity.translation_similarity(x * np.linspace(1, 9, 20)[:, None], 0.01 * y)
    assert (scaled.cosine, scaled.random, scaled.gap_low) == pytest.approx(
        (found.cosine, found.random, found.gap_low)
    )


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((5, 2)), np.ones((6, 2)), r"\(5, 2\) and \(6, 2\)"),
        (np.ones((3, 2)), np.ones((3, 2)), "at least 4"),
        (np.ones((5, 2)), np.full((5, 2), np.nan), "not finite"),
    ],
)
def test_translation_similarity_refuses(x, y, message):
    with pytest.raises(ValueError, match=message):
        similarity.translation_similarity(x, y)


@pytest.mark.filterwarnings("error")
def test_translation_similarity_of_collapsed_features():
    x = pairs(9, 1.0)[0]
    found = similarity.translation_similarity(x, np.tile(x[0], (9, 1)))
    assert found.gap == pytest.approx(0, abs=1e-12) and found.random == pytest.approx(found.cosine)
    for nought in (0 * x, x * (np.arange(9) > 0)[:, None]):
        *numbers, n = astuple(similarity.translation_similarity(x, nought))
        assert np.isnan(numbers).all() and n == 9
