"""By language: does the effect follow the discriminator's languages, or the distance from English?

A language's effect is its mean difference between the arms over the targets that have it, each
target first moved to the common mean, so that a language does not look good for being in an easy
one. What the public encoder already scores in a language and how many pieces its sentences are cut
into stand for how much of it was seen in pretraining; the association with a distance is given with
these proxies taken out. Languages are few and were not drawn, a p value comes from permuting them:
Freedman & Lane (1983), J. Business & Economic Statistics 1:292-298, on ranks. Exploratory.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.report.load_study import Study
from xgrl.stats.twoway import block_variance
from xgrl.tasks.typology import DISTANCES

PROXIES = ("public", "pieces")
DRAWS = 9_999
SPARE = 4  # languages beside the proxies and the mean, fewer say nothing


@dataclass(frozen=True)
class LanguageEffects:
    """The effect of the treatment by language.

    table: index language; effect, low, high (95 % over blocks, items as given; points), targets,
    public (that encoder's score, percent), seen, pieces and the `DISTANCES`, NaN: unknown. blocks:
    (B, languages) effects, in the order of the table. strata: (B,) intermediate tasks.
    """

    table: pd.DataFrame
    blocks: np.ndarray
    strata: np.ndarray


def language_effects(study: Study, baseline: str, treatment: str) -> LanguageEffects:
    """Each zero-shot language's mean difference over its targets, and what is known of it."""
    cells = stats.cell_means(study.predictions)
    cells = cells[cells.index.get_level_values("language") != "en"]
    pair = cells.unstack("arm").reindex(columns=[baseline, treatment]).dropna()
    by_block = _moved((pair[treatment] - pair[baseline]).unstack(["target", "language"]))
    strata = by_block.index.get_level_values("intermediate").to_numpy()
    effects = [_over_blocks(by_block[name].to_numpy(), strata) for name in by_block]
    table = pd.DataFrame(effects, index=by_block.columns)
    pairs = pair.index.to_frame(index=False)[["target", "language"]]
    table["targets"] = pairs.groupby("language").target.nunique()
    table["public"] = np.nan
    if "none" in cells.index.get_level_values("arm"):
        public = cells.xs("none", level="arm").groupby(["target", "language"]).mean()
        table["public"] = _moved(public.to_frame().T).iloc[0].reindex(table.index)
    facts = study.languages.set_index("language") if len(study.languages) else pd.DataFrame()
    facts = facts.reindex(index=table.index, columns=["seen", "pieces", *DISTANCES])
    facts = facts.astype(dict.fromkeys(("pieces", *DISTANCES), float))
    return LanguageEffects(table.join(facts), by_block.to_numpy(), strata)


def _moved(cells: pd.DataFrame) -> pd.DataFrame:
    """(target, language) columns to languages: each target moved to the common mean, by the same
    amount in all rows (intervals stay honest), then the mean over targets.
    """
    means = cells.mean()
    offset = means.groupby(level="target").transform("mean")
    moved = cells - offset + means.groupby(level="target").mean().mean()
    return moved.T.groupby(level="language").mean().T


def _over_blocks(values: np.ndarray, strata: np.ndarray) -> dict[str, float]:
    """Mean and 95 % t interval over blocks (B,), within intermediate tasks that have several."""
    labels, sizes = np.unique(strata, return_counts=True)
    split = len(labels) > 1 and sizes.min() == sizes.max() > 1
    half = np.nan
    if len(values) > 1:
        variance, df = block_variance(values, strata if split else None)
        half = stats.t_half_width(np.sqrt(variance / len(values)), df)
    return {"effect": values.mean(), "low": values.mean() - half, "high": values.mean() + half}


def seen_against_unseen(effects: LanguageEffects, draws=DRAWS, seed: int = 0) -> pd.DataFrame:
    """Mean effect on the discriminator's languages minus that on the others, one row.

    Columns difference, low, high, p_blocks, p_languages, seen, unseen. The interval and p_blocks
    (sign flip) take the languages as given and the runs as drawn;
    p_languages permutes which languages were seen. Empty where one of the groups is.
    """
    table = effects.table
    seen = table["seen"].map({True: True, False: False, "True": True, "False": False})
    if seen.isna().any() or seen.nunique() < 2:
        return pd.DataFrame()
    seen = seen.to_numpy(bool)
    difference = effects.blocks[:, seen].mean(1) - effects.blocks[:, ~seen].mean(1)
    shuffled = _permuted(table["effect"].to_numpy(), draws, np.random.default_rng(seed))
    null = shuffled[:, seen].mean(1) - shuffled[:, ~seen].mean(1)
    row = _over_blocks(difference, effects.strata) | {
        "p_blocks": stats.sign_flip(difference),
        "p_languages": _p_value(null, difference.mean()),
        "seen": ", ".join(table.index[seen]),
        "unseen": ", ".join(table.index[~seen]),
    }
    return pd.DataFrame([row]).rename(columns={"effect": "difference"})


def seen_and_unseen(
    study: Study, baseline: str, treatment: str, margin: float, weigh: stats.Weigh = None
) -> pd.DataFrame:
    """The comparison on the discriminator's languages and on the others: a family of two.

    Columns as `stats.family` (part: seen, unseen; a target without a language of the kind is not
    among a row's targets), and languages. Empty where the languages are of one kind, or 01 did not
    record which the discriminator saw.
    """
    rows = study.predictions
    foreign = sorted(set(rows.language.unique()) - {"en"})
    kinds = {"seen": True, "unseen": False}
    own = {kind: [n for n in foreign if study.seen.get(n) is seen] for kind, seen in kinds.items()}
    if not all(own.values()):
        return pd.DataFrame()
    parts = {kind: rows.language.isin(names).to_numpy() for kind, names in own.items()}
    table = stats.family(rows, (baseline, treatment), parts, margin, weigh)
    return table.assign(languages=[", ".join(names) for names in own.values()])


def _permuted(values: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Values (L,) dealt out anew to the languages, (draws, L)."""
    return rng.permuted(np.broadcast_to(values, (draws, len(values))), axis=1)


def _p_value(null: np.ndarray, observed: float) -> float:
    """Two-sided p of an observed statistic among those of its permutations; never 0."""
    return (1 + (np.abs(null) >= abs(observed) - 1e-12).sum()) / (1 + len(null))


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Over the last axis; 0 where one of the two does not vary."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), size, out=np.zeros(np.shape(size)), where=size > 1e-9)


def typology(effects: LanguageEffects, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Rank correlation of effect with each distance, plain and without the pretraining proxies.

    Returns distance, languages, rho, partial, null_low, null_high (95 % of the partial correlations
    when the residual effects are permuted over languages), p, p_holm, proxies. A distance with
    fewer than the proxies + 5 known languages, or without variation, is left out; so is a language
    of which a proxy is not known, and a proxy that is known of half of the languages or fewer.
    """
    facts = effects.table
    proxies = [p for p in PROXIES if facts[p].notna().mean() > 0.5 and facts[p].nunique() > 1]
    rows, rng = [], np.random.default_rng(seed)
    for name in DISTANCES:
        known = facts.dropna(subset=[name, *proxies])
        if len(known) < len(proxies) + 1 + SPARE or known[name].nunique() < 2:
            continue
        ranks = known[["effect", name, *proxies]].astype(float).rank()
        X = np.column_stack([np.ones(len(known)), ranks[proxies]])
        columns = [ranks[column].to_numpy() for column in ("effect", name)]
        # what least squares on the proxies leaves of both
        effect, distance = (y - X @ np.linalg.lstsq(X, y, rcond=None)[0] for y in columns)
        partial = float(_correlation(effect, distance))
        shuffled = _permuted(effect, draws, rng)
        null = _correlation(shuffled - shuffled @ X @ np.linalg.pinv(X), distance[None])
        rho = float(_correlation(*columns))
        row = {"distance": name, "languages": len(known), "rho": rho, "partial": partial}
        row["null_low"], row["null_high"] = np.quantile(null, [0.025, 0.975])
        rows.append(row | {"p": _p_value(null, partial), "p_holm": np.nan})
    table = pd.DataFrame(rows).assign(proxies=", ".join(proxies) or "none")
    if rows:
        table["p_holm"] = stats.holm(table["p"])
    return table
