"""Language means, maps and jackknife intervals: properties that do not depend on how they are
computed.
"""

import numpy as np
import pytest
from scipy.stats import t as student

from xgrl.evaluation.probing import geometry

LANGUAGES = np.repeat(["de", "en", "fr", "ru"], 60)


def clouds(separation: float) -> np.ndarray:
    """Normal clouds of 60 points in 32 dimensions, one a language, whose means lie `separation` out
    in random directions.
    """
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4, 32))
    return rng.normal(size=(240, 32)) + separation * (
        means / np.linalg.norm(means, axis=1, keepdims=True)
    ).repeat(60, axis=0)


def test_mean_geometry_is_a_distance_without_scale():
    x = clouds(6.0)
    distances, share = geometry.mean_geometry(x, LANGUAGES)
    d = distances.to_numpy()
    assert list(distances.columns) == ["de", "en", "fr", "ru"]
    assert np.allclose(d, d.T) and np.allclose(np.diag(d), 0)
    assert all(
        d[i, j] <= d[i, k] + d[k, j] + 1e-12 for i in range(4) for j in range(4) for k in range(4)
    )
    assert np.allclose(d, geometry.mean_geometry(0.01 * x + 3, LANGUAGES)[0])
    assert geometry.mean_geometry(clouds(0.0), LANGUAGES)[1] < 5 < share < 100


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.filterwarnings("error")
def test_collapsed_features_have_no_distances_and_a_share_where_languages_differ(kind, noise):
    rounding = np.finfo(kind).eps * np.random.default_rng(0).normal(size=(240, 32))
    for distinct, expected in ((4, 100), (1, np.nan)):
        vectors = clouds(6.0)[:distinct].repeat(240 // distinct, axis=0)
        distances, share = geometry.mean_geometry(
            (vectors + noise * rounding).astype(kind), LANGUAGES
        )
        assert distances.shape == (4, 4) and distances.isna().all(axis=None)
        assert share == pytest.approx(expected, nan_ok=True)
    one_language = clouds(6.0)
    one_language[:60] = one_language[0]
    distances, share = geometry.mean_geometry(one_language, LANGUAGES)
    assert np.isfinite(distances.to_numpy()).all() and 0 < share < 100


@pytest.mark.filterwarnings("error")
def test_collapsed_features_are_one_point_of_the_map():
    plane, share = geometry.project(np.full((9, 4), 0.3), clouds(6.0)[:, :4])
    assert np.array_equal(plane, np.zeros((2, 9))) and np.isnan(share)


def test_project_on_itself_keeps_most_variance_and_has_fixed_signs():
    x = clouds(6.0)
    plane, share = geometry.project(x, x)
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    assert plane.shape == (2, 240) and np.allclose(plane.mean(1), 0)
    assert np.allclose((plane**2).sum(1), values[:2] ** 2)
    assert share == pytest.approx(100 * (values[:2] ** 2).sum() / (values**2).sum())
    for basis in (x.copy(), x + 100, -x):  # a plane has no sign and no place
        assert np.allclose(plane, geometry.project(x, basis)[0])
    assert np.allclose(-plane, geometry.project(-x, x)[0])


def test_encoders_are_seen_on_one_plane_and_scale():
    x = clouds(6.0)
    plane, share = geometry.project(x, x)
    turned = x[:, ::-1] + 5
    assert np.allclose(geometry.project(3 * x, x)[0], 3 * plane)
    assert np.allclose(geometry.project(turned, x)[0], geometry.project(turned - 5, x)[0])
    assert geometry.project(turned, x)[1] < share


def test_jackknife_of_a_mean_is_the_t_interval_of_the_group_means():
    x = np.random.default_rng(1).normal(size=200)
    value, low, high = geometry.jackknife_interval(lambda index: x[index].mean(), 200)
    groups = x.reshape(20, 10).mean(0)  # text i is in group i modulo 10
    half = student.ppf(0.975, 9) * groups.std(ddof=1) / np.sqrt(10)
    assert value == pytest.approx(x.mean())
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_jackknife_covers_a_number_that_is_no_mean():
    rng, covered = np.random.default_rng(2), 0
    for _ in range(200):
        x = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=300)
        _, low, high = geometry.jackknife_interval(
            lambda index, x=x: np.corrcoef(x[index].T)[0, 1], 300
        )
        covered += low <= 0.6 <= high
    assert covered > 178  # of 200 intervals of 95 %, fewer than that with probability .0007


def test_jackknife_needs_a_text_a_group():
    with pytest.raises(ValueError, match="9 texts; at least 10"):
        geometry.jackknife_interval(lambda index: 0.0, 9)
