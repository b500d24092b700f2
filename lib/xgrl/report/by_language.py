"""By language: does what is gained or lost follow the discriminator's languages, or the distance
from English?

A language's gain is its mean difference between the arms over the targets that have it, each target
first moved to the common mean, so that a language does not look good for being in an easy target.
What the public encoder already scores in a language and how many pieces its sentences are cut into
stand for how much of it was seen in pretraining; the association with a distance is given with
these proxies taken out. Languages are few and were not drawn, so a p value comes from permuting
them: Freedman & Lane (1983), J. Business & Economic Statistics 1:292-298, on ranks. Exploratory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from xgrl import stats
from xgrl.report.load_study import Study

DISTANCES = ("syntactic", "phonological", "inventory", "geographic", "genetic")
PROXIES = ("public", "pieces")
DRAWS = 9_999
SPARE = 4  # languages beside the proxies and the mean, fewer say nothing


@dataclass(frozen=True)
class Gains:
    """Gains by language.

    Attributes:
        table: index language; gain, low, high (95 % over blocks, test items as given; points),
            targets, public (score of the public encoder, percent), seen, pieces and the
            `DISTANCES`, NaN where unknown.
        blocks: (B, languages) gains by block, in the order of the table. strata: (B,) intermediate
            tasks.
    """

    table: pd.DataFrame
    blocks: np.ndarray
    strata: np.ndarray


def _centred(cells: pd.DataFrame) -> pd.DataFrame:
    """(target, language) columns to languages: each target moved to the common mean, then the mean
    over targets.
    """
    offset = cells.T.groupby(level="target").transform("mean").T
    whole = cells.T.groupby(level="target").mean().mean()
    moved = cells - offset
    return moved.T.groupby(level="language").mean().T.add(whole, axis=0)


def gains(study: Study, baseline: str, treatment: str) -> Gains:
    """Each zero-shot language's mean difference over its targets, with what is known about the
    language.
    """
    rows = study.predictions[study.predictions.language != "en"]
    keys = ["intermediate", "seed", "arm", "target", "language"]
    cells = rows.groupby(keys, observed=True).score.mean()
    pair = cells[cells.index.get_level_values("arm").isin([baseline, treatment])].unstack("arm")
    by_cell = (pair[treatment] - pair[baseline]).unstack(["target", "language"])
    # the same for all blocks: intervals stay honest
    offset = by_cell.mean().groupby(level="target").transform("mean")
    moved = by_cell - offset + by_cell.mean().groupby(level="target").mean().mean()
    blocks = moved.T.groupby(level="language").mean().T
    strata = blocks.index.get_level_values("intermediate").to_numpy()
    table = pd.DataFrame(
        [_over_blocks(blocks[name].to_numpy(), strata) for name in blocks.columns],
        index=blocks.columns,
    )
    table["targets"] = by_cell.columns.to_frame(index=False).groupby("language").target.nunique()
    table["public"] = np.nan
    if "none" in set(cells.index.get_level_values("arm")):
        public = cells.xs("none", level="arm").groupby(["target", "language"]).mean().to_frame().T
        table["public"] = _centred(public).iloc[0]
    facts = study.languages.set_index("language") if len(study.languages) else pd.DataFrame()
    facts = facts.reindex(index=table.index, columns=["seen", "pieces", *DISTANCES])
    return Gains(
        table.join(facts.astype({name: float for name in ("pieces", *DISTANCES)})),
        blocks.to_numpy(),
        strata,
    )


def _over_blocks(values: np.ndarray, strata: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t interval over blocks (B,), within intermediate tasks where these have several
    blocks each.
    """
    labels, sizes = np.unique(strata, return_counts=True)
    split = len(labels) > 1 and sizes.min() == sizes.max() > 1
    groups = [values[strata == label] for label in labels] if split else [values]
    df = len(values) - len(groups)
    half = np.nan
    if df > 0:
        half = student.ppf(0.975, df) * np.sqrt(
            np.mean([group.var(ddof=1) for group in groups]) / len(values)
        )
    return {"gain": values.mean(), "low": values.mean() - half, "high": values.mean() + half}


def seen_against_unseen(found: Gains, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Mean gain of the discriminator's languages minus that of the others: difference, low, high,
    p_blocks, p_languages.

    The interval and p_blocks (sign flip) take the languages as given and the runs as drawn;
    p_languages permutes which languages were seen. Empty where one of the groups is.
    """
    seen = found.table["seen"].map({True: True, False: False, "True": True, "False": False})
    if seen.isna().any() or seen.nunique() < 2:
        return pd.DataFrame()
    seen = seen.to_numpy(bool)
    d = found.blocks[:, seen].mean(1) - found.blocks[:, ~seen].mean(1)
    gain, rng = found.table["gain"].to_numpy(), np.random.default_rng(seed)
    shuffled = rng.permuted(np.broadcast_to(gain, (draws, len(gain))), axis=1)
    null = np.abs(shuffled[:, seen].mean(1) - shuffled[:, ~seen].mean(1))
    row = _over_blocks(d, found.strata)
    row |= {
        "p_blocks": stats.sign_flip(d),
        "p_languages": (1 + (null >= abs(d.mean()) - 1e-12).sum()) / (1 + draws),
    }
    row |= {
        "seen": ", ".join(found.table.index[seen]),
        "unseen": ", ".join(found.table.index[~seen]),
    }
    return pd.DataFrame([row]).rename(columns={"gain": "difference"})


def _ranks(values: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Ranks (L,) with the ranks of the proxies (L, k) and the mean taken out by least squares."""
    X = np.column_stack([np.ones(len(values)), *(rankdata(column) for column in proxies.T)])
    y = rankdata(values)
    return y - X @ np.linalg.lstsq(X, y, rcond=None)[0]


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), size, out=np.zeros(np.shape(size)), where=size > 1e-9)


def typology(found: Gains, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Rank correlation of gain with each distance from English, plain and with the pretraining
    proxies taken out.

    Returns:
        distance, languages, rho, partial, null_low, null_high (95 % of the partial correlations
        when the residual gains are permuted over languages), p, p_holm, proxies. A distance with
        fewer than the proxies + 5 known languages, or without variation, is left out.
    """
    proxies = [
        name
        for name in PROXIES
        if found.table[name].notna().all() and found.table[name].nunique() > 1
    ]
    rows, rng = [], np.random.default_rng(seed)
    for name in DISTANCES:
        known = found.table.dropna(subset=[name])
        if len(known) < len(proxies) + 1 + SPARE or known[name].nunique() < 2:
            continue
        P = known[proxies].to_numpy(float)
        gain, distance = _ranks(known["gain"].to_numpy(), P), _ranks(known[name].to_numpy(float), P)
        partial = float(_correlation(gain, distance))
        shuffled = rng.permuted(np.broadcast_to(gain, (draws, len(gain))), axis=1)
        X = np.column_stack([np.ones(len(known)), *(rankdata(column) for column in P.T)])
        null = _correlation(shuffled - shuffled @ X @ np.linalg.pinv(X), distance[None])
        low, high = np.quantile(null, [0.025, 0.975])
        p = (1 + (np.abs(null) >= abs(partial) - 1e-12).sum()) / (1 + draws)
        rho = float(_correlation(rankdata(known["gain"]), rankdata(known[name])))
        rows.append((name, len(known), rho, partial, low, high, p, ", ".join(proxies) or "none"))
    columns = ["distance", "languages", "rho", "partial", "null_low", "null_high", "p", "proxies"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(7, "p_holm", stats.holm(table["p"]) if rows else np.nan)
    return table
