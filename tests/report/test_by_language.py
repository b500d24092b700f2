"""Effects by language: averages, association with distance, level of its test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xgrl import stats
from xgrl.report import by_language


def test_effects_average_to_theta_for_parallel_targets_and_centre_the_others(study):
    one = study.predictions[study.predictions.target == "sentiment"]
    effects = by_language.language_effects(replace(study, predictions=one), "standard", "dann")
    assert effects.table.effect.mean() == pytest.approx(stats.compare(one).theta)
    every = by_language.language_effects(study, "standard", "dann").table
    cells = stats.compare(study.predictions)
    per = cells.per_language.merge(
        cells.per_task[["target", "theta"]], on="target", suffixes=("", "_target")
    )
    per["moved"] = per.theta - per.theta_target + cells.theta
    np.testing.assert_allclose(every.effect, per.groupby("language").moved.mean().loc[every.index])


def test_an_effect_that_follows_distance_is_found_and_one_that_does_not_is_not():
    g = np.random.default_rng(0)
    names = [f"l{k}" for k in range(20)]
    distance, proxy = g.random(20), g.normal(size=20)
    base = {
        "targets": 1,
        "public": proxy,
        "pieces": np.nan,
        "seen": "True",
        **dict.fromkeys(by_language.DISTANCES, np.nan),
    }

    def found(effect):
        table = pd.DataFrame(
            base | {"effect": effect, "low": effect - 1, "high": effect + 1, "syntactic": distance},
            index=names,
        )
        return by_language.typology(
            by_language.LanguageEffects(table, effect[None].repeat(2, 0), np.array(["a", "a"]))
        ).iloc[0]

    follows, proxied = found(-5 * distance + 0.3 * g.normal(size=20)), found(3 * proxy)
    assert follows.partial < -0.8 and follows.p < 0.001 and follows.partial < follows.null_low
    assert follows.distance == "syntactic" and follows.proxies == "public"
    assert proxied.p > 0.05 and abs(proxied.partial) < 0.6
    base["pieces"] = np.where(np.arange(20) < 3, np.nan, g.normal(size=20))  # no text of three
    fewer = found(-5 * distance)
    assert fewer.proxies == "public, pieces" and fewer.languages == 17


@pytest.mark.simulation
def test_permuting_languages_keeps_its_level():
    g, hits = np.random.default_rng(1), 0
    base = {
        "targets": 1,
        "pieces": np.nan,
        "seen": "True",
        **dict.fromkeys(by_language.DISTANCES, np.nan),
    }
    for _ in range(200):
        effect = g.normal(size=12)
        table = pd.DataFrame(
            base | {"effect": effect, "public": g.normal(size=12), "syntactic": g.random(12)}
        )
        hits += (
            by_language.typology(
                by_language.LanguageEffects(table, effect[None], np.array(["a"])), draws=199, seed=g
            ).p[0]
            <= 0.05
        )
    assert hits / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_seen_against_unseen_is_the_difference_of_mean_effects(many):
    effects = by_language.language_effects(many, "standard", "dann")
    row = by_language.seen_against_unseen(effects).iloc[0]
    seen = effects.table.seen.astype(bool)
    assert row.difference == pytest.approx(
        effects.table.effect[seen].mean() - effects.table.effect[~seen].mean()
    )
    assert row.low < row.difference < row.high
    assert 0 < row.p_languages <= 1
    assert row.p_blocks >= 2 / 2**4
    assert set(row.seen.split(", ")) == {"ar", "de", "es", "fr"}


def test_seen_and_unseen_are_the_comparison_on_their_languages(study, old):
    compared = "standard", "dann", 1.0
    table = by_language.seen_and_unseen(study, *compared).set_index("part")
    assert table.languages.to_dict() == {
        "seen": "ar, de, es, fr",
        "unseen": "cs, hu, it, ja, sv, tr",
    }
    for kind, row in table.iterrows():
        rows = study.predictions[study.predictions.language.isin(row.languages.split(", "))]
        alone = stats.compare(rows, *compared)
        assert (row.theta, row.low, row.high) == pytest.approx((alone.theta, *alone.ci)), kind
        assert row.p == alone.p and row.targets == "emoji-names, intent, sentiment"
    assert table.p_holm.to_numpy() == pytest.approx(stats.holm(table.p))
    assert by_language.seen_and_unseen(old, *compared).empty
    unseen = study.predictions.language.isin(["en", "ja"])
    one = replace(study, predictions=study.predictions[unseen])
    assert by_language.seen_and_unseen(one, *compared).empty


def test_a_target_without_an_unseen_language_is_not_in_that_average(study):
    rows = study.predictions
    kept = (rows.target != "intent") | (rows.language == "de")
    part = replace(study, predictions=rows[kept])
    table = by_language.seen_and_unseen(part, "standard", "dann", 1.0).set_index("part")
    assert table.targets["unseen"] == "emoji-names, sentiment" and "intent" in table.targets["seen"]
