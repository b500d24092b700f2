"""Time and memory of the analysis at its largest: ``python -m benchmarks.analysis``.

12 blocks, 20 languages, 2,000 items, 6 targets, two arms (5.8 million predictions), 10,000
bootstrap draws and 2,000 simulated studies, in this process and one thread. Prints one line a step
and a JSON with seconds (wall and processor) and peak memory.
"""

from __future__ import annotations

import argparse
import json
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.report import robustness
from xgrl.runs.records import peak_memory_mb
from xgrl.stats import calibration_tables


def predictions(
    blocks: int, languages: int, items: int, targets: int, seed: int = 0
) -> pd.DataFrame:
    """Prediction rows as `load_study.collect` holds them: keys as categories, scores 0 and 100."""
    rng = np.random.default_rng(seed)
    # target, arm, intermediate, seed, language, item
    axes = [targets, 2, 2, blocks // 2, languages, items]
    size = int(np.prod(axes))
    codes = np.indices(axes, dtype=np.int16).reshape(6, size)
    chance = (
        0.55
        + 0.02 * codes[1].astype(np.float32)
        + 0.05 * rng.standard_normal(size, dtype=np.float32)
    )
    frame = pd.DataFrame({"score": 100.0 * (rng.random(size, dtype=np.float32) < chance)})
    names = {
        "target": [f"t{k}" for k in range(targets)], "arm": ["standard", "dann"],
        "intermediate": ["a", "b"], "seed": list(range(blocks // 2)),
        "language": [f"l{k}" for k in range(languages)],
        "example_id": [f"e{k}" for k in range(items)],
    }  # fmt: skip
    for code, (key, values) in zip(codes, names.items(), strict=True):
        frame[key] = pd.Categorical.from_codes(code, values)
    frame["study"] = pd.Categorical.from_codes(np.zeros(size, np.int8), ["s"])
    return frame


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analysis", description=__doc__.split("\n")[0]
    )
    defaults = {"blocks": 12, "languages": 20, "items": 2000, "targets": 6}
    for name, value in (defaults | {"draws": 10_000, "studies": 2000}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    a = parser.parse_args()
    imports = peak_memory_mb()
    frame = predictions(a.blocks, a.languages, a.items, a.targets)
    steps: dict[str, list[float]] = {}

    def timed(name, call):
        before = time.perf_counter(), time.process_time()
        result = call()
        steps[name] = [
            round(time.perf_counter() - before[0], 2),
            round(time.process_time() - before[1], 2),
        ]
        print(f"{name}: {steps[name][0]} s, {steps[name][1]} s of processor", flush=True)
        return result

    comparison = timed("compare", lambda: stats.compare(frame))
    study = SimpleNamespace(predictions=frame)
    timed("bootstrap", lambda: robustness.bootstrap_check(study, comparison, a.draws))
    timed("leave one out", lambda: robustness.leave_one_out(frame, "standard", "dann"))
    timed("arms against the baseline", lambda: stats.against_baseline(frame, "standard", ["dann"]))
    timed("verdict rates", lambda: calibration_tables.verdicts(comparison, a.studies))
    timed(
        "calibration",
        lambda: calibration_tables.calibration(
            calibration_tables.design(comparison),
            comparison.components.iloc[-1],
            comparison.margin,
            a.studies,
        ),
    )
    wall, processor = np.array(list(steps.values())).sum(0).round(1).tolist()
    memory = {"peak_memory_mb": round(peak_memory_mb()), "imports_mb": round(imports)}
    print(
        json.dumps({"rows": len(frame), "seconds": wall, "processor_seconds": processor} | memory)
    )


if __name__ == "__main__":
    main()
