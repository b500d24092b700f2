"""Tasks of one's own: described in ``params/own/tasks.yaml``, their rows in JSON lines of a
canonical format.

A task has a folder with a file for each split and language, ``<split>.<language>.jsonl``. An
intermediate task: train.en and dev.en; a target: train.en, dev.en and test.<language> for each of
its languages; retrieval, which trains nothing: candidates.en, and queries.<language> for each. A
line is a JSON object with the columns of the task's format (`xgrl.tasks.formats`), labels and tags
by name. A study takes it with ``sources: [own, packages]``. ``$XGRL_TASKS`` names another file.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from xgrl.runs.params import Closed, Length, Name, explain
from xgrl.runs.study_files import parse
from xgrl.tasks.formats import TEXTS, Row, Task, features, named
from xgrl.tasks.sources import SourceError
from xgrl.tasks.sources.files import build_rows, read_jsonl
from xgrl.tasks.targets import TARGETS

FILE = Path(__file__).parents[3] / "params" / "own" / "tasks.yaml"
METRICS = {  # that fit a format, the usual one first
    "classification": ("accuracy",), "multiple_choice": ("accuracy",), "span_qa": ("squad", "mlqa"),
    "tagging": ("tag_f1", "span_f1"), "retrieval": ("retrieval_accuracy",),
}  # fmt: skip
TAGS = {  # that a metric reads, and in words
    "tag_f1": (r"[^O.\s-][^\s-]*", "tags as NOUN, without hyphen and not beginning with O or ."),
    "span_f1": (r"O|[BI]-\S+", "O, B-<type> and I-<type>"),
}
MLQA = next(task.languages for task in TARGETS if task.name == "mlqa")  # of its metric
OPTIONAL = {"text_pair": "", "gold": None}  # columns that a line may lack
ANSWERS = '{"text": [texts], "answer_start": [a whole number for each]}, both [] without an answer'
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")]
Text = Annotated[str, StringConstraints(min_length=1)]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _answers(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"text", "answer_start"}:
        return False
    texts, starts = value["text"], value["answer_start"]
    whole = isinstance(starts, list) and all(type(start) is int for start in starts)
    return whole and _texts(texts) and len(texts) == len(starts) and all(map(str.strip, texts))


COLUMNS = {  # what a line has in each, and whether a value is that
    **dict.fromkeys((*TEXTS, "text_pair"), ("text", lambda value: isinstance(value, str))),
    **dict.fromkeys(("choices", "tokens"), ("a list of texts", _texts)),
    "gold": ("a list of ids", lambda value: value is None or _texts(value)),
    "label": ("a whole number", lambda value: type(value) is int),
    "tags": ("a list of tags", lambda value: isinstance(value, list)),
    "answers": (ANSWERS, _answers),
}


class OwnTask(Closed):
    """One entry of the file."""

    name: Name
    role: Literal["intermediate", "target"]
    format: Literal["classification", "multiple_choice", "span_qa", "tagging", "retrieval"]
    folder: Text  # of its files, seen from the project's root
    languages: list[Language] = Field(default=["en"], min_length=1)
    labels: list[Text] = Field(default=[])  # names of classes or tags
    metric: str = ""
    parallel: bool = False  # test rows of different languages with one id are translations
    max_length: Length = 128
    licence: str = "not stated"
    note: str = ""

    @model_validator(mode="after")
    def _fits(self) -> "OwnTask":
        tagged, different = self.format in ("classification", "tagging"), set(self.labels)
        if tagged != bool(different) or len(self.labels) != len(different) or len(different) == 1:
            wanted = "two or more different names" if tagged else "none"
            raise ValueError(f"labels={self.labels}: {self.format} needs {wanted}")
        if self.role == "intermediate" and (self.languages != ["en"] or self.format == "retrieval"):
            given = f"languages={self.languages}, format={self.format!r}"
            raise ValueError(f"{given}: an intermediate task is trained on, in English")
        each_once = len(set(self.languages)) == len(self.languages)
        if not each_once or (self.role == "target" and not set(self.languages) - {"en"}):
            wanted = "each once, and of a target at least one beside en"
            raise ValueError(f"languages={self.languages}: {wanted}")
        metric = named("metric", self.metric or METRICS[self.format][0], METRICS[self.format])
        scored = self.labels if self.role == "target" and metric in TAGS else []
        if wrong := [tag for tag in scored if not re.fullmatch(TAGS[metric][0], tag)]:
            forms = "; ".join(f"{name} reads {words}" for name, (_, words) in TAGS.items())
            raise ValueError(f"labels={wrong}, metric={metric!r}: {forms}; no tag has a blank")
        if metric == "mlqa" and (wrong := [x for x in self.languages if x not in MLQA]):
            allowed = f"it reads answers in {', '.join(MLQA)}; squad does in any language"
            raise ValueError(f"languages={wrong}, metric='mlqa': {allowed}")
        return self

    def file(self, split: str, language: str) -> Path:
        """Where the rows of a split and language are."""
        return Path(self.folder) / f"{split}.{language}.jsonl"

    @property
    def files(self) -> list[Path]:
        """All files that it must have."""
        tested = self.languages if self.role == "target" else []
        if self.format == "retrieval":
            names = [("candidates", "en"), *(("queries", code) for code in tested if code != "en")]
        else:
            names = [("train", "en"), ("dev", "en"), *(("test", code) for code in tested)]
        return [self.file(*name) for name in names]

    def task(self) -> Task:
        """Its entry of the table."""
        retrieval = self.format == "retrieval"
        english = ("en",) if "en" in self.languages and not retrieval else ()
        languages = (*english, *(language for language in self.languages if language != "en"))
        return Task(
            self.name, self.format, {"own": lambda language, split, _: self.rows(split, language)},
            tuple(self.labels), self.role, languages,
            self.metric or METRICS[self.format][0], parallel=self.parallel or retrieval,
            max_length=self.max_length, origin=f"files in {self.folder}", licence=self.licence,
            note=self.note,
        )  # fmt: skip

    def rows(self, split: str, language: str) -> Iterator[Row]:
        """The rows of one file; SourceError names file, line, and what is there and allowed."""
        file = self.file(split, language)
        if not file.is_file():
            needed = ", ".join(map(str, self.files))
            raise SourceError(f"{file} does not exist; task {self.name!r} needs {needed}")
        columns, lines = list(features(self.format)), read_jsonl(file, once=True)
        yield from build_rows(file, lines, lambda line, _: self._row(line, columns))

    def _row(self, line: dict[str, Any], columns: list[str]) -> Row:
        """A line's columns; labels and tags stay names, which `validate` turns into indices."""
        if surplus := sorted(set(line) - set(columns)):
            raise ValueError(f"unknown column {surplus[0]!r}; allowed: {', '.join(columns)}")
        row, given = {}, OPTIONAL | line
        for column in columns:
            value = given[column]
            wanted, fits = COLUMNS[column]
            if not fits(value) and not (column == "label" and self.labels):
                raise ValueError(f"{column}={value!r:.80}: expected {wanted}")
            if column in ("label", "tags") and self.labels:
                for label in [value] if column == "label" else value:
                    named(column, label, self.labels)
            if value is not None:
                row[column] = value
        if self.metric == "mlqa" and not any(row["answers"]["text"]):
            raise ValueError("no answer: metric mlqa takes answerable questions only; squad any")
        return row


def own_tasks(path: str | Path | None = None) -> list[OwnTask]:
    """The tasks that a file describes, by default ``$XGRL_TASKS`` or ``params/own/tasks.yaml``;
    none where it does not exist. ValueError: not YAML, an unknown key, or a value that does not
    fit; it names the entry, key, value and what is allowed.
    """
    path = Path(path or os.environ.get("XGRL_TASKS") or FILE)
    if not path.exists() and path == FILE:
        return []
    try:
        entries = (parse(path.read_bytes()) or {}).get("tasks") or []
        if not isinstance(entries, list):
            raise ValueError("tasks is no list")
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: expected YAML with a list 'tasks': {reason}") from None
    tasks = []
    for number, entry in enumerate(entries, 1):
        name = entry.get("name", "?") if isinstance(entry, dict) else entry
        try:
            tasks.append(OwnTask.model_validate(entry))
        except ValidationError as error:
            raise ValueError(explain(error, OwnTask, f"{path}, task {number} ({name!r})")) from None
    return tasks
