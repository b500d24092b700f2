"""`make bench`: our job beside what a user would pick instead, and every other promise of speed, in
one run on one machine.

    python -m benchmarks [--only PART,PART] [--rounds 3] [--study | --study-log SECONDS FOLDER]
    python -m benchmarks --peers [--rounds 2]
    python -m benchmarks publish

Sides of a comparison run alternately, each in a process of its own with stated threads; medians and
ratios are kept. Needs the prepared folder of params/bench.yaml and makes it if it is missing.
Writes ``outputs/bench.json``, ``{name: {value, target, unit, note}}``, and the figure
``outputs/bench.png``; a run of some parts replaces only their rows. `publish` copies both to
``outputs/reference`` and writes the table into docs/speed.md. `--peers` is apart: other libraries,
each in an environment of its own (`benchmarks.peers`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks import growing, peers, studies, table, training
from benchmarks.figure import bench_figure
from benchmarks.running import machine
from xgrl.report.figures import save
from xgrl.report.figures.style import NotDrawn

OUTPUTS, REFERENCE, PAGE = Path("outputs"), Path("outputs/reference"), Path("docs/speed.md")
PREPARED = OUTPUTS / "bench/prepared/run.json"
PARTS: dict[str, Callable] = {
    "jobs": training.jobs,
    "peak": training.peak,
    "vocabulary": training.vocabulary,
    "kernels": studies.kernels,
    "answers": studies.answers,
    "preparation": studies.preparation,
    "examples": growing.examples,
    "analysis": growing.analysis,
    "retrieval": growing.retrieval,
}


def keep(rows: dict, points: dict) -> dict:
    """Merge what was measured into table and points, draw the figure, and return the table."""
    whole = table.merge(OUTPUTS / "bench.json", rows)
    every = table.merge(OUTPUTS / "bench_points.json", points)
    with suppress(NotDrawn):  # nothing with a target yet
        save(bench_figure(whole, every), OUTPUTS, "bench")
    return whole


def publish() -> None:
    """The table, its points and the figure as the published ones, and the page's copy; also that of
    other libraries, where they were measured.
    """
    if (measured := OUTPUTS / "peers.md").exists():
        table.put(measured.read_text(encoding="utf-8"), PAGE, peers.MARKERS)
    if not (OUTPUTS / "bench.json").exists():
        return
    whole = json.loads((OUTPUTS / "bench.json").read_bytes())
    table.write_page(whole, PAGE)
    for name in ("bench.json", "bench_points.json", "bench.png"):
        shutil.copyfile(OUTPUTS / name, REFERENCE / name)


def prepare() -> None:
    """Make the prepared folder of params/bench.yaml, where it is not there."""
    if not PREPARED.exists():
        files = ["params/base.yaml", "params/bench.yaml"]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "snakemake",
                "--configfile",
                *files,
                "--cores",
                str(studies.cores()),
                str(PREPARED),
            ],
            check=True,
        )


def arguments() -> argparse.Namespace:
    """Command line, checked before anything is run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("command", nargs="?", choices=("run", "publish"), default="run")
    parser.add_argument(
        "--only", default=",".join(PARTS), help=f"parts, by comma: {','.join(PARTS)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times each side is run, alternating")
    parser.add_argument(
        "--study", action="store_true", help="run the whole laptop study too, about 25 minutes"
    )
    parser.add_argument(
        "--peers", action="store_true", help="only that: other libraries beside ours, 6 min a round"
    )
    parser.add_argument(
        "--study-log",
        nargs=2,
        metavar=("SECONDS", "FOLDER"),
        help="of a finished study, run elsewhere",
    )
    found = parser.parse_args()
    found.only = [name for name in found.only.split(",") if name]
    if unknown := [name for name in found.only if name not in PARTS]:
        parser.error(f"--only {','.join(unknown)}: allowed: {', '.join(PARTS)}")
    if found.rounds < 1:
        parser.error(f"--rounds {found.rounds}: at least 1")
    if found.study and found.study_log:
        parser.error("--study measures what --study-log tells; give one of them")
    if found.study_log:
        try:
            found.logged = studies.logged(float(found.study_log[0]), found.study_log[1])
        except ValueError as error:
            parser.error(f"--study-log: {error}")
    return found


def main() -> None:
    """Measure, print and write the table."""
    options = arguments()
    if options.command == "publish":
        return publish()
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])
    )
    if options.peers:
        prepare()
        return peers.side_by_side(options.rounds)
    about = {
        table.MACHINE: {
            "value": studies.cores(),
            "target": None,
            "unit": "cores",
            "note": machine(),
        }
    }
    if {"jobs", "peak", "vocabulary", "examples"} & set(options.only):
        prepare()
    whole = keep(about | (options.logged if options.study_log else {}), {})
    todo = {name: lambda name=name: PARTS[name](options.rounds) for name in options.only}
    for name, measure in (todo | ({"study": studies.whole} if options.study else {})).items():
        before = time.perf_counter()
        found = measure()
        rows, points = found if isinstance(found, tuple) else (found, {})
        whole = keep(rows, points)
        said = ", ".join(f"{key} {row['value']:g}" for key, row in rows.items())
        print(f"{name} ({time.perf_counter() - before:.0f} s): {said}", flush=True)
    print(*(table.line(name, row) for name, row in whole.items()), sep="\n")


if __name__ == "__main__":
    main()
