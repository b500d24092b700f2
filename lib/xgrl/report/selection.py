"""Which trial of an arm is taken: two selectors fixed in advance, a gate, and an oracle.

All of it is functions of tables of trials; `xgrl.report.tuning` reads these. A trial is an arm with
settings of its own, run on every intermediate task and target with every tuning seed. Its row, by
its name, holds means over those runs:

============ =================================================================================
english      English development score of the targets, percent (of those that are trained)
development  zero-shot score on the development languages, percent
language     what the better of two fresh probes (04: linear, one hidden layer) reads of the
             language in the last layer, held-out text, percent; chance: of guessing
rank         effective rank of the last layer's features
gap          cosine of translations minus that of random pairs; NaN without parallel texts
============ =================================================================================

The first selector sees no foreign label; the second takes the development languages' labels, as
much work on "zero-shot" transfer does. Each arm, the baseline too, is chosen by the selector by
which the arm is that it is compared with.
"""

import pandas as pd

ROUNDING = 1e-9  # equal but for the order of a sum
POINT = 1.0  # by which English development may fall short
RANK = 0.9  # share of the baseline's effective rank that must be left
PAIR = ["intermediate", "target"]


def trial_table(scores: pd.DataFrame, probes: pd.DataFrame) -> pd.DataFrame:
    """One row a trial, in the order of `probes`: english, development, language, chance, rank, gap.

    scores: one row a target run: trial, intermediate, target, seed, english (NaN where the target
    trains nothing), development. probes: one row a checkpoint: trial, language, chance, rank, gap.
    """
    means = probes.groupby("trial", sort=False)[["language", "chance", "rank", "gap"]].mean()
    return scores.groupby("trial")[["english", "development"]].mean().join(means, how="right")


def first_selector(
    trials: pd.DataFrame, reference: pd.Series | None = None
) -> tuple[str, list[str]]:
    """The trial of one arm that English development and a fresh probe choose.

    trials: rows of `trial_table` of the arm. reference: the row of the baseline's chosen trial;
    None: the arm is the baseline itself. Within `POINT` of the arm's best English development
    score, and with at least `RANK` of the reference's effective rank and its translation gap, the
    trial with the least language (of equal ones that of better English). Returns it, and those of
    the two conditions, the gap before the rank, that were given up since no trial meets them.
    """
    near = trials[trials.english >= trials.english.max() - POINT - ROUNDING]
    conditions = {}
    if reference is not None:
        conditions["effective rank"] = near["rank"] >= RANK * reference["rank"] - ROUNDING
        if pd.notna(reference.gap):
            conditions["translation gap"] = near.gap >= reference.gap - ROUNDING
    given_up: list[str] = []
    while not (met := pd.DataFrame(conditions, index=near.index).all(axis=1)).any():
        given_up.append(list(conditions)[-1])
        del conditions[given_up[-1]]
    least = near[met].sort_values(["language", "english"], ascending=[True, False], kind="stable")
    return str(least.index[0]), given_up


def second_selector(trials: pd.DataFrame) -> str:
    """The trial of one arm with the highest mean score on the development languages."""
    return trials.development.idxmax()


def oracle(scores: pd.DataFrame) -> pd.DataFrame:
    """What hindsight takes of one arm: for each intermediate task and target the trial that is best
    on its development languages. A bound that no selector can pass, and no choice.

    scores: rows of the arm's trials. Returns intermediate, target, trial, development.
    """
    means = scores.groupby([*PAIR, "trial"]).development.mean().unstack("trial")
    best = {"trial": means.idxmax(axis=1), "development": means.max(axis=1)}
    return pd.DataFrame(best).reset_index()


def gate(scores: pd.DataFrame, chosen: str) -> pd.DataFrame:
    """Does the intermediate task help at all? The baseline's chosen trial minus arm none, by pair.

    Returns intermediate, target, english, development (points), passed: both are above 0. Where the
    target trains nothing English is NaN, and the development languages decide.
    """
    values = ["english", "development"]
    none = scores[scores.trial == "none"].groupby("target")[values].mean()
    own = scores[scores.trial == chosen].groupby(PAIR)[values].mean()
    difference = own.sub(none, level="target").reset_index()
    helps = (difference.english > 0) | difference.english.isna()
    return difference.assign(passed=helps & (difference.development > 0))
