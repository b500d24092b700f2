"""Prediction rows with known variance components."""

from __future__ import annotations

import numpy as np
import pandas as pd


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
    """Rows as written by 03: "intent" has ids of its own for each language, the others are
    parallel.
    """
    g = np.random.default_rng(seed)
    rows = []
    for target in targets:
        item_effect = {language: item * g.normal(size=items) for language in languages}
        for i in range(intermediates):
            for s in range(seeds):
                run = block * g.normal()
                for language in ("en", *languages):
                    n = items - (
                        5 * languages.index(language)
                        if target == "intent" and language != "en"
                        else 0
                    )
                    base = 60 + 20 * g.normal(size=n)
                    own = f"{language}-" if target == "intent" else ""
                    effect = shift + run + item_effect.get(language, np.full(items, 80.0))[:n]
                    noise = residual * g.normal(size=n)
                    for arm, score in (("standard", base), ("dann", base + effect + noise)):
                        rows.append(
                            pd.DataFrame(
                                {
                                    "study": "s",
                                    "intermediate": f"task{i}",
                                    "arm": arm,
                                    "target": target,
                                    "seed": s,
                                    "language": language,
                                    "example_id": [f"{own}{k}" for k in range(n)],
                                    "gold": "x",
                                    "prediction": "y",
                                    "score": score,
                                }
                            )
                        )
    return pd.concat(rows, ignore_index=True)
