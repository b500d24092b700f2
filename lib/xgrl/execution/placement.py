"""Placement: which cores and which GPU a job may have.

    python -I lib/xgrl/execution/placement.py                   # cores available here
    python -m xgrl.execution.placement 2 params/base.yaml params/laptop.yaml
                                                # what Snakemake is told for 2 jobs at once

The cores of a process are not those of the machine: its CPU affinity (taskset, cpusets, a batch
system) and the CPU quota of every control group that it is in (containers; cgroup v1 and v2) each
take some away. More threads than that make all of them crawl: jobs x threads a job is never above.

A GPU is for one job at a time. Which one is decided by a file lock for each device, which the
operating system releases however its holder ends. Devices go by their UUIDs, so that jobs of which
each sees another GPU as its number 0 are kept apart.

The Makefile runs this file: it needs Python's own library alone until it reads or locks something.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

POLL_SECONDS = 1.0  # between looks at the locks of GPUs that are all taken
COUNTED = "available to this process (affinity and control groups counted)"


def cores(root: str | Path = "/") -> int:
    """Whole cores that this process may keep busy, at least 1.

    root: where ``proc`` and the mounted control groups are found.
    """
    if hasattr(os, "sched_getaffinity"):
        affinity = len(os.sched_getaffinity(0))
    else:
        affinity = os.cpu_count() or 1
    return max(1, min([affinity, *map(int, _quotas(Path(root)))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU quota in cores of this process's control groups, from its own to the outermost mounted.

    Sources: cgroups(7), proc(5) on mountinfo, kernel documentation admin-guide/cgroup-v2.rst.
    """
    try:
        groups = os.fsdecode((root / "proc/self/cgroup").read_bytes()).splitlines()
        mounts = os.fsdecode((root / "proc/self/mountinfo").read_bytes()).splitlines()
    except OSError:  # not Linux
        return
    own = {}
    for _, names, path in (line.split(":", 2) for line in groups):
        own |= dict.fromkeys(names.split(","), path)  # v2 has no name
    for fields in map(str.split, mounts):
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        name = {"cgroup2": "", "cgroup": "cpu"}.get(kind)
        if name is None or name not in own or (name and name not in options.split(",")):
            continue
        top = root / fields[4].lstrip("/")
        inside = os.path.relpath(own[name], fields[3])
        group = top if inside.startswith("..") else top / inside
        while True:
            yield from _quota(group)
            if group == top:
                break
            group = group.parent


def _quota(group: Path) -> Iterator[float]:
    """The quota in cores that a control group sets itself, if it sets one."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_bytes().split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((group / name).read_bytes() for name in names)
        if quota != b"max" and int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return


def check_cores(jobs: int, threads: int, available: int | None = None) -> int:
    """Cores that so many jobs take; ValueError where that is more than `available` (`cores`)."""
    available = available or cores()
    if jobs < 1 or jobs * threads > available:
        allowed = "none; run it on a larger machine, or lower fixed.threads"
        if most := available // threads:
            allowed = f"1 to {most}"
        asked = f"JOBS={jobs} with {threads} thread{'s' * (threads > 1)} a job"
        limit = f"allowed JOBS: {allowed}; more threads than cores make every job crawl"
        raise ValueError(f"{asked}: {available} cores are {COUNTED}; {limit}")
    return jobs * threads


def gpus() -> list[str]:
    """UUIDs of this process's GPUs: `nvidia-smi` limited by ``CUDA_VISIBLE_DEVICES``."""
    command = ["nvidia-smi", "-L"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    listed = dict(re.findall(r"^GPU (\d+):.*\(UUID: (\S+?)\)", listing, re.M))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not listed:
        return list(listed.values())
    # as CUDA does: nothing counts from the first unknown name on
    known = takewhile(
        lambda name: name in listed or name.startswith(("GPU-", "MIG-")),
        map(str.strip, visible.split(",")),
    )
    return [listed.get(name, name) for name in known]


def check_gpu() -> list[str]:
    """`gpus`; ValueError where there is none."""
    if devices := gpus():
        return devices
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    limit = "" if visible is None else f" with CUDA_VISIBLE_DEVICES={visible!r}"
    allowed = "allowed here: cpu (fixed.device in the study file)"
    raise ValueError(f"device='cuda': nvidia-smi lists no GPU here{limit}; {allowed}")


@contextmanager
def one_gpu(folder: str | Path | None = None) -> Iterator[str]:
    """Hold one GPU for this process and its children, waiting for one to be free; yields its UUID.

    ``CUDA_VISIBLE_DEVICES`` names it meanwhile. ValueError where there is none.

    folder: of the locks; by default one of this user's on this machine.
    """
    from filelock import FileLock, Timeout

    devices = check_gpu()
    folder = Path(folder or Path(tempfile.gettempdir(), f"xgrl-gpus-{os.getuid()}"))
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        for device in devices:
            lock = FileLock(folder / f"{device}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            before = os.environ.get("CUDA_VISIBLE_DEVICES")
            os.environ["CUDA_VISIBLE_DEVICES"] = device
            try:
                yield device
            finally:
                os.environ.pop("CUDA_VISIBLE_DEVICES")
                if before is not None:
                    os.environ["CUDA_VISIBLE_DEVICES"] = before
                lock.release()
            return
        time.sleep(POLL_SECONDS)


def options(jobs: str, files: list[str]) -> str:
    """Snakemake's options for so many jobs at once of a study's files; ValueError if impossible."""
    from xgrl.runs.study_files import read_study

    if not re.fullmatch(r"[0-9]{1,6}", jobs) or not int(jobs):
        allowed = f"allowed: 1 to {cores()}, the cores available here"
        raise ValueError(f"JOBS={jobs}: how many jobs run at once; {allowed}")
    fixed = read_study(*files).get("fixed")
    threads = fixed.get("threads", 1) if isinstance(fixed, dict) else 1
    if not isinstance(threads, int) or threads < 1:
        threads = 1  # the study itself is refused for it, by name
    placed, devices = f"--cores {check_cores(int(jobs), threads)}", len(gpus())
    return f"{placed} --resources gpu={devices}" if devices else placed


def answer(say: Callable[..., object], *arguments: object) -> int:
    """Print what `say` makes of the arguments; 0, or 2 where it refuses them (ValueError)."""
    try:
        print(say(*arguments))
    except ValueError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str]) -> int:
    """Command line; 0, or 2 where what is asked for is refused."""
    return answer(options, arguments[0], arguments[1:]) if arguments else answer(cores)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
