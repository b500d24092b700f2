"""The two selectors, the gates and the oracle: by their properties, and on tables made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgrl.report import selection

COLUMNS = ["english", "development", "language", "chance", "rank", "gap"]


def trials(**rows) -> pd.DataFrame:
    """name=(english, development, language, chance, rank, gap)"""
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).astype(float)


number = st.floats(0, 100)
tables = st.lists(st.tuples(*[number] * 6), min_size=2, max_size=9).map(
    lambda rows: trials(**{f"t{k}": row for k, row in enumerate(rows)})
)
reference = st.tuples(*[number] * 6).map(lambda row: trials(reference=row).loc["reference"])


@settings(max_examples=40)
@given(tables)
def test_the_baseline_s_choice_is_near_its_best_and_no_other_near_one_shows_less_language(table):
    chosen, given_up = selection.first_selector(table)
    assert not given_up
    best = table.english.max()
    near = table[table.english >= best - 1 - 1e-9]
    assert chosen in near.index
    assert table.language[chosen] == near.language.min()


@settings(max_examples=40)
@given(tables, reference)
def test_no_condition_is_given_up_that_a_near_trial_could_meet(table, held):
    chosen, given_up = selection.first_selector(table, held)
    near = table[table.english >= table.english.max() - 1 - 1e-9]
    rank, gap = near["rank"] >= 0.9 * held["rank"] - 1e-9, near.gap >= held.gap - 1e-9
    possible = [(rank & gap).any(), rank.any(), True]
    expected = [[], ["translation gap"], ["translation gap", "effective rank"]]
    assert given_up == expected[possible.index(True)]
    met = [rank & gap, rank, rank | True][possible.index(True)]
    assert chosen in near[met].index
    assert near.language[chosen] == near[met].language.min()


@settings(max_examples=40)
@given(tables, reference, st.randoms(use_true_random=False))
def test_choices_depend_on_no_foreign_label_or_on_nothing_else(table, held, random):
    """The first selector may not see the development languages, the second sees them alone."""
    shuffled = table.assign(development=random.sample(list(table.development), len(table)))
    first = selection.first_selector(table, held)
    assert selection.first_selector(shuffled, held) == first
    blind = table.assign(**dict.fromkeys(set(COLUMNS) - {"development"}, np.nan))
    assert selection.second_selector(blind) == selection.second_selector(table)
    assert table.development[selection.second_selector(table)] == table.development.max()


def test_english_comes_before_the_probe_and_the_conditions_before_both():
    table = trials(
        strong=(60, 1, 10, 7, 50, 0.3),  # hides most, at the cost of English
        collapsed=(70, 2, 20, 7, 60, 0.3),
        narrow=(70, 3, 30, 7, 95, 0.1),
        right=(69.5, 4, 40, 7, 95, 0.3),
        weak=(70, 5, 90, 7, 99, 0.3),
    )
    standard = trials(standard=(70, 5, 92, 7, 100, 0.3)).loc["standard"]
    assert selection.first_selector(table, standard) == ("right", [])
    assert selection.first_selector(table)[0] == "collapsed"
    without_pairs = standard.where(standard.index != "gap")  # no parallel texts
    assert selection.first_selector(table.assign(gap=np.nan), without_pairs) == ("narrow", [])
    assert selection.first_selector(table[:3], standard) == ("narrow", ["translation gap"])
    both = ["translation gap", "effective rank"]
    assert selection.first_selector(table[:2], standard) == ("collapsed", both)
    assert selection.second_selector(table) == "weak"


def test_a_point_less_is_a_point_less_and_of_equal_trials_the_better_english_is_taken():
    table = trials(best=(385 / 12, 1, 50, 7, 9, 0.3), near=((385 - 12) / 12, 1, 40, 7, 9, 0.3))
    assert table.english["near"] < table.english["best"] - 1  # but for the rounding
    assert selection.first_selector(table)[0] == "near"
    table = trials(a=(50, 1, 40, 7, 9, 0.3), b=(50.5, 1, 40, 7, 9, 0.3))
    assert selection.first_selector(table)[0] == "b"


def scores(**trial) -> pd.DataFrame:
    """name={(intermediate, target): [(english, development) by seed]}"""
    columns = ["trial", "intermediate", "target", "seed", "english", "development"]
    rows = [
        (name, *pair, seed, *values)
        for name, by_pair in trial.items()
        for pair, runs in by_pair.items()
        for seed, values in enumerate(runs, 100)
    ]
    return pd.DataFrame(rows, columns=columns).astype({"english": float})


NONE = {("none", "a"): [(50, 40), (52, 42)], ("none", "find"): [(np.nan, 90)]}
TASK = [("qa", "a"), ("siqa", "a"), ("qa", "find")]


def test_the_gate_is_passed_where_the_task_helps_in_english_and_elsewhere():
    own = dict(
        zip(
            TASK,
            [[(53, 41), (53, 45)], [(60, 35), (50, 46)], [(None, 80), (None, 85)]],
            strict=True,
        )
    )
    found = selection.gate(scores(none=NONE, standard=own, other=own), "standard")
    found = found.set_index(["intermediate", "target"]).astype({"passed": bool})
    assert found.loc[("qa", "a"), ["english", "development"]].tolist() == [2, 2]
    assert found.loc[("siqa", "a"), "development"] == pytest.approx(-0.5)
    assert found.passed.to_dict() == {TASK[0]: True, TASK[1]: False, TASK[2]: False}
    # English falls; and a target that trains nothing has none
    own = dict(zip(TASK, [[(53, 41), (48, 45)], [(60, 45)], [(None, 91), (None, 92)]], strict=True))
    found = selection.gate(scores(none=NONE, standard=own), "standard")
    assert found.passed.tolist() == [False, True, True]  # qa a, qa find, siqa a


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_oracle_is_no_worse_than_any_trial_and_is_one_where_there_is_one(count, seed):
    rng = np.random.default_rng(seed)
    table = scores(**{
        f"t{k}": {pair: [(50, rng.normal()), (50, rng.normal())] for pair in TASK}
        for k in range(count)
    })  # fmt: skip
    bound = selection.oracle(table)
    assert len(bound) == len(TASK)
    by_trial = table.groupby("trial").development.mean()
    assert (bound.development.mean() >= by_trial - 1e-12).all()
    if count == 1:
        assert bound.development.mean() == pytest.approx(by_trial.item())


def test_a_trial_s_row_is_the_mean_of_its_runs():
    table = scores(
        b={("qa", "a"): [(50, 1), (60, 3)], ("qa", "find"): [(None, 5), (None, 7)]},
        a={("qa", "a"): [(1, 1)], ("qa", "find"): [(None, 2)]},
        none=NONE,
    )
    probe = {"chance": 25.0, "rank": 10.0}
    probes = [probe | {"trial": "b", "language": k, "gap": 0.1} for k in (40.0, 60.0)]
    probes.append(probe | {"trial": "a", "language": 90.0, "gap": np.nan})
    found = selection.trial_table(table, pd.DataFrame(probes))
    assert list(found.index) == ["b", "a"]
    assert found.loc["b"].tolist() == [55, 4, 50, 25, 10, 0.1]
    assert found.loc["a"].isna().to_dict() == {name: name == "gap" for name in COLUMNS}
