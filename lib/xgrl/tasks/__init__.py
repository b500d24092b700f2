"""The tasks: tables of intermediate and target tasks, and `load_task`, which gives the rows of any
of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from xgrl.runs.cache import cached_table
from xgrl.tasks import messages, parallel, unlabelled
from xgrl.tasks.files import TATOEBA
from xgrl.tasks.formats import Task, code_version, named, validate
from xgrl.tasks.intermediate import INTERMEDIATE
from xgrl.tasks.own import OwnTask, own_tasks
from xgrl.tasks.sources.fixture import fixture_rows
from xgrl.tasks.sources.packages import pin
from xgrl.tasks.targets import TARGETS

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

# by corpus
TEXTS = {
    "unlabelled": unlabelled,
    "language-modelling": messages,
    "pairs": parallel,
    "parallel_texts": parallel,
}
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
            raise ValueError(
                f"params/own/tasks.yaml: {_own.name!r} is the name of another task; choose another"
            )
        OWN[_own.name] = _own
    for _own in OWN.values():
        TABLES[_own.role][_own.name] = _own.task()
except ValueError as _error:
    UNREADABLE = str(_error)
TASKS: dict[str, Task] = TABLES["intermediate"] | TABLES["target"]


def find_task(name: str, role: str = "") -> Task:
    """The table line of a task; ValueError names the known ones and the nearest.

    Args:
        name: a key of `TASKS`.
        role: "intermediate" or "target"; a name that is in both tables (qa) means the target
            without it.
    """
    if UNREADABLE:
        raise ValueError(UNREADABLE)
    table = TABLES[named("role", role, tuple(TABLES))] if role else TASKS
    return table[named("task", name, tuple(table))]


def mixture_parts(task: str, intermediate: Iterable[str]) -> list[str]:
    """The tasks whose rows an intermediate task trains on: itself, or for a mixture all others of
    the study.

    Args:
        task: an intermediate task.
        intermediate: all intermediate tasks of the study.
    """
    if find_task(task, "intermediate").format != "mixture":
        return [task]
    return [other for other in intermediate if find_task(other, "intermediate").format != "mixture"]


def translation_languages(task: Task, sources: Iterable[str]) -> tuple[str, ...]:
    """Languages in which a study has the training rows of a task in translation: those of its first
    source with any.
    """
    return next((found for source in sources if (found := task.translated(source))), ())


def load_task(
    name: str,
    language: str = "en",
    split: str = "train",
    source: str = "packages",
    path: str | Path | None = None,
    role: str = "",
) -> Dataset:
    """The rows of one task, language and split in the task's canonical format, in a fixed order.

    Splits: train and dev exist in English only, test in every language of a target; a retrieval
    task has queries and candidates (English, or of every language where they are pooled). Some
    intermediate tasks also have "translated", their training rows in another language with the ids
    and labels of the English ones (`Task.translated`). A class may be absent in a language; the
    label names are the same in all. Rows that break the format (an empty text, say) are left out
    with a warning that counts the reasons.

    Args:
        name: a key of `TASKS`.
        language: a code of the task's `languages` (translated: of `Task.translated`); Tatoeba takes
            3-letter codes too.
        split: one of the task's `splits`.
        source: one of the task's `sources`: "packages" (embedded, cached after the first time),
            "hub", "files", "own" (a task of params/own/tasks.yaml) or "fixture".
        path: the folder of the "files" source; the others take none.
        role: as in `find_task`.

    Raises:
        ValueError: unknown name, language, split or source, training rows in a foreign language, or
            a path missing or not wanted.
        SourceError: the data are not what they must be.
    """
    from datasets import Dataset

    task = find_task(name, role)
    if task.format == "mixture":
        raise ValueError(
            f"task={name!r}: a mixture of other intermediate tasks has no rows of its own"
        )
    named("source", source, task.sources)
    named("split", split, (*task.splits, *(("translated",) if task.translated(source) else ())))
    language = _language(task, language, split, source)
    if (path is not None) != (source == "files"):
        raise ValueError(
            f"path={path!r}: source='files' needs the folder with the files, source={source!r} "
            f"was given"
        )
    if path is not None and not Path(path).is_dir():
        raise ValueError(f"path={str(path)!r}: not a folder")
    if source == "packages":
        table = cached_table(
            _key(task, language, split), lambda: _build(task, language, split, source, None)
        )
    else:
        table = _build(task, language, split, source, path)
    if dropped := json.loads(table.schema.metadata[DROPPED]):
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        warnings.warn(
            f"{task.name} {language} {split}: left out {reasons}; {len(table)} rows remain",
            stacklevel=2,
        )
    # hashing the table for one would hold it twice
    return Dataset(table, fingerprint=secrets.token_hex(8))


def data_card(
    intermediate: Iterable[str],
    targets: Iterable[str],
    sources: Sequence[str],
    rows: Mapping[str, int],
) -> pd.DataFrame:
    """What a study's data are: one row a task.

    Args:
        intermediate, targets: names of tasks.
        sources: in order of preference, as in the study file.
        rows: how many rows the study uses, by corpus (`xgrl.prepare.folder`), such as
            "target/intent/test-de".

    Returns:
        Columns task, role, format, source, licence, rows (by split; in more than one language the
        smallest and the largest number), languages, notes. The last lines are the texts without a
        task that are among `rows`, their role "text".
    """
    # a quarter of a second, which a job that only checks its parameters is spared
    import pandas as pd

    lines = []
    for task in [find_task(name, "intermediate") for name in intermediate] + [
        find_task(name, "target") for name in targets
    ]:
        counts: dict[str, list[int]] = {}
        for name, count in rows.items():
            if name.startswith(f"{task.role}/{task.name}/"):
                counts.setdefault(
                    name.split("/")[2].removesuffix("-" + name.rsplit("-", 1)[-1]), []
                ).append(count)
        spans = {
            part: f"{min(n):,}" + (f" to {max(n):,}" if max(n) > min(n) else "")
            for part, n in counts.items()
        }
        source = next((source for source in sources if source in task.sources), "")
        made = source == "fixture"
        lines.append({
            "task": task.name,
            "role": task.role,
            "format": task.format,
            "source": "fixture" if made else f"{source}: {task.origin}",
            "licence": "none: synthetic" if made else task.licence,
            "rows": ", ".join(f"{span} {part}" for part, span in spans.items()),
            "languages": " ".join(task.languages),
            "notes": "pseudo-languages made in code" if made else task.note,
        })  # fmt: skip
    for name in [name for name in TEXTS if name in rows]:
        table, cards = TEXTS[name].SOURCES, TEXTS[name].CARD
        source = next(source for source in sources if source in table)
        origin, licence, note = cards[source]
        lines.append({
            "task": name, "role": "text", "format": "pairs" if name == "pairs" else "sentences",
            "source": "fixture" if source == "fixture" else f"{source}: {origin}", "licence": licence,
            "rows": f"{rows[name]:,}", "languages": " ".join(table[source]), "notes": note,
        })  # fmt: skip
    return pd.DataFrame(lines)


def task_table() -> str:
    """All tasks as a Markdown table: what stands in docs/tasks.md."""
    lines = [
        "| task | role | format | score | languages | sources |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for role, table in TABLES.items():
        for task in table.values():
            sources = ", ".join(source for source in task.sources if source != "fixture") or "-"
            score = "-" if task.format == "mixture" else task.metric
            cells = (
                task.name,
                role,
                task.format.replace("_", " "),
                score,
                str(len(task.languages)),
                sources,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _language(task: Task, language: str, split: str, source: str) -> str:
    """The code as the tables spell it, if the task has this split in this language."""
    if task.name == "tatoeba":
        language = {three: two for two, three in TATOEBA.items()}.get(language, language)
    if split == "translated":
        return named("language", language, task.translated(source))
    if split in ("train", "dev"):
        if language != "en" and language in task.languages:
            raise ValueError(
                f"language={language!r} with split={split!r}: training rows are English only; "
                f"allowed: en (or split='test')"
            )
        return named("language", language, ("en",))
    if task.open_languages and source == "files" and re.fullmatch(r"[a-z]{2,3}(-\w+)?", language):
        return language
    allowed = (
        ("en", *task.languages)
        if split == "candidates" and task.candidates == "shared"
        else task.languages
    )
    return named("language", language, tuple(dict.fromkeys(allowed)))


def _build(task: Task, language: str, split: str, source: str, path: str | Path | None) -> pa.Table:
    """Load, check and convert, without the cache; what was left out is in the schema's metadata."""
    if source == "fixture":
        parallel = task.parallel or task.format == "retrieval"
        found = fixture_rows(
            task.name, task.schema(split), language, split, task.labels, parallel=parallel, pairs=task.pairs,
            candidates=task.candidates, languages=task.languages, mined=task.metric == "mined_f1",
        )  # fmt: skip
    else:
        found = task.loaders[source](language, split, Path(path) if path else None)
    checked = validate(found, task.schema(split), task.labels)
    metadata = (checked.table.schema.metadata or {}) | {
        DROPPED: json.dumps(checked.dropped).encode()
    }
    return checked.table.replace_schema_metadata(metadata)


def _key(task: Task, language: str, split: str) -> str:
    """Names cached rows by all they depend on: the archives and this folder's code."""
    inputs = "".join(pin(package).sha256 for package in task.packages) + code_version()
    return f"{task.role}-{task.name}-{language}-{split}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
