"""A run's folder: what is in it, and how it is written so that nothing half-done is ever taken for
finished.

Everything is written to a temporary name in the same folder, synced, and moved into place with
`os.replace`, which is atomic on one file system. ``run.json`` is written last; a run counts as
finished only when it is there. It holds the SHA-256 of every file of the run and of itself, and
whoever reads one of them checks it (`read`, `verify_hashes`): a flipped bit in weights or scores
would else go unnoticed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
STATUSES = ("finished", "diverged")
PREDICTION_COLUMNS = {
    "study": str,
    "intermediate": str,
    "arm": str,
    "target": str,
    "seed": int,
    "language": str,
    "example_id": str,
    "gold": str,
    "prediction": str,
    "score": float,
}
# further columns where the metric is an F1 over all examples
COUNTS = ("matched", "predicted", "expected")
LATER = (".ipynb", ".html")  # what others add to a finished run: the executed notebook, the report
FIRST = (
    "First run the notebook that writes it (01: prepared, 02: intermediate, 03: target, 04: "
    "probe), or the whole study: "
    "make smoke for the study smoke, else make study STUDY=its-name"
)
AGAIN = "delete {} and say make study again: it is made anew"
PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "papermill",
    "snakemake",
)


def write(path: str | Path, writer: Callable[[Path], Any]) -> Path:
    """Let `writer` fill a temporary file beside `path`, sync it, and move it into place; returns
    `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        writer(Path(name))
        with open(name, "rb") as f:
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def write_bytes(path: str | Path, data: bytes) -> Path:
    """`write` for bytes at hand."""
    return write(path, lambda p: p.write_bytes(data))


def write_json(path: str | Path, value: Any) -> Path:
    """Readable JSON with a final newline; NaN and infinity are refused (ValueError), they are not
    JSON.
    """
    return write_bytes(path, (_text(value) + "\n").encode())


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)


def replace_folder(path: str | Path, writer: Callable[[Path], Any]) -> Path:
    """Let `writer` fill a temporary folder beside `path` and move it into place, replacing an older
    one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        writer(temporary)
        os.chmod(temporary, 0o755)
        # taken away whole: killed while it is being removed, it would be there in part
        if path.exists():
            old = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def run_folder(
    outputs: str | Path,
    study: str,
    phase: str,
    *,
    intermediate: str = "",
    arm: str = "",
    seed: int = 0,
    target: str = "",
) -> Path:
    """The folder of one run (design: one folder a run, named by its parameters).

    Args:
        outputs: the outputs folder.
        study: the study's name.
        phase: prepare, intermediate, target, probe or analysis.
        intermediate, arm, seed, target: which run; arm "none" (the public encoder) has no
            intermediate task.
    """
    root = Path(outputs) / study
    if phase in ("prepare", "analysis"):
        return root / {"prepare": "prepared"}.get(phase, phase)
    if phase == "target":
        checkpoint = "none" if arm == "none" else f"{intermediate}.{arm}"
        return root / phase / target / checkpoint / f"seed-{seed}"
    if phase in ("intermediate", "probe"):
        return root / phase / intermediate / arm / f"seed-{seed}"
    raise ValueError(f"phase={phase!r}: allowed: prepare, intermediate, target, probe, analysis")


def start(folder: str | Path, study: str) -> float:
    """Begin a run: make its folder, take away an older ``run.json`` and what a killed run left;
    returns the start (seconds).

    Raises:
        ValueError: if the folder holds a run of another study.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "run.json"
    if record.exists():
        found = read(folder)["study"]
        if found != study:
            raise ValueError(
                f"{folder} holds a run of study {found!r}, not {study!r}; give the study another "
                f"name or folder"
            )
        record.unlink()
    # temporary files of `write`
    for left in [path for path in folder.rglob(".*") if path.name != ".ipynb_checkpoints"]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return time.monotonic()


def finish(
    folder: str | Path,
    *,
    phase: str,
    parameters: dict[str, Any],
    metrics: dict[str, Any],
    started: float,
    status: str = "finished",
    inputs: dict[str, str] | None = None,
    warnings: list[str] | None = None,
) -> Path:
    """Write ``run.json``, the last act of a run.

    Args:
        folder: the run's folder.
        phase: prepare, intermediate, target, probe or analysis.
        parameters: the job's complete parameters.
        metrics: what was measured, JSON-ready; a non-finite number is refused.
        started: what `start` returned.
        status: "finished", or "diverged" for a run whose loss stopped being finite (a result, not a
            failure).
        inputs: names of inputs and what identifies them (hashes).
        warnings: what a reader must know before believing the metrics.
    """
    if status not in STATUSES:
        raise ValueError(f"status={status!r}: allowed: {', '.join(STATUSES)}")
    record = {
        "schema": SCHEMA,
        "study": parameters["study"],
        "phase": phase,
        "status": status,
        "parameters": parameters,
        "versions": _versions(),
        "environment": {"processor": _processor(), "packages_sha256": _installed()},
        "inputs": inputs or {},
        "wall_seconds": round(time.monotonic() - started, 3),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "device": parameters.get("device", "cpu"),
        "threads": parameters.get("threads", 1),
        "metrics": metrics,
        "warnings": warnings or [],
        "files": _files(Path(folder)),
    }
    record = json.loads(_text(record))  # as it will be read
    return write_json(Path(folder) / "run.json", record | {"sha256": _seal(record)})


class NotFinished(ValueError):
    """What an earlier notebook writes is not there; a notebook shows the sentence alone, without a
    traceback.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [str(self)]


def read(folder: str | Path) -> dict[str, Any]:
    """The record of a finished run; `NotFinished` when it is missing, ValueError when it is damaged
    or of another schema.
    """
    path = Path(folder) / "run.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotFinished(f"{path}: not there; this run has not finished. {FIRST}") from None
    except ValueError as error:  # neither JSON nor text
        raise ValueError(f"{path}: not readable as JSON ({error}); {AGAIN.format(path)}") from None
    if not isinstance(record, dict) or record.get("sha256", _seal(record)) != _seal(record):
        raise ValueError(f"{path} is damaged: its own sha256 is another; {AGAIN.format(path)}")
    if record.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema {record.get('schema')!r}, this version reads {SCHEMA}")
    return record


def verify_hashes(
    folder: str | Path, *names: str, record: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Compare a finished run's files with the SHA-256 in its record, which is returned.

    Args:
        folder: the run's folder.
        names: files, or folders with all that is below, relative to `folder`; every file of the run
            without.
        record: what `read` returned, where it is at hand.

    Raises:
        ValueError: a file is missing or not the one that the run wrote: its name, and what to do.
    """
    folder = Path(folder)
    record = record or read(folder)
    for name, expected in record.get("files", {}).items():
        if names and not any(name == wanted or name.startswith(f"{wanted}/") for wanted in names):
            continue
        path, todo = folder / name, AGAIN.format(folder / "run.json")
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise ValueError(f"{path}: not there, though its run has finished; {todo}") from None
        if _sha256(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) != expected:
            raise ValueError(
                f"{path} is damaged: its sha256 is not the one that its run recorded; {todo}"
            )
    return record


def _files(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a run by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if (
            path.is_file()
            and path.suffix not in LATER
            and not any(part.startswith(".") for part in name.parts)
        ):
            found[str(name)] = hash_file(path)
    found.pop("run.json", None)
    return found


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, *state: int) -> str:
    """`hash_file` once a process and state of the file."""
    return hash_file(path)


def _seal(record: dict[str, Any]) -> str:
    """SHA-256 of a record without its own."""
    text = json.dumps(
        {key: value for key, value in record.items() if key != "sha256"}, sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def write_predictions(folder: str | Path, frame: pd.DataFrame) -> Path:
    """Check and write ``predictions.parquet``, one row per (run, language, example).

    Raises:
        ValueError: missing or further columns, no rows, a duplicated (language, example_id), a
            score that is not finite.
    """
    types = PREDICTION_COLUMNS | (dict.fromkeys(COUNTS, int) if COUNTS[0] in frame else {})
    if list(frame.columns) != list(types):
        raise ValueError(f"predictions have columns {list(frame.columns)}, expected {list(types)}")
    if frame.empty:
        raise ValueError("predictions are empty")
    if (twice := frame.duplicated(["language", "example_id"])).any():
        raise ValueError(
            f"predictions name an example twice: "
            f"{frame.loc[twice, ['language', 'example_id']].iloc[0].tolist()}"
        )
    if not np.isfinite(frame["score"]).all():
        raise ValueError("predictions hold a score that is not finite")
    return write(
        Path(folder) / "predictions.parquet",
        lambda p: frame.astype(types).to_parquet(p, index=False),
    )


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB.

    Linux's own high-water mark where there is one: `ru_maxrss` of a process starts at what its
    parent had.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The processor's name: equal bits are promised on one kind of it only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _installed() -> str:
    """SHA-256 of names and versions of all installed packages, as their folders are called
    (``numpy-2.4.6.dist-info``).
    """
    names = {path.name for place in sys.path if place for path in Path(place).glob("*.dist-info")}
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
