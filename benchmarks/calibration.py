"""Calibration of the tests on data like the laptop study's: ``python -m benchmarks.calibration``
(about 20 minutes of one core).

Simulates studies with the variance components in ``outputs/reference/laptop/analysis/summary.json``
and writes ``outputs/calibration.json``, in six parts (``--only arms control`` makes some of them
and keeps what the file has of the others):

* *tests*: error rate and coverage of every test, of the study's own and of naive ones, and of the
  families;
* *verdicts*: how often each verdict is reached at true differences of 0, half the margin, the
  margin and beyond;
* *compare*: the same from studies that are written out as prediction rows and go through
  `xgrl.stats.compare` as they are; once with Gaussian differences and once with answers that are
  right or wrong;
* *designs*: the main test of 12 blocks as 3 tasks x 4 seeds and 2 x 6, also where items or blocks
  weigh more than in the laptop study;
* *arms*: family-wise error over 8 and 15 arms with 10 blocks, all of them null, and with one that
  differs, of equal standard deviations and of such from 1 to 3;
* *control*: standard minus none, at 4, 6 and 8 seeds of none, of equal and unequal run variances.

A share p of R studies has the Monte-Carlo standard error sqrt(p (1 - p) / R).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xgrl import stats
from xgrl.runs import records
from xgrl.stats.calibration_tables import calibration
from xgrl.stats.randomisation import sign_flip_columns
from xgrl.stats.twoway import variance

SUMMARY = "outputs/reference/laptop/analysis/summary.json"
PARTS = ("tests", "verdicts", "compare", "designs", "arms", "control")
VERDICTS = ("superior", "inferior", "equivalent", "inconclusive")


def design_of(summary: dict) -> stats.Design:
    """The published study's design, from its components, with its weights of targets."""
    comparison = summary["comparison"]
    blocks, components = (pd.DataFrame(comparison[name]) for name in ("blocks", "components"))
    weights = np.array(comparison["weights"])
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


def designs(design: stats.Design, margin: float, draws: int, seed: int) -> list[dict]:
    """Type-I error and coverage of the main test, 12 blocks in 3 strata and in 2."""
    rows = []
    for strata in (3, 2):
        for name, block, item in (("as laptop", 1, 1), ("items x 4", 1, 4), ("blocks x 4", 4, 1)):
            moved = {"block": block * design.block, "item": item * design.item}
            own = replace(design, **moved, blocks=12, strata=strata)
            null = stats.verdict_rates(own, [0.0], margin, draws, seed).iloc[0]
            family = stats.family_rates(own, draws, seed).set_index("test").rate
            row = {"design": f"{strata} tasks x {12 // strata} seeds", "components": name}
            row |= {"draws": draws, "rate": null.superior + null.inferior}
            row |= {"coverage": null.coverage, "any target, Holm": family["any target, Holm"]}
            rows.append(row)
    return rows


def over_arms(draws: int, seed: int, blocks: int = 10) -> list[dict]:
    """How often at least one arm that does nothing is called different: by sign-flip maxT on the
    block differences, by Holm on the larger of the two p, and by both, which a claim needs.

    Where items vary, each arm has its own effects on 300 items and shares the baseline's: between
    arms of standard deviation 1 a quarter of what blocks give to the variance of the difference.
    """
    rows, n, residual = [], 300, 100.0
    kinds = ("equal", 1.0), ("1 to 3", 3.0)
    settings = [(A, kind, item, moved) for A in (8, 15) for kind in kinds for item in (0.0, 10.0)
                for moved in (0, 1)]  # fmt: skip
    for A, (kind, widest), item, moved in settings:
        rng = np.random.default_rng(seed)
        sd, wrong = np.linspace(1.0, widest, A), np.zeros(3)
        for _ in range(draws):
            D = sd * rng.standard_normal((blocks, A)) - rng.standard_normal((blocks, 1))
            D += np.sqrt(item / n) * (rng.standard_normal(A) + rng.standard_normal())
            D += np.sqrt(residual / n) * rng.standard_normal((blocks, A))
            D[:, :moved] += 30.0
            items = (residual + 2 * blocks * item) * rng.chisquare(n - 1, A) / (n - 1)
            free = (blocks - 1) * (n - 1)
            left = residual * rng.chisquare(free, A) / free
            var, df = variance(n * D.var(0, ddof=1), items, left, blocks, n)
            crossed = 2 * student.sf(np.abs(D.mean(0)) / np.sqrt(var), df)
            p = np.maximum(crossed, sign_flip_columns(D))
            by_max_t, by_holm = np.maximum(stats.westfall_young(D), p), stats.holm(p)
            called = [by_max_t, by_holm, np.maximum(by_max_t, by_holm)]
            wrong += [(values[moved:] <= stats.ALPHA).any() for values in called]
        row = {"arms": A, "blocks": blocks, "standard deviations": kind, "items vary": item > 0}
        row |= {"one arm differs": bool(moved), "draws": draws}
        rows.append(row | dict(zip(("maxT", "Holm", "both"), wrong / draws, strict=True)))
    return rows


def control(draws: int, studies: int, seed: int) -> list[dict]:
    """Type-I error of standard minus none: after one intermediate task of 4 seeds, and over 3.

    Gaussian by what is sufficient (`draws` studies), at residuals of 300 and 100 items; and answers
    that are right or wrong, written out (`studies`) and analysed by `stats.unpaired_tasks`.
    """
    rows, n, residual = [], 100, 300.0
    spreads = {"equal": (1.0, 1.0), "none x 3": (1.0, 3.0), "standard x 3": (3.0, 1.0)}
    settings = [(tasks, K, name, item) for tasks in (1, 3) for K in (4, 6, 8) for name in spreads
                for item in (20.0, 150.0)]  # fmt: skip
    for strata, K, name, item in settings:
        rng, B = np.random.default_rng(seed), 4 * strata
        x, y = (
            np.sqrt(sd**2 + residual / n) * rng.standard_normal((draws, runs))
            for sd, runs in zip(spreads[name], (B, K), strict=True)
        )
        each = item + residual / B + residual / K
        free = n - 1, (B - strata) * (n - 1), (K - 1) * (n - 1)
        expected = each, residual, residual
        squares = [
            m * rng.chisquare(f, (draws, 1)) / f for m, f in zip(expected, free, strict=True)
        ]
        s2 = x.reshape(draws, strata, -1).var(2, ddof=1).mean(1), y.var(1, ddof=1)
        runs = (s2[0], B - strata, B), (s2[1], K - 1, K)
        var, df = stats.unpaired_variance(runs, squares, np.ones(1), np.array([n]))
        mean = x.mean(1) - y.mean(1) + np.sqrt(item / n) * rng.standard_normal(draws)
        p = 2 * student.sf(np.abs(mean) / np.sqrt(var), df)
        row = {"tasks x seeds": f"{strata} x 4", "seeds of none": K, "run SD": name, "scores": item}
        row |= {"scores": f"Gaussian, item variance {item:g}", "draws": draws}
        rows.append(row | {"rate": float((p <= stats.ALPHA).mean())})
        if item > 20:
            answers = [_answers(rng, strata, K, spreads[name], n) for _ in range(studies)]
            rate = np.mean([estimate.p <= stats.ALPHA for estimate in answers])
            row |= {"scores": "answers of two targets", "draws": studies}
            rows.append(row | {"rate": float(rate)})
    return rows


def _answers(
    rng: np.random.Generator, strata: int, K: int, spread: tuple[float, float], n: int
) -> stats.Estimate:
    """The estimate from right and wrong answers on two targets, no difference between the arms.

    Runs shift all items by `spread` points (standard deviation; the intermediate tasks apart by a
    fixed amount that sums to 0), items have difficulties that the arms share and effects by arm.
    """
    B, sides = 4 * strata, []
    tasks = np.repeat(3.0 * (np.arange(strata) - (strata - 1) / 2), 4)[:, None]
    difficulty = [60 + 15 * rng.uniform(-1, 1, n) for _ in range(2)]
    for runs, sd, fixed in ((B, spread[0], tasks), (K, spread[1], 0.0)):
        shared = sd * rng.standard_normal((runs, 1)) / np.sqrt(2) + fixed
        own = [sd * rng.standard_normal((runs, 1)) / np.sqrt(2) for _ in range(2)]
        effects = [rng.uniform(-10, 10, n) for _ in range(2)]
        chance = [d + e + shared + o for d, e, o in zip(difficulty, effects, own, strict=True)]
        sides.append([100.0 * (100 * rng.random(c.shape) < c) for c in chance])
    strata_of = np.repeat(np.arange(strata), 4) if strata > 1 else None
    return stats.unpaired_tasks(*sides, [0.5, 0.5], strata_of)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calibration", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--summary", type=Path, default=Path(SUMMARY))
    parser.add_argument("--output", type=Path, default=Path("outputs/calibration.json"))
    parser.add_argument("--draws", type=int, default=10_000, help="studies drawn by sufficiency")
    parser.add_argument(
        "--studies", type=int, default=2_000, help="for compare; twice as many written out"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts that are made")
    a = parser.parse_args()
    before = time.perf_counter()
    summary = json.loads(a.summary.read_bytes())
    design, margin = design_of(summary), summary["comparison"]["margin"]
    components = summary["comparison"]["components"]
    shifts = [0.0, margin / 2, margin, -margin, 1.5 * margin, 2 * margin, -2 * margin]
    parts = {
        "tests": lambda: calibration(
            design, components[-1], margin, a.draws, a.seed
        ).to_dict("records"),
        "verdicts": lambda: stats.verdict_rates(
            design, shifts, margin, a.draws, a.seed
        ).to_dict("records"),
        "compare": lambda: [
            {"scores": "answers" if answers else "Gaussian"}
            | through_compare(
                design, shift, margin,
                a.studies if shift in (0.0, margin) else a.studies // 4, a.seed, answers,
            )
            for answers in (False, True)
            for shift in (0.0, margin, 2 * margin, -2 * margin)
        ],
        "designs": lambda: designs(design, margin, a.draws, a.seed),
        "arms": lambda: over_arms(2 * a.studies, a.seed),
        "control": lambda: control(a.draws, 2 * a.studies, a.seed),
    }  # fmt: skip
    tables = {name: make() for name, make in parts.items() if name in (a.only or parts)}
    head = {"summary": str(a.summary), "components": components}
    kept = json.loads(a.output.read_bytes()) if a.only and a.output.exists() else head
    seconds = round(time.perf_counter() - before, 1)
    told = {} if a.only else {"draws": a.draws, "seconds": seconds}
    records.write_json(a.output, stats.plain(kept | tables | told))
    for rows in tables.values():
        print(pd.DataFrame(rows).round(4).to_string(index=False), "\n")
    print(a.output)


if __name__ == "__main__":
    main()
