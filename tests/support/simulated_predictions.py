"""Prediction rows, and tables of differences, with known variance components."""

import numpy as np
import pandas as pd


def rng(seed=0):
    return np.random.default_rng(seed)


def differences(blocks, items, block=1.0, item=5.0, residual=20.0, shift=0.0, seed=0):
    """(B, n) differences with given standard deviations in points."""
    g = rng(seed)
    return (
        shift
        + block * g.normal(size=(blocks, 1))
        + item * g.normal(size=(1, items))
        + residual * g.normal(size=(blocks, items))
    )


def predictions(
    shift=0.0,
    intermediates=2,
    seeds=6,
    items=60,
    languages=("de", "fr", "zh"),
    block=1.0,
    item=2.0,
    residual=6.0,
    targets=("news", "intent"),
    seed=0,
):
    """Rows as written by 03: "intent" has its own ids for each language, others share them."""
    g, rows = rng(seed), []
    for target in targets:
        own_ids = target == "intent"
        item_effect = {language: item * g.normal(size=items) for language in languages}
        for i, s in np.ndindex(intermediates, seeds):
            run = block * g.normal()
            for language in ("en", *languages):
                fewer = own_ids and language != "en"
                n = items - (5 * languages.index(language) if fewer else 0)
                base = 60 + 20 * g.normal(size=n)
                ids = [f"{language}-{k}" if own_ids else str(k) for k in range(n)]
                effect = shift + run + item_effect.get(language, np.full(items, 80.0))[:n]
                moved = base + effect + residual * g.normal(size=n)
                names = {"study": "s", "intermediate": f"task{i}", "target": target, "seed": s}
                names |= {"language": language, "example_id": ids, "gold": "x", "prediction": "y"}
                for arm, score in (("standard", base), ("dann", moved)):
                    rows.append(pd.DataFrame(names | {"arm": arm, "score": score}))
    return pd.concat(rows, ignore_index=True)
