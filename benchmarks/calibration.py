"""Calibration of the tests on data like the laptop study's: ``python -m benchmarks.calibration``
(about 10 minutes of one core).

Simulates studies with the variance components in ``outputs/reference/laptop/analysis/summary.json``
and writes ``outputs/calibration.json``, in four parts:

* *tests*: error rate and coverage of every test, of the study's own and of naive ones, and of the
  families;
* *verdicts*: how often each verdict is reached at true differences of 0, half the margin, the
  margin and beyond;
* *compare*: the same from studies that are written out as prediction rows and go through
  `xgrl.stats.compare` as they are; once with Gaussian differences and once with answers that are
  right or wrong;
* *arms*: family-wise error of the maxT over five arms, all of them null, and with one that differs.

A share p of R studies has the Monte-Carlo standard error sqrt(p (1 - p) / R).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.runs import records
from xgrl.stats.calibration_tables import calibration

SUMMARY = "outputs/reference/laptop/analysis/summary.json"
VERDICTS = ("superior", "inferior", "equivalent", "inconclusive")


def design_of(summary: dict) -> stats.Design:
    """The published study's design, from its components."""
    blocks = pd.DataFrame(summary["comparison"]["blocks"])
    components = pd.DataFrame(summary["comparison"]["components"])
    weights = np.full(len(components) - 1, 1 / (len(components) - 1))
    return stats.Design.of(components, weights, len(blocks), blocks["intermediate"].nunique())


def written_out(
    design: stats.Design, shift: float, rng: np.random.Generator, answers: bool
) -> pd.DataFrame:
    """One simulated study as prediction rows of two arms, one language a target, with a true
    difference of `shift` points.

    answers: scores of 0 and 100 whose probabilities carry block and item effects, with as much
    residual as answers have; otherwise Gaussian scores with the design's three variances.
    """
    B, root = design.blocks, np.linalg.cholesky(design.block + 1e-12 * np.eye(len(design.items)))
    block = rng.standard_normal((B, len(design.items))) @ root.T
    per = B // design.strata
    frames = []
    for t, items in enumerate(design.items.astype(int)):
        effect = shift + block[:, [t]] + np.sqrt(design.item[t]) * rng.standard_normal((1, items))
        if answers:
            base = np.clip(50 + 20 * rng.standard_normal((1, items)), 20, 80)
            low, high = (
                100.0 * (100 * rng.random((B, items)) < base + side * effect / 2)
                for side in (-1, 1)
            )
        else:
            low = np.full((B, items), 50.0)
            high = low + effect + np.sqrt(design.residual[t]) * rng.standard_normal((B, items))
        number = np.repeat(np.arange(B), items)
        keys = {"study": "s", "target": f"t{t}", "language": "de"}
        keys |= {"intermediate": number // per, "seed": number % per}
        keys |= {"example_id": np.tile(np.arange(items), B)}
        for arm, y in (("standard", low), ("dann", high)):
            frames.append(pd.DataFrame(keys | {"arm": arm, "score": y.ravel()}))
    categories = ("study", "target", "language", "intermediate", "arm", "example_id")
    return pd.concat(frames, ignore_index=True).astype(dict.fromkeys(categories, "category"))


def through_compare(
    design: stats.Design, shift: float, margin: float, draws: int, seed: int, answers: bool
) -> dict:
    """Rates of the verdicts, of the interval's coverage and of the equivalence test over studies
    that `compare` analysed.
    """
    rng, hits = np.random.default_rng(seed), dict.fromkeys((*VERDICTS, "covered", "tost"), 0)
    for _ in range(draws):
        comparison = stats.compare(written_out(design, shift, rng, answers), margin=margin)
        hits[comparison.verdict] += 1
        hits["covered"] += comparison.ci[0] <= shift <= comparison.ci[1]
        hits["tost"] += comparison.tost_p <= stats.ALPHA
    return {"shift": shift, "draws": draws} | {name: count / draws for name, count in hits.items()}


def over_arms(
    draws: int, permutations: int, seed: int = 0, blocks: int = 12, arms: int = 5
) -> list[dict]:
    """How often maxT calls at least one arm different that is not, when none differs and when one
    differs by far.
    """
    settings = {"no arm differs": 0.0, "one of five differs by three standard deviations": 3.0}
    rows = []
    for name, moved in settings.items():
        rng, wrong = np.random.default_rng(seed), 0
        for _ in range(draws):
            Y = rng.standard_normal((blocks, 1)) * 2 + rng.standard_normal((blocks, arms + 1))
            Y[:, 1] += moved
            p = stats.max_t(Y, permutations, rng)
            wrong += (p[1 if moved else 0 :] <= stats.ALPHA).any()
        rows.append({"setting": name, "draws": draws, "rate": wrong / draws})
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--summary", type=Path, default=Path(SUMMARY))
    parser.add_argument("--output", type=Path, default=Path("outputs/calibration.json"))
    parser.add_argument("--draws", type=int, default=10_000, help="studies drawn by sufficiency")
    parser.add_argument("--studies", type=int, default=2_000, help="for compare, and for maxT")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    before = time.perf_counter()
    summary = json.loads(a.summary.read_bytes())
    design, margin = design_of(summary), summary["comparison"]["margin"]
    components = summary["comparison"]["components"]
    shifts = [0.0, margin / 2, margin, -margin, 1.5 * margin, 2 * margin, -2 * margin]
    analysed = []
    for answers in (False, True):
        for shift in (0.0, margin, 2 * margin, -2 * margin):
            draws = a.studies if shift in (0.0, margin) else a.studies // 4
            rates = through_compare(design, shift, margin, draws, a.seed, answers)
            analysed.append({"scores": "answers" if answers else "Gaussian"} | rates)
    tables = {
        "tests": calibration(design, components[-1], margin, a.draws, a.seed).to_dict("records"),
        "verdicts": stats.verdict_rates(design, shifts, margin, a.draws, a.seed).to_dict("records"),
        "compare": analysed,
        "arms": over_arms(a.studies, 999, a.seed),
    }
    head = {"summary": str(a.summary), "components": components}
    seconds = round(time.perf_counter() - before, 1)
    records.write_json(
        a.output, stats.plain(head | tables | {"draws": a.draws, "seconds": seconds})
    )
    for rows in tables.values():
        print(pd.DataFrame(rows).round(4).to_string(index=False), "\n")
    print(a.output)


if __name__ == "__main__":
    main()
