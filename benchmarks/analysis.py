"""Time and memory of a study's analysis: ``python -m benchmarks.analysis``.

Writes the predictions of two arms in the layout of a study (a folder a run, drawn scores of 0 and
100, targets of XTREME-R, parallel items), untimed and in a process of its own; then reads and
analyses them as notebook 05 does, in this process and one thread. Without options: 12 blocks, 20
languages, 2,000 items, 6 targets (5.8 million predictions). Prints one line a step and a JSON with
seconds (wall and processor) and peak memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xgrl import stats
from xgrl.report import averages, by_language, checks, load_study, robustness, tables
from xgrl.runs import records
from xgrl.stats import calibration_tables

ARMS, TASKS = ("standard", "dann"), ("first", "second")
SIZES = {"blocks": 12, "languages": 20, "items": 2000, "targets": 6}
LARGEST = {"blocks": 200, "languages": 25, "items": 1000, "targets": 10}


def write_study(
    folder: Path, blocks: int, languages: int, items: int, targets: int, seed: int = 0
) -> None:
    """A study's target runs: `blocks` (half after each of two tasks) x 2 arms x targets."""
    rng, rows = np.random.default_rng(seed), languages * items
    names = [f"l{k}" for k in range(languages)]
    cells = {
        "language": (np.repeat(np.arange(languages), items), names),
        "example_id": (np.tile(np.arange(items), languages), [f"e{k}" for k in range(items)]),
        "gold": (rng.integers(0, 3, rows), ["a", "b", "c"]),
    }
    known = pd.DataFrame({"language": names, "seen": np.arange(languages) % 2 == 0})
    (folder / "prepared").mkdir(parents=True)
    known.assign(syntactic=rng.random(languages)).to_csv(
        folder / "prepared/languages.csv", index=False
    )
    about = {"study": folder.name}
    records.finish(folder / "prepared", phase="prepare", parameters=about, metrics={}, started=0.0)
    for block in range(blocks):
        shared = rng.normal(0, 0.02)
        for arm in ARMS:
            own = 0.55 + 0.02 * (arm == ARMS[1]) + shared + rng.normal(0, 0.01)
            for target in averages.TASKS[:targets]:
                run = {"intermediate": TASKS[block % 2], "arm": arm, "target": target}
                run |= {"seed": block // 2}
                path = records.run_folder(folder.parent, folder.name, "target", **run)
                path.mkdir(parents=True)
                right = rng.random(rows, dtype=np.float32) < own
                columns = {
                    key: (np.zeros(rows, np.int8), [value]) for key, value in (about | run).items()
                }
                columns |= cells
                columns["prediction"] = (np.where(right, cells["gold"][0], 3), ["a", "b", "c", "d"])
                table = {
                    name: pa.DictionaryArray.from_arrays(codes.astype(np.int32), values)
                    for name, (codes, values) in columns.items()
                }
                table["score"] = 100.0 * right
                pq.write_table(pa.table(table), path / "predictions.parquet")
                scores = 100.0 * right.reshape(languages, items).mean(1)
                metrics = {
                    "metric": "accuracy", "scores": dict(zip(names, scores, strict=True)),
                    "macro": scores.mean(), "english": None, "dev_accuracy": 80.0,
                    "examples": dict.fromkeys(names, items),
                }  # fmt: skip
                given = {"phase": "target", "parameters": about | run, "metrics": metrics}
                records.finish(path, **given, started=time.monotonic())


def analyse(folder: Path, draws: int, studies: int) -> tuple[int, dict[str, list[float]]]:
    """Predictions read, and seconds (wall, processor) of each step of notebook 05 that depends on
    their number or on that of blocks.
    """
    steps: dict[str, list[float]] = {}

    def timed(name, call, *arguments, **named):
        before = time.perf_counter(), time.process_time()
        result = call(*arguments, **named)
        after = time.perf_counter(), time.process_time()
        steps[name] = [round(b - a, 2) for a, b in zip(before, after, strict=True)]
        wall, processor = steps[name]
        print(
            f"{name}: {wall} s, {processor} s of processor, {records.peak_memory_mb():.0f} MB",
            flush=True,
        )
        return result

    data = replace(timed("read", load_study.collect, folder), average="groups")
    data = timed("whole blocks", checks.on_whole_blocks, data, *ARMS)
    plan = {"weights": averages.group_weights}
    comparison = timed("compare", checks.planned_comparison, data, *ARMS, 1.0, plan)
    timed("averages", averages.further_averages, data, *ARMS, 1.0)
    timed("bootstrap", robustness.bootstrap_check, data, comparison, draws)
    rows, weigh = data.predictions, averages.group_weights
    timed("arms", stats.against_baseline, rows, ARMS[0], ARMS[1:], weigh=weigh)
    timed("seen and unseen", by_language.seen_and_unseen, data, *ARMS, 1.0, weigh)
    effects = timed("by language", by_language.language_effects, data, *ARMS)
    timed("seen against unseen", by_language.seen_against_unseen, effects)
    timed("leave one out", robustness.leave_one_out, rows, *ARMS, weigh)
    timed("verdict rates", calibration_tables.verdicts, comparison, studies)
    cells, components = calibration_tables.design(comparison), comparison.components.iloc[-1]
    timed("calibration", calibration_tables.calibration, cells, components, 1.0, studies)
    timed("results", tables.results, data)
    return len(rows), steps


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analysis", description=__doc__.split("\n")[0]
    )
    for name, value in (SIZES | {"draws": 10_000, "studies": 2000}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    a = parser.parse_args()
    imports = records.peak_memory_mb()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "made"
        sizes = {name: getattr(a, name) for name in SIZES}
        writer = multiprocessing.get_context("fork").Process(
            target=write_study, args=(folder,), kwargs=sizes
        )
        writer.start()
        writer.join()
        if writer.exitcode:
            raise SystemExit("the study could not be written")
        rows, steps = analyse(folder, a.draws, a.studies)
    wall, processor = np.array(list(steps.values())).sum(0).round(2).tolist()
    memory = {
        "peak_memory_mb": round(records.peak_memory_mb()),
        "imports_mb": round(imports),
    }
    print(json.dumps({"rows": rows, "seconds": wall, "processor_seconds": processor} | memory))


if __name__ == "__main__":
    main()
