"""A study's folders read into tidy frames; what does not belong together is refused.

Every table keeps the keys of its run. Predictions, by far the largest, are read one run at a time
and kept as one byte a key and a right or wrong answer.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xgrl.execution.grid import parameters_of_runs
from xgrl.report.completeness import KEYS, audit, first_three, mismatches
from xgrl.runs import records
from xgrl.runs.differences import BLOCK, NO_RESULT, processor
from xgrl.runs.params import BY_ARM, load_study
from xgrl.tasks import LOST, training_notes
from xgrl.tasks.files.provenance import OFFICIAL, SHORT

# of a run's plan: older records do not say; the study had none
UNRECORDED, UNPLANNED = "not recorded", "none"
KEPT = ("study", "phase", "status", "wall_seconds", "peak_memory_mb", "device", "threads")


@dataclass(frozen=True)
class Study:
    """A study's folders as tidy frames; those that it has no files for are empty.

    runs: one row a run: keys, phase, status, costs, settings of the arm, and metrics (percent).
    curves: training curves of phase 2. predictions: score in points by (intermediate, arm, target,
    seed, language, example_id), as categories, one run after the other, and the counts behind an
    F1; scores are int8 where all are 0 or 100. probes, maps, parallel:
    the tables of 04 (probes with column `stage`). languages: one row a language: whether the
    discriminator saw it, distances from English. audit: what is missing, doubled or mixed (columns
    check, found, ok). beside: folders of runs that the study file does not ask for, not counted.
    average: what the study file has the primary average weigh the same, targets or groups.
    provenance: what data from files are, by corpus (01's record); {} where none are.
    further_layers: predictions of plain retrieval from other layers, with their layer. baselines:
    by arm what the study file compares it with, where that is not its baseline.
    """

    name: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    predictions: pd.DataFrame
    probes: pd.DataFrame
    maps: pd.DataFrame
    parallel: pd.DataFrame
    languages: pd.DataFrame
    audit: pd.DataFrame
    beside: tuple[str, ...] = ()
    average: str = "targets"
    provenance: dict[str, str] = field(default_factory=dict)
    further_layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    baselines: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> dict[str, bool]:
        """By language, whether the discriminator saw it; empty where 01 did not record it."""
        table = self.languages.reindex(columns=["language", "seen"]).dropna()
        return {row.language: str(row.seen) == "True" for row in table.itertuples()}

    def of_phase(self, phase: str, *columns: str) -> pd.DataFrame:
        """The runs of a phase, with these columns: NaN where none recorded one."""
        runs = self.runs[self.runs.phase == phase]
        return runs.reindex(columns=[*dict.fromkeys([*runs.columns, *columns])])

    @property
    def notes(self) -> dict[str, str]:
        """What must be known of a target's scores, "" if nothing (`xgrl.tasks.training_notes`)."""
        runs = self.of_phase("target", "train_from")
        sources = runs.groupby("target").train_from.first().dropna().to_dict()
        tasks = sorted(set(runs.intermediate) - {"none"})
        return {name: _brief(training_notes(name, tasks, sources)) for name in set(runs.target)}

    @property
    def data_marks(self) -> dict[tuple[str, str], str]:
        """What the data folder says of test sets that it does not call official, by (target,
        language): "dev" (the development set under the test's name), "partial", "replaced", "not
        stated"; by (target, "") that of all zero-shot languages, or in how many; {} where no test
        set is from files.
        """
        tested: dict[str, dict[str, str]] = {}
        for corpus, status in self.provenance.items():
            if match := re.fullmatch("target/(.+)/(?:test|queries)-(.+)", corpus):
                tested.setdefault(match[1], {})[match[2]] = "" if status == OFFICIAL else status
        found = {}
        for target, languages in tested.items():
            said = {language: SHORT.get(status, status) for language, status in languages.items()}
            foreign = [status for language, status in said.items() if language != "en"]
            counts = Counter(filter(None, foreign))
            parts = [status + f" in {n}" * (n < len(foreign)) for status, n in counts.items()]
            of = f" of {len(foreign)}" * any(n < len(foreign) for n in counts.values())
            found |= {(target, ""): f"{', '.join(parts)}{of}"} if parts else {}
            found |= {(target, language): status for language, status in said.items() if status}
        return found

    @property
    def marks(self) -> dict[tuple[str, str], str]:
        """What stands behind the names of targets and their languages: `data_marks`, and by
        (target, "") also `notes`.
        """
        found = self.data_marks
        for target, note in self.notes.items():
            if said := [text for text in (found.get((target, "")), note) if text]:
                found[target, ""] = "; ".join(said)
        return found

    def shown(self, target: str) -> str:
        """A target's name as it is shown, with its mark."""
        mark = self.marks.get((target, ""))
        return f"{target} ({mark})" if mark else target


def _brief(notes: Sequence[str], shared: str = "same data as ") -> str:
    """Notes on one line, those on shared data as one, which names the tasks alone."""
    tasks = [note.removeprefix(shared).split(":")[0] for note in notes if note.startswith(shared)]
    rest = [note for note in notes if not note.startswith(shared)]
    return "; ".join(rest + [shared + ", ".join(tasks)] * bool(tasks))


def collect(study_dir: str | Path, design: dict[str, Any] | None = None) -> Study:
    """Read the finished runs of `outputs/<study>`, with intermediate/, target/, probe/ below it.

    design: the study's merged files; without, every run that is there counts. Raises ValueError for
    no finished target run, a run of another study, with other parameters than the design's or of
    another cell than its folder's, a block on two kinds of processor, or predictions that carry
    other keys than their run.
    """
    folder = Path(study_dir)
    planned = load_study(design) if design else None
    asked = parameters_of_runs(planned) if planned else {}
    refuse_other_parameters(folder, asked)
    copies = [folder / name for name in ("prepared", "unpacked/prepared")]
    copies = {str(home): records.read(home) for home in copies if (home / "run.json").exists()}
    if other := next(differing_data(copies), ""):
        raise ValueError(f"{other}; remove one of the two")
    runs, read_records, predictions, further = [], [], _Predictions(), _Predictions()
    tables: dict[str, list[pd.DataFrame]] = {"curves": [], "layers": [], "map": [], "parallel": []}
    phases = ("intermediate", "target", "probe")
    paths = [path for name in phases for path in sorted(folder.glob(f"{name}/*/*/seed-*/"))]
    there = {str(path.relative_to(folder)): path for path in paths}
    beside = [name for name in there if asked and name not in asked]
    needed = asked or [name for name in there if not name.startswith("probe")]
    prepared = records.prepared_folder(folder)
    homes = {name: prepared if name == "prepared" else folder / name for name in needed}
    unfinished = [name for name, home in homes.items() if not (home / "run.json").exists()]
    for path in (path for name, path in there.items() if name not in beside):
        row = {}
        if (path / "run.json").exists():
            row, record = _run(path, folder)
            runs.append(row)
            read_records.append((str(path.relative_to(folder)), record))
        keys = {key: row.get(key) for key in ("intermediate", "arm", "seed")}
        for name, read in tables.items():
            wanted = row.get("phase") == ("intermediate" if name == "curves" else "probe")
            if wanted and (path / f"{name}.csv").exists():
                read.append(_csv(path / f"{name}.csv").assign(**keys))
        if row.get("phase") == "target" and (path / "predictions.parquet").exists():
            table = _predictions(path / "predictions.parquet", row)
            row |= _facts(table, row.get("metric", "accuracy"))
            keys = {key: row[key] for key in ("study", *KEYS)}
            predictions.add(table, keys)
            for file in sorted(path.glob("predictions-layer-*.parquet")):
                records.verify_hashes(path, file.name)
                layer = int(file.stem.removeprefix("predictions-layer-"))
                further.add(_predictions(file, row), keys | {"layer": layer})
    if not predictions.runs:
        missing = f"{folder}: no finished target run with predictions. {records.FIRST}"
        raise records.NotFinished(missing)
    frame = pd.DataFrame(runs)
    if set(frame.study) != {folder.name}:
        studies = ", ".join(sorted(frame.study.unique()))
        raise ValueError(f"{folder} mixes studies: found {studies}, need {folder.name} only")
    differing = mismatches(read_records, folder.name)
    if mixed := [sentence for sentence in differing if sentence.startswith(BLOCK)]:
        todo = "delete the run.json of one kind and say make study again on the other"
        raise ValueError(f"{folder}: {'; '.join(mixed)}; {todo}")
    curves, layers, maps, parallel = (
        pd.concat(read, ignore_index=True) if read else pd.DataFrame(columns=KEYS)
        for read in tables.values()
    )
    layers = layers.reindex(columns=[*dict.fromkeys([*layers.columns, "stage"])])
    # a run of before fine-tuned checkpoints were probed
    layers["stage"] = layers["stage"].astype(object).fillna("intermediate")
    lost, provenance = [], {}
    if (prepared / "run.json").exists():
        said = records.verify_hashes(prepared, "languages.csv")
        lost = [sentence for sentence in said["warnings"] if sentence.endswith(LOST)]
        provenance = said["metrics"].get("provenance", {})
    known = (prepared / "languages.csv").exists()
    languages = _csv(prepared / "languages.csv") if known else pd.DataFrame()
    cells = [tuple(job[key] for key in KEYS) for job in asked.values() if "target" in job]
    return Study(
        folder.name, frame, curves, predictions.frame(), layers, maps, parallel, languages,
        audit=audit(frame, unfinished, cells, beside, lost, differing),
        beside=tuple(beside), provenance=provenance,
        average=planned.scientific.average if planned else "targets",
        further_layers=further.frame().astype({"layer": int}) if further.runs else pd.DataFrame(),
        baselines=planned.scientific.baselines if planned else {},
    )  # fmt: skip


def refuse_other_parameters(folder: Path, asked: dict[str, dict[str, Any]]) -> None:
    """ValueError where finished runs have other parameters than the study file asks for."""
    homes = {name: folder / name for name in asked} | {"prepared": records.prepared_folder(folder)}
    finished = [name for name in asked if (homes[name] / "run.json").exists()]
    given = {name: records.read(homes[name])["parameters"] for name in finished}
    differ = {name: other_parameters(own, asked[name]) for name, own in given.items()}
    if other := [f"{name} ({', '.join(found)})" for name, found in differ.items() if found]:
        first = first_three(other)
        found = f"{folder}: found runs with other parameters than the study file's: {first}"
        raise ValueError(f"{found}; delete their run.json and say make study again")


def other_parameters(given: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """What differs between a run's parameters and those that the study file asks for; some are in
    either only where they are not at their default.
    """
    return [
        f"{key} {given.get(key, 'its default')!r} instead of {asked.get(key, 'its default')!r}"
        for key in asked | given
        if key not in NO_RESULT and given.get(key) != asked.get(key)
    ]


def differing_data(copies: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """A sentence where two records of 01, by name, hold other data. Not compared is the stored
    output of frozen layers, whose last bits depend on the processor.
    """
    for one, other in pairwise(copies):
        first, files = (copies[name].get("files", {}).items() for name in (one, other))
        names = sorted(dict(first ^ files))
        if names := [n for n in names if not n.startswith("contents/") and "hidden.npy" not in n]:
            yield f"other data in {other} than in {one}: {', '.join(names[:3])}"


def _csv(path: Path) -> pd.DataFrame:
    """A table whose "nan" and "NA" are text (a language, an arm), and whose empty cells are NaN."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def _run(path: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run.json as a flat row, and as it is; files of the run that are read are verified."""
    read = ("curves.csv", "predictions.parquet", "layers.csv", "map.csv", "parallel.csv")
    record = records.verify_hashes(path, *read)
    given = record["parameters"]
    row = {key: record[key] for key in KEPT}
    row |= {key: given[key] for key in ("intermediate", "arm", "seed")}
    row |= {"target": given.get("target", ""), "warnings": record["warnings"]}
    own = records.run_folder("", "", row["phase"], **{key: row[key] for key in KEYS})
    if path.relative_to(folder) != own:
        raise ValueError(f"{path}: holds the run of {own}; a run's folder says which run it is")
    row |= {key: given[key] for key in (*BY_ARM, "train_from", "retrieval_layer") if key in given}
    row |= {"processor": processor(record), "plan": record.get("plan", UNRECORDED) or UNPLANNED}
    return row | record["metrics"], record


def _predictions(path: Path, row: dict[str, Any]) -> pa.Table:
    """One run's predictions, refused where their own keys are not the run's."""
    names = pq.read_schema(path).names
    keys = [key for key in ("study", *KEYS) if key in names]
    stored = pq.read_table(path, columns=keys, read_dictionary=keys)
    for key in keys:
        values = set(stored[key].unique().to_pylist())
        if values - {row[key]}:
            values = ", ".join(map(str, sorted(values)))
            raise ValueError(f"{path}: found rows of {key} {values}, need {row[key]!r} only")
    columns = ["language", "example_id", "gold", "score"]
    counts = [name for name in records.COUNTS if name in names]
    return pq.read_table(path, columns=[*columns, *counts], read_dictionary=columns[:3])


class _Predictions:
    """Predictions of many runs as one frame of few bytes a row, taken in one run at a time."""

    def __init__(self) -> None:
        self.runs: list[tuple[dict[str, Any], int]] = []  # keys, rows
        self.parts: dict[str, list[np.ndarray]] = defaultdict(list)
        self.known: dict[str, dict[Any, int]] = defaultdict(dict)  # codes of values, as first seen
        self.last: dict[str, tuple[pa.Array, np.ndarray]] = {}

    def _codes(self, name: str, values: pa.ChunkedArray) -> np.ndarray:
        values = values.unify_dictionaries().combine_chunks()
        # runs of a target have the same examples
        if name not in self.last or not values.dictionary.equals(self.last[name][0]):
            known = self.known[name]
            codes = [known.setdefault(v, len(known)) for v in values.dictionary.to_pylist()]
            codes = np.array([*codes, -1], dtype=np.min_scalar_type(-len(known) - 1))
            self.last[name] = values.dictionary, codes
        return self.last[name][1][values.indices.fill_null(-1).to_numpy()]

    def add(self, table: pa.Table, keys: dict[str, Any]) -> None:
        """Take in one run's table, as `_predictions` reads it."""
        self.runs.append((keys, len(table)))
        for name in ("language", "example_id"):
            self.parts[name].append(self._codes(name, table[name]))
        score = table["score"].to_numpy()
        binary = bool(((score == 0) | (score == 100)).all())
        self.parts["score"].append(score.astype(np.int8) if binary else score)
        for name in records.COUNTS:
            absent = np.full(len(table), np.nan, np.float32)
            counts = table[name].to_numpy() if name in table.column_names else absent
            self.parts[name].append(counts.astype(np.float32))  # counts below 2**24 are exact

    def frame(self) -> pd.DataFrame:
        """All of it: languages and examples, scores, counts where any run has them, keys."""
        columns: dict[str, Any] = {}
        for name in [*self.parts]:
            values = np.concatenate(self.parts.pop(name))
            if name in self.known:
                values = pd.Categorical.from_codes(values, [*self.known[name]])
            if name not in records.COUNTS or not np.isnan(values).all():
                columns[name] = values
        keys, sizes = zip(*self.runs, strict=True)
        for name, values in pd.DataFrame(keys).items():
            codes, categories = pd.factorize(values)
            codes = codes.astype(np.min_scalar_type(-len(categories)))
            columns[name] = pd.Categorical.from_codes(np.repeat(codes, sizes), categories)
        return pd.DataFrame(columns, copy=False)


def _facts(table: pa.Table, metric: str) -> dict[str, Any]:
    """Of one run's predictions for the audit: rows, doubled, not finite, ids, guessing."""
    frame = table.select(["language", "example_id", "gold", "score"]).to_pandas()
    foreign = frame[frame.language != "en"]
    guess = [0.0]  # what always saying the same scores; next to nothing with tags, spans, rankings
    if metric == "accuracy":
        sizes = foreign.groupby(["language", "gold"], observed=True).size()
        by_language = sizes.groupby(level="language", observed=True)
        guess = (100 * (by_language.max() / by_language.sum())).tolist()
    ids = pd.util.hash_pandas_object(frame[["language", "example_id"]], index=False).to_numpy()
    facts = {"rows": len(frame), "doubled": len(frame) - len(np.unique(ids))}
    facts |= {"not_finite": int((~np.isfinite(frame.score)).sum())}
    majority = float(np.mean(guess)) if guess else np.nan
    return facts | {"ids": int(np.bitwise_xor.reduce(ids)), "majority": majority}
