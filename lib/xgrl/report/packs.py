"""Packs: the finished runs of a checkpoint in one file, small enough to be committed, and taken in
elsewhere.

A part is a checkpoint (or, for arm none, a seed) with all its targets and probes, and 01's record.
A pack holds what the analysis reads of them, run.json, predictions and tables, and no weights,
texts or notebooks: a gzipped tar whose ``manifest.json`` names study, part and the SHA-256 of every
file. A pack comes from elsewhere, so that nothing in it is believed before it is verified, and
nothing is written to a path that it names itself.
"""

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from xgrl.execution.grid import parameters_of_runs
from xgrl.report.completeness import mismatches
from xgrl.report.load_study import differing_data, other_parameters, refuse_other_parameters
from xgrl.runs import records
from xgrl.runs.differences import differences
from xgrl.runs.params import load_study

FORMAT, MANIFEST, SUFFIX = 1, "manifest.json", ".tar.gz"
LARGEST = 1_000_000  # bytes of a pack; what is larger is written and said
MOST = 64 * LARGEST  # bytes that a pack may hold when it is taken in
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.A)  # of a file in a pack
TABLES = {  # what is packed of a run, beside its run.json
    "prepare": ("languages.csv", "data_card.csv", "contents/*.sha256"),
    "intermediate": ("curves.csv",),
    "target": ("predictions*.parquet", "*curves.csv"),
    "probe": ("layers.csv", "map.csv", "parallel.csv"),
}
RESULTS = (".csv", ".parquet", ".safetensors")  # files of equal bits where a run was done twice
KINDS = {  # of what a record holds
    "status": str, "device": str, "parameters": dict, "versions": dict, "environment": dict,
    "metrics": dict, "inputs": dict, "files": dict, "warnings": list,
}  # fmt: skip
Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A verified run of a pack: its name (its folder below the study's), record and files."""

    pack: str
    name: str
    record: Record
    folder: Path


def part_of(parameters: Mapping[str, Any]) -> str:
    """The part that a run belongs to: ``qa.dann:0``, or of the public encoder ``none:0``."""
    task, arm, seed = (parameters[key] for key in ("intermediate", "arm", "seed"))
    return f"none:{seed}" if arm == "none" else f"{task}.{arm}:{seed}"


def file_name(part: str) -> str:
    """The file name of a part's pack: ``qa.dann.seed-0.tar.gz``."""
    return part.replace(":", ".seed-") + SUFFIX


def parts_of(design: dict[str, Any]) -> dict[str, list[str]]:
    """The runs of each part that the study file (merged) asks for, as folders below the study's."""
    parts = defaultdict(list)
    for name, job in parameters_of_runs(load_study(design)).items():
        if name != "prepared":
            parts[part_of(job)].append(name)
    return dict(parts)


def missing_runs(study_dir: Path, design: dict[str, Any]) -> dict[str, list[str]]:
    """The runs of each part that have not finished; no part that has all."""
    parts = parts_of(design).items()
    lacking = {p: [n for n in own if not (study_dir / n / "run.json").exists()] for p, own in parts}
    return {part: names for part, names in lacking.items() if names}


def describe_missing(study_dir: Path, design: dict[str, Any]) -> Iterator[str]:
    """A sentence for each part that has begun and is not complete, and one for all others."""
    parts, absent = parts_of(design), []
    for part, names in missing_runs(study_dir, design).items():
        if len(names) < len(parts[part]):
            yield f"{part}: {len(names)} of {len(parts[part])} runs missing: {', '.join(names)}"
        else:
            absent.append(part)
    if absent:
        yield f"{len(absent)} of {len(parts)} parts have no runs: {', '.join(absent)}"


def packed_files(record: Record) -> list[str]:
    """Those files of a finished run that go into a pack, beside its run.json."""
    patterns = TABLES[record["phase"]]
    return [name for name in record["files"] if any(fnmatch(name, p) for p in patterns)]


def pack(study_dir: Path, design: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Write a pack of each complete part of a study to its folder ``packs``.

    design: the study's merged files. A pack whose content is there already stays as it is. Returns
    what to say, and of packs of more than `LARGEST` bytes what takes them up. Raises ValueError
    where runs do not belong together or are damaged.
    """
    refuse_other_parameters(study_dir, parameters_of_runs(load_study(design)))
    missing, parts, said, large = missing_runs(study_dir, design), parts_of(design), [], []
    homes = {"prepared": records.prepared_folder(study_dir)}
    homes |= {name: study_dir / name for own in parts.values() for name in own}
    complete = {part: names for part, names in parts.items() if part not in missing}
    wanted = [name for names in complete.values() for name in names] + ["prepared"]
    found = {name: records.read(homes[name]) for name in wanted if complete}
    if wrong := mismatches(found.items(), design["study"]):
        raise ValueError(f"{study_dir}: runs that do not belong together: {'; '.join(wrong)}")
    for part, names in complete.items():
        if stale := [n for n in names if _other_data(found[n], found["prepared"])]:
            said.append(f"left out: {part}: made from other data than 01's: {', '.join(stale)}")
            continue
        files = {}
        for name in ("prepared", *names):
            listed = packed_files(found[name])
            records.verify_hashes(homes[name], "run.json", *listed, record=found[name])
            for file in ("run.json", *listed):
                files[f"{name}/{file}"] = (homes[name] / file).read_bytes()
        path = study_dir / "packs" / file_name(part)
        new = _write(path, design["study"], part, files)
        size = path.stat().st_size
        said.append(f"{path}: {len(names)} runs, {size:,} bytes{'' if new else ', as before'}")
        if size > LARGEST:
            sizes = sorted(((len(data), name) for name, data in files.items()), reverse=True)
            largest = ", ".join(f"{name} {size:,}" for size, name in sizes[:5])
            large.append(f"{path} has more than {LARGEST:,} bytes; largest, unpacked: {largest}")
    said += [f"left out: {sentence}" for sentence in describe_missing(study_dir, design)]
    return said, large


def _write(path: Path, study: str, part: str, files: Mapping[str, bytes]) -> bool:
    """Write a pack, the same bytes for the same content; False where it is there already."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = {"format": FORMAT, "study": study, "part": part, "files": hashes}
    with suppress(ValueError):  # not there, or damaged: made anew
        if read(path)[0] == manifest:
            return False
    head = json.dumps(manifest, indent=1).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in ({MANIFEST: head} | {name: files[name] for name in hashes}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    records.write_bytes(path, gzip.compress(stream.getvalue(), mtime=0))
    return True


def read(path: Path) -> tuple[Record, dict[str, bytes]]:
    """Manifest and files of a pack with right names and hashes; ValueError for all else in it."""
    try:
        with gzip.GzipFile(path) as stream:
            data = stream.read(MOST + 1)
        if len(data) > MOST:
            raise ValueError(f"holds more than {MOST:,} bytes")
        files: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                if member.type != tarfile.REGTYPE or member.issparse():
                    raise ValueError(f"{member.name!r} is not a plain file")
                if not NAME.fullmatch(member.name) or member.name in files:
                    raise ValueError(f"{member.name!r}: not a name of a run's file, or there twice")
                files[member.name] = tar.extractfile(member).read()
        manifest = json.loads(files.pop(MANIFEST, b"null"))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ValueError(f"has no {MANIFEST} of format {FORMAT}")
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        given = manifest.get("files")
        if given != hashes:
            given = given if isinstance(given, dict) else {}
            wrong = sorted(n for n in {*given, *hashes} if given.get(n) != hashes.get(n))
            raise ValueError(f"other files than its manifest says: {', '.join(wrong[:3])}")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (EOFError, OSError, zlib.error, tarfile.TarError) as error:
        raise ValueError(f"{path}: cut off, or not a pack ({error})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
    return manifest, files


def _verified(path: Path, study: str, folder: Path) -> list[Run]:
    """The runs of a pack, written below a temporary folder and held against their own records."""
    manifest, files = read(path)
    if manifest.get("study") != study:
        raise ValueError(f"{path}: a pack of study {manifest.get('study')!r}, not {study!r}")
    try:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    except OSError as error:  # a file where another one needs a folder, a name that is too long
        raise ValueError(f"{path}: {name} cannot be written ({error.strerror})") from None
    found, expected = [], set()
    for name in (file.removesuffix("/run.json") for file in files if file.endswith("/run.json")):
        try:
            record = records.read(folder / name)
            if lacking := [k for k, kind in KINDS.items() if not isinstance(record.get(k), kind)]:
                raise ValueError(f"{name}: its record has no right {', '.join(lacking)}")
            keys, prepared = record["parameters"], record["phase"] == "prepare"
            cell = {k: keys[k] for k in ("intermediate", "arm", "seed", "target") if k in keys}
            own = records.run_folder("", "", record["phase"], **({} if prepared else cell))
            part = manifest["part"] if prepared else part_of(keys)
            if (str(own), part, record["study"]) != (name, manifest["part"], study):
                raise ValueError(f"{name} holds the run of {own}, part {part}, {record['study']}")
            listed = packed_files(record)
            differences([(name, record)])  # it has all that it will be compared by
            records.verify_hashes(folder / name, "run.json", *listed, record=record)
        except ValueError as error:
            reason = str(error).replace(f"{folder}/", "").partition("; delete")[0]
            raise ValueError(f"{path}: {reason}") from None
        expected |= {f"{name}/{file}" for file in ("run.json", *listed)}
        found.append(Run(str(path), name, record, folder / name))
    if further := sorted(set(files) - expected):
        raise ValueError(f"{path}: files that no run of a pack has: {', '.join(further[:3])}")
    prepared = [run.record for run in found if run.name == "prepared"]
    for run in found:
        if not prepared or _other_data(run.record, prepared[0]):
            raise ValueError(f"{path}: {run.name} was made from other data than the pack's record")
    return found


def unpack(paths: Sequence[Path], study_dir: Path, design: dict[str, Any]) -> Iterator[str]:
    """Take the runs of packs into a study's folder; yields what to say.

    design: the study's merged files. All packs are verified first, against themselves, the study
    file, one another and the runs that are there; ValueError names all that is wrong, and nothing
    is kept then. A run that is there with the same results stays. 01's record goes to
    ``unpacked/prepared``, so that 01 still runs where a missing run needs its texts. A call that
    was interrupted is finished by the next.
    """
    home = study_dir / "unpacked"
    home.mkdir(parents=True, exist_ok=True)
    for left_over in home.glob(".*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as temporary:
        runs, wrong = [], []
        for number, path in enumerate(paths):
            try:
                runs += _verified(path, design["study"], Path(temporary, str(number)))
            except ValueError as error:
                wrong.append(str(error))
            except (KeyError, TypeError, AttributeError, RecursionError) as error:
                wrong.append(f"{path}: holds what is no record of a run ({error!r})")
        wrong += _contradictions(runs, study_dir, design)
        if wrong:
            raise ValueError(f"nothing was unpacked: {'; '.join(dict.fromkeys(wrong))}")
        counts = {path: [0, 0] for path in map(str, paths)}
        for run in sorted(runs, key=lambda run: run.name != "prepared"):
            target = home / run.name if run.name == "prepared" else study_dir / run.name
            there = (target / "run.json").exists()
            if not there:
                left = sorted({*run.record["files"]} - {*packed_files(run.record)})
                origin = {"pack": Path(run.pack).name, "sha256": records.hash_file(run.pack)}
                records.write_json(run.folder / records.UNPACKED, origin | {"left_out": left})
                copy = partial(shutil.copytree, run.folder, dirs_exist_ok=True)
                records.replace_folder(target, copy)
            if run.name != "prepared":
                counts[run.pack][there] += 1
    for path, (new, old) in counts.items():
        same = f", {old} were there with the same results" if old else ""
        yield f"{path}: {new} runs unpacked{same}"


def _contradictions(runs: list[Run], study_dir: Path, design: dict[str, Any]) -> Iterator[str]:
    """A sentence for each way in which verified runs cannot stand in the folder together."""
    asked = parameters_of_runs(load_study(design))
    for run in runs:
        if run.name not in asked:
            yield f"{run.pack}: {run.name} is not a run that the study file asks for"
        elif differ := other_parameters(run.record["parameters"], asked[run.name]):
            yield f"{run.pack}: {run.name} has other parameters: {', '.join(differ)}"
    there = {name: study_dir / name for name in asked}
    there["unpacked/prepared"] = study_dir / "unpacked" / "prepared"
    held = {n: records.read(path) for n, path in there.items() if (path / "run.json").exists()}
    first = {name: (study_dir / name, record) for name, record in held.items()}
    for run in runs:
        origin, record = first.setdefault(run.name, (run.pack, run.record))
        if run.name != "prepared" and _results(run.record) != _results(record):
            yield f"{run.name}: not the same results in {run.pack} and in {origin}"
    named = {f"{name} in {study_dir}": record for name, record in held.items()}
    named |= {f"{run.name} of {run.pack}": run.record for run in runs}
    yield from mismatches(named.items(), design["study"])
    yield from differing_data({n: r for n, r in named.items() if r["phase"] == "prepare"})


def _results(record: Record) -> dict[str, Any]:
    """What is the same where a run was done twice, on whatever day."""
    files = {name: h for name, h in record["files"].items() if name.endswith(RESULTS)}
    return {"status": record["status"], "files": files}


def _other_data(record: Record, prepared: Record) -> bool:
    """Whether a run was made from other data than those of 01's record."""
    contents = {f"prepared/{part}": h for part, h in prepared["metrics"]["contents"].items()}
    of_01 = {part: h for part, h in record["inputs"].items() if part.startswith("prepared/")}
    return any(contents.get(part) != h for part, h in of_01.items())
