"""Whole studies: what notebooks and grid add to the work, preparation cold and cached, a finished
study, a dry run.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.running import shell, spread, timed
from benchmarks.table import entry
from xgrl.runs import records
from xgrl.runs.cache import cache_folder

LESS = {  # of params/bench.yaml: fewer languages
    "study": "bench",
    "encoder": "embedded",
    "sources": ["packages"],
    "intermediate": ["sarcasm"],
    "targets": ["intent"],
    "languages": ["en", "de", "fr"],
    "unlabelled_languages": ["en", "de", "fr"],
    "trained_layers": 2,
    "max_length": 40,
    "train_rows": 2000,
    "dev_rows": 500,
    "test_rows": 150,
    "unlabelled_rows": 300,
    "probe_rows": 100,
    "workers": 1,
}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def execute(
    notebook: str, folder: str, values: dict, *options: str, **environment: str
) -> tuple[float, float]:
    """Run a notebook's job; wall seconds of its process, and of its own work as its record has
    them.
    """
    arguments = [
        f"notebooks/{notebook}.ipynb",
        f"{folder}/out.ipynb",
        "--json",
        json.dumps(values | {"outputs": folder}),
    ]
    seconds = timed(1, "-m", "xgrl.execution.execute", *arguments, *options, **environment)[
        "process_seconds"
    ]
    return seconds, records.read(Path(folder) / values["study"] / "prepared")["wall_seconds"]


def overhead(*options: str) -> float:
    """Seconds that a notebook job takes beyond its own work."""
    with tempfile.TemporaryDirectory() as folder:
        wall, own = execute("01_prepare", folder, {"study": "smoke"}, *options)
        return wall - own


def kernels(rounds: int) -> dict[str, dict]:
    """Overhead of a job, warm and cold in turn; the first warm one starts the server and does not
    count.
    """
    overhead()
    pairs = [(overhead(), overhead("--cold")) for _ in range(rounds)]
    warm, cold = (list(side) for side in zip(*pairs, strict=True))
    what = "wall time of a smoke preparation less its own work"
    return entry(
        "warm_overhead_s", statistics.median(warm), f"{what}; {rounds} rounds, {spread(warm)}"
    ) | entry(
        "cold_overhead_s", statistics.median(cold), f"the same with a fresh kernel; {spread(cold)}"
    )


@contextlib.contextmanager
def forgotten() -> Iterator[str]:
    """A cache folder with the packages, texts and encoders of the real one, and no output of frozen
    layers.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in cache_folder().glob("*"):
            if path.name != "prefix":
                (Path(folder) / path.name).symlink_to(path.resolve())
        yield folder


def preparation(rounds: int) -> dict[str, dict]:
    """Notebook 01 with an empty cache of frozen layers, and once more with what that left; one
    round is enough.
    """
    with forgotten() as cache, tempfile.TemporaryDirectory() as folder:
        cold, again = (
            execute("01_prepare", folder, LESS, "--cold", XGRL_CACHE=cache)[1] for _ in range(2)
        )
    what = (
        "own work of 01: 1 intermediate task, 1 target, 3 languages, sizes of base.yaml, 10 "
        "layers frozen, 1 thread"
    )
    return entry("prepare_cold_s", cold, what) | entry(
        "prepare_cached_s", again, "the same, run again"
    )


def answers(rounds: int) -> dict[str, dict]:
    """How long `make` takes where there is nothing to do, and to list the paper's jobs."""
    study = "laptop" if Path("outputs/laptop/analysis/report.html").exists() else "smoke"
    command = ["make", "--no-print-directory", "study", f"STUDY={study}"]
    shell(command)  # finish it, where it is not
    nothing = [shell(command) for _ in range(rounds)]
    listed = [
        shell(["make", "--no-print-directory", "dry-run", "STUDY=paper"]) for _ in range(rounds)
    ]
    return entry(
        "nothing_to_do_s",
        statistics.median(nothing),
        f"make study STUDY={study} again; {rounds} rounds, {spread(nothing)}",
    ) | entry(
        "paper_dry_run_s",
        statistics.median(listed),
        f"make dry-run STUDY=paper; {rounds} rounds, {spread(listed)}",
    )


def core_seconds(study: Path) -> tuple[float, int]:
    """Core seconds of all runs of a study's folder (one with w threads or workers counts w times),
    and their number.
    """
    found = [records.read(path.parent) for path in sorted(study.rglob("run.json"))]
    return sum(
        run["wall_seconds"] * max(run["threads"], run["parameters"].get("workers", 1))
        for run in found
    ), len(found)


def logged(seconds: float, study: str | Path) -> dict[str, dict]:
    """Wall time and efficiency of a study that was run elsewhere: its wall seconds, and its folder.

    ValueError for a folder that holds no finished study.
    """
    study = Path(study)
    if not (study / "analysis" / "run.json").exists():
        raise ValueError(
            f"{study}: no finished study (no analysis/run.json); give the folder outputs/<study>"
        )
    own, runs = core_seconds(study)
    note = f"{runs} runs with {own / 60:.1f} core minutes of their own work, on {cores()} cores"
    rest = (
        "the rest: starting kernels, waiting at the beginning and end for the last job of a "
        "stage, making the report"
    )
    found = entry("grid_efficiency", own / seconds / cores(), f"{note}; {rest}")
    if study.name == "laptop":
        found |= entry("laptop_minutes", seconds / 60, f"{note}, from an empty folder")
    return found


def whole() -> dict[str, dict]:
    """Run the laptop study as `make study` does, in a fresh folder with no cached layers."""
    files = [
        "--configfile",
        "params/base.yaml",
        "params/laptop.yaml",
        "--workflow-profile",
        "profiles/local",
    ]
    with forgotten() as cache, tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *files,
            "--cores",
            str(cores()),
            "--config",
            f"outputs={folder}",
            "--nolock",
        ]
        seconds = shell(
            [
                "env",
                f"XGRL_CACHE={cache}",
                "PYTHONHASHSEED=0",
                "TOKENIZERS_PARALLELISM=false",
                *command,
            ]
        )
        return logged(seconds, Path(folder) / "laptop")
