"""A run's folder: its content, written so that nothing half-done is ever taken for finished.

Everything is written whole (`xgrl.runs.files`). ``run.json`` is written last; a run counts as
finished only when it is there. It holds the SHA-256 of every file of the run and of itself, and who
reads one checks it (`read`, `verify_hashes`): else a flipped bit would go unnoticed.
"""

import functools
import hashlib
import json
import platform
import resource
import shutil
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xgrl.runs.code import code_of
from xgrl.runs.files import hash_file, plain_json, write, write_json
from xgrl.runs.files import replace_folder as replace_folder  # for whoever writes records
from xgrl.runs.files import write_bytes as write_bytes
from xgrl.runs.plans import plan_hash

if TYPE_CHECKING:
    import pandas as pd

# what a run's folder holds and what it is called; 1: before the library's rooms
SCHEMA = 2
STATUSES = ("finished", "diverged")
PREDICTION_COLUMNS = {  # none holds text of the data: `gold` and `prediction` are names, ids, spans
    **dict.fromkeys(("study", "intermediate", "arm", "target"), str),
    "seed": int,
    **dict.fromkeys(("language", "example_id", "gold", "prediction"), str),
    "score": float,
}
COUNTS = ("matched", "predicted", "expected")  # further columns of an F1 over all examples
SHOWS_TEXTS = "shows-texts"  # tag of a notebook's cells whose outputs hold texts of the data
CHECKPOINTS = ".checkpoints"  # folder of an unfinished run: `xgrl.training.checkpoints`
LATER = (".ipynb", ".html")  # what others add to a finished run: the executed notebook, the report
# beside the run.json of a run that came in a pack, without its weights (`xgrl.report.packs`)
UNPACKED = "unpacked.json"
FIRST = (
    "First run the notebook that writes it (01: prepared, 02: intermediate, 03: target, 04: "
    "probe), or the whole study: make smoke for the study smoke, else make study STUDY=its-name"
)
AGAIN = "delete {} and say make study again: it is made anew"
PACKAGES = (
    "torch", "transformers", "datasets", "tokenizers", "numpy", "scipy", "pandas", "papermill",
    "snakemake",
)  # fmt: skip


def published_notebook(executed: str | Path) -> bytes:
    """An executed notebook without outputs tagged `SHOWS_TEXTS`, or the folder's name it was in."""
    notebook = json.loads(Path(executed).read_bytes())
    for cell in notebook["cells"]:
        if SHOWS_TEXTS in cell["metadata"].get("tags", []):
            cell["outputs"] = []
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)  # as nbformat does
    return text.replace(f"{Path.cwd()}/", "").encode()


def run_folder(
    outputs: str | Path, study: str, phase: str, *,
    intermediate: str = "", arm: str = "", seed: int = 0, target: str = "",
) -> Path:  # fmt: skip
    """The folder of one run (design: one folder a run, named by its parameters).

    outputs: the outputs folder. study: the study's name. phase: prepare, intermediate, target,
    probe or analysis. intermediate, arm, seed, target: which run; arm "none" has no task.
    """
    root = Path(outputs) / study
    if phase in ("prepare", "analysis"):
        return root / ("prepared" if phase == "prepare" else phase)
    if phase == "target":
        checkpoint = "none" if arm == "none" else f"{intermediate}.{arm}"
        return root / phase / target / checkpoint / f"seed-{seed}"
    if phase in ("intermediate", "probe"):
        return root / phase / intermediate / arm / f"seed-{seed}"
    raise ValueError(f"phase={phase!r}: allowed: prepare, intermediate, target, probe, analysis")


def is_unpacked(folder: str | Path) -> bool:
    """Whether a finished run came in a pack: what its record lists beside tables is not there."""
    return all((Path(folder) / name).exists() for name in ("run.json", UNPACKED))


def prepared_folder(study_dir: str | Path) -> Path:
    """The folder with 01's record: prepared, or where 01 has not finished here that of packs."""
    own, packed = Path(study_dir) / "prepared", Path(study_dir) / "unpacked" / "prepared"
    unfinished = not (own / "run.json").exists()
    return packed if unfinished and (packed / "run.json").exists() else own


def start(folder: str | Path, study: str) -> float:
    """Begin a run in a folder without ``run.json`` and what a killed run left, but for its
    checkpoints; returns the second.

    Raises ValueError if the folder holds a run of another study.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    if path.exists():
        if (other := _parsed(path).get("study")) != study:
            todo = "give the study another name or folder"
            raise ValueError(f"{folder} holds a run of study {other!r}, not {study!r}; {todo}")
        path.unlink()
    (folder / UNPACKED).unlink(missing_ok=True)
    # temporary files of `write`
    kept = (".ipynb_checkpoints", CHECKPOINTS)
    for left_over in [path for path in folder.rglob(".*") if path.name not in kept]:
        if left_over.is_dir() and not left_over.is_symlink():
            shutil.rmtree(left_over, ignore_errors=True)
        else:
            left_over.unlink(missing_ok=True)
    return time.monotonic()


def finish(
    folder: str | Path, *, phase: str, parameters: dict[str, Any], metrics: dict[str, Any],
    started: float, status: str = "finished", inputs: dict[str, str] | None = None,
    warnings: list[str] | None = None,
) -> Path:  # fmt: skip
    """Write ``run.json``, the last act of a run, which needs no checkpoints any more.

    folder: the run's folder. phase: prepare, intermediate, target, probe or analysis. parameters:
    the job's complete parameters. metrics: what was measured, JSON-ready; a non-finite number is
    refused. started: what `start` returned. status: "finished", or "diverged" for a run whose loss
    stopped being finite (a result, not a failure). inputs: names of inputs and what identifies them
    (hashes). warnings: what a reader must know before believing the metrics.
    """
    if status not in STATUSES:
        raise ValueError(f"status={status!r}: allowed: {', '.join(STATUSES)}")
    record = {
        "schema": SCHEMA, "study": parameters["study"], "phase": phase, "status": status,
        "parameters": parameters, "versions": _versions(), "code": code_of(phase),
        "environment": {"processor": _processor(), "packages_sha256": _installed()},
        "inputs": inputs or {}, "plan": plan_hash(parameters["study"]),
        "wall_seconds": round(time.monotonic() - started, 3),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "device": parameters.get("device", "cpu"), "threads": parameters.get("threads", 1),
        "metrics": metrics, "warnings": warnings or [], "files": _files(Path(folder)),
    }  # fmt: skip
    record = json.loads(json.dumps(record, default=plain_json))  # as it will be read
    path = write_json(Path(folder) / "run.json", record | {"sha256": _seal(record)})
    shutil.rmtree(Path(folder) / CHECKPOINTS, ignore_errors=True)
    return path


class NotFinished(ValueError):
    """What an earlier notebook writes is not there; shown in a notebook without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [str(self)]


def read(folder: str | Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises NotFinished where it is missing; ValueError where it is damaged, or of an earlier or
    later layout of the run's folder.
    """
    path = Path(folder) / "run.json"
    record = _parsed(path)
    if (schema := record.get("schema")) != SCHEMA:
        todo = f"say make study STUDY={record.get('study', 'its-name')}: it is made anew"
        written = f"written by another version of this program (schema {schema!r}"
        keep = "To read it as it is, take the version that wrote it"
        raise ValueError(f"{path}: {written}, this one reads {SCHEMA}); {todo}. {keep}")
    return record


def _parsed(path: Path) -> dict[str, Any]:
    """A record of any layout whose own hash is right."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFinished(f"{path}: not there; this run has not finished. {FIRST}") from None
    except ValueError as error:  # neither JSON nor text
        raise ValueError(f"{path}: not readable as JSON ({error}); {AGAIN.format(path)}") from None
    if not isinstance(record, dict) or record.get("sha256", _seal(record)) != _seal(record):
        raise ValueError(f"{path} is damaged: its own sha256 is another; {AGAIN.format(path)}")
    return record


def verify_hashes(
    folder: str | Path, *names: str, record: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Compare a finished run's files with the SHA-256 in its record, which is returned.

    folder: the run's folder. names: files, or folders with all that is below, relative to `folder`;
    every file of the run without. record: what `read` returned, where it is at hand. Raises
    ValueError: a file is missing or not the one that the run wrote: its name, and what to do.
    """
    folder = Path(folder)
    record = record or read(folder)
    todo = AGAIN.format(folder / "run.json")
    for name, expected in record.get("files", {}).items():
        if names and not any(name == wanted or name.startswith(f"{wanted}/") for wanted in names):
            continue
        path = folder / name
        try:
            stat = path.stat()
        except FileNotFoundError:
            raise ValueError(f"{path}: not there, though its run has finished; {todo}") from None
        if _sha256(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) != expected:
            raise ValueError(f"{path} is damaged: not the sha256 that its run recorded; {todo}")
    return record


def _files(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a run by name."""
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(name): hash_file(folder / name)
        for name in names
        if name.suffix not in LATER
        and str(name) != "run.json"
        and not any(component.startswith(".") for component in name.parts)
    }


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, *state: int) -> str:
    """`hash_file` once a process and state of the file."""
    return hash_file(path)


def _seal(record: dict[str, Any]) -> str:
    """SHA-256 of a record without its own."""
    others = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def write_predictions(folder: str | Path, frame: "pd.DataFrame", beside: str = "") -> Path:
    """Check and write ``predictions.parquet``, one row per (run, language, example).

    beside: what these are beside the run's own (``layer-10``); the file's name ends in it.

    Raises ValueError: other columns, no rows, a doubled (language, example_id), a score not finite.
    """
    types = PREDICTION_COLUMNS | (dict.fromkeys(COUNTS, int) if COUNTS[0] in frame else {})
    if list(frame.columns) != list(types):
        raise ValueError(f"predictions have columns {list(frame.columns)}, expected {list(types)}")
    if frame.empty:
        raise ValueError("predictions are empty")
    examples = frame[["language", "example_id"]]
    if (twice := examples.duplicated()).any():
        raise ValueError(f"predictions name an example twice: {examples[twice].iloc[0].tolist()}")
    if not np.isfinite(frame["score"]).all():
        raise ValueError("predictions hold a score that is not finite")
    typed = frame.astype(types)
    name = f"predictions-{beside}.parquet" if beside else "predictions.parquet"
    return write(Path(folder) / name, lambda p: typed.to_parquet(p, index=False))


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB.

    Linux's own high-water mark if there is one: `ru_maxrss` of a process starts at its parent's.
    """
    if kilobytes := _proc("/proc/self/status", "VmHWM").split():
        return int(kilobytes[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _proc(path: str, name: str) -> str:
    """The value of the first line "`name`: value" of a file of Linux, "" where there is none."""
    with suppress(OSError):
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _processor() -> str:
    """The processor's kind: equal bits are promised on one only, and two may have one name."""
    info = functools.partial(_proc, "/proc/cpuinfo")
    widest = [name for name in ("avx512f", "avx2") if name in info("flags").split()][:1]
    beside = {"family": info("cpu family"), "model": info("model\t"), "vectors": "".join(widest)}
    kind = ", ".join(f"{key} {value}" for key, value in beside.items() if value)
    name = info("model name") or platform.processor() or "unknown"
    return f"{name} ({kind})" if kind else name


def _installed() -> str:
    """SHA-256 of all installed packages' names and versions (folders ``numpy-2.4.6.dist-info``)."""
    folders = [Path(folder) for folder in sys.path if folder]
    names = {path.name for folder in folders for path in folder.glob("*.dist-info")}
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
