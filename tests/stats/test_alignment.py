"""Rows that line up, rows that do not, and items of several languages."""

import numpy as np
import pandas as pd
import pytest

from simulated_predictions import predictions, rng
from xgrl import stats
from xgrl.stats.alignment import align, weighted_items


@pytest.mark.parametrize("sharing", ["parallel", "own", "partly"])
def test_weighted_items_average_to_the_macro_average(sharing):
    g = rng(3)
    pools = {
        "parallel": [range(20)] * 4,
        "own": [range(9), range(9, 30), range(30, 34), range(34, 90)],
        "partly": [range(20), range(10, 40), range(15), range(38, 45)],
    }[sharing]
    language = np.concatenate([np.full(len(pool), code) for code, pool in enumerate(pools)])
    item = np.concatenate([np.asarray(pool) for pool in pools])
    values = g.normal(size=(3, len(item)))
    macro = np.mean([values[:, language == code].mean(1) for code in range(4)], axis=0)
    c = weighted_items(values, language, item)
    assert c.shape == (3, item.max() + 1)
    np.testing.assert_allclose(c.mean(1), macro, rtol=1e-12)
    if sharing == "parallel":
        np.testing.assert_allclose(c, values.reshape(3, 4, 20).mean(1))


def bitext(shift=2.0, pairs=40, blocks=4, languages=("de", "fr"), seed=0):
    """Rows of a target whose pairs are searched in both directions, and the same with a pair's two
    rows averaged.
    """
    g, rows = rng(seed), []
    pair = 20 * g.normal(size=pairs)
    for b in range(blocks):
        for language in languages:
            for direction in ("xx-en", "en-xx"):
                for arm, moved in (("standard", 0.0), ("dann", shift + g.normal())):
                    score = 50 + moved * (1 + pair / 20) + 5 * g.normal(size=pairs)
                    rows += [
                        (b, language, arm, f"p{k} {direction}", f"p{k}", v)
                        for k, v in enumerate(score)
                    ]
    frame = pd.DataFrame(rows, columns=["seed", "language", "arm", "example_id", "pair", "score"])
    frame = frame.assign(study="s", target="emoji-names", intermediate="i")
    keys = ["study", "intermediate", "target", "seed", "language", "arm", "pair"]
    averaged = frame.groupby(keys).score.mean().reset_index().rename(columns={"pair": "example_id"})
    return frame.drop(columns="pair"), averaged


def test_a_pair_searched_in_both_directions_is_one_item():
    both, averaged = (stats.compare(frame) for frame in bitext())
    assert both.per_task.n_items[0] == 40 and both.items["emoji-names"].shape == (4, 40)
    np.testing.assert_allclose(both.items["emoji-names"], averaged.items["emoji-names"])
    assert (both.theta, both.se, both.df, both.p) == pytest.approx(
        (averaged.theta, averaged.se, averaged.df, averaged.p)
    )
    pd.testing.assert_frame_equal(both.per_language, averaged.per_language)
    assert not any("not shared" in note for note in both.notes)


def test_a_pair_that_lacks_a_direction_in_one_arm_is_refused():
    frame, _ = bitext()
    gone = (
        (frame.arm == "dann")
        & (frame.example_id == "p3 en-xx")
        & (frame.language == "fr")
        & (frame.seed == 2)
    )
    with pytest.raises(
        ValueError, match=r"ids differ.*arm dann.*seed 2, language fr, example p3 en-xx"
    ):
        stats.compare(frame[~gone])


def drop(frame, **where):
    mask = np.logical_and.reduce([frame[key] == value for key, value in where.items()])
    return frame[~mask]


REFUSED = {
    "arm missing in a block": (
        lambda f: drop(f, arm="dann", intermediate="task1", seed=3),
        "intermediate task1, seed 3.*no rows of arm 'dann'",
    ),
    "language missing": (
        lambda f: drop(f, arm="dann", intermediate="task0", seed=2, target="news", language="fr"),
        "'news'.*no rows.*arm dann, intermediate task0, seed 2, language fr",
    ),
    "language missing in both arms": (
        lambda f: drop(f, intermediate="task0", seed=2, target="news", language="fr"),
        "'news'.*no rows.*seed 2, language fr",
    ),
    "target missing": (
        lambda f: drop(f, arm="standard", seed=1, intermediate="task0", target="intent"),
        "'intent'.*no rows.*arm standard, intermediate task0, seed 1",
    ),
    "one example missing": (
        lambda f: drop(
            f,
            arm="dann",
            intermediate="task0",
            seed=0,
            target="news",
            language="de",
            example_id="7",
        ),
        "'news'.*ids differ.*arm dann.*language de, example 7",
    ),
    "other ids in one block": (
        lambda f: f.assign(
            example_id=f.example_id.where(
                ~(
                    (f.seed == 4)
                    & (f.intermediate == "task1")
                    & (f.target == "news")
                    & (f.language == "de")
                    & (f.example_id == "7")
                ),
                "x7",
            )
        ),
        "'news'.*ids differ between arms or blocks",
    ),
    "duplicated row": (
        lambda f: pd.concat([f, f[f.language == "zh"].iloc[[11]]]),
        "duplicated rows.*language zh",
    ),
    "nan score": (
        lambda f: f.assign(score=f.score.where(f.index != f[f.language == "fr"].index[5], np.nan)),
        r"score: found nan at .*language fr",
    ),
    "infinite score": (
        lambda f: f.assign(score=f.score.where(f.index != f[f.language == "fr"].index[5], np.inf)),
        r"score: found inf at",
    ),
    "two studies": (lambda f: pd.concat([f, f.assign(study="t")]), "found studies s, t, need one"),
    "empty": (lambda f: f[:0], "found 0 rows"),
    "column missing": (lambda f: f.drop(columns="seed"), "without columns .*seed"),
    "key missing": (
        lambda f: f.assign(example_id=f.example_id.where(f.index != 3)),
        "'example_id'.*row 3",
    ),
    "english only": (lambda f: f[f.language == "en"], "other than English"),
    "one block": (
        lambda f: f[(f.seed == 0) & (f.intermediate == "task0")],
        "one block only.*task0, seed 0",
    ),
    "unequal seeds": (
        lambda f: f[(f.seed > 0) | (f.intermediate == "task0")],
        "task0: 6, task1: 5",
    ),
    "one item": (
        lambda f: f[(f.language != "fr") | (f.target != "news") | (f.example_id == "0")],
        "'news'.*single item.*language fr",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_do_not_line_up_are_refused_with_the_cell(frame, name):
    spoil, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        stats.compare(spoil(frame))


def test_arm_none_cannot_be_paired(frame):
    none = frame[frame.arm == "standard"].assign(arm="none", intermediate="none")
    with pytest.raises(ValueError, match="arm none has no intermediate task"):
        stats.compare(pd.concat([frame, none]), baseline="none")


def test_items_are_numbered_in_the_order_of_their_categories():
    """Predictions come as categories in the order in which files name them; draws depend on it."""
    frame = predictions(targets=("news",))
    names = sorted(set(frame["example_id"]))
    frame["score"] = frame["example_id"].map(names.index).astype(float)
    for order in (names, names[::-1], names[5:] + names[:5]):
        read = frame.assign(example_id=pd.Categorical(frame["example_id"], order))
        _, [target] = align(read, "standard", "dann")
        expected = [order.index(names[int(score)]) for score in target.baseline[0]]
        np.testing.assert_array_equal(target.item, expected)
