"""Kill parts of a running smoke study at random moments, resume it, and compare with an undisturbed
one.

    python -m tests.faults.kill --kills 50 --seed 0

(from the project's folder; about a quarter of an hour on 2 cores)

A victim is one process of the study, killed with SIGKILL as a crash, the kernel's memory killer or
an impatient user would: a notebook's kernel, papermill around it, Snakemake, the warm server that
forks kernels, or everything at once. After every kill: a run that has its ``run.json`` is whole. At
the end: predictions byte for byte those of the undisturbed study, no finished job was run again, no
process and no temporary file is left.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64decode
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from xgrl.runs import records

ROOT = Path(__file__).resolve().parents[2]
VICTIMS = ("kernel", "papermill", "snakemake", "server", "group")
SMALL = {  # a study of 8 jobs, for a test that must be short
    "scientific": {
        "intermediate": ["sarcasm"],
        "targets": ["intent"],
        "languages": ["en", "de", "fr"],
        "seeds": [0, 1],
        "probe_arms": ["dann"],
    },
    "nuisance": {
        "intermediate": {"steps": {"default": 30}},
        "target": {"steps": {"default": 30, "intent": 30}},
    },
    "calibration_draws": 20,
}


class Running:
    """A study in a folder of its own, whose processes are known by the folder for temporary files
    that they inherit.

    Args:
        folder: of the study; `outputs` and Snakemake's notes come to lie there.
        changes: of the smoke study's parameters.
    """

    def __init__(self, folder: Path, changes: dict | None = None):
        # short: it holds Unix sockets
        self.folder, self.place = Path(folder), Path(tempfile.mkdtemp(prefix="xf"))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "extra.yaml").write_text(
            json.dumps({"outputs": "outputs"} | (changes or {}))
        )
        self.process: subprocess.Popen | None = None
        self.log = self.folder / "log"

    def command(self, *more: str) -> list[str]:
        """The Makefile's command, with its outputs in the folder."""
        files = [str(ROOT / "params" / f"{name}.yaml") for name in ("base", "smoke")]
        where = [
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(self.folder),
            "--nolock",
            "--cores",
            "2",
        ]
        profile = ["--workflow-profile", str(ROOT / "profiles" / "local")]
        files += [str(self.folder / "extra.yaml")]
        return [sys.executable, "-m", "snakemake", *where, *profile, *more, "--configfile", *files]

    def environment(self) -> dict[str, str]:
        own = {"TMPDIR": str(self.place), "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT / "lib")}
        return (
            os.environ
            | own
            | {"XGRL_CACHE": str(self.folder / "cache"), "TOKENIZERS_PARALLELISM": "false"}
        )

    def start(self, *more: str) -> subprocess.Popen:
        """Start or resume it; Snakemake leads a process group of its own."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command(*more), env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
                # which a shell's background job ignores
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        return self.process

    def processes(self) -> dict[str, list[psutil.Process]]:
        """The living processes of the study by what they are."""
        found: dict[str, list[psutil.Process]] = {
            name: [] for name in ("kernel", "papermill", "snakemake", "server", "other")
        }
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE or process.environ().get(
                    "TMPDIR"
                ) != str(self.place):
                    continue
                line = process.cmdline()
                if "ipykernel_launcher" in line:
                    kind = "kernel"
                elif "serve" in line:
                    parent = process.parent()
                    kind = "kernel" if parent and "serve" in parent.cmdline() else "server"
                elif "xgrl.execution.execute" in line:
                    kind = "papermill"
                else:
                    kind = (
                        "snakemake"
                        if line[1:3] == ["-m", "snakemake"] or line[1:2] == [".venv/bin/snakemake"]
                        else "other"
                    )
                found[kind].append(process)
        return found

    def finished(self) -> dict[Path, tuple[int, int]]:
        """The runs that have ended and that Snakemake knows to have: their record's file number and
        time.
        """
        found = {}
        for path in (self.folder / "outputs").rglob("run.json"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                found[path] = (stat.st_ino, stat.st_mtime_ns)
        # a file a job that runs, named after its output
        notes = self.folder / ".snakemake" / "incomplete"
        for note in notes.rglob("*"):
            name = "".join(part.removeprefix("@") for part in note.relative_to(notes).parts)
            found.pop(self.folder / urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode(), None)
        return found

    def damaged(self) -> list[str]:
        """What is wrong with the runs that have a record: none may be half written."""
        wrong = []
        for path in (self.folder / "outputs").rglob("run.json"):
            try:
                records.verify_hashes(path.parent)
            except ValueError as error:
                if path.exists():  # not just now taken away by the job that runs again
                    wrong.append(str(error))
        return wrong

    def predictions(self) -> dict[str, bytes]:
        """The predictions, by file."""
        return predictions_in(self.folder / "outputs" / "smoke")

    def left(self, seconds: float = 20) -> list[str]:
        """The processes that are still there some time after the warm server was told to end, as it
        does when it is idle.
        """
        for folder in self.place.glob("xgrl-[0-9]*"):
            shutil.rmtree(folder, ignore_errors=True)
        end = time.monotonic() + seconds
        while (
            there := [p for some in self.processes().values() for p in some]
        ) and time.monotonic() < end:
            time.sleep(0.2)
        lines = []
        for process in there:
            with suppress(psutil.Error):
                lines.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        return lines

    def litter(self) -> list[str]:
        """Temporary files that nobody will take away."""
        return [
            str(path)
            for path in (self.folder / "outputs").rglob(".*")
            if not path.name.startswith(".ipynb")
        ]

    def close(self) -> None:
        """End what is left, and remove the folder for temporary files."""
        for some in self.processes().values():
            for process in some:
                with suppress(psutil.Error):
                    process.kill()
        shutil.rmtree(self.place, ignore_errors=True)


def predictions_in(base: Path) -> dict[str, bytes]:
    """The predictions of a study by the file's path below its folder."""
    return {
        str(path.relative_to(base)): path.read_bytes()
        for path in sorted(base.rglob("predictions.parquet"))
    }


def undisturbed(folder: Path, changes: dict | None = None) -> dict[str, bytes]:
    """The predictions of a study that nobody disturbs."""
    study = Running(folder, changes)
    try:
        if study.start().wait(timeout=1800) != 0:
            raise RuntimeError(f"the undisturbed study failed, see {study.log}")
        return study.predictions()
    finally:
        study.close()


def kill_one(study: Running, victim: str, rng: random.Random) -> bool:
    """Kill one process of that kind (of "group": Snakemake's whole process group); False if there
    is none.
    """
    try:
        if victim == "group":
            os.killpg(study.process.pid, signal.SIGKILL)
            return True
        there = study.processes()[victim]
        if victim == "snakemake":
            there = [process for process in there if process.pid == study.process.pid]
        if not there:
            return False
        rng.choice(sorted(there, key=lambda process: process.pid)).kill()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    return True


def disturbed(
    folder: Path, kills: int, rng: random.Random, changes: dict | None, pause: tuple[float, float]
) -> dict:
    """Run a study to its end under up to `kills` kills; what was found.

    Args:
        folder: of the study.
        kills: how many to make; fewer where the study ends before.
        rng: chooses victims and moments.
        changes: of the smoke study's parameters.
        pause: before a kill none or one further run ends, and then so many seconds pass, at least
            and at most.
    """
    study = Running(folder, changes)
    kept: dict[Path, tuple[int, int]] = {}
    made, resumed, rerun, damaged = Counter(), 0, set(), []
    try:
        study.start()
        while True:
            code = None
            with suppress(subprocess.TimeoutExpired):
                if made.total() < kills:
                    wanted, end = len(study.finished()) + rng.choice((0, 1)), time.monotonic() + 300
                    while (
                        len(study.finished()) < wanted
                        and study.process.poll() is None
                        and time.monotonic() < end
                    ):
                        time.sleep(0.2)
                code = study.process.wait(rng.uniform(*pause) if made.total() < kills else 1800)
            if code == 0:
                break
            if code is None:
                if made.total() >= kills:
                    raise RuntimeError(f"the study did not end, see {study.log}")
                victim = rng.choice(VICTIMS)
                before = study.finished()
                if not kill_one(study, victim, rng):
                    continue
                made[victim] += 1
                print(f"  kill {made.total()}: {victim}, {len(before)} runs had ended", flush=True)
                kept |= before
                damaged += study.damaged()
                if victim in ("snakemake", "group"):
                    study.process.wait()
            elif made.total() >= kills and resumed > kills + 5:
                raise RuntimeError(f"the study fails again and again, see {study.log}")
            if study.process.poll() is not None:
                resumed += 1
                study.start()
        for path, was in kept.items():
            stat = path.stat()
            if (stat.st_ino, stat.st_mtime_ns) != was:
                rerun.add(str(path.relative_to(folder)))
        damaged += study.damaged()
        return {
            "kills": made, "resumed": resumed, "kept": len(kept), "rerun": sorted(rerun),
            "damaged": damaged, "left": study.left(), "litter": study.litter(),
            "predictions": study.predictions(),
        }  # fmt: skip
    finally:
        study.close()


def main() -> int:
    """Command line: 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--small", action="store_true", help="a study of 8 jobs in place of the smoke study"
    )
    parser.add_argument(
        "--pause",
        type=float,
        nargs=2,
        default=(0.2, 8.0),
        help="seconds before a kill, least and most",
    )
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    parser.add_argument(
        "--expected",
        type=Path,
        help="folder with an undisturbed study's outputs, else one is run first",
    )
    arguments = parser.parse_args()
    rng, changes, total, bad = (
        random.Random(arguments.seed),
        SMALL if arguments.small else None,
        Counter(),
        0,
    )
    base = arguments.keep or Path(tempfile.mkdtemp(prefix="xgrl-kills-"))
    if arguments.expected:
        expected = predictions_in(arguments.expected / "smoke")
    else:
        expected = undisturbed(base / "undisturbed", changes)
    print(f"undisturbed: {len(expected)} files of predictions", flush=True)
    number = 0
    while total.total() < arguments.kills:
        number += 1
        found = disturbed(
            base / f"round-{number}",
            arguments.kills - total.total(),
            rng,
            changes,
            tuple(arguments.pause),
        )
        total += found["kills"]
        same = sum(found["predictions"].get(name) == data for name, data in expected.items())
        wrong = found["rerun"] + found["damaged"] + found["left"] + found["litter"]
        bad += (
            len(wrong) + (same != len(expected)) + (found["predictions"].keys() != expected.keys())
        )
        print(
            f"round {number}: {dict(found['kills'])}, resumed {found['resumed']} times, "
            f"predictions equal {same} of {len(expected)}, finished runs kept "
            f"{found['kept'] - len(found['rerun'])} of {found['kept']}, damaged "
            f"{len(found['damaged'])}, processes left {len(found['left'])}, temporary files left "
            f"{len(found['litter'])}",
            *wrong,
            sep="\n  ",
            flush=True,
        )
    print(
        f"{total.total()} kills survived: {dict(total)}"
        if not bad
        else f"{bad} faults after {total.total()} kills"
    )
    if not arguments.keep:
        shutil.rmtree(base, ignore_errors=True)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
