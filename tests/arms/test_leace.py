"""Language is erased: what the closed form promises, and what a fresh probe reads of it."""

import numpy as np
import pytest
import torch

from xgrl.arms.leace import Erasure, Moments
from xgrl.evaluation.probing.probes import language_probe
from xgrl.models.heads import mean_pool

LANGUAGES, SIZE = 5, 12


def made(n: int, seed: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features (n, size) whose mean depends on the language, unequally frequent."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    mixing = fixed.normal(size=(size, size))
    means = fixed.normal(size=(LANGUAGES, size)) @ mixing
    languages = rng.choice(LANGUAGES, n, p=[0.3, 0.2, 0.2, 0.2, 0.1])
    return rng.normal(size=(n, size)) @ mixing + means[languages] + 7, languages


def fitted(x: np.ndarray, languages: np.ndarray, parts: int = 1) -> Erasure:
    moments = Moments(x.shape[1], LANGUAGES)
    for rows in np.array_split(np.arange(len(x)), parts):
        moments.add(x[rows], languages[rows])
    return Erasure(moments).double()


def cross_covariance(x: np.ndarray, languages: np.ndarray) -> np.ndarray:
    one_hot = np.eye(LANGUAGES)[languages]
    return (x - x.mean(0)).T @ (one_hot - one_hot.mean(0)) / len(x)


def erased(erasure: Erasure, x: np.ndarray) -> np.ndarray:
    """In float64, without the layer's own rounding to float32."""
    mean, down, up = (getattr(erasure, name).numpy() for name in ("mean", "down", "up"))
    return x - (x - mean) @ down @ up


@pytest.mark.parametrize(("n", "size"), [(600, SIZE), (20, 40)])
def test_no_covariance_with_the_language_is_left_and_the_mean_stays(n, size):
    x, languages = made(n, 1, size)
    erasure = fitted(x, languages)
    after = erased(erasure, x)
    before = np.abs(cross_covariance(x, languages)).max()
    assert np.abs(cross_covariance(after, languages)).max() < 1e-5 * before
    np.testing.assert_allclose(after.mean(0), x.mean(0), atol=1e-5)
    assert erasure.down.shape == (size, LANGUAGES - 1)
    np.testing.assert_allclose(erased(erasure, after), after, atol=1e-4)  # a projection


def test_no_other_affine_map_without_covariance_changes_less():
    """In the Euclidean, the whitened and some other norm."""
    x, languages = made(600, 1)
    rng, centred, cross = np.random.default_rng(2), x - x.mean(0), cross_covariance(x, languages)
    free = np.eye(SIZE) - cross @ np.linalg.pinv(cross)  # what may be done beside taking it out
    erasure = fitted(x, languages)
    taken = (erasure.down @ erasure.up).numpy().T
    norms = [np.eye(SIZE), np.linalg.inv(np.cov(x.T)), np.diag(rng.uniform(0.1, 10, SIZE))]
    others = [np.eye(SIZE) - free] + [
        taken + scale * rng.normal(size=(SIZE, SIZE)) @ free for scale in (0.01, 0.1, 1)
    ]
    for other in others:
        np.testing.assert_allclose(other @ cross, cross, atol=1e-5)
        for norm in norms:
            least, change = (
                np.einsum("ni,ij,nj->", centred @ a.T, norm, centred @ a.T) for a in (taken, other)
            )
            assert least < change


def test_a_linear_probe_of_held_out_points_is_at_chance():
    erasure = fitted(*made(20_000, 1))
    x, languages = made(2000, 2)
    before, after = (
        language_probe(features, [str(k) for k in languages])
        for features in (x, erasure.float().vectors(x.astype(np.float32)))
    )
    assert before.accuracy > before.chance + 30
    error = 100 * np.sqrt(0.3 * 0.7 / after.n_test)
    assert after.accuracy < after.chance + 3 * error


def test_parts_make_the_whole_and_the_map_of_a_mean_is_the_mean_of_the_map():
    x, languages = made(300, 1)
    whole, parts = fitted(x, languages), fitted(x, languages, parts=7)
    np.testing.assert_allclose(erased(whole, x), erased(parts, x), atol=1e-5)
    hidden = torch.from_numpy(x.reshape(30, 10, SIZE)).float()
    mask = (torch.arange(10) < torch.arange(30)[:, None] % 9 + 1).long()
    layer = whole.float()
    means = mean_pool(layer(hidden), mask), layer(mean_pool(hidden, mask))
    torch.testing.assert_close(*means, atol=1e-4, rtol=1e-4)
    assert not list(layer.parameters())  # nothing to train


def test_it_is_what_the_authors_code_gives():
    leace = pytest.importorskip("concept_erasure", reason="the authors' code is not installed")
    x, languages = made(600, 1)
    values, one_hot = torch.from_numpy(x), torch.eye(LANGUAGES).double()[languages]
    plain = {"shrinkage": False, "constrain_cov_trace": False, "svd_tol": 1e-6}
    expected = leace.LeaceFitter(SIZE, LANGUAGES, dtype=torch.float64, **plain)
    expected = expected.update(values, one_hot).eraser(values).numpy()
    np.testing.assert_allclose(erased(fitted(x, languages), x), expected, atol=1e-4)
