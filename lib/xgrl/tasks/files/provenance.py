"""What a folder of the "files" source says of itself.

``provenance.yaml`` says what each task, split and language is:

    panx:
      licence: unknown (Wikipedia text)
      train: {status: official}
      test:
        status: development
        note: the development set under the test's name
        languages: {en: {status: partial, note: its second half}}

A status is one of `STATUSES`; what the file does not name is "not stated". ``MANIFEST.sha256``, as
sha256sum writes it, has the hashes of the folder's files.
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from xgrl.runs.params import Closed, explain, nearest_names
from xgrl.runs.study_files import parse
from xgrl.tasks.files.layouts import LAYOUTS

FILE, MANIFEST = "provenance.yaml", "MANIFEST.sha256"
STATUSES = ("official", "development", "partial", "replaced")
OFFICIAL, NOT_STATED = "official", "not stated"
SHORT = {"development": "dev"}  # beside a number
SPLITS = ("train", "dev", "test", "translated")
OTHERS = ("anli", "bucc2018", "lareqa", "tatoeba", "unlabelled", "parallel")
TASKS = sorted({*OTHERS, *(name for tasks, *_ in LAYOUTS for name in tasks.split())})


class Part(Closed):
    """What a split is, or a split in one language."""

    status: Literal[STATUSES]
    note: str = ""
    licence: str = ""


class Split(Part):
    """What a split is in all languages but those that are named."""

    languages: dict[str, Any] = Field(default={})


Said = dict[tuple[str, str, str], Part]  # by task, split, language ("": all others)


def read_provenance(folder: str | Path) -> Said:
    """What ``provenance.yaml`` says, {} without such a file; ValueError for all that is wrong in
    it. A licence of a task or split holds for what is below it, unless that has one of its own.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return {}
    tasks, said, wrong = parse(file.read_bytes(), file), {}, []

    def check(where: str, model: type[Part], value: Any, licence: str) -> Any:
        try:
            part = model.model_validate(value)
        except ValidationError as error:
            wrong.append(explain(error, model, where))
            return None
        return part if part.licence else part.model_copy(update={"licence": licence})

    if not isinstance(tasks, dict):
        raise ValueError(f"{file}: expected tasks and what they are, found {tasks!r:.80}")
    for task, entry in tasks.items():
        licence = entry.get("licence", "") if isinstance(entry, dict) else None
        if task not in TASKS:
            wrong.append(f"{task!r} is no task of the files source; {nearest_names(task, TASKS)}")
        elif not isinstance(licence, str) or not (keys := {*entry} - {"licence"}) <= {*SPLITS}:
            allowed = f"a text as licence, and of the splits {', '.join(SPLITS)} what they are"
            wrong.append(f"{task}: expected {allowed}, found {entry!r:.200}")
        else:
            for split in (name for name in SPLITS if name in keys):
                if part := check(f"{task}.{split}", Split, entry[split], licence):
                    said[task, split, ""] = part
                    for language, own in part.languages.items():
                        where = f"{task}.{split}.languages.{language}"
                        if not re.fullmatch(r"[a-z]{2,3}(-\w+)?", language):
                            wrong.append(f"{where}: expected a language's code, as de or zh-TW")
                        elif one := check(where, Part, own, part.licence):
                            said[task, split, language] = one
    if wrong:
        raise ValueError(f"{file}: {'; '.join(wrong)}")
    return said


def part_of(said: Said, task: str, split: str, language: str) -> Part | None:
    """What a split, as `load_task` or a corpus calls it, is in a language; None: not said."""
    kind = "dev" if split.startswith("dev") else split if split in SPLITS else "test"
    return said.get((task, kind, language)) or said.get((task, kind, ""))


def describe(said: Said, task: str) -> tuple[str, str]:
    """What is said of a task, in words, and its licences; "not stated" and "" without a word."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    own = {key[1:]: part for key, part in said.items() if key[0] == task}
    for (split, language), part in own.items():
        groups.setdefault((split, part.status, part.note), []).append(language)
    texts = []
    for (split, status, note), languages in groups.items():
        where = " ".join([split, *(["in", *languages] if "" not in languages else [])])
        texts.append(f"{where}: {status}" + (f" ({note})" if note else ""))
    licences = dict.fromkeys(part.licence for part in own.values() if part.licence)
    return "; ".join(texts) or NOT_STATED, "; ".join(licences)


def read_manifest(folder: str | Path) -> dict[Path, str]:
    """SHA-256 of files by path within the folder, {} without ``MANIFEST.sha256``; ValueError names
    a line that sha256sum would not write, or a path that leaves the folder.
    """
    file, hashes = Path(folder) / MANIFEST, {}
    if not file.is_file():
        return hashes
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](\S.*)", line)
        path = Path(match[2]) if match else Path("..")
        if line.strip() and (path.is_absolute() or ".." in path.parts):
            form = "64 hex digits, two blanks and a path within the folder"
            raise ValueError(f"{file}, line {number}: expected {form}, found {line[:90]!r}")
        if match:
            hashes[path] = match[1]
    return hashes
