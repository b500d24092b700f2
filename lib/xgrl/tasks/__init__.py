"""The tasks: tables of intermediate and target tasks, and `load_task`, which gives their rows."""

import json
import re
import secrets
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from xgrl.runs.cache import cached_table
from xgrl.runs.params import each, source_of
from xgrl.tasks import messages, parallel, unlabelled
from xgrl.tasks.descent import same_data, shares_model
from xgrl.tasks.files import TATOEBA
from xgrl.tasks.files.provenance import NOT_STATED, describe, part_of, read_provenance
from xgrl.tasks.formats import Task, inputs_version, named, validate
from xgrl.tasks.intermediate import INTERMEDIATE
from xgrl.tasks.own import OwnTask, own_tasks
from xgrl.tasks.sources.files import data_folder
from xgrl.tasks.sources.fixture import fixture_rows
from xgrl.tasks.targets import TARGETS

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

TEXTS = {"unlabelled": unlabelled, "language-modelling": messages}  # by corpus
TEXTS |= dict.fromkeys(("pairs", "parallel_texts"), parallel)
FOLDER_OF = {unlabelled: "unlabelled", messages: "unlabelled", parallel: "parallel"}
CARD = ("task", "role", "format", "source", "licence", "rows", "languages", "notes")
MUCH, MOST = 0.05, 0.5  # shares of rows left out: said where 01 ends and in the report, refused
WITHOUT_WORDS = "missing tokens"  # of treebanks without their words: counted, no loss
LOST = "% lost"  # how a sentence on more than MUCH of the rows ends
DROPPED = b"xgrl_dropped"  # key of the table metadata that counts rows left out, by reason
TABLES: dict[str, dict[str, Task]] = {
    "intermediate": {task.name: task for task in INTERMEDIATE},
    "target": {task.name: task for task in TARGETS},
}
OWN: dict[str, OwnTask] = {}  # tasks of the user's own, by name
UNREADABLE = ""  # why the file that describes them cannot be used
try:
    for _own in own_tasks():
        if _own.name in OWN or any(_own.name in table for table in TABLES.values()):
            taken = f"{_own.name!r} is the name of another task; choose another"
            raise ValueError(f"params/own/tasks.yaml: {taken}")
        OWN[_own.name] = _own
    for _own in OWN.values():
        TABLES[_own.role][_own.name] = _own.task()
except ValueError as _error:
    UNREADABLE = str(_error)
TASKS: dict[str, Task] = TABLES["intermediate"] | TABLES["target"]


class RowsLost(UserWarning):
    """Rows of `what` are left out: the reasons, how many rows, and how many remain."""

    def __init__(self, what: str, reasons: str, lost: int, remain: int) -> None:
        self.share = lost / max(1, lost + remain)
        much = f", {self.share:.0%} lost" if self.share > MUCH else ""
        super().__init__(f"{what}: left out {reasons}; {remain} rows remain{much}")


def find_task(name: str, role: str = "") -> Task:
    """The table line of `name`, a key of `TASKS`; ValueError names all and the nearest. `role` is
    "intermediate" or "target"; without it a name that is in both tables (qa) means the target.
    """
    if UNREADABLE:
        raise ValueError(UNREADABLE)
    table = TABLES[named("role", role, tuple(TABLES))] if role else TASKS
    return table[named("task", name, tuple(table))]


def mixture_parts(task: str, intermediate: Iterable[str]) -> list[str]:
    """The tasks whose rows an intermediate task trains on: itself, or for a mixture all others of
    the study, whose intermediate tasks are `intermediate`.
    """
    if find_task(task, "intermediate").format != "mixture":
        return [task]
    return [other for other in intermediate if find_task(other, "intermediate").format != "mixture"]


def translation_languages(task: Task, sources: Iterable[str]) -> tuple[str, ...]:
    """The languages of a task's translated training rows, those of the first source with any."""
    return next(filter(None, map(task.translated, sources)), ())


def load_task(
    name: str, language: str = "en", split: str = "train", source: str = "packages",
    path: str | Path | None = None, role: str = "",
) -> "Dataset":  # fmt: skip
    """The rows of one task, language and split in the task's canonical format, in a fixed order.

    Splits: train and dev exist in English only, test in every language of a target; a retrieval
    task has queries and candidates (English, or of every language where they are pooled). Some
    intermediate tasks also have "translated", their training rows in another language with the ids
    and labels of the English ones (`Task.translated`). A class may be absent in a language; the
    label names are the same in all. Rows that break the format (an empty text, say) are left out
    with a warning that counts the reasons.

    `language` is a code of the task's `languages` (translated: of `Task.translated`; Tatoeba takes
    3-letter codes too), `split` one of its `splits`, `source` one of its `sources`: "packages"
    (embedded, cached), "hub", "files", "own" (a task of params/own/tasks.yaml) or "fixture". `path`
    is the folder of "files"; the others take none. `name` and `role` are as in `find_task`.

    ValueError: unknown name, language, split or source, training rows in a foreign language, or a
    path missing or not wanted. SourceError: the data are not what they must be.
    """
    from datasets import Dataset

    task = find_task(name, role)
    if task.format == "mixture":
        raise ValueError(f"task={name!r}: a mixture of other tasks has no rows of its own")
    named("source", source, task.sources)
    named("split", split, (*task.splits, *(("translated",) if task.translated(source) else ())))
    language = _language(task, language, split, source)
    if (path is not None) != (source == "files"):
        needed = "source='files' needs the folder with the files"
        raise ValueError(f"path={path!r}: {needed}, source={source!r} was given")
    if path is not None and not Path(path).is_dir():
        raise ValueError(f"path={str(path)!r}: not a folder")
    build = partial(_build, task, language, split, source, path)
    key = f"{task.role}-{name}-{language}-{split}-{inputs_version(*task.packages)}"
    table = cached_table(key, build) if source == "packages" else build()
    if dropped := json.loads(table.schema.metadata[DROPPED]):
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        lost = sum(dropped.values()) - dropped.get(WITHOUT_WORDS, 0)
        what = f"{name} {language} {split}"
        warnings.warn(RowsLost(what, reasons, lost, len(table)), stacklevel=2)
    # hashing the table for one would hold it twice
    return Dataset(table, fingerprint=secrets.token_hex(8))


def provenance_of(
    corpora: Iterable[str], sources: Any, path: str, train_from: Mapping[str, str] = {}
) -> dict[str, str]:
    """What the corpora from "files" are, by corpus: official, development, partial, replaced or
    "not stated", by the folder `path` (`read_provenance`); {} where none is from there. `sources`
    and `train_from` as in the study file: rows made of another target's are what these are.
    """
    if not any("files" in given for given in each(sources)):
        return {}
    said, statuses = read_provenance(data_folder(path)), {}
    for corpus in corpora:
        role, _, rest = corpus.partition("/")
        if rest:
            name, _, split = rest.partition("/")
            if role == "target" and split in ("train", "dev"):
                name = train_from.get(name, name)
            task = find_task(name, role)
            if split == "first":
                task, split = find_task(task.first, "intermediate"), "train"
            split, language = re.fullmatch(r"((?:dev-)?[a-z]+)(?:-(.+))?", split).groups()
            known, name, role = task.sources, task.name, task.role
        else:
            known, name, role = TEXTS[corpus].SOURCES, FOLDER_OF[TEXTS[corpus]], ""
            split, language = "train", ""
        if source_of(sources, known, name, role) == "files":
            part = part_of(said, name, split, language or "en")
            statuses[corpus] = part.status if part else NOT_STATED
    return statuses


def data_card(
    intermediate: Iterable[str], targets: Iterable[str], sources: Any, rows: Mapping[str, int],
    train_from: Mapping[str, str] = {}, path: str = "",
) -> "pd.DataFrame":  # fmt: skip
    """What a study's data are: one row a task of `intermediate` and `targets`, and last the texts
    without a task that are among `rows`, their role "text".

    `sources` are in order of preference, for all or by task, as in the study file; `rows` says how
    many rows the study uses, by corpus (`xgrl.prepare.folder`), such as "target/intent/test-de";
    `train_from`: targets that another one's training rows serve, and that one. Notes say so, and
    which intermediate tasks have the same data. `path`: the folder of the "files" source.

    Returns columns task, role, format, source, licence, rows (by split; in more than one language
    the smallest and the largest number), languages, notes.
    """
    # a quarter of a second, which a job that only checks its parameters is spared
    import pandas as pd

    from_files = any("files" in given for given in each(sources))
    lines, said = [], read_provenance(data_folder(path)) if from_files else {}
    for role, names in (("intermediate", intermediate), ("target", targets)):
        for task in [find_task(name, role) for name in names]:
            counts: dict[str, list[int]] = {}  # by split, over languages
            for corpus, count in rows.items():
                if corpus.startswith(f"{role}/{task.name}/"):
                    split = corpus.split("/")[2]
                    counts.setdefault(split.rpartition("-")[0] or split, []).append(count)
            spans = []
            for split, n in counts.items():
                most = f" to {max(n):,}" if max(n) > min(n) else ""
                spans.append(f"{min(n):,}{most} {split}")
            source = source_of(sources, task.sources, task.name, role)
            origin, licence, note = f"{source}: {task.origin}", task.licence, task.note
            if source == "fixture":
                origin, licence, note = unlabelled.CARD["fixture"]
            beside = intermediate if source != "fixture" else []  # there tasks share nothing
            notes = training_notes(task.name, beside, train_from) if role == "target" else []
            here = [f"here {x}" if x.startswith("trained") else x for x in notes]
            note = "; ".join(filter(None, [note, *here]))
            words, own = describe(said, task.name) if source == "files" else ("", "")
            what = (task.name, role, task.format, origin, own or licence)
            lines.append((*what, ", ".join(spans), " ".join(task.languages), note, words))
    for name in [name for name in TEXTS if name in rows]:
        table = TEXTS[name].SOURCES
        source = source_of(sources, table, FOLDER_OF[TEXTS[name]])
        origin, licence, note = TEXTS[name].CARD[source]
        what = (name, "text", "pairs" if name == "pairs" else "sentences")
        origin = origin if source == "fixture" else f"{source}: {origin}"
        words, own = describe(said, FOLDER_OF[TEXTS[name]]) if source == "files" else ("", "")
        counted = f"{rows[name]:,}", " ".join(table[source]), note
        lines.append((*what, origin, own or licence, *counted, words))
    card = pd.DataFrame(lines, columns=[*CARD, "provenance"])
    return card if from_files else card[list(CARD)]


def training_notes(
    target: str, intermediate: Iterable[str], train_from: Mapping[str, str]
) -> list[str]:
    """What must be known of a target's scores: that it is trained as another one (`train_from`, as
    in the study file), and which of the study's intermediate tasks have the same data.
    """
    source = train_from.get(target, "")
    notes = []
    if source:
        same = shares_model(find_task(target, "target"), find_task(source, "target"))
        notes.append(f"trained on {source if same else f'question and answer pairs of {source}'}")
    for name in intermediate:
        if shared := same_data([name], target, source):
            notes.append(f"same data as {name}: {', '.join(shared)}")
    return notes


def _language(task: Task, language: str, split: str, source: str) -> str:
    """The code as the tables spell it, if the task has this split in this language."""
    if task.name == "tatoeba":
        language = {three: two for two, three in TATOEBA.items()}.get(language, language)
    if split == "translated":
        return named("language", language, task.translated(source))
    if split in ("train", "dev"):
        if language != "en" and language in task.languages:
            allowed = "training rows are English only; allowed: en (or split='test')"
            raise ValueError(f"language={language!r} with split={split!r}: {allowed}")
        return named("language", language, ("en",))
    if task.open_languages and source == "files" and re.fullmatch(r"[a-z]{2,3}(-\w+)?", language):
        return language
    english = ("en",) if split == "candidates" and task.candidates == "shared" else ()
    return named("language", language, tuple(dict.fromkeys((*english, *task.languages))))


def _build(task: Task, language: str, split: str, source: str, path: str | Path | None) -> pa.Table:
    """Load, check and convert, without the cache; what was left out is in the schema's metadata."""
    if source == "fixture":
        rows = fixture_rows(
            task.name, task.schema(split), language, split, task.labels,
            parallel=task.parallel or task.format == "retrieval", pairs=task.pairs,
            candidates=task.candidates, languages=task.languages, mined=task.metric == "mined_f1",
        )  # fmt: skip
    else:
        rows = task.loaders[source](language, split, Path(path) if path else None)
    table, dropped = validate(rows, task.schema(split), task.labels, task.pairs)
    metadata = (table.schema.metadata or {}) | {DROPPED: json.dumps(dropped).encode()}
    return table.replace_schema_metadata(metadata)
