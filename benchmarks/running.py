"""Every measurement is a process of its own with stated threads: start it, read the JSON line it
prints, time it outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


def start(
    threads: int, *command: str, python: str = sys.executable, **environment: str
) -> subprocess.Popen:
    """A Python process with so many threads."""
    limits = {f"{name}_NUM_THREADS": str(threads) for name in LIBRARIES}
    return subprocess.Popen(
        [python, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | limits | environment,
    )  # fmt: skip


def result(process: subprocess.Popen) -> dict[str, float]:
    """What a process printed as its last line of JSON; SystemExit with the end of its messages
    where it failed.
    """
    out, said = process.communicate()
    if process.returncode:
        raise SystemExit(
            f"{' '.join(map(str, process.args))} failed:\n{said[-3000:] or out[-3000:]}"
        )
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def timed(threads: int, *command: str, **environment: str) -> dict[str, float]:
    """One process: what it prints as JSON; its wall time from outside is ``process_seconds``."""
    before = time.perf_counter()
    found = result(start(threads, *command, **environment))
    return found | {"process_seconds": time.perf_counter() - before}


def together(copies: int, *command: str) -> list[dict[str, float]]:
    """The same command in several processes of one thread, which wait for each other (`meet`)
    before they measure.
    """
    with tempfile.TemporaryDirectory() as place:
        return [
            result(process)
            for process in [
                start(1, *command, XGRL_MEET=f"{place}:{copies}") for _ in range(copies)
            ]
        ]


def meet() -> None:
    """Wait until all processes of `together` are here; at once for a process on its own."""
    if found := os.environ.get("XGRL_MEET"):
        place, _, copies = found.rpartition(":")
        (Path(place) / str(os.getpid())).touch()
        while len(os.listdir(place)) < int(copies):
            time.sleep(0.01)


class Stopwatch:
    """Seconds by the clock and of processor time since the process started, less those of looking.

    `points`: of each look the steps done, both kinds of seconds, and what was seen.
    """

    def __init__(self) -> None:
        with open("/proc/self/stat", encoding="utf-8") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        before = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        self.started, self.looking = time.perf_counter() - before, [0.0, 0.0]
        self.points: list[tuple[int, float, float, float]] = []

    def seconds(self) -> tuple[float, float]:
        """So far, by the clock and of all threads."""
        wall, processor = self.looking
        return time.perf_counter() - self.started - wall, time.process_time() - processor

    def look(self, steps: int, see: Callable[[], float]) -> None:
        """Keep a point; what `see` takes does not count."""
        before = self.seconds()
        self.points.append((steps, *before, see()))
        after = self.seconds()
        self.looking = [x + b - a for x, a, b in zip(self.looking, before, after, strict=True)]


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def shell(command: Sequence[str]) -> float:
    """Wall seconds of a command that must succeed."""
    before = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.perf_counter() - before


def median(runs: Sequence[dict[str, float]], key: str) -> float:
    """The median of one number over runs."""
    return statistics.median(run[key] for run in runs)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Lowest to highest, for a note."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def machine() -> str:
    """Processor, cores that this process may use, memory, load, and the versions that matter."""
    from importlib.metadata import version

    model, memory = "unknown processor", ""
    with contextlib.suppress(OSError):
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    python = ".".join(map(str, sys.version_info[:3]))
    load = f"load average at the start {os.getloadavg()[0]:.1f}"
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores{memory}; Python {python}, {versions}; "
        f"{load}."
    )
