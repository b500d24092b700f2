"""`make bench`: our job beside what a user would pick instead, in one run, alternating; medians and ratios.

Needs the laptop study's prepared folder and makes it if it is missing. Writes ``outputs/bench.json``:
``{name: {value, target, unit, note}}``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xgrl import records

PREPARED = "outputs/laptop/prepared/run.json"


def timed(threads: int, *command: str) -> dict[str, float]:
    """One process with so many threads: what it prints as JSON, and its wall time from outside."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    before = time.perf_counter()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return (json.loads(lines[-1]) if lines else {}) | {"process_seconds": time.perf_counter() - before}


def notebook(*options: str) -> float:
    """Overhead of one notebook job in seconds: its wall time less the work that its record counts."""
    with tempfile.TemporaryDirectory() as folder:
        parameters = {"outputs": f"{folder}/outputs"}
        arguments = ["notebooks/01_prepare.ipynb", f"{folder}/out.ipynb", "--json", json.dumps(parameters), *options]
        seconds = timed(1, "-m", "xgrl.execute", *arguments)["process_seconds"]
        return seconds - records.read(f"{folder}/outputs/smoke/prepared")["wall_seconds"]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="times each side is run, alternating")
    rounds = parser.parse_args().rounds
    if not Path(PREPARED).exists():
        files = ["params/base.yaml", "params/laptop.yaml"]
        subprocess.run([sys.executable, "-m", "snakemake", "--configfile", *files, "--cores", "2", PREPARED], check=True)
    sides = {"ours": (1, "ours", "standard"), "dann": (1, "ours", "dann"), "trainer": (2, "trainer")}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (threads, *arguments) in sides.items():
            found[name].append(timed(threads, "-m", "benchmarks.jobs", *arguments))
            print(f"{name:8s}", {k: round(v, 1) for k, v in found[name][-1].items()}, flush=True)

    def median(name: str, key: str) -> float:
        return statistics.median(run[key] for run in found[name])

    def rate(name: str, key: str) -> float:
        return statistics.median(run["tokens"] / run[key] for run in found[name])

    warm = statistics.median([notebook() for _ in range(rounds + 1)][1:])  # the first starts the server
    cold = statistics.median(notebook("--cold") for _ in range(rounds))
    accuracy = f"dev accuracy {median('ours', 'dev_accuracy'):.1f} % against {median('trainer', 'dev_accuracy'):.1f} %"
    table = {
        "speedup_vs_trainer": (
            rate("ours", "process_seconds") / rate("trainer", "process_seconds"),
            2.5,
            "x",
            f"labelled tokens/s of one job, whole process, 1 thread against 2; {accuracy}",
        ),
        "speedup_vs_trainer_training": (
            rate("ours", "train_seconds") / rate("trainer", "train_seconds"),
            None,
            "x",
            "the same, training loop alone",
        ),
        "dann_over_standard": (
            median("dann", "train_seconds") / median("ours", "train_seconds"),
            1.9,
            "x",
            "training loop, unlabelled texts one to one",
        ),
        "warm_overhead_s": (warm, 2.0, "s", "a notebook job's wall time less its own work"),
        "cold_overhead_s": (cold, None, "s", "the same with a fresh kernel"),
    }
    keys = ("value", "target", "unit", "note")
    records.write_json(
        "outputs/bench.json", {k: dict(zip(keys, (round(v[0], 3), *v[1:]), strict=True)) for k, v in table.items()}
    )
    for name, (value, target, unit, note) in table.items():
        print(f"{name:28s} {value:7.2f} {unit:2s} target {target if target is not None else '-':>4}  {note}")


if __name__ == "__main__":
    main()
