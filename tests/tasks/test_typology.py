"""`xgrl.tasks.typology`: distances behave as such, order languages as known, fit the globe."""

import numpy as np
import pytest

from xgrl.tasks import TABLES, typology
from xgrl.tasks.typology import DISTANCES, distances, iso_639_3

# degrees
GRID = np.array(
    [(north, east) for north in range(-90, 91, 2) for east in range(-180, 180, 2)], float
)


def great_circle(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Shares (n, m) of half the circumference between n and m places (latitude, longitude in
    degrees), haversine formula.
    """
    (p, q), (r, s) = np.radians(places).T[:, :, None], np.radians(others).T[:, None]
    root = np.sin((r - p) / 2) ** 2 + np.cos(p) * np.cos(r) * np.sin((s - q) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(root)) / np.pi


# Without data


def test_distances_are_those_of_the_vectors(monkeypatch):
    names = np.array(["S_a", "S_b", "P_a", "INV_a"])
    data = np.array([[1.0, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 1]])
    monkeypatch.setattr(
        typology, "_file", lambda name: (dict(zip(("eng", "deu", "xxx"), data, strict=True)), names)
    )
    monkeypatch.setattr(typology, "_codes", lambda: {"en": "eng", "de": "deu"})
    table = distances(["de", "xxx", "yyy"]).set_index("language")
    assert table.loc["de", "syntactic"] == pytest.approx(1 - 1 / np.sqrt(2))
    assert table.loc["de", "inventory"] == 0
    assert np.isnan(table.loc["de", "phonological"]), "no value at all"
    assert np.isnan(table.loc["xxx", "syntactic"]) and table.loc["xxx", "phonological"] == 0
    assert table.loc["de", "geographic"] == 1
    assert table.loc["de", "genetic"] == pytest.approx(1 - 2 / 3)
    assert table.loc["yyy"].isna().all() and list(table.columns) == list(DISTANCES)


# Real data


@pytest.mark.embedded
def test_a_language_is_at_no_distance_from_itself_and_distances_are_symmetric():
    languages = ("en", "de", "ja", "ar", "sw")
    for reference in languages:
        table = distances(languages, reference).set_index("language")
        assert (table.loc[reference] == 0).all()
        assert (table.drop(index=reference)[["syntactic", "geographic"]] > 0).all(axis=None)
        for other in languages:
            back = distances([reference], other).iloc[0, 1:].to_numpy(float)
            np.testing.assert_allclose(table.loc[other].to_numpy(float), back, atol=1e-12)


@pytest.mark.embedded
def test_relatives_and_neighbours_are_nearer():
    table = distances(["nl", "de", "fr", "ru", "ja", "fi"]).set_index("language")
    for kind in ("syntactic", "genetic", "geographic"):
        assert table.loc["de", kind] < table.loc["ja", kind]
    assert (
        table.loc["nl", "syntactic"] < table.loc["fr", "syntactic"] < table.loc["ja", "syntactic"]
    )
    assert table.loc["de", "genetic"] < table.loc["ru", "genetic"] < table.loc["fi", "genetic"] == 1
    assert distances(["uk"], "ru")["genetic"].item() < distances(["uk"], "en")["genetic"].item()


@pytest.mark.embedded
def test_geographic_distance_is_that_on_the_globe_between_where_the_vectors_put_the_languages():
    """Each language is placed by its distances to the fixed points, which the names of the features
    say.
    """
    languages = ("en", "ja", "ru", "sw")
    vectors, names = typology._file("geocoord_features")
    fixed = np.array([[float(part) for part in name.split("_")[1:]] for name in names])
    ruler = great_circle(GRID, fixed)
    found = []
    for language in languages:
        errors = np.abs(ruler - vectors[iso_639_3(language)]).mean(axis=1)
        assert errors.min() < 0.01, language
        found.append(GRID[errors.argmin()])
    assert 50 <= found[0][0] <= 56 and 30 <= found[1][0] <= 40 and 130 <= found[1][1] <= 142, (
        "England and Japan"
    )
    wanted = great_circle(np.array(found), np.array(found))
    for j, reference in enumerate(languages):
        np.testing.assert_allclose(
            distances(languages, reference)["geographic"], wanted[:, j], atol=0.02
        )


@pytest.mark.embedded
def test_every_language_of_the_tasks_is_known_by_its_code():
    tasks = [task for table in TABLES.values() for task in table.values()]
    languages = sorted({language for task in tasks for language in task.languages})
    table = distances(languages).set_index("language")
    assert not table.drop(columns="genetic").isna().any(axis=None)
    assert set(table.index[table["genetic"].isna()]) == {"eu", "nb", "qu"}
    assert table.drop(columns="genetic").max(axis=None) < 1 and table.min(axis=None) >= 0
    for variant, language in {
        "pt-BR": "pt",
        "zh-TW": "zh",
        "zh-HK": "zh",
        "sr-Latn": "sr",
        "de-CH": "de",
    }.items():
        assert iso_639_3(variant) == iso_639_3(language) and len(iso_639_3(language)) == 3
        assert table.loc[variant].equals(table.loc[language]) or language not in table.index
